"""Robustness as tables: curves over severities, and what the sweeps come to against our own late fusion."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import sqlalchemy as sa

from leaderboard import queries
from protocols.metrics import Undefined
from protocols.metrics import metric as metric_card
from protocols.metrics.robustness import corruption_error, effective_robustness
from protocols.spec import ProtocolSpec
from protocols.suite import Suite

REFERENCE = "late_fusion"
SCORES = ("area", "worst", "retention", "corruption_error", "effective")
AGAINST = ("corruption_error", "effective")  # need the reference's curve as well, so no run has them by itself
REASON = ["method", "condition", "metric", "reason", "runs"]
RUN = ["method", "split", "seed", "run"]


def scores(
    engine: sa.Engine, spec: ProtocolSpec, suite: Suite, metric: str, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """Values of one metric under every condition of the suite, as ``queries.measured`` gives them.

    Args:
        methods: None for all of them.
    """
    values = queries.measured(engine, spec, metric, method=methods)
    return values[(values["metric"] == metric) & values["condition"].isin(suite.all_conditions())]


def sweep_scores(
    engine: sa.Engine, spec: ProtocolSpec, suite: Suite, metric: str, values: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each sweep comes to, run by run, and why some scores have no value.

    Args:
        values: of `scores`, of the reference too; the methods among them are those that are asked for.

    Returns:
        Rows as of ``queries.measured`` with ``area/<metric>`` and so on for each of SCORES, the condition being the
        sweep; and rows as of ``queries.undefined``.
    """
    own = [f"{name}/{metric}" for name in SCORES if name not in AGAINST]
    found = queries.measured(engine, spec, own, method=sorted(set(values["method"])))
    found = found[found["condition"].isin(suite.sweeps)]
    why = queries.undefined(engine, spec, [metric, *own])
    compared = pd.DataFrame(_compared(values, suite, metric), columns=[*found.columns, "reason"])
    reasons = compared[compared["value"].isna()].groupby(REASON[:4], as_index=False).agg(runs=("run", "nunique"))
    there = compared[compared["value"].notna()].drop(columns="reason").astype({"value": float})
    return _joined(found, there), _joined(why, reasons)


def _compared(values: pd.DataFrame, suite: Suite, metric: str) -> Iterator[dict]:
    """Scores against the reference's run of the same split and seed: a value, or the reason why there is none.

    An error counts as what it is short of a score of 1, so that a corruption error is one of errors.
    """
    if metric_card(metric).higher_is_better is False:
        values = values.assign(value=1 - values["value"])
    runs = {tuple(key): dict(zip(g["condition"], g["value"], strict=True)) for key, g in values.groupby(RUN)}
    reference = {key[1:3]: points for key, points in runs.items() if key[0] == REFERENCE}
    for (method, split, seed, run), points in runs.items():
        row = {"run": run, "method": method, "split": split, "seed": seed, "n": 1}
        for sweep in suite.sweeps:
            names = ["clean", *(condition.text for condition in suite.sweep(sweep))]
            if not set(names) <= points.keys():
                continue  # not measured, or undefined: the reason stands with the curve's own scores
            for name in AGAINST:
                row |= {"condition": sweep, "metric": f"{name}/{metric}", "value": None, "reason": None}
                try:
                    row["value"] = _against(name, names, points, reference.get((split, seed)))
                except Undefined as reason:
                    row["reason"] = str(reason)
                yield dict(row)


def _against(name: str, names: list[str], points: Mapping, reference: Mapping | None) -> float:
    if reference is None or not set(names) <= reference.keys():
        raise Undefined(f"{REFERENCE}, which it is measured against, was not evaluated with this seed or fold")
    (clean, *curve), (other_clean, *other) = ([scored[n] for n in names] for scored in (points, reference))
    if name == "corruption_error":
        return corruption_error(np.array(curve), np.array(other))
    return effective_robustness(np.array(curve), clean, np.array(other), other_clean)


def with_mean(found: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """The same rows and, for each run that has every sweep, their mean under the condition ``mean``."""
    keys = [name for name in found.columns if name not in ("condition", "value", "n")]
    groups = found.groupby(keys, as_index=False).agg(value=("value", "mean"), n=("condition", "nunique"))
    return _joined(found, groups[groups["n"] == len(suite.sweeps)].assign(condition="mean"))


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Rows of both; pandas objects to empty ones, which have no types."""
    return pd.concat([f for f in (first, second) if len(f)] or [first], ignore_index=True)
