"""Metrics of regression against scipy, scikit-learn, cases worked by hand and the numbers of the released codes."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, mean_absolute_error

from protocols.metrics import METRICS, OF_TASK, Undefined, metric
from protocols.metrics.regression import weighted_f1
from tests import parity


def value(name, predictions, labels):
    columns = (np.asarray(x, dtype=np.float32).reshape(len(predictions), -1) for x in (predictions, labels))
    return metric(name).score()(*columns)


def random(seed, targets=1, n=150):
    rng = np.random.default_rng(seed)
    labels = np.round(rng.uniform(-3, 3, (n, targets)), 1).astype(np.float32)
    labels[rng.random((n, targets)) < 0.15] = 0
    return (labels + rng.standard_normal((n, targets))).astype(np.float32), labels


@pytest.fixture(scope="module")
def released():
    return {name: parity.told(f"{name}.json") for name in ("sentiment", "ccc")}


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scipy_and_scikit_learn(seed):
    predictions, labels = random(seed)
    p, t = predictions[:, 0].astype(np.float64), labels[:, 0].astype(np.float64)
    assert value("mae", predictions, labels) == pytest.approx(mean_absolute_error(t, p), abs=1e-12)
    assert value("pearson", predictions, labels) == pytest.approx(pearsonr(p, t).statistic, abs=1e-12)
    kept = t != 0
    own, true = p[kept] > 0, t[kept] > 0
    assert value("acc2_nonzero", predictions, labels) == pytest.approx((own == true).mean(), abs=1e-12)
    assert value("f1_nonzero", predictions, labels) == pytest.approx(f1_score(true, own, average="weighted"), abs=1e-12)
    swapped = f1_score(own, true, average="weighted")
    assert value("f1_nonzero_by_prediction", predictions, labels) == pytest.approx(swapped, abs=1e-12)
    with_zero = f1_score(t >= 0, p >= 0, average="weighted")
    assert value("f1_with_zero", predictions, labels) == pytest.approx(with_zero, abs=1e-12)


CODES = {
    "mult_exclude_zero": {
        "MAE": "mae",
        "Correlation Coefficient": "pearson",
        "mult_acc_7": "acc7",
        "mult_acc_5": "acc5",
        "F1 score": "f1_nonzero_by_prediction",
        "Accuracy": "acc2_nonzero",
    },
    "mmsa": {
        "Has0_acc_2": "acc2_with_zero",
        "Has0_F1_score": "f1_with_zero",
        "Non0_acc_2": "acc2_nonzero",
        "Non0_F1_score": "f1_nonzero",
        "Mult_acc_5": "acc5",
        "Mult_acc_7": "acc7",
        "MAE": "mae",
        "Corr": "pearson",
    },
}


@pytest.mark.parametrize("code", CODES)
def test_the_numbers_of_the_released_codes(released, code):
    told, checked = released["sentiment"], 0
    tolerance = told["tolerance"]["mmsa" if code == "mmsa" else "mult"]
    for case in told["cases"]:
        for theirs, ours in CODES[code].items():
            expected = case[code][theirs]
            if expected is None:  # the released code gives no number
                with pytest.raises(Undefined):
                    value(ours, case["predictions"], case["labels"])
            else:
                found = value(ours, case["predictions"], case["labels"])
                assert found == pytest.approx(expected, abs=tolerance), (case["name"], ours)
            checked += 1
    assert checked == len(CODES[code]) * 3


def test_the_concordance_of_the_released_code(released):
    for case in released["ccc"]["cases"]:
        predictions, labels = (np.array(case[name])[:, None] for name in ("prediction", "target"))
        expected = case["ccc_metric"] if case["name"] != "constant prediction" else 0.0  # theirs is no number
        assert metric("ccc").score()(predictions, labels) == pytest.approx(expected, abs=1e-9), case["name"]


def test_halves_round_to_the_even_neighbour_and_the_ends_are_cut():
    assert value("acc7", [0.5, 1.5, 2.5, -3.4, 9.0], [0, 2, 2, -3, 3]) == 1.0
    assert value("acc7", [0.5], [1]) == 0.0
    assert value("acc5", [2.6, -9.0], [3.0, -2.0]) == 1.0


def test_zero_is_positive_with_zero_and_left_out_without():
    predictions, labels = [0.0, -0.1, 0.2, -1.0], [0.0, 0.0, 1.0, -2.0]
    assert value("acc2_with_zero", predictions, labels) == 0.75
    assert value("acc2_nonzero", predictions, labels) == 1.0
    assert value("acc2_nonzero", [0.0], [1.0]) == 0.0  # a prediction of exactly 0 is not positive
    with pytest.raises(Undefined, match="every label is 0"):
        value("f1_nonzero", [1.0], [0.0])


def test_series_that_never_vary_have_no_correlation():
    assert value("ccc", [1, 1, 1], [0, 1, 2]) == 0.0  # what its formula says
    for name, predictions, labels, why in (
        ("pearson", [0.1, 0.1, 0.1], [0, 1, 2], "every prediction is 0.1"),
        ("pearson", [0, 1, 2], [0.1, 0.1, 0.1], "every label is 0.1"),
        ("ccc", [0, 1, 2], [0.1, 0.1, 0.1], "every label is 0.1"),
    ):
        with pytest.raises(Undefined, match=why):
            value(name, predictions, labels)


@pytest.mark.parametrize("name", OF_TASK["regression"])
def test_several_targets_are_averaged_and_shapes_checked(name):
    predictions, labels = random(7, targets=2)
    each = [value(name, predictions[:, k], labels[:, k]) for k in (0, 1)]
    assert value(name, predictions, labels) == pytest.approx(np.mean(each), abs=1e-12)
    with pytest.raises(ValueError, match=r"wanted scores and labels \(N, K\), got \(3, 1\) and \(3,\)"):
        metric(name).score()(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("name", OF_TASK["regression"])
def test_a_perfect_prediction_reaches_the_better_bound(name):
    labels = np.array([[-2.0], [0.5], [1.0], [3.0]])
    card = METRICS[name]
    assert card.score()(labels, labels) == pytest.approx(card.bounds[1] if card.higher_is_better else 0.0)


@pytest.mark.filterwarnings("ignore:F-score is ill-defined")
def test_weighted_f1_of_one_class():
    for predicted, true in (([True, True], [False, False]), ([False], [False])):
        expected = f1_score(true, predicted, average="weighted")
        assert weighted_f1(np.array(predicted), np.array(true)) == pytest.approx(expected)
