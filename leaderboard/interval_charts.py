"""Means with their intervals as Vega-Lite specs: dots in rows, lines over severities, cells of a heat map.

Modalities keep one colour and one shape on every page; the order within a row says it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from leaderboard.charts import DASHES, REFERENCE, SHAPES, columns, names_above
from leaderboard.figures import interval_text
from protocols.metrics import metric as metric_card

MODALITIES = {"audio": ("#0072B2", "circle"), "video": ("#D55E00", "diamond"), "text": ("#009E73", "square")}
# Others begin with colours that no modality has.
OTHERS = ("#CC79A7", "#5A2CA0", "#101010", "#6B3A00", "#0072B2", "#D55E00", "#009E73")
ROW = 17  # pixels of one dot's row
NAME = ""  # the group of a row that holds its name
LEGEND_ROW = 30  # pixels


def looks(names: Sequence[str], family: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Colour and shape of each name: modalities have their own, others take the next.

    Args:
        family: all names that other charts of the page may have, so that each looks the same in all of them.
    """
    if all(name in MODALITIES for name in names):
        return {name: MODALITIES[name] for name in names}
    place = {name: index for index, name in enumerate(family or names)}
    return {name: (OTHERS[place[name] % len(OTHERS)], SHAPES[place[name] % len(SHAPES)]) for name in names}


def points(cells: pd.DataFrame, **named: str) -> list[dict[str, Any]]:
    """Rows that a chart draws: mean, low, high, how people read them, n, and columns under new names.

    Args:
        cells: mean, low, high, n, metric, and the columns named.
        named: name in the chart -> column.
    """
    return [
        {name: row[column] for name, column in named.items()}
        | {end: None if pd.isna(row[end]) else float(row[end]) for end in ("mean", "low", "high")}
        | {"said": interval_text(row, row["metric"]), "n": int(row["n"])}
        for row in cells.to_dict("records")
    ]


def dots(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    title: str,
    order: Sequence[str],
    groups: Sequence[str],
    *,
    zero: bool = False,
    domain: Sequence[float] | None = None,
    hollow: Iterable[str] = (),
    family: Sequence[str] = (),
) -> dict[str, Any]:
    """One row a name, in it one dot with its interval a group, the groups one above the other.

    Args:
        rows: ``row``, ``group``, and what `points` adds.
        title: of the axis.
        groups: in the order of the dots within a row.
        zero: draw the line of zero.
        domain: of the values; as far as they go by default.
        hollow: groups drawn without filling: what a value is compared with.
        family: of `looks`.
    """
    look = looks(groups, family)
    axis = {"labels": False, "grid": True, "title": None, "bandPosition": 0, "tickBand": "extent"}
    y = {
        "y": {"field": "row", "type": "nominal", "scale": {"domain": list(order)}, "axis": axis},
        "yOffset": {"field": "group", "type": "nominal", "scale": {"domain": [NAME, *groups]}},
    }
    legend = _legend(groups) | {"columns": columns(groups)}
    colour = {"field": "group", "scale": _scale(look, 0), "legend": legend}
    shape = {"field": "group", "scale": _scale(look, 1), "legend": legend}
    mean, low = (_axis(end, metric, title, domain) for end in ("mean", "low"))
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "clip": True},
            "encoding": {**y, "x": low, "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 75, "opacity": 1},
            "transform": [{"filter": {"field": "group", "oneOf": [g for g in groups if g not in set(hollow)]}}],
            "encoding": {
                **y,
                "x": mean,
                "color": colour,
                "shape": shape,
                "tooltip": _told("row", "group"),
            },
        },
    ]
    if hollow:
        layers.append(
            {
                "mark": {"type": "point", "filled": False, "size": 75, "strokeWidth": 2, "opacity": 1},
                "transform": [{"filter": {"field": "group", "oneOf": list(hollow)}}],
                "encoding": layers[1]["encoding"],
            }
        )
    named = names_above("row", order, y["y"], rise=0)
    named["data"] = {"values": [{"row": name, "group": NAME} for name in order]}
    named["encoding"]["yOffset"] = y["yOffset"]
    layers.append(named)
    if zero:
        layers.insert(0, _zero_line(metric, title))
    return {"data": {"values": list(rows)}, "height": {"step": ROW, "for": "offset"}, "layer": layers}


def lines(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    title: str,
    order: Sequence[str],
    groups: Sequence[str],
    *,
    domain: Sequence[float] | None = None,
    dashed: Sequence[str] = (),
    family: Sequence[str] = (),
    across: str | None = None,
    height: int = 170,
) -> dict[str, Any]:
    """Lines over severities, each with the band of its interval.

    Args:
        rows: ``at``, ``group``, and what `points` adds.
        order: of the severities, from mild to severe.
        domain: of the values, so that charts side by side can be compared.
        dashed: groups drawn with a dash: controls.
        family: of `looks`.
        across: title of the axis of severities.
        height: pixels of the plot, without the legend above and the names of the severities below.
    """
    look = looks(groups, family)
    x = {"field": "at", "type": "ordinal", "sort": list(order), "title": across, "axis": {"labelAngle": -35}}
    x |= {"scale": {"padding": 0.3}}
    colour = {"field": "group", "scale": _scale(look, 0), "legend": _legend(groups)}
    shape = {"field": "group", "scale": _scale(look, 1), "legend": _legend(groups)}
    mean, low = (_axis(end, metric, title, domain) for end in ("mean", "low"))
    # Layers, not an encoding: a legend would draw the outlines of its symbols dashed.
    drawn = [
        {
            "transform": [{"filter": {"field": "group", "oneOf": some}}],
            "mark": {"type": "line", "strokeWidth": 2, "strokeDash": dash},
            "encoding": {"y": mean},
        }
        for dash, some in (
            (DASHES[0], [g for g in groups if g not in dashed]),
            *((DASHES[1 + place % 2], [g]) for place, g in enumerate(dashed) if g in groups),
        )
        if some
    ]
    return {
        "data": {"values": list(rows)},
        "height": height + LEGEND_ROW * -(-len(groups) // _legend(groups)["columns"]) + (110 if across else 85),
        "encoding": {"x": x, "color": colour},
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.18, "clip": True},
                "encoding": {"y": low, "y2": {"field": "high"}},
            },
            *drawn,
            {
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
                "encoding": {"y": mean, "shape": shape, "tooltip": _told("group", "at")},
            },
        ],
    }


def heat_map(
    rows: Sequence[Mapping[str, Any]], metric: str, order: Sequence[str], across: Sequence[str], most: float
) -> dict[str, Any]:
    """Values of two names as coloured cells with the number in them; blue below zero, orange above.

    Args:
        rows: ``row``, ``column``, and what `points` adds.
        most: the largest size of a value, so that charts side by side can be compared.
    """
    percent = metric_card(metric).unit == "fraction"
    y = {"field": "row", "type": "nominal", "sort": list(order), "title": None, "axis": {"labelLimit": 120}}
    x = {"field": "column", "type": "nominal", "sort": list(across), "title": None}
    x |= {"axis": {"labelAngle": -35, "labelLimit": 130}}
    colour = {
        "field": "mean",
        "type": "quantitative",
        "scale": {"scheme": "blueorange", "domain": [-most, most]},
        "legend": None,
    }
    strong = {"test": f"abs(datum.mean) > {0.87 * most!r}", "value": "white"}
    number = [
        {"calculate": f"format({'100 * ' if percent else ''}datum.mean, '.{0 if percent else 2}f')", "as": "text"}
    ]
    return {
        "data": {"values": list(rows)},
        "transform": number,
        "height": {"step": 24},
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "rect"}, "encoding": {"color": colour, "tooltip": _told("column", "row")}},
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    "text": {"field": "text"},
                    "color": {"condition": strong, "value": "black"},
                    "tooltip": _told("column", "row"),
                },
            },
        ],
    }


def _axis(field: str, metric: str, title: str, domain: Sequence[float] | None = None) -> dict[str, Any]:
    axis = {"format": ".2~%"} if metric_card(metric).unit == "fraction" else {}
    scale = {"zero": False, "nice": True} if domain is None else {"domain": list(domain), "nice": True}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "axis": axis | {"tickCount": 5, "titleLimit": 300},
        "scale": scale,
    }


def _legend(names: Sequence[str]) -> dict[str, Any]:
    """In as many columns as fit over the plot on a telephone."""
    longest = max(map(len, names), default=0)
    columns = 3 if longest <= 7 else 2 if longest <= 13 else 1
    return {"orient": "top", "title": None, "columns": columns, "labelLimit": 260, "symbolOpacity": 1}


def _zero_line(metric: str, title: str) -> dict[str, Any]:
    return {
        "data": {"values": [{"at": 0}]},
        "mark": {"type": "rule", "color": REFERENCE, "strokeDash": [3, 3]},
        "encoding": {"x": _axis("at", metric, title)},
    }


def _scale(look: Mapping[str, tuple[str, str]], which: int) -> dict[str, Any]:
    return {"domain": list(look), "range": [pair[which] for pair in look.values()]}


def _told(*fields: str) -> list[dict[str, Any]]:
    named = [{"field": f, "title": {"row": "method", "at": "condition"}.get(f, f)} for f in fields]
    return [*named, {"field": "said", "title": "mean ± interval"}, {"field": "n", "title": "runs"}]
