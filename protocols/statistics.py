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


class Equivalence(NamedTuple):
    """Two one-sided tests: ``p`` below alpha says that the mean difference lies within the margin."""

    difference: float
    low: float
    high: float
    p: float


def equivalence(first: Sequence[float], second: Sequence[float], margin: float, alpha: float = 0.05) -> Equivalence:
    """Paired equivalence test, Schuirmann (1987): is the mean difference smaller than ``margin`` either way?

    The interval is the one of confidence 1 - 2 alpha that lies inside the margin exactly when p < alpha.

    Args:
        first, second: (n,) values, pair by pair.
        margin: largest difference that nobody would mind, in the unit of the values.

    Raises:
        ValueError: for fewer than three pairs or a margin that is not positive.
    """
    from scipy.special import stdtr, stdtrit

    if margin <= 0:
        raise ValueError(f"margin is {margin}; wanted a difference above 0.")
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    n = differences.size
    if n < MIN_PAIRS:
        raise ValueError(f"{n} pairs say nothing of equivalence; wanted {MIN_PAIRS} or more.")
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(n))
    half = float(stdtrit(n - 1, 1 - alpha)) * error
    if error == 0:
        return Equivalence(mean, mean, mean, float(abs(mean) >= margin))
    p = max(stdtr(n - 1, (mean - margin) / error), stdtr(n - 1, -(mean + margin) / error))
    return Equivalence(mean, mean - half, mean + half, float(p))


def minimum_detectable_difference(deviation: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true mean difference that a two-sided paired t test finds with the stated power.

    Args:
        deviation: standard deviation of the paired differences.
        n: pairs.

    Raises:
        ValueError: for fewer than three pairs or a negative deviation.
    """
    from scipy.special import nctdtr, stdtrit

    if n < MIN_PAIRS or deviation < 0:
        raise ValueError(f"{n} pairs with deviation {deviation}; wanted {MIN_PAIRS} pairs or more and no negative one.")
    if deviation == 0:
        return 0.0
    critical = float(stdtrit(n - 1, 1 - alpha / 2))

    def found(shift: float) -> float:
        return 1 - nctdtr(n - 1, shift, critical) + nctdtr(n - 1, shift, -critical)

    low, high = 0.0, 1.0
    while found(high) < power:  # the noncentral t is not finite far out, so the end is looked for from below
        low, high = high, 1.5 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return float(middle * deviation / np.sqrt(n))


def paired_bootstrap(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator, draws: int = 2000, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap of a mean difference over examples and seeds at once, both drawn with replacement.

    The same examples and seeds are drawn for both methods: what moves both moves neither.

    Args:
        first, second: (S, N) score of each seed on each example, in one order.

    Raises:
        ValueError: if the shapes differ or are not (S, N).
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(f"wanted two arrays (S, N) of one shape, got {first.shape} and {second.shape}.")
    difference = first - second
    seeds, examples = difference.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds  # (draws, S)
    by_example = rng.multinomial(examples, np.full(examples, 1 / examples), size=draws) / examples  # (draws, N)
    means = np.einsum("ds,ds->d", by_seed, by_example @ difference.T)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(difference.mean()), float(low), float(high), examples)


class CriticalDifference(NamedTuple):
    """Mean ranks over blocks, and how far two of them must lie apart; ``p`` is Friedman's."""

    ranks: dict[str, float]
    difference: float
    p: float


def critical_difference(
    values: Mapping[str, Sequence[float]], higher_is_better: bool, alpha: float = 0.05
) -> CriticalDifference:
    """Friedman's test and Nemenyi's critical difference, Demsar (2006): ranks of methods over data sets.

        CD = q(alpha, k) / sqrt(2) * sqrt(k (k + 1) / (6 b))

    Args:
        values: method -> (b,) one value a block (data set, or seed), blocks in one order. Ties share their mean rank.

    Raises:
        ValueError: for fewer than three methods or two blocks, or unequal lengths.
    """
    from scipy.special import chdtrc

    names = list(values)
    lengths = {len(values[name]) for name in names}
    if len(names) < 3 or len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"{len(names)} methods over {sorted(lengths)} blocks; wanted 3 or more over 2 or more.")
    table = np.array([values[name] for name in names], dtype=float)  # (k, b)
    k, blocks = table.shape
    ranks = _ranks(-table if higher_is_better else table)
    ties = sum((count**3 - count).sum() for column in ranks.T for count in [np.unique(column, return_counts=True)[1]])
    correction = 1 - ties / (blocks * k * (k * k - 1))
    statistic = 12 / (blocks * k * (k + 1)) * np.square(ranks.sum(1)).sum() - 3 * blocks * (k + 1)
    p = 1.0 if correction == 0 else float(chdtrc(k - 1, max(0.0, statistic / correction)))
    apart = _range_quantile(1 - alpha, k) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * blocks))
    return CriticalDifference(dict(zip(names, ranks.mean(1).tolist(), strict=True)), float(apart), p)


def _ranks(table: np.ndarray) -> np.ndarray:
    """(k, b) values -> their ranks in each column, lowest first; ties share their mean rank."""
    other = table[None]  # (1, k, b)
    return ((other < table[:, None]).sum(1) + (other <= table[:, None]).sum(1) + 1) / 2


def _range_quantile(probability: float, k: int) -> float:
    """Of the range of k independent standard normal numbers: the studentized range with a known deviation.

    P(range <= q) = k integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1) dz
    """
    from scipy.special import ndtr

    z = np.linspace(-9.0, 9.0, 4001)
    density = np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)

    def below(q: float) -> float:
        return float(np.trapezoid(k * density * (ndtr(z) - ndtr(z - q)) ** (k - 1), z))

    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return middle


class Pooled(NamedTuple):
    """A random-effects mean over studies.

    ``tau2`` is the variance between studies, ``i2`` the share of the variation that is between them, ``q_p``
    the p value of Cochran's Q.
    """

    mean: float
    low: float
    high: float
    tau2: float
    i2: float
    q_p: float
    n: int


def random_effects(effects: Sequence[float], variances: Sequence[float], confidence: float = 0.95) -> Pooled:
    """DerSimonian and Laird (1986) between-study variance with the interval of Hartung and Knapp (2001).

    The interval is never narrower than without their factor, which by chance is near zero where a few studies
    agree closely (the modification of Roever, Knapp and Friede 2015).

    Args:
        effects: (n,) one effect a study, here a data set: a mean paired difference, say.
        variances: (n,) squared standard error of each.

    Raises:
        ValueError: for fewer than two studies or a variance that is not positive.
    """
    from scipy.special import chdtrc, stdtrit

    y, v = np.asarray(effects, dtype=float), np.asarray(variances, dtype=float)
    if y.shape != v.shape or y.size < 2 or (v <= 0).any():
        raise ValueError(f"effects {y.shape} and variances {v.shape}: wanted two or more studies, variances above 0.")
    n, fixed = y.size, 1 / v
    q = float(np.sum(fixed * np.square(y - np.average(y, weights=fixed))))
    scale = fixed.sum() - np.square(fixed).sum() / fixed.sum()
    tau2 = max(0.0, (q - (n - 1)) / scale)
    weights = 1 / (v + tau2)
    mean = float(np.average(y, weights=weights))
    factor = max(1.0, float(np.sum(weights * np.square(y - mean)) / (n - 1)))
    error = np.sqrt(factor / weights.sum())
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * error)
    i2 = max(0.0, (q - (n - 1)) / q) if q > 0 else 0.0
    return Pooled(mean, mean - half, mean + half, tau2, i2, float(chdtrc(n - 1, q)), n)
