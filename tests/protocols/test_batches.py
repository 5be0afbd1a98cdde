"""Batches over small arrays made here; the noise, the padding, the closed door of the test part."""

import numpy as np
import pytest
import torch

from protocols import batches as module
from protocols.batches import IGNORED, Division, OnDemand, Standardiser, in_memory, pad
from protocols.corruptions import parse_condition
from protocols.examples import DataError, Examples, Stream
from protocols.spec import load

N = 30
PARTS = {"train": np.arange(0, 18), "validation": np.arange(18, 24), "test": np.arange(24, 30)}


def stream(seed, width, lengths=None):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, size=N) if lengths is None else lengths
    stops = np.cumsum(lengths)
    values = 3 + 2 * rng.standard_normal((stops[-1], width)).astype(np.float32)
    return Stream(values, stops - lengths, stops, width)


def spec(**changes):
    given = {
        "conditions": ("clean", "audio/feature_noise/0dB", "video/missing"),
        "inputs": {"audio": "x", "video": "x"},
    }
    return load("synthetic@1").model_copy(update=given | changes)


def examples(per_step=False):
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, size=N)
    labels = [rng.integers(2, size=n) for n in lengths] if per_step else rng.integers(2, size=N)
    streams = {"audio": stream(2, 4, lengths), "video": stream(3, 3, lengths if per_step else None)}
    return Examples(tuple(f"e{i}" for i in range(N)), labels, ("no", "yes"), streams, "0")


@pytest.fixture
def division():
    return Division(spec(), examples(), PARTS)


def batches(part, size=7, modalities=("audio", "video"), **presented):
    return list(part.batches(modalities, size, **{"draw": "test", "condition": parse_condition("clean")} | presented))


def test_every_example_once_in_order(division):
    got = batches(division.training)
    assert np.concatenate([b.index for b in got]).tolist() == PARTS["train"].tolist()
    assert [len(b.labels) for b in got] == [7, 7, 4]
    for batch in got:
        for x, mask in zip(batch.inputs.values(), batch.masks.values(), strict=True):
            assert x.dtype == torch.float32 and mask.dtype == torch.bool and x.shape[:2] == mask.shape
            assert (x[~mask] == 0).all() and mask.any(1).all()


def test_the_order_comes_from_seed_and_epoch(division):
    orders = {
        key: np.concatenate([b.index for b in batches(division.training, order=key)]).tolist()
        for key in ((0, 1), (0, 2), (1, 1))
    }
    assert all(sorted(order) == PARTS["train"].tolist() for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 3
    assert np.concatenate([b.index for b in batches(division.training, order=(0, 1))]).tolist() == orders[0, 1]


def test_features_are_standardised_on_the_training_part(division):
    rows = torch.cat([b.inputs["audio"][b.masks["audio"]] for b in batches(division.training)])
    torch.testing.assert_close(rows.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(4), atol=1e-5, rtol=0)
    other = torch.cat([b.inputs["audio"][b.masks["audio"]] for b in batches(division.validation)])
    assert (other.mean(0).abs() > 1e-3).any()


def test_a_feature_that_never_varies_becomes_zero():
    standardise = Standardiser.of([np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)])
    assert standardise(np.array([[1.0, 5.0]], dtype=np.float32)).tolist() == [[-1.0, 0.0]]


def test_one_block_is_measured_as_numpy_measures_it():
    sequences = [3 + 2 * np.random.default_rng(k).standard_normal((5, 4)).astype(np.float32) for k in range(9)]
    rows = np.concatenate(sequences).astype(np.float64)
    got = Standardiser.of(sequences)
    assert np.array_equal(got.mean, rows.mean(0).astype(np.float32))
    assert np.array_equal(got.scale, rows.std(0).astype(np.float32))


def test_blocks_are_joined_to_the_moments_of_all_rows(monkeypatch):
    """Far from zero, where a sum of squares would lose what matters; and a feature that never varies stays one."""
    rng = np.random.default_rng(0)
    sequences = [
        np.concatenate([1e4 + rng.standard_normal((n, 2)), np.full((n, 1), 123.4)], 1).astype(np.float32)
        for n in (1, 40, 3, 500, 2)
    ]
    whole = np.concatenate(sequences).astype(np.float64)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)  # each by itself
    got = Standardiser.of(iter(sequences))
    assert got.mean == pytest.approx(whole.mean(0), rel=1e-7)
    assert got.scale[:2] == pytest.approx(whole.std(0)[:2], rel=1e-6) and got.scale[2] == 1


def test_what_does_not_fit_is_made_each_time_and_the_same():
    made = []

    def make(place):
        made.append(place)
        return np.full(4, place, np.float32)

    held = OnDemand(make, 6, room=33)  # of 16 bytes each: two fit, the third begins
    assert made == [0, 1, 2] and held.nbytes == 48 and not in_memory(held)
    assert [x[0] for x in held] == [0, 1, 2, 3, 4, 5] and made == [0, 1, 2, 3, 4, 5]
    assert [x[0] for x in held[1:5:3]] == [1, 4] and made[6:] == [4]
    assert held[-1][0] == 5 and in_memory(OnDemand(make, 2, room=100)) and in_memory([])
    with pytest.raises(IndexError):
        held[6]


def test_an_array_in_several_places_takes_its_bytes_once():
    one = np.zeros(4, np.float32)
    assert OnDemand(lambda place: one, 100, room=17).whole


def test_batches_do_not_depend_on_what_fits_into_memory(monkeypatch):
    mixed = spec(training_conditions=("clean", "audio/feature_noise/0dB"))
    given = {"condition": None, "draw": "epoch 1", "order": (0, 1)}

    def seen():
        division = Division(mixed, examples(), PARTS)
        tested = division.open_test(lambda: None)
        noisy = parse_condition("audio/feature_noise/0dB")
        return [*batches(division.training, **given), *batches(tested, condition=noisy)]

    first = seen()
    for room in ("HELD_BYTES", "KEPT_BYTES"):
        monkeypatch.setattr(module, room, 100)
    again = seen()
    assert len(first) == len(again) == 4
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.index, b.index) and torch.equal(a.labels, b.labels)
        for m in a.inputs:
            assert torch.equal(a.inputs[m], b.inputs[m]) and torch.equal(a.masks[m], b.masks[m])


def test_noise_is_the_same_for_everyone_and_touches_one_modality(division):
    noisy = parse_condition("audio/feature_noise/0dB")
    first, again = batches(division.training, condition=noisy)[0], batches(division.training, condition=noisy)[0]
    alone = batches(division.training, modalities=("audio",), size=5, condition=noisy)[0]
    clean = batches(division.training)[0]
    assert torch.equal(first.inputs["audio"], again.inputs["audio"])
    width = alone.inputs["audio"].shape[1]
    assert torch.equal(first.inputs["audio"][:5, :width], alone.inputs["audio"])
    assert torch.equal(first.inputs["video"], clean.inputs["video"])
    assert not torch.equal(first.inputs["audio"], clean.inputs["audio"])
    assert not torch.equal(
        first.inputs["audio"], batches(division.training, condition=noisy, draw="2")[0].inputs["audio"]
    )


def test_a_missing_modality_is_zeros_with_a_full_mask(division):
    got, clean = (
        batches(division.training, condition=parse_condition("video/missing"))[0],
        batches(division.training)[0],
    )
    assert (got.inputs["video"] == 0).all()
    assert torch.equal(got.masks["video"], clean.masks["video"])


def test_training_conditions_are_drawn_anew_each_epoch_and_equal_for_all():
    mixed = spec(training_conditions=("clean", "audio/feature_noise/0dB"))
    one, two = (Division(mixed, examples(), PARTS).training for _ in range(2))
    draws = [batches(part, condition=None, draw=f"epoch {e}")[0].inputs["audio"] for part in (one, two) for e in (1, 2)]
    assert torch.equal(draws[0], draws[2]) and torch.equal(draws[1], draws[3])
    assert not torch.equal(draws[0], draws[1])


def test_labels_of_steps_are_padded_with_what_the_loss_ignores():
    division = Division(spec(), examples(per_step=True), PARTS)
    for batch in batches(division.training):
        assert torch.equal(batch.labels != IGNORED, batch.masks["audio"])
    scored = torch.cat([b.labels[b.labels != IGNORED] for b in batches(division.training)])
    assert scored.tolist() == division.training.labels.tolist()


def test_the_test_part_opens_only_after_the_ledger(division):
    opened = []
    test = division.open_test(lambda: opened.append(True))
    assert opened == [True] and test.index.tolist() == PARTS["test"].tolist()

    def full_disk():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        division.open_test(full_disk)


def test_a_corruption_that_the_data_have_no_use_for_is_refused():
    with pytest.raises(DataError, match="'audio/white_noise/0dB' is defined for waveform, but audio .* is features"):
        Division(spec(conditions=("audio/white_noise/0dB",)), examples(), PARTS)


def test_pad():
    values, mask = pad([np.ones((1, 2)), np.ones((3, 2))])
    assert values.tolist() == [[[1, 1], [0, 0], [0, 0]], [[1, 1], [1, 1], [1, 1]]]
    assert mask.tolist() == [[True, False, False], [True, True, True]]
