"""Batches over small arrays made here; the noise, the padding, the closed door of the test part."""

import numpy as np
import pytest
import torch

from protocols.batches import IGNORED, Division, Standardiser, pad
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
