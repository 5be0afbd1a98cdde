"""What repeated runs allow one to say: intervals, paired tests, ranks that are honest about ties."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

MIN_PAIRS = 3  # two differences that happen to agree would count as infinitely sure


class Interval(NamedTuple):
    """A mean and how well it is known; ``low`` and ``high`` are NaN where one value says nothing of the spread."""

    mean: float
    low: float
    high: float
    n: int


class RankRange(NamedTuple):
    """Ranks that the evidence leaves open, both ends included."""

    best: int
    worst: int


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Interval of the mean over independent runs, Student (1908).

        mean -+ t(1 - alpha/2, n - 1) s / sqrt(n)

    Args:
        values: (n,) one value a run: seeds or folds.

    Raises:
        ValueError: without values.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=float)
    if values.size == 0:
        raise ValueError("t_interval got no values; it wants one for each run.")
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    half = float(stdtrit(values.size - 1, 0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(mean, mean - half, mean + half, values.size)


def bootstrap_interval(
    correct: np.ndarray, rng: np.random.Generator, draws: int = 2000, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap of a mean over examples, Efron (1979): how far another test set might move it.

    Args:
        correct: (N,) score of each example, 0 or 1 for an accuracy.
        rng: decides the draws; the same state gives the same interval.

    Raises:
        ValueError: for an empty array or one that is not (N,).
    """
    correct = np.asarray(correct, dtype=float)
    if correct.ndim != 1 or correct.size == 0:
        raise ValueError(f"bootstrap_interval wants (N,) scores with N > 0, got shape {correct.shape}.")
    n = correct.size
    distinct, counts = np.unique(correct, return_counts=True)
    # Drawing examples with replacement is drawing how often each distinct score comes up.
    means = rng.multinomial(n, counts / n, size=draws) @ distinct / n  # (draws,)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(correct.mean()), float(low), float(high), n)


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the paired t test on runs that share seed or fold; 1 where fewer than three are shared.

    Args:
        first, second: (n,) values, pair by pair.
    """
    from scipy.special import stdtr

    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = differences.size
    if n < MIN_PAIRS:
        return 1.0
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(n)
    # Equal differences leave only rounding in the error.
    if error <= 1e-12 * max(abs(mean), 1e-300):
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean / error)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p values that keep the chance of any false finding below alpha, Holm (1979), (m,) in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def rank_ranges(values: Mapping[str, Mapping], higher_is_better: bool, alpha: float = 0.05) -> dict[str, RankRange]:
    """Ranks each method may hold: a method outranks another only if a paired test separates the two.

    The best rank of a method is one more than the number of methods that beat it, the worst is the
    number of methods less those that it beats. Tests are paired t tests over shared seeds or folds,
    Holm-corrected over all pairs of methods.

    Args:
        values: method -> seed or fold -> value.
    """
    methods = list(values)
    pairs, p_values = [], []
    for i, first in enumerate(methods):
        for second in methods[i + 1 :]:
            shared = [key for key in values[first] if key in values[second]]
            a, b = [values[first][key] for key in shared], [values[second][key] for key in shared]
            pairs.append((first, second) if (np.sum(a) > np.sum(b)) == higher_is_better else (second, first))
            p_values.append(paired_p(a, b))
    beats = [pair for pair, p in zip(pairs, holm(p_values), strict=True) if p < alpha]
    lost, won = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    for winner, loser in beats:
        won[winner] += 1
        lost[loser] += 1
    return {m: RankRange(1 + lost[m], len(methods) - won[m]) for m in methods}
