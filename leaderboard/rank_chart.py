"""Critical-difference diagrams, Demsar (2006), turned by a quarter: a row a method, bars join those not told apart."""

from html import escape
from typing import Any

from leaderboard.charts import BASELINE, FUSION, NAMED_ROW, REFERENCE, names_above, rows_named
from protocols.statistics import CriticalDifference

AXIS = "mean rank over data sets, 1 is best"
SCALE = "critical difference"
ROW = 24  # pixels of a drawing
LANE = 0.035  # of the axis, between two bars


def groups(found: CriticalDifference) -> list[tuple[str, ...]]:
    """The largest sets of methods, by mean rank, of which no two are told apart; sets of one are left out."""
    order = sorted(found.ranks, key=lambda method: (found.ranks[method], method))
    told: list[tuple[str, ...]] = []
    for start, first in enumerate(order):
        near = [m for m in order[start:] if found.ranks[m] - found.ranks[first] <= found.difference]
        if len(near) > 1 and not (told and told[-1][-1] == near[-1]):
            told.append(tuple(near))
    return told


def _placed(found: CriticalDifference) -> tuple[list[str], list[tuple[float, str, str]], list[float]]:
    """Methods by rank; (place on the axis, first, last) of each bar, beyond the worst rank; ends of the axis."""
    order = sorted(found.ranks, key=lambda method: (found.ranks[method], method))
    ends = [1.0, max(float(len(order)), 1.0 + found.difference)]
    lane = LANE * (ends[1] - ends[0])
    bars = [(ends[1] + lane * (place + 1), near[0], near[-1]) for place, near in enumerate(groups(found))]
    return order, bars, [ends[0], ends[1] + lane * (len(bars) + 1)]


def rank_chart(found: CriticalDifference) -> dict[str, Any]:
    """The diagram as a Vega-Lite spec: points at mean ranks, one upright bar for each group."""
    order, bars, domain = _placed(found)
    rows = [{"method": method, "rank": found.ranks[method], "said": f"{found.ranks[method]:.1f}"} for method in order]
    length = f"{SCALE}: {found.difference:.1f} ranks"
    y = rows_named("method", [length, *order])
    ticks = {"values": list(range(1, len(order) + 1, max(1, len(order) // 6)))}
    x = {"field": "rank", "type": "quantitative", "title": AXIS, "axis": ticks}
    x["scale"] = {"domain": domain, "nice": False, "zero": False}
    said = [{"field": "method"}, {"field": "said", "title": "mean rank"}]
    scale = [{"method": length, "rank": 1.0, "end": 1.0 + found.difference}]
    joined = [{"rank": at, "method": first, "last": last} for at, first, last in bars]
    return {
        "height": {"step": NAMED_ROW},
        "layer": [
            {
                "data": {"values": scale},
                "mark": {"type": "rule", "strokeWidth": 3, "color": BASELINE},
                "encoding": {"x": x, "x2": {"field": "end"}, "y": y},
            },
            {
                "data": {"values": joined},
                "mark": {"type": "rule", "strokeWidth": 4, "color": REFERENCE, "strokeCap": "round"},
                "encoding": {"x": x, "y": y, "y2": {"field": "last"}},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 80, "color": FUSION},
                "encoding": {"x": x, "y": y, "tooltip": said},
            },
            names_above("method", [length, *order], y),
        ],
    }


WIDE, LEFT, HEAD = 900, 300, 34  # pixels of a drawing, of its labels, of the length of the critical difference


def rank_svg(found: CriticalDifference) -> str:
    """The same as a drawing that needs no program."""
    order, bars, (low, high) = _placed(found)
    tall = HEAD + ROW * len(order) + 40

    def at(value: float) -> float:
        return round(LEFT + (WIDE - LEFT - 10) * (value - low) / (high - low), 1)

    middle = {method: HEAD + ROW * place + ROW / 2 for place, method in enumerate(order)}
    end, bottom = at(1.0 + found.difference), tall - 36
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {tall}" width="{WIDE}" height="{tall}" '
        f'role="img" aria-label="{AXIS}" font-family="sans-serif" font-size="12">',
        f'<line x1="{at(1.0)}" x2="{end}" y1="22" y2="22" stroke="{BASELINE}" stroke-width="3"/>',
        f'<text x="{at(1.0)}" y="14">{SCALE}: {found.difference:.1f} ranks</text>',
        f'<line x1="{LEFT}" x2="{WIDE - 10}" y1="{bottom}" y2="{bottom}" stroke="#000"/>',
    ]
    for method, y in middle.items():
        rank = found.ranks[method]
        lines.append(f'<text x="0" y="{y + 4}">{escape(method)}&#8195;{rank:.1f}</text>')
        lines.append(f'<circle cx="{at(rank)}" cy="{y}" r="5" fill="{FUSION}"/>')
    for place, first, last in bars:
        lines.append(
            f'<line x1="{at(place)}" x2="{at(place)}" y1="{middle[first] - 5}" y2="{middle[last] + 5}" '
            f'stroke="{REFERENCE}" stroke-width="4" stroke-linecap="round"/>'
        )
    for rank in range(1, len(order) + 1, max(1, len(order) // 10)):
        lines.append(f'<text x="{at(rank)}" y="{bottom + 16}" text-anchor="middle">{rank}</text>')
    lines.append(f'<text x="{(LEFT + WIDE) / 2}" y="{tall - 4}" text-anchor="middle">{AXIS}</text></svg>')
    return "\n".join(lines)
