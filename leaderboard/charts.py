"""Plots of the board as Vega-Lite specs, which a browser draws at once: no plotting library is loaded for them.

Colours are told apart by colour-blind readers, and have a contrast of 3 : 1 on white at least: four of Okabe and Ito's,
and three darker ones in place of those that are too light. Shape or dash says it again. Names of rows stand above what
they name, not beside it, so that a telephone has room for the plot.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from leaderboard.figures import axis_title, metric_title
from protocols.metrics import metric as metric_card

FUSION, BASELINE, REFERENCE = "#0072B2", "#D55E00", "#777777"
KINDS = {"fusion": (FUSION, "circle"), "unimodal baseline": (BASELINE, "diamond")}
INK = "#101010"  # of names
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5A2CA0", "#101010", "#6B3A00")
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "stroke")
DASHES = ([1, 0], [6, 3], [2, 2])
NAMED_ROW = 40  # pixels of a row with its name above it


def streams_graph(streams: Sequence[Mapping[str, Any]]) -> str:
    """Who attends to whom as a Graphviz graph: streams as boxes, an arrow from keys to queries.

    Streams that stand side by side in one sequence (``audio+bottleneck``) are boxes of their own, so that what
    passes through a shared one shows.

    Args:
        streams: query, key, layers, heads, over (``steps``, ``features``, ``modalities`` or ``edges``) of each pair.
    """
    arrows: dict[tuple[str, str, str], list[int]] = {}
    for stream in streams:
        for key, query in product(stream["key"].split("+"), stream["query"].split("+")):
            arrow = arrows.setdefault((key, query, stream["over"]), [0, 0])
            arrow[0] += stream["layers"]
            arrow[1] = max(arrow[1], stream["heads"])
    lines = [
        "digraph {",
        'rankdir=LR; bgcolor="transparent";',
        f'node [shape=box, style="rounded,filled", fillcolor="#F0F4F8", color="{FUSION}", fontname="sans-serif"];',
        f'edge [color="{REFERENCE}", fontname="sans-serif", fontsize=10];',
    ]
    for (key, query, over), (layers, heads) in arrows.items():
        style = "solid" if over == "steps" else "dashed"
        lines.append(f'{_quoted(key)} -> {_quoted(query)} [label="{layers} × {heads}", style={style}];')
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def seeds_chart(values: pd.DataFrame, metric: str, conditions: Sequence[str]) -> dict[str, Any]:
    """Every run as a point, one row for each condition.

    Args:
        values: of ``queries.seeds``, one method.
    """
    names = [run_name(split, seed) for split, seed in zip(values["split"], values["seed"], strict=True)]
    rows = [
        {"condition": condition, "run": name, "value": value}
        for condition, name, value in zip(values["condition"], names, values["value"], strict=True)
    ]
    runs = list(dict.fromkeys(names))
    legend = {"legend": {"orient": "top", "title": None, "columns": columns(runs), "symbolOpacity": 1}}
    told = {"field": "value", "title": metric_title(metric), "format": ".4f"}
    y = rows_named("condition", conditions)
    return {
        "data": {"values": rows},
        "height": {"step": NAMED_ROW},
        "layer": [
            {
                "mark": {"type": "point", "size": 70, "filled": False, "strokeWidth": 2, "opacity": 0.9},
                "encoding": {
                    "y": y,
                    "x": _values("value", metric),
                    "color": {"field": "run", "scale": _cycle(runs, SERIES)} | legend,
                    "shape": {"field": "run", "scale": _cycle(runs, SHAPES)} | legend,
                    "tooltip": [{"field": "run"}, {"field": "condition"}, told],
                },
            },
            names_above("condition", conditions, y),
        ],
    }


def curves_chart(curves: Mapping[str, pd.DataFrame], column: str) -> dict[str, Any]:
    """A column of ``history.csv`` over epochs, one line a run."""
    rows = [
        {"run": name, "epoch": int(epoch), "value": None if pd.isna(value) else float(value)}
        for name, curve in curves.items()
        for epoch, value in zip(curve["epoch"], curve[column], strict=True)
    ]
    free = {"scale": {"zero": False}}
    better = "lower" if column.endswith("loss") else "higher"
    title = column.replace("_", " ")
    return {
        "data": {"values": rows},
        "height": 240,
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "axis": {"format": "d", "tickMinStep": 1, "tickCount": 6}},
            "y": {"field": "value", "type": "quantitative", "title": [title, f"({better} is better)"]} | free,
            "color": {"field": "run", "scale": _cycle(list(curves), SERIES), "legend": None},
            "strokeDash": {
                "field": "run",
                "scale": _cycle(list(curves), [dash for dash in DASHES for _ in SERIES]),
                "legend": None,
            },
            "tooltip": [{"field": "run"}, {"field": "epoch"}, {"field": "value", "title": title, "format": ".4f"}],
        },
    }


def severity_chart(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    title: str,
    looks: Mapping[str, tuple[str, str]],
    dashed: Collection[str],
    marks: Mapping[float, str],
    domain: Sequence[float],
) -> dict[str, Any]:
    """Scores over a physical severity, one line a method, each with the band of its interval.

    Args:
        rows: ``method``, ``at`` (the severity), ``mean``, ``low``, ``high``, ``under``, ``score`` and ``n``.
        title: of the severity, with its unit.
        looks: method -> colour and shape, in the order of the legend.
        dashed: methods whose lines are dashed: unimodal baselines.
        marks: severity -> what the axis says there, from left to right.
        domain: of the scores, equal for charts that stand side by side.
    """
    says = " : ".join(f"datum.value === {at} ? '{text}'" for at, text in marks.items())
    ends = [next(iter(marks)), list(marks)[-1]]
    x = {
        "field": "at",
        "type": "quantitative",
        "title": title,
        "axis": {"values": list(marks), "labelExpr": f"{says} : ''", "grid": False, "labelOverlap": True},
        "scale": {"domain": ends, "nice": False, "padding": 12},
    }
    y = _values("mean", metric) | {"scale": {"domain": list(domain), "nice": False}}
    legend = {"orient": "top", "title": None, "columns": columns(looks)}
    legend |= {"labelLimit": 260, "symbolSize": 70, "symbolOpacity": 1}
    colours, shapes = zip(*looks.values(), strict=True)
    colour, shape = (
        {"field": "method", "scale": {"domain": list(looks), "range": list(those)}, "legend": legend}
        for those in (colours, shapes)
    )
    # Layers, not an encoding: a legend would draw the outlines of its symbols dashed.
    lines = [
        {
            "transform": [
                {"filter": {"field": "method", "oneOf": [name for name in looks if (name in dashed) == apart]}}
            ],
            "mark": {"type": "line", "strokeWidth": 2, "strokeDash": DASHES[apart]},
        }
        for apart in (False, True)
    ]
    said = [{"field": f, "title": t} for f, t in (("method", "method"), ("under", "input"))]
    said += [{"field": "score", "title": metric_title(metric)}, {"field": "n", "title": "n"}]
    return {
        "data": {"values": list(rows)},
        "height": 380,
        "encoding": {"x": x, "y": y, "color": colour},
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.12, "clip": True},
                "encoding": {"y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            *lines,
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"shape": shape, "tooltip": said},
            },
        ],
    }


def pareto_chart(rows: Sequence[Mapping[str, Any]], metric: str, cost: str, less_is_better: bool) -> dict[str, Any]:
    """Scores with intervals against a cost on a logarithmic axis; a line joins the methods that none beats in both.

    Args:
        rows: ``method``, ``kind``, ``cost``, ``mean``, ``low``, ``high``, ``front``, ``place`` (on the front, from the
            left), ``score``, ``price`` and ``n``.
        cost: title of its axis, with the unit.
        less_is_better: of the cost; False for throughput.
    """
    way = "lower" if less_is_better else "higher"
    x = {"field": "cost", "type": "quantitative", "title": f"{cost} ({way} is better)"}
    x |= {"scale": {"type": "log", "nice": False, "padding": 25}}
    x |= {"axis": {"format": "~s", "tickCount": 6, "labelOverlap": True}}
    y = _values("mean", metric)
    kinds = [(kind, colour, shape) for kind, (colour, shape) in KINDS.items()]
    legend = {"orient": "top", "title": None, "symbolOpacity": 1}
    colour, shape = (
        {"field": "kind", "scale": {"domain": list(KINDS), "range": [k[i] for k in kinds]}, "legend": legend}
        for i in (1, 2)
    )
    titles = (("method", "method"), ("score", metric_title(metric)), ("price", cost), ("n", "n"))
    said = [{"field": f, "title": t} for f, t in titles]
    best = [row for row in rows if row["front"]]
    steps = "step-after" if less_is_better else "step-before"
    point = {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1}
    return {
        "data": {"values": list(rows)},
        "height": 420,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "data": {"values": best},
                "mark": {"type": "line", "color": REFERENCE, "strokeDash": [6, 4], "interpolate": steps},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.5},
                "encoding": {"y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour},
            },
            {
                "transform": [{"filter": "!datum.front"}],
                "mark": point | {"filled": False},
                "encoding": {"color": colour, "shape": shape, "tooltip": said},
            },
            {
                "transform": [{"filter": "datum.front"}],
                "mark": point | {"filled": True},
                "encoding": {"color": colour, "shape": shape, "tooltip": said},
            },
            {
                "data": {"values": [row for row in best if row["place"]]},
                "mark": {"type": "text", "dy": -13, "fontSize": 12, "fontWeight": "bold", "color": INK},
                "encoding": {"text": {"field": "place"}, "tooltip": said},
            },
        ],
    }


def columns(names: Iterable[str]) -> dict[str, str]:
    """Of a legend: as many as there is room for; what reaches beyond the edge would be cut off."""
    wide = 34 + 6.5 * max(map(len, names), default=0)
    return {"expr": f"max(1, floor(width / {wide}))"}


def rows_named(field: str, order: Sequence[str]) -> dict[str, Any]:
    """Rows whose names are not drawn at the side: `names_above` draws them."""
    # A domain, not a sort: layers that sort each for itself would fall back to their data's order.
    axis = {"labels": False, "grid": True, "title": None}
    return {"field": field, "type": "nominal", "scale": {"domain": list(order)}, "axis": axis}


def names_above(field: str, order: Sequence[str], y: Mapping[str, Any], rise: int = 13) -> dict[str, Any]:
    """A layer with the name of each row, above what the row holds."""
    return {
        "data": {"values": [{field: name} for name in order]},
        "mark": {"type": "text", "align": "left", "fontSize": 12, "dy": -rise, "dx": 2, "color": INK},
        "encoding": {"y": y, "x": {"value": 0}, "text": {"field": field}},
    }


def run_name(split: str, seed: int) -> str:
    """``fold3`` where there are folds, else ``seed 3``."""
    return split.partition("/")[2] or f"seed {seed}"


def _values(field: str, metric: str) -> dict[str, Any]:
    axis = {"format": ".0%"} if metric_card(metric).unit == "fraction" else {}
    axis |= {"tickCount": 6}
    return {
        "field": field,
        "type": "quantitative",
        "title": axis_title(metric),
        "axis": axis,
        "scale": {"zero": False, "nice": True},
    }


def _cycle(names: Sequence[str], looks: Sequence[Any]) -> dict[str, Any]:
    return {"domain": list(names), "range": [looks[index % len(looks)] for index in range(len(names))]}
