"""Metrics of labels that may occur together against scikit-learn and the numbers of MulT's released code."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from protocols.metrics import OF_TASK, Undefined, metric
from tests import parity


def random(seed, n=120, labels=5):
    rng = np.random.default_rng(seed)
    present = (rng.random((n, labels)) < 0.3).astype(np.float32)
    return np.round(present + rng.standard_normal((n, labels)), 1).astype(np.float32), present


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn(seed):
    scores, present = random(seed)  # rounded, so that many scores are equal
    called = scores > 0
    by_label = range(present.shape[1])
    assert metric("binary_accuracy").score()(scores, present) == pytest.approx(
        accuracy_score(present.ravel(), called.ravel()), abs=1e-12
    )
    f1 = np.mean([f1_score(present[:, k], called[:, k], average="weighted") for k in by_label])
    assert metric("binary_f1").score()(scores, present) == pytest.approx(f1, abs=1e-12)
    oracle = average_precision_score(present, scores, average="macro")
    assert metric("map").score()(scores, present) == pytest.approx(oracle, abs=1e-12)


def test_the_numbers_of_the_released_code():
    told = parity.told("sentiment.json")["iemocap"]
    pairs = np.array(told["logits"])  # (N, 4, 2): absent and present
    logits, present = pairs[..., 1] - pairs[..., 0], np.array(told["labels"], dtype=np.float32)
    for k, emotion in enumerate(("Neutral", "Happy", "Sad", "Angry")):
        theirs = told["result"][emotion]
        own = {name: metric(name).score()(logits[:, [k]], present[:, [k]]) for name in ("binary_accuracy", "binary_f1")}
        assert own == {
            "binary_accuracy": pytest.approx(theirs["accuracy"]),
            "binary_f1": pytest.approx(theirs["f1"]),
        }


def test_never_present_scores_what_the_label_skew_gives():
    present = np.zeros((10, 1), dtype=np.float32)
    present[:2] = 1
    absent = np.full((10, 1), -1.0)
    assert metric("binary_accuracy").score()(absent, present) == 0.8
    assert metric("binary_f1").score()(absent, present) == pytest.approx(2 * 0.8**2 / 1.8)
    assert metric("map").score()(absent, present) == 0.2


def test_labels_that_nobody_has_take_no_part():
    present = np.array([[1, 0], [0, 0]], dtype=np.float32)
    assert metric("map").score()(np.array([[2.0, 1.0], [1.0, 2.0]]), present) == 1.0
    with pytest.raises(Undefined, match="no item has any"):
        metric("map").score()(present, np.zeros((2, 2), dtype=np.float32))


@pytest.mark.parametrize("name", OF_TASK["multilabel"])
def test_shapes_that_do_not_belong_together_are_refused(name):
    with pytest.raises(ValueError, match=r"wanted scores and labels \(N, K\), got \(3, 2\) and \(3,\)"):
        metric(name).score()(np.zeros((3, 2)), np.zeros(3))
