"""Differences of two methods with their intervals, a pair a row, as a Vega-Lite spec."""

from collections.abc import Sequence
from typing import Any

from leaderboard.charts import BASELINE, FUSION, REFERENCE
from leaderboard.compare import Difference, difference_text, unit
from leaderboard.figures import metric_title
from protocols.metrics import metric as metric_card

KINDS = {"over runs": (FUSION, "square"), "over examples and runs": (BASELINE, "diamond")}
NAME = "name"  # the row of a pair that holds its name, above the intervals, so that a telephone has room for the plot
ROW = 17  # pixels


def rows(found: Sequence[Difference], metric: str) -> list[dict[str, Any]]:
    """What the chart draws: pair, kind, mean, low, high, said; in percent points where the metric is a fraction."""
    scale = 100 if metric_card(metric).unit == "fraction" else 1
    drawn = []
    for difference in found:
        pair = f"{difference.first} − {difference.second}"
        drawn.append({"pair": pair, "kind": NAME})
        for kind, interval in zip(KINDS, (difference.runs, difference.examples), strict=True):
            if isinstance(interval, str) or interval.mean != interval.mean:
                continue
            ends = {end: scale * float(getattr(interval, end)) for end in ("mean", "low", "high")}
            ends = {end: None if value != value else value for end, value in ends.items()}
            drawn.append({"pair": pair, "kind": kind, "said": difference_text(interval, metric)} | ends)
    return drawn


def difference_chart(found: Sequence[Difference], metric: str) -> dict[str, Any]:
    """Intervals of the first method less the second; the dashed line is no difference."""
    drawn = rows(found, metric)
    better = {True: "right of 0 the first is better", False: "left of 0 the first is better", None: ""}
    title = [
        f"difference of {metric_title(metric)[0].lower()}{metric_title(metric)[1:]} ({unit(metric)})",
        better[metric_card(metric).higher_is_better],
    ]
    pairs = [row["pair"] for row in drawn if row["kind"] == NAME]
    y = {
        "y": {"field": "pair", "type": "nominal", "sort": pairs, "title": None, "axis": None},
        "yOffset": {"field": "kind", "type": "nominal", "sort": [NAME, *KINDS], "scale": {"domain": [NAME, *KINDS]}},
    }
    ends = [row[end] for row in drawn for end in ("low", "mean", "high") if row.get(end) is not None]
    low, high = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)
    room = 0.05 * (high - low) or 1.0
    scale = {"domain": [low - room, high + room], "nice": False, "zero": False}
    x = {"type": "quantitative", "title": title, "scale": scale, "axis": {"tickCount": 5, "titleLimit": 320}}
    legend = {"orient": "top", "title": None, "symbolOpacity": 1, "columns": 1}
    colour, shape = (
        {"field": "kind", "scale": {"domain": list(KINDS), "range": [k[i] for k in KINDS.values()]}, "legend": legend}
        for i in (0, 1)
    )
    said = [{"field": "pair", "title": "pair"}, {"field": "kind", "title": "interval"}]
    said.append({"field": "said", "title": f"difference ({unit(metric)})"})
    named, intervals = (f"datum.kind {sign} '{NAME}'" for sign in ("===", "!=="))
    return {
        "data": {"values": drawn},
        "height": {"step": ROW, "for": "offset"},
        "layer": [
            {
                "data": {"values": [{"at": 0}]},
                "mark": {"type": "rule", "color": REFERENCE, "strokeDash": [3, 3]},
                "encoding": {"x": x | {"field": "at"}},
            },
            {
                "transform": [{"filter": intervals}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**y, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour},
            },
            {
                "transform": [{"filter": intervals}],
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80},
                "encoding": {**y, "x": x | {"field": "mean"}, "color": colour, "shape": shape, "tooltip": said},
            },
            {
                "transform": [{"filter": named}],
                "mark": {"type": "text", "align": "left", "fontSize": 12, "limit": 340},
                "encoding": {**y, "x": {"value": 0}, "text": {"field": "pair"}},
            },
        ],
    }
