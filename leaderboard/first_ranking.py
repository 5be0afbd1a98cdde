"""The ranking that an address asks for, before Streamlit's program has started: the same rows as on the page."""

import os
from collections.abc import Mapping, Sequence
from html import escape

from leaderboard import queries, ranking_table
from leaderboard.contents import SAYS
from leaderboard.figures import metric_title
from leaderboard.remembered import remembered
from leaderboard.separation import tie_groups
from leaderboard.session import connect


def html(asked: Mapping[str, Sequence[str]]) -> str | None:
    """The head of the page and its table; None where there is nothing to rank, or where rows are filtered.

    Args:
        asked: what the address says.
    """
    url = os.environ.get("FUSEBOARD_DATABASE_URL")
    if not url or set(asked) - {"protocol", "metric", "condition", "sort"}:
        return None
    engine = connect(url)
    specs = queries.protocols(engine)
    if not specs:
        return None
    spec = specs[_chosen(asked, "protocol", list(specs))]
    metrics, conditions = (remembered(f)(engine, spec) for f in (queries.metrics, queries.conditions))
    if not metrics:
        return None
    metric, condition = _chosen(asked, "metric", metrics), _chosen(asked, "condition", conditions)
    by = _chosen(asked, "sort", list(ranking_table.SORTS))
    board = remembered(queries.ranking)(engine, spec, metric, condition)
    if board.table.empty:
        return None
    shown = board.table.assign(group=tie_groups(board.table.to_dict("records")))
    said = {
        "Protocol": f"{spec.title} · {spec.key}",
        "Metric": metric_title(metric),
        "Condition": condition,
        "Sort by": by.capitalize(),
    }
    boxes = "".join(f"<div>{escape(label)}<span>{escape(text)}</span></div>" for label, text in said.items())
    return (
        f'<p class="ink">{escape(SAYS)}</p><h1>{escape(spec.title)}</h1><p class="small">{escape(spec.description)}</p>'
        f'<div class="boxes">{boxes}</div><div class="box">Filter by kind of method</div>'
        + ranking_table.of_board(board, shown, spec, metric, by)
    )


def _chosen(asked: Mapping[str, Sequence[str]], key: str, options: Sequence[str]) -> str:
    """As `session.choose` takes it for a new visitor."""
    wanted = asked.get(key, [""])[-1]
    return wanted if wanted in options else options[0]
