"""What is measured of predicted numbers and labels: models whose every value can be worked out by hand."""

from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest
import torch

from protocols.measuring import Subject, attention, contribution, faithfulness, imbalance, mm_shap, robustness, saliency
from protocols.spec import load
from protocols.suite import suite_of

BITS = np.array(list(product((-1.0, 1.0), repeat=2)) * 8, np.float32)  # of audio and video
STREAMS = {m: [row[None, None] for row in BITS[:, column]] for column, m in enumerate(("audio", "video"))}


@contextmanager
def no_maps():
    yield []


def subject(predict, size=7):
    def model(inputs, masks):
        return predict(inputs["audio"][:, 0, 0], inputs["video"][:, 0, 0])

    return Subject(model, no_maps, lambda: subject(predict, size), ("audio", "video"), size)


@pytest.fixture
def numbers(presenter_of):
    """The target is audio + 2 video."""
    labels = (BITS @ [1, 2]).astype(np.float32)[:, None]
    changed = {"task": "regression", "metrics": ("mae", "ccc"), "inputs": {"audio": "features", "video": "features"}}
    return presenter_of(STREAMS, labels, classes=("sum",), **changed)


@pytest.fixture
def labels(presenter_of):
    """One label is there where the audio's bit is, the other where the video's is."""
    changed = {"task": "multilabel", "metrics": ("binary_accuracy",)}
    return presenter_of(STREAMS, (BITS > 0).astype(np.float32), classes=("heard", "seen"), **changed)


def added(audio, video):
    return (audio + 2 * video)[:, None]


def each_its_own(audio, video):
    return 20 * torch.stack([audio, video], 1)


def suite(**contributed):
    found = suite_of(load("synthetic@1"))
    small = {"rules": ("mean",), "permutations": 2, "pairs": 99, "clusters": 2} | contributed
    sweeps = {"video/feature_drop_out": ("100pct",)}
    seen = found.attention.model_copy(update={"drifts": ("video/feature_drop_out",), "exhibits": 2})
    changed = {"sweeps": sweeps, "conditions": ("audio/missing",), "attention": seen}
    return found.model_copy(update=changed | {"contribution": found.contribution.model_copy(update=small)})


def told(family, whom, presenter):
    findings = list(family.measure(whom, presenter, suite()))
    assert len({(f.condition, f.metric) for f in findings}) == len(findings)
    assert all((f.value is None) == bool(f.reason) for f in findings)
    return {(f.condition, f.metric): f for f in findings}


def test_modalities_share_the_part_of_the_error_that_is_gone(numbers):
    """The mean errs by 2. Audio alone leaves |2 video| = 2, video alone |audio| = 1, both together nothing."""
    got = told(contribution, subject(added), numbers)
    value = {name: f.value for (_, name), f in got.items()}
    assert value["shapley/audio"] == pytest.approx(0.25) and value["shapley/video"] == pytest.approx(0.75)
    assert value["utilisation/audio"] == pytest.approx(0.5) and value["utilisation/video"] == pytest.approx(1)
    assert value["shapley_interaction/audio+video"] == pytest.approx(1 - 0.5)
    assert value["shapley_share/audio"] == pytest.approx(1 / 3) and value["shapley_share/video"] == pytest.approx(2 / 3)
    assert value["intershap/local"] == pytest.approx(0) and value["emap_gap"] == pytest.approx(0)
    assert "cancels in the mean" in got["clean", "intershap"].reason
    assert value["perceptual/video"] > value["perceptual/audio"] > 0
    assert got["clean", "perceptual/audio/within"].reason == "it is of classes, and the task is regression"
    assert got["clean", "pid/synergistic"].reason == "it is of classes, and the task is regression"
    assert not any("class=" in name for name in value)


def test_labels_share_the_primary_metric(labels):
    """Nothing says that both labels are absent, which is right half of the time; each modality is worth a quarter."""
    got = told(contribution, subject(each_its_own), labels)
    assert [got["clean", f"shapley/{m}"].value for m in STREAMS] == pytest.approx([0.25, 0.25])
    assert [got["clean", f"shapley_share/{m}"].value for m in STREAMS] == pytest.approx([0.5, 0.5])
    assert got["clean", "shapley_share/audio"].n == 2 * len(BITS)  # each label of each item
    assert got["clean", "shape/audio"].value == pytest.approx(0.25)


def test_windows_are_credited_with_the_size_of_their_effect(numbers, labels):
    got = told(mm_shap, subject(added), numbers)
    assert got["clean", "mm_shap/video"].value == pytest.approx(2 / 3) and got["clean", "mm_shap/video"].n == 16
    got = told(mm_shap, subject(each_its_own), labels)
    assert got["clean", "mm_shap/video"].value == pytest.approx(0.5, abs=1e-6)


def test_a_modality_inside_the_model(numbers, labels):
    got = told(imbalance, subject(added), numbers)
    assert got["clean", "inside/audio"].value == pytest.approx(0) and got["clean", "inside/video"].value == 0.5
    for name in ("discrepancy/audio", "discrepancy/video/absent", "entropy_gap"):
        assert got["clean", name].reason == "it is of classes, and the task is regression"
    assert told(imbalance, subject(each_its_own), labels)["clean", "inside/audio"].value == 0.75


def test_an_error_is_kept_by_its_inverse_and_is_worst_where_it_is_largest(numbers):
    """A model that is off by 0.5 everywhere; without video it is off by |0.5 - 2 video| or so: 2 on average."""
    got = told(robustness, subject(lambda a, v: added(a, v) + 0.5), numbers)
    under = "video/feature_drop_out/100pct"
    assert got[under, "mae"].value == pytest.approx(2) and got[under, "retention/mae"].value == pytest.approx(0.25)
    sweep = "video/feature_drop_out"
    assert got[sweep, "worst/mae"].value == pytest.approx(2) and got[sweep, "area/mae"].value == pytest.approx(1.25)
    assert got["audio/missing", "retention/mae"].value == pytest.approx(0.5)
    assert got[sweep, "worst/ccc"].value == got[under, "ccc"].value < 0.5


def test_a_correlation_below_zero_keeps_no_share(numbers):
    got = told(robustness, subject(lambda a, v: -added(a, v)), numbers)
    assert "the clean score is -1" in got["audio/missing", "retention/ccc"].reason


def test_a_metric_that_is_undefined_gives_its_reason(presenter_of):
    changed = {"task": "regression", "metrics": ("pearson",)}
    made = presenter_of(STREAMS, BITS[:, :1], classes=("sum",), **changed)
    got = told(robustness, subject(lambda a, v: 0 * a[:, None]), made)
    assert "a correlation wants both to vary" in got["audio/missing", "pearson"].reason
    got = told(contribution, subject(lambda a, v: 0 * a[:, None]), made)
    assert "a correlation wants both to vary" in got["clean", "shapley/audio"].reason
    assert "no modality changes" in got["clean", "shapley_share/audio"].reason


def test_the_gradient_of_numbers_is_that_of_each(numbers):
    two = subject(lambda a, v: torch.stack([3 * a - v, -3 * a], 1))
    seen = saliency.Observer(two, "regression").see(STREAMS)
    assert seen.gradient["audio"] == pytest.approx(np.full((len(BITS), 1), 6.0))  # which would cancel in a sum
    assert seen.gradient["video"] == pytest.approx(np.full((len(BITS), 1), 1.0))
    assert seen.predicted is seen.probabilities


def test_what_is_taken_away_lowers_a_probability_or_has_a_reason(numbers, labels):
    got = told(faithfulness, subject(added), numbers)
    assert "a predicted number has no probability" in got["clean", "comprehensiveness"].reason
    got = told(faithfulness, subject(each_its_own), labels)
    curve = [1] + 5 * [0.75] + 5 * [0.5]  # the mean of both labels, with no, one and both of the cells away
    assert got["clean", "deletion_auc/gradient"].value == pytest.approx((sum(curve) - 0.75) / 10)


def test_numbers_have_no_answer_that_changes(numbers, labels):
    got = told(attention, subject(added), numbers)
    assert not any(name.endswith("changed") for _, name in got)
    assert "drift/audio/gradient" in {name for _, name in got}


def test_exhibits_name_numbers_and_labels(numbers, labels):
    (first, second) = faithfulness.exhibits(subject(added), numbers, suite())
    assert first["label"] == first["predicted"] == "sum -3.00" and first["probability"] is None
    (first, second) = faithfulness.exhibits(subject(each_its_own), labels, suite())
    assert first["label"] == first["predicted"] == "none" and first["probability"] == 1
    assert second["predicted"] == second["label"] and second["id"] == f"clip{len(BITS) // 2}"


def test_batches_of_maps_fit_and_change_nothing(monkeypatch, numbers):
    """A map of 4 bytes an example; two of them are what fits."""

    def recorded(predict):
        maps = []

        def model(inputs, masks):
            maps[-1].append(("video<-audio/0", torch.ones(len(inputs["audio"]), 1, 1, 1)))
            sizes.append(len(inputs["audio"]))
            return predict(inputs["audio"][:, 0, 0], inputs["video"][:, 0, 0])

        @contextmanager
        def recorder():
            maps.append([])
            yield maps[-1]

        return Subject(model, recorder, None, ("audio", "video"), 7)

    sizes: list[int] = []
    whole = saliency.Observer(recorded(added), "regression").see(STREAMS)
    assert max(sizes) == 7
    sizes.clear()
    monkeypatch.setattr(saliency, "MAP_BYTES", 8)
    again = saliency.Observer(recorded(added), "regression").see(STREAMS)
    assert max(sizes) == 2 and np.array_equal(whole.gradient["audio"], again.gradient["audio"])
