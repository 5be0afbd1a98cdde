"""How well a board tells its methods apart: groups of ties, and the smallest difference that its runs would find."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from protocols.statistics import MIN_PAIRS, minimum_detectable_difference

POWER = 0.8
ALPHA = 0.05


class Detectable(NamedTuple):
    """The smallest true difference that a paired test finds four times in five, in the unit of the metric.

    Args:
        one: of two methods that were named beforehand.
        all: of the first step of Holm's correction over all pairs of the board.
        n: runs that two methods share.
        pairs: of methods.
    """

    one: float
    all: float
    n: int
    pairs: int


def tie_groups(rows: Iterable[Mapping[str, Any]]) -> list[int | None]:
    """The group of each row of a ranking, from 1; a new one begins where every row above is certainly better.

    Two methods of one group need not be equal: a third may stand between them. None where there are no ranks.

    Args:
        rows: ``best`` and ``worst`` rank of each, the best mean first.
    """
    groups, group, worst = [], 1, 0
    for row in rows:
        if pd.isna(row["best"]):
            groups.append(None)
            continue
        if worst and row["best"] > worst:
            group += 1
        worst = max(worst, int(row["worst"]))
        groups.append(group)
    return groups


def detectable(units: pd.DataFrame) -> Detectable | None:
    """For two methods whose runs scatter as those of the middle pair of the board do; None with too few runs.

    Args:
        units: of ``queries.by_unit``.
    """
    columns = {name: units[name].to_numpy() for name in units}
    found = []
    for first, second in combinations(columns.values(), 2):
        difference = first - second
        difference = difference[~np.isnan(difference)]
        if len(difference) >= MIN_PAIRS:
            found.append((len(difference), float(difference.std(ddof=1))))
    if not found:
        return None
    n = int(np.median([count for count, _ in found]))
    deviation = float(np.median([spread for _, spread in found]))
    one, every = (minimum_detectable_difference(deviation, n, alpha, POWER) for alpha in (ALPHA, ALPHA / len(found)))
    return Detectable(one, every, n, len(found))
