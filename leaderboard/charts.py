"""Plots of the board as Vega-Lite specs, which a browser draws at once: no plotting library is loaded for them.

Colours are Okabe and Ito's, told apart by colour-blind readers; shape or dash says it again.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from leaderboard.figures import axis_title, interval_text, metric_title, value_text
from protocols.metrics import metric as metric_card

FUSION, BASELINE, REFERENCE = "#0072B2", "#D55E00", "#777777"
KINDS = {"fusion": (FUSION, "circle"), "unimodal baseline": (BASELINE, "diamond")}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "stroke")
DASHES = ([1, 0], [6, 3], [2, 2])


def ranking_chart(
    table: pd.DataFrame, metric: str, majority: float | None, trivial: str = "majority class"
) -> dict[str, Any]:
    """Means with intervals, best on top; diamonds are unimodal baselines, the dashed line an answer without a model.

    Args:
        table: of ``queries.ranking``.
        trivial: whose score the dashed line is.
    """
    rows = [
        {
            "method": row["method"],
            "kind": "unimodal baseline" if row["unimodal"] else "fusion",
            **{end: None if pd.isna(row[end]) else row[end] for end in ("mean", "low", "high")},
            "score": interval_text(row, metric),
            "n": row["n"],
        }
        for row in table.to_dict("records")
    ]
    y = _names("method", [row["method"] for row in rows])
    colour = {"field": "kind", "scale": {"domain": list(KINDS), "range": [c for c, _ in KINDS.values()]}}
    shape = {"field": "kind", "scale": {"domain": list(KINDS), "range": [s for _, s in KINDS.values()]}}
    legend = {"legend": {"orient": "top", "title": None, "columns": {"expr": "width < 220 ? 1 : 2"}}}
    said = [{"field": f, "title": t} for f, t in (("method", "method"), ("score", metric_title(metric)), ("n", "n"))]
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"y": y, "x": _values("low", metric), "x2": {"field": "high"}, "color": colour | legend},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {
                "y": y,
                "x": _values("mean", metric),
                "color": colour | legend,
                "shape": shape | legend,
                "tooltip": said,
            },
        },
    ]
    if majority is not None:
        line = {"values": [{"at": majority, "text": f"{trivial} {value_text(majority, metric)}"}]}
        x = _values("at", metric)
        layers += [
            {"data": line, "mark": {"type": "rule", "strokeDash": [6, 4], "color": REFERENCE}, "encoding": {"x": x}},
            {
                "data": line,
                "mark": {"type": "text", "align": "left", "dx": 5, "dy": -6, "baseline": "bottom", "color": REFERENCE},
                "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "text"}},
            },
        ]
    return {"data": {"values": rows}, "height": {"step": 30}, "layer": layers}


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
    legend = {"legend": {"orient": "top", "title": None, "columns": 5}}
    told = {"field": "value", "title": metric_title(metric), "format": ".4f"}
    return {
        "data": {"values": rows},
        "height": {"step": 30},
        "mark": {"type": "point", "size": 70, "filled": False, "strokeWidth": 2, "opacity": 0.9},
        "encoding": {
            "y": _names("condition", conditions),
            "x": _values("value", metric),
            "color": {"field": "run", "scale": _cycle(runs, SERIES)} | legend,
            "shape": {"field": "run", "scale": _cycle(runs, SHAPES)} | legend,
            "tooltip": [{"field": "run"}, {"field": "condition"}, told],
        },
    }


def curves_chart(curves: Mapping[str, pd.DataFrame], column: str) -> dict[str, Any]:
    """A column of ``history.csv`` over epochs, one line a run."""
    rows = [
        {"run": name, "epoch": int(epoch), "value": None if pd.isna(value) else float(value)}
        for name, curve in curves.items()
        for epoch, value in zip(curve["epoch"], curve[column], strict=True)
    ]
    title = column.replace("_", " ")
    return {
        "data": {"values": rows},
        "height": 240,
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "axis": {"format": "d", "tickMinStep": 1, "tickCount": 6}},
            "y": {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": False}},
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
    # As many names in a row as there is room for: what reaches beyond the edge would be cut off.
    wide = 34 + 6.5 * max(map(len, looks), default=0)
    legend = {"orient": "top", "title": None, "columns": {"expr": f"max(1, floor(width / {wide}))"}}
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
        rows: ``method``, ``kind``, ``cost``, ``mean``, ``low``, ``high``, ``front``, ``score``, ``price`` and ``n``.
        cost: title of its axis, with the unit.
        less_is_better: of the cost; False for throughput.
    """
    x = {"field": "cost", "type": "quantitative", "title": cost}
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
            *(
                # By turns above and below, so that neighbours on the front can both be read.
                {
                    "data": {"values": sorted(best, key=lambda row: row["cost"])[start::2]},
                    "mark": {"type": "text", "align": "left", "dx": 7, "dy": away, "fontSize": 12},
                    "encoding": {"text": {"field": "method"}},
                }
                for start, away in ((0, -9), (1, 9))
            ),
        ],
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


def _names(field: str, order: Sequence[str]) -> dict[str, Any]:
    axis = {"labelLimit": 190, "grid": True}
    return {"field": field, "type": "nominal", "sort": list(order), "title": None, "axis": axis}


def _cycle(names: Sequence[str], looks: Sequence[Any]) -> dict[str, Any]:
    return {"domain": list(names), "range": [looks[index % len(looks)] for index in range(len(names))]}
