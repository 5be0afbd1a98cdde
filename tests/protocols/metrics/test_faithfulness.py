"""ERASER against the authors' numbers, curves by brute force, ranks against SciPy."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from protocols.metrics import Undefined
from protocols.metrics.faithfulness import cells, comprehensiveness, curve_area, kendall, ranking, sufficiency
from tests import parity


@pytest.mark.parametrize("metric", [comprehensiveness, sufficiency])
def test_as_eraser_computes_it(metric):
    told = parity.told("eraser.json")
    name, key = metric.__name__, f"{metric.__name__}_classification_scores"
    full = np.array([one["classification_scores"][one["classification"]] for one in told["instances"]])
    reduced = np.array(
        [[point[key][one["classification"]] for point in one["thresholded_scores"]] for one in told["instances"]]
    )
    assert metric(full, reduced) == pytest.approx(told["result"][f"{name}_aopc"], abs=told["tolerance"])
    for column, wanted in enumerate(told["result"][f"{name}_points"]):
        assert metric(full, reduced[:, [column]]) == pytest.approx(wanted, abs=told["tolerance"])
    single = np.array([[one[key][one["classification"]]] for one in told["instances"]])
    assert metric(full, single) == pytest.approx(told["result"][name], abs=told["tolerance"])
    assert abs(metric(full, 1 - reduced) - told["result"][f"{name}_aopc"]) > 1e-3  # of the wrong class


def test_curve_area_by_brute_force():
    rng = np.random.default_rng(0)
    curve = rng.random((5, 11))
    fine = np.array([np.interp(np.linspace(0, 1, 100001), np.linspace(0, 1, 11), row).mean() for row in curve])
    assert curve_area(curve) == pytest.approx(fine.mean(), abs=1e-5)
    assert curve_area(np.full((2, 4), 0.3)) == pytest.approx(0.3)
    assert curve_area(np.array([[1.0, 0.0]])) == 0.5
    with pytest.raises(Undefined):
        curve_area(np.zeros((0, 4)))
    with pytest.raises(Undefined):
        comprehensiveness(np.zeros(0), np.zeros((0, 2)))


def test_fractions_are_of_whole_cells():
    assert [cells(f, 30) for f in (0, 0.05, 0.1, 0.3, 1)] == [0, 2, 3, 9, 30]
    assert cells(0.05, 2) == 1  # never none
    assert all(cells(k / 10, n) == -(-k * n // 10) for k in range(11) for n in range(1, 200))


def test_ranking_takes_the_earlier_of_equal_cells():
    assert ranking(np.array([0.1, 0.5, 0.1, 0.9])).tolist() == [3, 1, 0, 2]
    for constant in (np.full(4, 0.25), np.ones(1)):
        with pytest.raises(Undefined, match="equal in all cells"):
            ranking(constant)


@pytest.mark.parametrize("seed", range(10))
def test_kendall_against_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(6, size=(2, 25)) / 7  # with ties
    assert kendall(first, second) == pytest.approx(kendalltau(first, second).statistic, abs=1e-14)
    first, second = rng.random((2, 40))
    assert kendall(first, second) == pytest.approx(kendalltau(first, second).statistic, abs=1e-14)


def test_ends_of_kendall():
    x = np.array([1.0, 5, 2, 9])
    assert kendall(x, x**2) == 1.0 and kendall(x, -x) == -1.0
    for constant in (np.ones(4), np.zeros(4)):
        with pytest.raises(Undefined, match="no ranks"):
            kendall(x, constant)
    with pytest.raises(Undefined):
        kendall(np.ones(1), np.ones(1))
