"""Scores over the severities of a corruption, drawn alike on every page."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from leaderboard.charts import severity_chart
from leaderboard.figures import interval_text
from protocols.corruptions import Condition
from protocols.metrics import metric as metric_card
from protocols.suite import Suite

MOVED = ("shift", "advance")  # sweeps that share one axis of time
SEVERITY = {
    "clipping": "samples clipped (%)",
    "reverberation": "reverberation time (ms)",
    "band_limit": "highest frequency left (Hz)",
    "drop_out": "sound lost (%)",
    "blur": "standard deviation of the blur (px)",
    "mouth_occlusion": "mouth covered (%)",
    "face_occlusion": "crop covered (%)",
    "low_light": "light left (%)",
    "frame_drop": "frames lost (%)",
    "jpeg": "JPEG quality",
    "feature_drop_out": "features lost (%)",
    "feature_scaling": "scale of the features (%)",
    "missing": "rate at which each modality is absent (%)",
}
UNITS = {"dB": "signal-to-noise ratio (dB)"}


class Style(NamedTuple):
    """How methods are drawn on the whole page.

    Args:
        looks: method -> colour and shape.
        dashed: unimodal baselines.
    """

    looks: dict[str, tuple[str, str]]
    dashed: set[str]


def corruptions(suite: Suite) -> list[str]:
    """Sweeps that have a curve of their own: all but shifts, which share one, and rates of absence."""
    return [name for name in suite.sweeps if name.partition("/")[2] not in (*MOVED, "missing")]


def default_sweeps(suite: Suite) -> list[str]:
    """The first of each modality."""
    first = {name.partition("/")[0]: name for name in reversed(corruptions(suite))}
    return [name for name in corruptions(suite) if name in first.values()]


def sweep_chart(
    cells: pd.DataFrame, conditions: Sequence[Condition], metric: str, style: Style, domain: Sequence[float]
) -> dict[str, Any]:
    """Scores over the severities of one sweep, beside those on clean input."""
    clean = clean_place(conditions)
    places = {"clean": clean} | {condition.text: condition.severity for condition in conditions}
    marks = {clean: "clean"} | {condition.severity: f"{condition.severity:g}" for condition in conditions}
    first = conditions[0]
    title = SEVERITY.get(first.corruption) or UNITS.get(first.unit) or f"{first.corruption} ({first.unit})"
    return drawn(cells, places, metric, title, style, marks, domain)


def clean_place(conditions: Sequence[Condition]) -> float:
    """Where clean input stands on the axis of a sweep: at nothing, or where all is left, or one step before."""
    mildest, worst = conditions[0].severity, conditions[-1].severity
    if mildest <= worst and mildest > 0:
        return 0.0
    if conditions[0].unit == "pct":
        return 100.0
    return mildest + (mildest - worst) / max(len(conditions) - 1, 1) if mildest != worst else mildest + 1


def drawn(
    cells: pd.DataFrame,
    places: Mapping[str, float],
    metric: str,
    title: str,
    style: Style,
    marks: Mapping[float, str],
    domain: Sequence[float],
) -> dict[str, Any]:
    """Scores over conditions that stand on one axis.

    Args:
        places: condition -> where it stands.
        title: of the axis, with its unit.
        marks: place -> what the axis says there.
        domain: of the scores.
    """
    rows = [
        {
            "method": row["method"],
            "at": places[row["condition"]],
            "under": row["condition"],
            **{end: None if pd.isna(row[end]) else row[end] for end in ("mean", "low", "high")},
            "score": interval_text(row, metric),
            "n": row["n"],
        }
        for row in cells[cells["condition"].isin(places)].to_dict("records")
    ]
    return severity_chart(rows, metric, title, style.looks, style.dashed, marks, domain)


def domain_of(cells: pd.DataFrame) -> list[float]:
    """Of all scores and intervals, inside what is possible."""
    low, high = cells[["mean", "low"]].min(axis=None), cells[["mean", "high"]].max(axis=None)
    bounds = metric_card(cells["metric"].iloc[0]).bounds if len(cells) else (0.0, 1.0)
    room = 0.03 * (high - low)
    return [max(bounds[0], low - room), min(bounds[1], high + room)] if high > low else list(bounds)


def sweep_title(name: str) -> str:
    """``audio/white_noise`` -> ``audio: white noise``."""
    if name == "mean":
        return "mean of all sweeps"
    modality, _, corruption = name.partition("/")
    return f"{modality}: {corruption.replace('_', ' ')}"
