"""Robustness scores worked by hand, and the identities that define them."""

import numpy as np
import pytest

from protocols.metrics import Undefined, metric
from protocols.metrics.robustness import (
    area,
    corruption_error,
    effective_robustness,
    error_retention,
    largest,
    retention,
    worst,
)

CURVE, CLEAN = np.array([0.8, 0.6, 0.2]), 1.0
REFERENCE, REFERENCE_CLEAN = np.array([0.7, 0.5, 0.3]), 0.9


def test_worked_by_hand():
    assert area(CURVE, CLEAN) == pytest.approx((0.9 + 0.7 + 0.4) / 3)
    assert worst(CURVE) == 0.2 and worst([0.4, 0.1, 0.3]) == 0.1
    assert retention(0.8, CLEAN) == 0.8 and retention(CURVE, 0.8) == pytest.approx((1 + 0.75 + 0.25) / 3)
    assert corruption_error(CURVE, REFERENCE) == pytest.approx((0.2 + 0.4 + 0.8) / (0.3 + 0.5 + 0.7))
    # expected of the clean score: late fusion's curve, 0.1 higher
    assert effective_robustness(CURVE, CLEAN, REFERENCE, REFERENCE_CLEAN) == pytest.approx((0 + 0 - 0.2) / 3)


def test_what_nothing_harms():
    flat = np.full(5, 0.7)
    assert area(flat, 0.7) == worst(flat) == pytest.approx(0.7)
    assert retention(flat, 0.7) == pytest.approx(1)
    assert effective_robustness(flat, 0.7, np.linspace(0.7, 0.1, 5), 0.8) > 0


def test_area_is_the_trapezoid_over_the_ranks():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7):
        curve, clean = rng.random(count), rng.random()
        ranks = np.arange(count + 1) / count
        dense = np.interp(np.linspace(0, 1, 100 * count + 1), ranks, [clean, *curve])
        assert area(curve, clean) == pytest.approx((dense[1:] + dense[:-1]).mean() / 2)
        assert area(curve, clean) == pytest.approx((clean / 2 + curve[:-1].sum() + curve[-1] / 2) / count)


def test_the_reference_against_itself():
    assert corruption_error(REFERENCE, REFERENCE) == 1
    assert effective_robustness(REFERENCE, 0.9, REFERENCE, 0.9) == 0
    assert corruption_error(np.ones(3), REFERENCE) == 0


def test_a_better_clean_score_alone_is_no_effective_robustness():
    assert effective_robustness(REFERENCE + 0.1, 1.0, REFERENCE, 0.9) == pytest.approx(0)


def test_undefined():
    with pytest.raises(Undefined, match="clean score is 0"):
        retention(CURVE, 0.0)
    with pytest.raises(Undefined, match="clean score is -0.2"):
        retention(CURVE, -0.2)
    with pytest.raises(Undefined, match="there is no error"):
        error_retention(np.array([1.0, 0.0]), 0.5)
    with pytest.raises(Undefined, match="reference makes no error"):
        corruption_error(CURVE, np.ones(3))


def test_errors_by_hand():
    assert error_retention(np.array([1.0, 2.0]), 0.5) == pytest.approx((0.5 + 0.25) / 2)
    assert error_retention(0.5, 0.5) == 1 and largest(np.array([0.4, 2.0, 1.0])) == 2


def test_area_and_worst_are_in_the_unit_of_their_score():
    area_of, worst_of = metric("area/mae"), metric("worst/ccc/valence")
    assert (area_of.higher_is_better, area_of.bounds, area_of.unit) == (False, (0.0, float("inf")), "label units")
    assert (worst_of.higher_is_better, worst_of.bounds, worst_of.unit) == (True, (-1.0, 1.0), "CCC")
    assert metric("effective/mae").unit == "label units" and metric("effective/mae").higher_is_better
    assert metric("area/accuracy") == metric("area")


@pytest.mark.parametrize("curve", ([], [[0.1, 0.2]], [0.1, np.nan]))
def test_no_curve(curve):
    with pytest.raises(ValueError, match="finite scores of at least one severity"):
        area(np.array(curve), 1.0)


def test_curves_of_different_sweeps_are_not_compared():
    for function in (corruption_error, lambda a, b: effective_robustness(a, 1.0, b, 1.0)):
        with pytest.raises(ValueError, match="the same severities"):
            function(CURVE, REFERENCE[:2])
