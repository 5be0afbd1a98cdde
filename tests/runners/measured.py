"""Suites that are cut down for tests, and what an evaluation by them found."""

import numpy as np
from pyarrow import parquet

from protocols.metrics import metric
from protocols.suite import suites
from runners.evaluate import evaluate_run


def cut(monkeypatch, of: str, key: str) -> None:
    """Give a protocol the suite of another one: its last severities, and as few examples as there can be."""
    suite = suites()[of]
    small = {"draws": 1, "permutations": 1, "pairs": 4, "clusters": 2, "rules": ("mean", "other_sample")}
    seen = {"items": 2, "steps": 2, "fractions": (0.5,), "exhibits": 1}
    changed = {
        "protocol": key,
        "sweeps": {name: severities[-1:] for name, severities in suite.sweeps.items()},
        "contribution": suite.contribution.model_copy(update=small | {"conditions": suite.contribution.conditions[:1]}),
        "tokens": suite.tokens.model_copy(update={"items": 2, "windows": 2, "permutations": 1}),
        "attention": suite.attention.model_copy(update=seen | {"conditions": suite.attention.conditions[:1]}),
        "cost": suite.cost.model_copy(update={"repeats": 3}),
    }
    monkeypatch.setitem(suites(), key, suite.model_copy(update=changed))


def measured(place, settings) -> dict[tuple[str, str], dict]:
    """Evaluate a run; condition and metric -> finding, each a number within its bounds, or a reason."""
    evaluate_run(place, settings)
    rows = parquet.read_table(place / "evaluation" / "findings.parquet").to_pylist()
    for row in rows:
        low, high = metric(row["metric"]).bounds
        assert (row["value"] is None) == bool(row["reason"]), row
        assert row["value"] is None or (np.isfinite(row["value"]) and low - 1e-9 <= row["value"] <= high + 1e-9), row
    found = {(row["condition"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    return found
