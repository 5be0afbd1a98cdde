"""Published numbers beside ours, as one drawing: colours of Okabe and Ito, and a shape of its own for each kind."""

import math
from collections.abc import Callable, Sequence
from html import escape

from protocols.paper import Cell
from protocols.verdict import Judged
from runners.report import name, shown
from runners.reproduce import Outcome

OURS, ON_TEST, BAND, TRIVIAL_LINE = "#0072B2", "#D55E00", "#d9d9d9", "#777777"
WIDE, LEFT, RIGHT, HIGH, FOOT = 900, 300, 20, 24, 44  # pixels: drawing, labels, margin, a row, axis
KEY = 30  # pixels of the legend


def drawings(done: Sequence[Outcome]) -> list[tuple[str, str]]:
    """One a unit: a row a cell, in the order of the table. Its numbers stand in the tables of the report."""
    units = dict.fromkeys(o.cell.column.unit for o in done)
    return [(unit, _panel([o for o in done if o.cell.column.unit == unit], unit)) for unit in units]


def _panel(done: Sequence[Outcome], unit: str) -> str:
    low, high = _ends(done)

    def at(value: float) -> float:
        return round(LEFT + (WIDE - LEFT - RIGHT) * (value - low) / (high - low), 1)

    tall = KEY + HIGH * len(done) + FOOT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {tall}" width="{WIDE}" height="{tall}" '
        f'role="img" aria-label="Published numbers with tolerance, and ours with intervals" font-family="sans-serif" '
        'font-size="12">',
        _legend(),
    ]
    for place, outcome in enumerate(done):
        lines += _row(outcome, KEY + HIGH * place + HIGH / 2, at)
    bottom = KEY + HIGH * len(done)
    for value in _ticks(low, high):
        lines.append(f'<line x1="{at(value)}" x2="{at(value)}" y1="{bottom}" y2="{bottom + 5}" stroke="#000"/>')
        lines.append(f'<text x="{at(value)}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    lines.append(f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="#000"/>')
    lines.append(f'<text x="{(LEFT + WIDE) / 2}" y="{bottom + 36}" text-anchor="middle">{escape(unit)}</text></svg>')
    return "\n".join(lines)


def _ends(done: Sequence[Outcome]) -> tuple[float, float]:
    """Of the axis: everything that is drawn is in sight."""
    found = []
    for o in done:
        judged = [j for j in (o.main, o.leaking) if j]
        values = [o.cell.value - o.cell.tolerance, o.cell.value + o.cell.tolerance, *o.trivial.values()]
        values += [end for j in judged for end in (j.mean, j.low, j.high) if math.isfinite(end)]
        found += [shown(value, o.cell) for value in values]
    room = 0.03 * (max(found) - min(found)) or 1.0
    return min(found) - room, max(found) + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, three to nine of them."""
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(step for step in (power / 5, power / 2, power, 2 * power) if (high - low) / step < 9)
    return [round(k * step, 9) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _row(outcome: Outcome, y: float, at: Callable[[float], float]) -> list[str]:
    cell, main, test = outcome.cell, outcome.main, outcome.leaking
    reported, tolerance = shown(cell.value, cell), shown(cell.tolerance, cell)
    near, far = at(reported - tolerance), at(reported + tolerance)
    lines = [
        f'<text x="0" y="{y + 4}">{escape(name(cell))}</text>',
        f'<rect x="{near}" y="{y - 9}" width="{far - near:.1f}" height="18" fill="{BAND}"/>',
        f'<line x1="{at(reported)}" x2="{at(reported)}" y1="{y - 9}" y2="{y + 9}" stroke="#000" stroke-width="2"/>',
    ]
    for score in outcome.trivial.values():
        x = at(shown(score, cell))
        lines.append(
            f'<line x1="{x}" x2="{x}" y1="{y - 12}" y2="{y + 12}" stroke="{TRIVIAL_LINE}" stroke-dasharray="3 3"/>'
        )
    if test:
        lines += _interval(test, cell, y + 4, at, ON_TEST)
        x = at(shown(test.mean, cell))
        lines.append(
            f'<polygon points="{x - 5},{y + 4} {x},{y - 1} {x + 5},{y + 4} {x},{y + 9}" fill="#fff" stroke="{ON_TEST}" '
            'stroke-width="2"/>'
        )
    lines += _interval(main, cell, y - 3, at, OURS)
    return [*lines, f'<circle cx="{at(shown(main.mean, cell))}" cy="{y - 3}" r="4" fill="{OURS}"/>']


def _interval(judged: Judged, cell: Cell, y: float, at: Callable[[float], float], colour: str) -> list[str]:
    if judged.n < 2:
        return []
    ends = at(shown(judged.low, cell)), at(shown(judged.high, cell))
    return [f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>']


def _legend() -> str:
    return (
        f'<rect x="0" y="6" width="14" height="14" fill="{BAND}"/>'
        '<line x1="7" x2="7" y1="6" y2="20" stroke="#000" stroke-width="2"/>'
        '<text x="20" y="17">published ± tolerance</text>'
        f'<circle cx="180" cy="13" r="4" fill="{OURS}"/><text x="190" y="17">ours, lowest validation loss</text>'
        f'<polygon points="405,13 410,8 415,13 410,18" fill="#fff" stroke="{ON_TEST}" stroke-width="2"/>'
        '<text x="422" y="17">ours, best test score</text>'
        f'<line x1="560" x2="560" y1="5" y2="21" stroke="{TRIVIAL_LINE}" stroke-dasharray="3 3"/>'
        '<text x="568" y="17">answer without a model</text>'
    )
