"""Robustness scores worked by hand, and the identities that define them."""

import numpy as np
import pytest

from protocols.metrics import Undefined
from protocols.metrics.robustness import area, corruption_error, effective_robustness, retention, worst

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
    with pytest.raises(Undefined, match="reference makes no error"):
        corruption_error(CURVE, np.ones(3))


@pytest.mark.parametrize("curve", ([], [[0.1, 0.2]], [0.1, np.nan]))
def test_no_curve(curve):
    with pytest.raises(ValueError, match="finite scores of at least one severity"):
        area(np.array(curve), 1.0)


def test_curves_of_different_sweeps_are_not_compared():
    for function in (corruption_error, lambda a, b: effective_robustness(a, 1.0, b, 1.0)):
        with pytest.raises(ValueError, match="the same severities"):
            function(CURVE, REFERENCE[:2])
