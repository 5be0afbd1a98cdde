"""What methods cost: sizes in display units, and who is beaten by nobody in both score and cost."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from leaderboard import queries
from leaderboard.figures import decimals
from protocols.spec import ProtocolSpec


@dataclass(frozen=True)
class Cost:
    """One cost as the board shows it.

    Args:
        scale: display units in one unit of the record.
        unit: for display.
        short: heading of a column.
        less_is_better: False for throughput.
    """

    title: str
    scale: float
    unit: str
    short: str
    less_is_better: bool = True


TRAINING = "training"  # from the runs themselves, not from their evaluation
COSTS = {
    "parameters": Cost("Parameters", 1, "", "Parameters"),
    "flops": Cost("FLOPs of one example", 1e-6, "MFLOPs", "MFLOPs"),
    "latency_p50": Cost("Median latency, batch of 1", 1e3, "ms", "p50 (ms)"),
    "latency_p95": Cost("95th percentile of latency, batch of 1", 1e3, "ms", "p95 (ms)"),
    "throughput": Cost("Throughput", 1, "examples/s", "Examples/s", less_is_better=False),
    "peak_memory": Cost("Peak memory of a forward pass", 2**-20, "MiB", "Memory (MiB)"),
    TRAINING: Cost("Training of a run", 1, "s", "Training (s)"),
    "energy": Cost("Measured energy of one example", 1e3, "mJ", "Energy (mJ)"),
    "spiking_energy": Cost("Spiking energy, an estimate", 1e3, "mJ", "Spiking estimate (mJ)"),
}
MEASURED = [name for name in COSTS if name not in ("parameters", TRAINING)]
ESTIMATED = ("spiking_energy",)  # never in one picture with what was measured


def cells(engine: sa.Engine, spec: ProtocolSpec) -> pd.DataFrame:
    """Costs of the current runs: method, cost (key of COSTS, qualified as its metric is), mean, low, high, n, in the
    display unit. Intervals are over runs."""
    kept, _ = queries.current_runs(engine, spec.key)
    own = kept.melt(["run", "method", "split", "seed"], ["parameters", "fit_seconds"], "metric").dropna(subset="value")
    own = own.assign(condition="", n=1, metric=own["metric"].replace("fit_seconds", TRAINING))
    found = queries.measured(engine, spec, MEASURED)
    frames = [frame for frame in (own, found) if len(frame)]
    if not frames:
        return pd.DataFrame(columns=["method", "cost", "mean", "low", "high", "n"])
    table = queries.cells(pd.concat(frames, ignore_index=True).astype({"value": float}))
    table = table.rename(columns={"metric": "cost"})
    scale = table["cost"].map(lambda name: of(name).scale)
    for end in ("mean", "low", "high"):
        table[end] *= scale
    return table[["method", "cost", "mean", "low", "high", "n"]]


def of(name: str) -> Cost:
    """The cost of a metric, qualified or not."""
    return COSTS[name.partition("/")[0]]


def title(name: str) -> str:
    """With the unit and what qualifies it: ``Throughput, batch=32 (examples/s)``."""
    cost = of(name)
    return cost.title + _qualifier(name) + (f" ({cost.unit})" if cost.unit else "")


def short(name: str) -> str:
    """Heading of a column: ``Examples/s, batch=32``."""
    return of(name).short + _qualifier(name)


def _qualifier(name: str) -> str:
    rest = name.partition("/")[2].replace("/", ", ").replace("_", " ")
    return f", {rest}" if rest else ""


def text(row: Mapping[str, Any]) -> str:
    """Mean and half width of the interval without the unit; whole numbers that all runs agree on stand as they are."""
    mean, half = row["mean"], (row["high"] - row["low"]) / 2
    if pd.isna(half) or half < 1e-9 * abs(mean):
        return f"{mean:,.0f}" if float(mean).is_integer() or abs(mean) >= 1000 else f"{mean:.3g}"
    digits = decimals(half)
    return f"{mean:,.{digits}f} ± {half:,.{digits}f}"


def front(table: pd.DataFrame, less_is_better: bool, higher_score_is_better: bool) -> pd.Series:
    """True for methods that no other beats: none is at least as good in score and cost, and better in one.

    Args:
        table: ``mean`` (the score) and ``cost``, a row a method.
    """
    score = table["mean"] * (1 if higher_score_is_better else -1)
    price = table["cost"] * (1 if less_is_better else -1)
    beaten = [
        bool((((score >= s) & (price <= p)) & ((score > s) | (price < p))).any())
        for s, p in zip(score, price, strict=True)
    ]
    return ~pd.Series(beaten, index=table.index, dtype=bool)


def hardware(evaluated: pd.DataFrame) -> list[str]:
    """On what the costs were measured, most runs first: ``AMD EPYC, 2 cores, device cpu, torch 2.13.0: 60 runs``.

    Args:
        evaluated: of ``queries.evaluated``.
    """
    said = pd.Series([_machine(*row) for row in evaluated[["manifest", "evaluation"]].itertuples(index=False)])
    return [f"{machine}: {runs} {'run' if runs == 1 else 'runs'}" for machine, runs in said.value_counts().items()]


def _machine(manifest: str, evaluation: str) -> str:
    """Where a run was measured: as its evaluation tells it, else where the run itself was made."""
    told = {**json.loads(manifest), **json.loads(evaluation)}
    hardware, versions = told.get("hardware") or {}, told.get("versions") or {}
    cores = f"{hardware['cores']} cores" if "cores" in hardware else None
    device = f"device {hardware['device']}" if "device" in hardware else None
    torch = f"torch {versions['torch']}" if "torch" in versions else None
    return ", ".join(part for part in (hardware.get("cpu"), cores, device, torch) if part) or "not recorded"
