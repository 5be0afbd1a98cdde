"""Forest plots: an effect and its interval a row, the pooled effect as a diamond, zero as a line."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from leaderboard.charts import BASELINE, FUSION, REFERENCE
from leaderboard.review import Answer, points_text

POOLED = "pooled"
DIFFERENCE = "difference of accuracy in percent points"
SIDE = "right of 0 speaks for yes"
ROW = 42  # pixels; name and numbers stand above each interval, so that a telephone has room for the plot
MARGIN = 0.06  # of the axis at both ends


def rows(answer: Answer) -> list[dict[str, Any]]:
    """What a forest plot draws, in percent points: row, kind, mean, low, high, said, n; the pooled effect last."""
    found = [
        {"row": e.protocol, "kind": "protocol", "n": e.n, "said": f"{points_text(e)} (n {e.n})"} | _points(e)
        for e in answer.effects
    ]
    if pooled := answer.pooled:
        said = f"{points_text(pooled)} (n {pooled.n})"
        found.append({"row": POOLED, "kind": POOLED, "n": pooled.n, "said": said} | _points(pooled))
    return found


def overview_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The pooled effect of every question that has one."""
    return [rows(a)[-1] | {"row": a.question.asks} for a in answers if a.pooled]


def _points(effect) -> dict[str, float]:
    return {end: 100 * float(getattr(effect, end)) for end in ("mean", "low", "high")}


def domain(found: Sequence[dict[str, Any]]) -> list[float]:
    """Ends of the axis: zero, every mean and every interval of one protocol are in sight.

    Where there are pooled effects only, their intervals are shown as far as twice the largest effect.
    """
    means = [row["mean"] for row in found]
    single = [row for row in found if row["kind"] != POOLED]
    most = math.inf if single else 2 * max(map(abs, means), default=1.0)
    ends = [min(max(row[end], -most), most) for row in single or found for end in ("low", "high")]
    low, high = min(0.0, *means, *ends), max(0.0, *means, *ends)
    room = max(MARGIN * (high - low), 0.5)
    return [low - room, high + room]


def forest_chart(found: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    """A forest plot as a Vega-Lite spec.

    Args:
        found: of `rows`.
        title: of the axis, with the unit.
    """
    y = {"field": "row", "type": "nominal", "sort": [row["row"] for row in found], "title": None}
    y |= {"axis": None}
    scale = {"domain": domain(found), "nice": False, "zero": False}
    x = {"type": "quantitative", "title": [title, SIDE], "scale": scale, "axis": {"tickCount": 5, "titleLimit": 300}}
    colour = {"field": "kind", "scale": {"domain": ["protocol", POOLED], "range": [FUSION, BASELINE]}, "legend": None}
    said = [{"field": "row", "title": "where"}, {"field": "said", "title": "difference ± interval"}]
    point = {"type": "point", "filled": True, "opacity": 1, "clip": True}
    mean = {"y": y, "x": x | {"field": "mean"}, "color": colour, "tooltip": said}
    return {
        "data": {"values": list(found)},
        "height": {"step": ROW},
        "layer": [
            {
                "data": {"values": [{"at": 0}]},
                "mark": {"type": "rule", "color": REFERENCE, "strokeDash": [3, 3]},
                "encoding": {"x": x | {"field": "at"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2, "clip": True},
                "encoding": {"y": y, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour},
            },
            {
                "transform": [{"filter": f"datum.kind !== '{POOLED}'"}],
                "mark": point | {"shape": "square", "size": 80},
                "encoding": mean,
            },
            {
                "transform": [{"filter": f"datum.kind === '{POOLED}'"}],
                "mark": point | {"shape": "diamond", "size": 240},
                "encoding": mean,
            },
            {
                "transform": [{"calculate": "datum.row + '\u2003' + datum.said", "as": "told"}],
                "mark": {"type": "text", "align": "left", "dy": -14, "fontSize": 11},
                "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "told"}, "tooltip": said},
            },
        ],
    }


WIDE, LEFT, HIGH = 900, 420, 26  # pixels of a drawing, of its labels, of a row


def forest_svg(found: Sequence[dict[str, Any]], title: str) -> str:
    """The same as a drawing that needs no program; numbers stand at the right of the labels."""
    low, high = domain(found)

    def at(value: float) -> float:
        return LEFT + (WIDE - LEFT - 10) * (min(max(value, low), high) - low) / (high - low)

    tall = HIGH * len(found) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {tall}" width="{WIDE}" height="{tall}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12">',
        f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="0" y2="{tall - 34}" stroke="{REFERENCE}" '
        'stroke-dasharray="3 3"/>',
    ]
    for place, row in enumerate(found):
        y, x = HIGH * place + HIGH / 2, at(row["mean"])
        colour = BASELINE if row["kind"] == POOLED else FUSION
        r = 7 if row["kind"] == POOLED else 5
        lines += [
            f'<text x="0" y="{y + 4}">{escape(row["row"])}&#8195;{escape(row["said"])}</text>',
            f'<line x1="{at(row["low"]):.1f}" x2="{at(row["high"]):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="2"/>',
            f'<polygon points="{x - r:.1f},{y} {x:.1f},{y - r} {x + r:.1f},{y} {x:.1f},{y + r}" fill="{colour}"/>',
        ]
    ends = f"{low:+.0f}", "0", f"{high:+.0f}"
    for value, text, anchor in zip((low, 0, high), ends, ("start", "middle", "end"), strict=True):
        lines.append(f'<text x="{at(value):.1f}" y="{tall - 18}" text-anchor="{anchor}">{text}</text>')
    lines.append(
        f'<text x="{(LEFT + WIDE) / 2}" y="{tall - 3}" text-anchor="middle">{escape(title)}; {SIDE}</text></svg>'
    )
    return "\n".join(lines)
