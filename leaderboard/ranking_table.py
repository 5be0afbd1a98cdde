"""The ranking as HTML: a row a method with its interval drawn in it, which needs no program to be seen."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from leaderboard.figures import axis_title, interval_text, metric_title, ranks_text, value_text
from leaderboard.queries import Ranking
from leaderboard.tables import DASH, broken, whole
from protocols.spec import ProtocolSpec
from protocols.tasks import TASKS

BY_RANK = "rank"
SORTS = {  # title -> column and whether the smallest comes first
    BY_RANK: (None, True),
    "name": ("method", True),
    "parameters": ("parameters", True),
    "training time": ("fit_seconds", True),
}
VERIFIED = "✓ verified"
MARGIN = 0.04  # of the axis at both ends
MOST_TICKS = 6
KINDS = {False: "fusion", True: "alone"}  # unimodal -> class


def badge(row: dict, spec: ProtocolSpec) -> str:
    wanted = len(spec.runs())
    return f"{wanted - row['missing']} of {wanted} runs" if row["missing"] else VERIFIED


def ordered(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows in the order that is chosen; what has no value of it comes last."""
    column, ascending = SORTS[by]
    return rows.sort_values(column, ascending=ascending, kind="stable", ignore_index=True) if column else rows


def of_board(board: Ranking, shown: pd.DataFrame, spec: ProtocolSpec, metric: str, by: str) -> str:
    """The rows of a board that are shown, in the order that is chosen.

    Args:
        shown: rows of ``board.table``, with ``group``.
    """
    rows = ordered(shown, by).to_dict("records")
    links = [f"method?{urlencode({'method': row['method'], 'protocol': spec.key})}" for row in rows]
    badges, trivial = [badge(row, spec) for row in rows], TASKS[spec.task].trivial_title
    return html(rows, metric, badges, links, board.majority, trivial, lines=by == BY_RANK)


def html(
    rows: Sequence[dict[str, Any]],
    metric: str,
    badges: Sequence[str],
    links: Sequence[str],
    majority: float | None,
    trivial: str,
    *,
    lines: bool,
) -> str:
    """A ranking.

    Args:
        rows: of ``queries.ranking``, with ``group``.
        badges: how complete the runs of each row are.
        links: where each method's name leads.
        majority: score of an answer without a model, and ``trivial`` its name.
        lines: a heavy line above each tie group; only where rows stand by rank.
    """
    low, high = domain([row[end] for row in rows for end in ("low", "mean", "high")], majority)

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    marks = ticks(low, high)
    ground = "".join(f'<i class="tick" style="left:{at(mark)}"></i>' for mark in marks)
    if majority is not None:
        ground += f'<i class="trivial" style="left:{at(majority)}"></i>'
    scale = "".join(f'<i style="left:{at(mark)}">{tick_text(mark, metric, marks)}</i>' for mark in marks)
    title = escape(metric_title(metric))
    head = (
        '<th scope="col">Rank</th><th scope="col">Method</th>'
        f'<th scope="col" class="number">{title}</th>'
        f'<th scope="col" class="bar"><span class="axis">{escape(axis_title(metric))}</span>'
        f'<span class="bar">{scale}</span></th>'
        '<th scope="col" class="number">Tie group</th><th scope="col">Runs</th>'
        '<th scope="col" class="number">Parameters</th><th scope="col" class="number">Training</th>'
    )
    body, above = [], None
    for row, badge, link in zip(rows, badges, links, strict=True):
        kind = KINDS[bool(row["unimodal"])]
        ends = [row["mean"] if pd.isna(row[end]) else row[end] for end in ("low", "high")]
        drawn = (
            f'<i class="span {kind}" style="left:{at(ends[0])};right:calc(100% - {at(ends[1])})"></i>'
            f'<i class="dot {kind}" style="left:{at(row["mean"])}"></i>'
        )
        chips = '<span class="chip alone">one modality</span>' if row["unimodal"] else ""
        chips += f'<span class="chip">{int(row["failed"])} failed</span>' if row["failed"] else ""
        group = DASH if pd.isna(row["group"]) else f"{int(row['group'])}"
        apart = ' class="apart"' if lines and above not in (None, group) else ""
        above = group
        seconds = DASH if pd.isna(row["fit_seconds"]) else f"{row['fit_seconds']:,.0f} s"
        size = DASH if pd.isna(row["parameters"]) else f"{row['parameters']:,.0f}"
        body.append(
            f'<tr{apart}><td class="rank">{ranks_text(row)}</td>'
            f'<th scope="row"><a href="{escape(link)}">{broken(row["method"])}</a>{chips}</th>'
            f'<td class="number score">{whole(interval_text(row, metric))}</td>'
            f'<td class="bar" aria-hidden="true"><span class="bar">{ground}{drawn}</span></td>'
            f'<td class="number" data-term="tie group">{group}</td>'
            f'<td data-term="runs">{escape(badge)}</td>'
            f'<td class="number" data-term="parameters">{whole(size)}</td>'
            f'<td class="number" data-term="training">{whole(seconds)}</td></tr>'
        )
    legend = '<span><i class="dot fusion"></i>fusion</span><span><i class="dot alone"></i>one modality alone</span>'
    if majority is not None:
        legend += f'<span><i class="trivial"></i>{escape(trivial)} {value_text(majority, metric)}</span>'
    return (
        f'<div class="board-table ranking" role="region" aria-label="Ranking"><p class="legend">{legend}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def domain(ends: Sequence[float], majority: float | None) -> tuple[float, float]:
    """Ends of the axis: every interval and the answer without a model are in sight."""
    said = [end for end in (*ends, majority) if end is not None and not pd.isna(end)]
    low, high = (min(said), max(said)) if said else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.01
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends, at most `MOST_TICKS`."""
    rough = (high - low) / MOST_TICKS * (1 - 1e-9)  # what rounding leaves counts for nothing
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * round_one for round_one in (1, 2, 5, 10) if power * round_one >= rough)
    first = math.ceil(low / step)
    return [step * place for place in range(first, math.floor(high / step) + 1)]


def tick_text(mark: float, metric: str, marks: Sequence[float]) -> str:
    """As many decimals as tell neighbours apart."""
    scale, unit = (100, "%") if value_text(0.0, metric).endswith("%") else (1, "")
    step = scale * (marks[1] - marks[0]) if len(marks) > 1 else 1.0
    return f"{scale * mark:.{max(0, -math.floor(math.log10(step * 1.001)))}f}{unit}"
