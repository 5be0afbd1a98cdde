"""What a submission will cost, from the training times that the index holds."""

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from leaderboard.store import reporting, runs
from protocols.spec import ProtocolSpec
from zoo.spec import MethodSpec

SHOWN = 3  # methods that are named as the ones an estimate comes from


@dataclass(frozen=True)
class Estimate:
    """Expected training time.

    Args:
        seconds: of all runs, one after the other.
        low, high: the same if every run were as short, or as long, as the extremes that it comes from.
        runs: how many seeds or folds.
        basis: what it comes from, in words.
    """

    seconds: float
    low: float
    high: float
    runs: int
    basis: str


def estimate(engine: sa.Engine, spec: MethodSpec, protocol: ProtocolSpec) -> Estimate | None:
    """Median time of completed runs under the protocol: of the same method where there are some, else of all.

    Returns:
        None where no run of the protocol is known.
    """
    query = sa.select(runs.c.base, runs.c.method, runs.c.fit_seconds).where(
        runs.c.protocol == protocol.key, runs.c.status == "completed", runs.c.fit_seconds.is_not(None)
    )
    with reporting(engine.url), engine.connect() as connection:
        found = connection.execute(query).all()
    same = [row for row in found if row.base == spec.method]
    basis = same or found
    if not basis:
        return None
    seconds = np.array([row.fit_seconds for row in basis])
    count = len(protocol.runs())
    names = sorted({row.method for row in basis})
    some = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return Estimate(
        seconds=float(np.median(seconds)) * count,
        low=float(seconds.min()) * count,
        high=float(seconds.max()) * count,
        runs=count,
        basis=f"median of {len(basis)} runs of {some}" + ("" if same else f"; none of {spec.method} yet"),
    )


@dataclass(frozen=True)
class Reference:
    """A method whose training time under a protocol is known.

    Args:
        spec: as its newest run had it.
        seconds: of one run, median.
        runs: how many that is the median of.
    """

    spec: MethodSpec
    seconds: float
    runs: int


def reference(engine: sa.Engine, spec: MethodSpec, protocol: ProtocolSpec) -> Reference | None:
    """What a step of this method can be held against: a spec of the same class with most runs, else any."""
    columns = (runs.c.base, runs.c.method, runs.c.fit_seconds, runs.c.run)
    query = sa.select(*columns).where(
        runs.c.protocol == protocol.key, runs.c.status == "completed", runs.c.fit_seconds.is_not(None)
    )
    with reporting(engine.url), engine.connect() as connection:
        found = connection.execute(query.order_by(runs.c.created)).all()
        found = [row for row in found if row.base == spec.method] or found
        if not found:
            return None
        name = Counter(row.method for row in found).most_common(1)[0][0]
        own = [row for row in found if row.method == name]
        manifest = connection.scalar(sa.select(runs.c.manifest).where(runs.c.run == own[-1].run))
    try:
        told = MethodSpec.model_validate(json.loads(manifest)["method"])
    except ValueError:  # of a zoo that knew other methods
        return None
    return Reference(told, float(np.median([row.fit_seconds for row in own])), len(own))


def duration(seconds: float) -> str:
    """``90`` -> ``1.5 min``, ``7200`` -> ``2.0 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
