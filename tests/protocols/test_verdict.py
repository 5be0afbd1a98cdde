"""Verdicts: the words by hand, and their error rates over thousands of simulated cells."""

import numpy as np
import pytest
from scipy import stats

from protocols.verdict import (
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TOLD_APART,
    REPRODUCED,
    REVERSED,
    compare,
    judge,
)


@pytest.mark.parametrize(
    "values, verdict",
    [
        ([80.0, 80.1, 79.9, 80.0, 80.1], REPRODUCED),
        ([77.0, 77.1, 76.9, 77.0, 77.1], NOT_REPRODUCED),
        ([83.0, 83.1, 82.9, 83.0, 83.1], NOT_REPRODUCED),
        ([78.0, 82.0, 80.0, 79.0, 81.5], INCONCLUSIVE),
        ([81.0, 81.1, 80.9, 81.0, 81.1], INCONCLUSIVE),
        ([80.0], INCONCLUSIVE),
        ([80.0, 80.0], INCONCLUSIVE),
    ],
)
def test_the_words(values, verdict):
    found = judge(values, reported=80.0, tolerance=1.0)
    assert found.verdict == verdict and found.reason
    assert found.difference == pytest.approx(np.mean(values) - 80.0)


def test_a_tolerance_of_nothing_is_refused():
    with pytest.raises(ValueError, match="tolerance is 0"):
        judge([1.0, 2.0], 1.0, 0.0)


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_the_error_rates_are_those_that_are_stated(runs):
    """4000 cells whose true mean lies exactly on the end of the tolerance, the worst case for both errors."""
    rng, cells = np.random.default_rng(runs), 4000
    verdicts = [judge(rng.normal(81.0, 0.4, runs), 80.0, 1.0).verdict for _ in range(cells)]
    # 2.5 % and three standard errors of a share over that many cells.
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / cells)
    assert verdicts.count(REPRODUCED) / cells <= most
    assert 0.025 - 3 * np.sqrt(0.025 * 0.975 / cells) <= verdicts.count(NOT_REPRODUCED) / cells <= most


def test_what_is_true_is_found():
    """The true mean in the middle of the tolerance, or far outside: five runs almost always say so."""
    rng = np.random.default_rng(1)
    inside = [judge(rng.normal(80.0, 0.3, 5), 80.0, 1.0).verdict for _ in range(1000)]
    outside = [judge(rng.normal(77.0, 0.3, 5), 80.0, 1.0).verdict for _ in range(1000)]
    assert inside.count(REPRODUCED) > 980 and inside.count(NOT_REPRODUCED) == 0
    assert outside.count(NOT_REPRODUCED) > 980 and outside.count(REPRODUCED) == 0


@pytest.mark.parametrize("runs", [3, 5])
def test_tables_of_known_truth_get_the_right_words(runs):
    """6000 cells as tables have them: true means all over the place, counts of 752 items, rows of unequal scatter."""
    rng, cells = np.random.default_rng(runs), 6_000
    truth = 80.0 + rng.uniform(-3.0, 3.0, cells)
    scatter = rng.choice([0.3, 0.6, 1.2], (cells, 1))
    counts = np.rint((truth[:, None] + scatter * rng.standard_normal((cells, runs))) / 100 * 752)
    words = np.array([judge(values, 80.0, 1.0).verdict for values in counts / 752 * 100])
    inside = np.abs(truth - 80.0) <= 1.0
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / cells)
    assert np.mean((words == REPRODUCED) & ~inside) <= most
    assert np.mean((words == NOT_REPRODUCED) & inside) <= most
    right = np.where(inside, words == REPRODUCED, words == NOT_REPRODUCED)
    assert right.mean() > {3: 0.25, 5: 0.5}[runs]


def test_a_comparison_is_the_paired_t_interval_of_shared_runs():
    rng = np.random.default_rng(3)
    worse = {seed: 78.0 + noise for seed, noise in enumerate(rng.normal(0, 2.0, 8))}
    better = {
        seed: value + 0.5 + noise for (seed, value), noise in zip(worse.items(), rng.normal(0, 0.1, 8), strict=True)
    }
    found, word = compare(better | {99: 0.0}, worse)
    wanted = stats.ttest_rel([better[s] for s in worse], [*worse.values()]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high)) and word == HOLDS, (
        "what both share is gone"
    )
    assert compare(worse, better)[1] == REVERSED
    assert compare({s: v + (-1) ** s for s, v in worse.items()}, worse)[1] == NOT_TOLD_APART
    assert compare({0: 1.0, 1: 1.0}, {0: 0.0, 1: 0.0}) is None, "two runs tell nothing"
