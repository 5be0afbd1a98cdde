"""Groups of ties, and the difference that a board would find."""

import numpy as np
import pandas as pd
import pytest

from leaderboard.separation import detectable, tie_groups
from protocols.statistics import minimum_detectable_difference


def test_a_group_begins_where_all_above_are_certainly_better():
    ranks = [(1, 2), (1, 3), (2, 3), (4, 4), (float("nan"), float("nan")), (5, 6), (5, 6)]
    rows = [{"best": best, "worst": worst} for best, worst in ranks]
    assert tie_groups(rows) == [1, 1, 1, 2, None, 3, 3]


def test_the_middle_pair_decides_and_every_pair_makes_it_harder():
    steps = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    units = pd.DataFrame({"a": 0 * steps, "b": 0.01 * steps, "c": 0.02 * steps})  # deviations of 1, 2 and 1 steps
    found = detectable(units)
    spread = 0.01 * steps.std(ddof=1)
    assert found.one == pytest.approx(minimum_detectable_difference(spread, 5))
    assert found.all == pytest.approx(minimum_detectable_difference(spread, 5, 0.05 / 3))
    assert (found.n, found.pairs) == (5, 3)
    assert found.all > found.one


def test_too_few_shared_runs_detect_nothing():
    units = pd.DataFrame({"a": [0.1, 0.2, None, None], "b": [0.1, 0.3, 0.2, 0.1]})
    assert detectable(units) is None
    assert detectable(units[["b"]]) is None
