"""Does a published number hold? Fixed before the run: the rule, the tolerance and the words."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from protocols.statistics import Interval, t_interval

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_COMPARABLE = "inconclusive", "not comparable"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_COMPARABLE)
MIN_RUNS = 3  # accuracies are counts: two runs that happen to agree would have an interval of no width
CONFIDENCE = 0.95  # a wrong verdict on a cell comes up at most in (1 - CONFIDENCE) / 2 of all cells, see `judge`


@dataclass(frozen=True)
class Judged:
    """One cell of a published table beside ours.

    Args:
        verdict: one of VERDICTS.
        mean, low, high: ours, with the interval over seeds; NaN where there is none.
        n: our runs.
        difference: ours minus reported.
        reason: what the verdict rests on.
    """

    verdict: str
    mean: float
    low: float
    high: float
    n: int
    difference: float
    reason: str


HOLDS, REVERSED, NOT_TOLD_APART = "holds", "the other way round", "not told apart"


def compare(better: Mapping[Hashable, float], worse: Mapping[Hashable, float]) -> tuple[Interval, str] | None:
    """Whether a number that is printed as the better one is better in our runs, too, run by run.

    ``holds`` where the 95 % t interval of the paired difference lies above 0, ``the other way round`` where it lies
    below, else ``not told apart``.

    Args:
        better, worse: what pairs the runs, such as seed and fold -> value; higher is better.

    Returns:
        The difference with its interval, and the word; None for fewer than MIN_RUNS shared runs.
    """
    shared = [key for key in better if key in worse]
    if len(shared) < MIN_RUNS:
        return None
    found = t_interval([better[key] - worse[key] for key in shared], CONFIDENCE)
    return found, HOLDS if found.low > 0 else REVERSED if found.high < 0 else NOT_TOLD_APART


def judge(values: Sequence[float], reported: float, tolerance: float) -> Judged:
    """The verdict on a published number from our runs.

    ``reproduced`` where the 95 % t interval of our mean lies inside reported +- tolerance, ``not reproduced``
    where it lies outside, ``inconclusive`` where it straddles an end or there are fewer than MIN_RUNS. With normal runs
    the chance of ``reproduced`` while the true mean lies outside, and of ``not reproduced`` while it lies inside, is
    at most 2.5 % each.

    Args:
        values: (n,) one value a run, in the unit of the table.
        tolerance: in the same unit.

    Raises:
        ValueError: without values, or for a tolerance that is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}; wanted more than 0, or no interval could ever lie inside.")
    mean, low, high, n = t_interval(values, CONFIDENCE)
    difference = mean - reported
    near, far = reported - tolerance, reported + tolerance
    if n < MIN_RUNS:
        few = "one run has no interval" if n == 1 else f"{n} runs do not tell how they scatter"
        return Judged(INCONCLUSIVE, mean, low, high, n, difference, f"{few}; run more seeds")
    if near <= low and high <= far:
        return Judged(REPRODUCED, mean, low, high, n, difference, "the interval lies inside the tolerance")
    if high < near or low > far:
        side = "below" if high < near else "above"
        return Judged(NOT_REPRODUCED, mean, low, high, n, difference, f"the interval lies {side} the tolerance")
    return Judged(
        INCONCLUSIVE, mean, low, high, n, difference, "the interval straddles the tolerance; more seeds are needed"
    )
