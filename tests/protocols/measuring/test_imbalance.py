"""Imbalance through measure(): planted strengths are found, what is ignored stands at chance, no number is made up."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from protocols.batches import Part, Standardiser
from protocols.examples import Examples, Stream
from protocols.measuring import Subject, imbalance
from protocols.metrics import metric
from protocols.presentation import Presenter
from protocols.spec import committed

CLASSES, CLIPS = 4, 120
STRENGTH = {"audio": 5.0, "video": 1.0, "text": 2.0}
SUITE = SimpleNamespace()


def planted(modalities, *, per_step=False) -> Presenter:
    """Steps that each show the label as ``STRENGTH`` on its own channel; every clip is right in audio, and in two
    thirds of the clips in video and text."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4, CLIPS)
    labels = rng.integers(CLASSES, size=CLIPS)
    streams, plain = {}, {}
    for place, m in enumerate(modalities):
        wrong = np.arange(CLIPS) % 3 == place if m != "audio" else np.zeros(CLIPS, bool)
        shown = np.eye(CLASSES)[np.where(wrong, (labels + 1) % CLASSES, labels)] * STRENGTH[m]
        steps = lengths if per_step else lengths + place
        stops = np.cumsum(steps)
        streams[m] = Stream(np.repeat(shown, steps, 0).astype(np.float32), stops - steps, stops, CLASSES)
        plain[m] = Standardiser(np.zeros(CLASSES, np.float32), np.ones(CLASSES, np.float32))
    if per_step:
        labels = [np.full(n, y) for n, y in zip(lengths, labels, strict=True)]
    names = tuple(f"c{i}" for i in range(CLIPS))
    examples = Examples(names, labels, tuple("abcd"), streams, "planted")
    return Presenter(Part(committed()["synthetic@1"], examples, np.arange(CLIPS), plain))


def first_step(inputs, masks):
    assert all(mask[:, 0].all() for mask in masks.values())  # what is absent is zeros under a full mask
    return {m: x[:, 0] for m, x in inputs.items()}


def summed(inputs, masks):
    """A joint model whose logits are the sum of its modalities'."""
    return torch.stack(list(first_step(inputs, masks).values())).sum(0)


def subject(predict, modalities, heads=None, size=32) -> Subject:
    return Subject(predict, recorder=None, untrained=None, modalities=modalities, size=size, heads=heads)


def found(*args, modalities=("audio", "video"), presenter=None, **kwargs) -> dict:
    presenter = presenter or planted(modalities)
    findings = list(imbalance.measure(subject(*args, modalities=modalities, **kwargs), presenter, SUITE))
    assert len({f.metric for f in findings}) == len(findings)
    assert all((f.value is None) == bool(f.reason) and f.condition == "clean" for f in findings)
    assert all(metric(f.metric) and f.n == len(presenter.part.labels) for f in findings)
    return {f.metric: f for f in findings}


def probability(m, clips) -> np.ndarray:
    """Of the true class, where the model sees this modality alone."""
    right = softmax(np.eye(CLASSES)[0] * STRENGTH[m])[0]
    wrong = softmax(np.eye(CLASSES)[1] * STRENGTH[m])[0]
    return np.where(clips, right, wrong)


@pytest.mark.parametrize("heads", [None, first_step], ids=["absent", "heads"])
def test_planted_strengths_are_recovered(heads):
    got = found(summed, heads=heads)
    audio = probability("audio", np.ones(CLIPS, bool)).sum()
    video = probability("video", np.arange(CLIPS) % 3 != 1).sum()
    for suffix in ("/absent", "") if heads else ("/absent",):
        assert got[f"discrepancy/audio{suffix}"].value == pytest.approx(audio / video, rel=1e-6)
        assert got[f"discrepancy/video{suffix}"].value == pytest.approx(video / audio, rel=1e-6)
        assert got[f"entropy_gap{suffix}"].value == pytest.approx(gap("audio", "video"), rel=1e-5)
    assert got["inside/audio"].value == 1.0 and got["inside/video"].value == pytest.approx(2 / 3)
    assert audio / video > 2
    if heads is None:
        assert all("no uni-modal heads" in got[name].reason for name in ("discrepancy/audio", "entropy_gap"))


def gap(*modalities) -> float:
    p = [softmax(np.eye(CLASSES)[0] * STRENGTH[m]) for m in modalities]
    entropies = [-(x * np.log(x)).sum() for x in p]
    return max(entropies) - min(entropies)


def test_three_modalities():
    got = found(summed, modalities=("audio", "video", "text"), heads=first_step)
    sums = {
        m: probability(m, np.arange(CLIPS) % 3 != place if place else np.ones(CLIPS, bool)).sum()
        for place, m in enumerate(STRENGTH)
    }
    for m in STRENGTH:
        others = np.mean([s for n, s in sums.items() if n != m])
        assert got[f"discrepancy/{m}"].value == pytest.approx(sums[m] / others, rel=1e-6)
        assert got[f"discrepancy/{m}/absent"].value == pytest.approx(sums[m] / others, rel=1e-6)
    assert got["entropy_gap"].value == pytest.approx(gap("audio", "video", "text"), rel=1e-5)
    assert {name.split("/")[0] for name in got} == {"discrepancy", "inside", "entropy_gap"}


def test_every_step_is_an_item():
    presenter = planted(("audio", "video"), per_step=True)

    def each(inputs, masks):
        return inputs["audio"] + inputs["video"]

    got = found(each, presenter=presenter, heads=lambda inputs, masks: dict(inputs))
    lengths = np.array([len(y) for y in presenter.part.examples.labels])
    right = np.repeat(np.arange(CLIPS) % 3 != 1, lengths)
    assert got["inside/video"].n == lengths.sum()
    assert got["inside/video"].value == pytest.approx(right.mean())
    ratio = probability("audio", np.ones(len(right), bool)).sum() / probability("video", right).sum()
    assert got["discrepancy/audio"].value == pytest.approx(ratio, rel=1e-6)


def test_an_ignored_modality_stands_at_chance():
    """Left alone it gives every clip the same scores: one class, right for its share."""
    got = found(lambda inputs, masks: first_step(inputs, masks)["audio"])
    labels = planted(("audio", "video")).part.labels
    assert got["inside/audio"].value == 1.0
    assert got["inside/video"].value == pytest.approx(np.mean(labels == 0))
    assert abs(got["inside/video"].value - 1 / CLASSES) < 0.1
    assert got["entropy_gap/absent"].value == pytest.approx(np.log(CLASSES) - entropy_of("audio"), rel=1e-5)


def entropy_of(m) -> float:
    p = softmax(np.eye(CLASSES)[0] * STRENGTH[m])
    return float(-(p * np.log(p)).sum())


def test_one_modality_has_reasons_in_place_of_numbers():
    got = found(lambda inputs, masks: inputs["audio"][:, 0], modalities=("audio",))
    assert set(got) == {
        "discrepancy/audio",
        "discrepancy/audio/absent",
        "inside/audio",
        "entropy_gap",
        "entropy_gap/absent",
    }
    assert all("one only" in f.reason for f in got.values())


def test_a_modality_that_rules_out_the_truth_has_no_ratio_to_divide_by():
    def sure(inputs, masks):
        z = first_step(inputs, masks)
        return z["audio"] - 1e4 * (z["video"] > 0)  # video says: anything but this

    got = found(sure, modalities=("audio", "video"), presenter=planted_right())
    assert got["inside/audio"].value == 1.0
    assert "probability of zero" in got["discrepancy/audio/absent"].reason
    assert got["entropy_gap/absent"].value is not None


def planted_right() -> Presenter:
    """Every clip shows its class in both modalities."""
    presenter = planted(("audio", "video"))
    streams = {m: presenter.part.examples.streams["audio"] for m in ("audio", "video")}
    examples = Examples(
        presenter.part.examples.ids, presenter.part.examples.labels, tuple("abcd"), streams, "planted right"
    )
    return Presenter(
        Part(
            presenter.part.spec,
            examples,
            np.arange(CLIPS),
            dict.fromkeys(streams, presenter.part.standardisers["audio"]),
        )
    )


def test_batches_change_nothing():
    one, other = (found(summed, heads=first_step, size=size) for size in (7, CLIPS))
    assert {k: f.value for k, f in one.items()} == pytest.approx({k: f.value for k, f in other.items()}, rel=1e-6)


def stale(presenter, streams):
    """A cache that answers every modality with the first one's streams."""
    kept = presenter.without(streams, list(streams)[1:], "mean")
    return dict.fromkeys(streams, kept)


def everything_absent(presenter, streams):
    return {m: presenter.without(streams, set(streams), "mean") for m in streams}


def the_wrong_one_absent(presenter, streams):
    return {m: presenter.without(streams, {m}, "mean") for m in streams}


@pytest.mark.parametrize("broken", [stale, everything_absent, the_wrong_one_absent], ids=lambda f: f.__name__)
def test_a_broken_absence_misses_the_planted_strengths(broken, monkeypatch):
    monkeypatch.setattr(imbalance, "each_alone", broken)
    with pytest.raises(AssertionError):
        test_planted_strengths_are_recovered(None)


def test_heads_of_constant_scores_miss_the_planted_strengths():
    with pytest.raises(AssertionError):
        test_planted_strengths_are_recovered(
            lambda inputs, masks: {m: torch.zeros(len(x), CLASSES) for m, x in inputs.items()}
        )


def test_one_pass_for_each_modality_and_one_for_the_heads():
    calls = []

    def counted(inputs, masks):
        calls.append(len(inputs["audio"]))
        return summed(inputs, masks)

    def heads(inputs, masks):
        calls.append(-len(inputs["audio"]))
        return first_step(inputs, masks)

    found(counted, heads=heads, size=CLIPS)
    assert calls == [CLIPS, CLIPS, -CLIPS]
