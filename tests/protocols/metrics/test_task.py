import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from protocols.metrics import METRICS, OF_TASK, metric

TASK = OF_TASK["classification"]

SCORES = {"macro_f1": {"average": "macro"}, "weighted_f1": {"average": "weighted"}}


def random_scores(seed, n=200, classes=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return rng.standard_normal((n, classes)) + np.eye(classes)[labels], labels


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scikit_learn(seed):
    scores, labels = random_scores(seed)
    assert metric("accuracy").score()(scores, labels) == pytest.approx(
        accuracy_score(labels, scores.argmax(1)), abs=1e-12
    )
    for name, how in SCORES.items():
        assert metric(name).score()(scores, labels) == pytest.approx(
            f1_score(labels, scores.argmax(1), **how), abs=1e-12
        )


def test_worked_by_hand():
    # labels 0 0 1, predictions 0 1 1: F1 is 2/3 for both classes
    scores, labels = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), np.array([0, 0, 1])
    assert metric("accuracy").score()(scores, labels) == pytest.approx(2 / 3)
    # the third class is neither true nor predicted and takes no part
    assert metric("macro_f1").score()(scores, labels) == pytest.approx(2 / 3)
    assert metric("weighted_f1").score()(scores, labels) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", TASK)
def test_shapes_that_do_not_belong_together_are_refused(name):
    with pytest.raises(ValueError, match=r"scores \(N, K\) and labels \(N,\), got \(3, 2\) and \(2,\)"):
        metric(name).score()(np.zeros((3, 2)), np.zeros(2, dtype=int))


@pytest.mark.parametrize("name", TASK)
def test_a_perfect_prediction_reaches_the_bound(name):
    labels = np.array([0, 1, 2, 1])
    card = METRICS[name]
    assert card.score()(np.eye(3)[labels], labels) == card.bounds[1]
    assert card.higher_is_better


def test_a_qualified_metric_is_the_metric():
    assert metric("accuracy/majority_class") is METRICS["accuracy"]
    with pytest.raises(KeyError, match="No metric 'shaply'"):
        metric("shaply/audio")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_the_function_that_its_card_names(name):
    assert callable(metric(name).score())
    low, high = METRICS[name].bounds
    assert low < high
