"""What the page of a protocol tells: its card, the ranking with intervals and ties, every condition, who is absent."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from leaderboard import protocol_card, queries
from leaderboard.figures import interval_text, metric_title, ranks_text, value_text
from leaderboard.separation import tie_groups
from protocols.spec import ProtocolSpec
from protocols.tasks import TASKS

MARGIN = 0.04  # of the axis at both ends


@dataclass(frozen=True)
class Board:
    """A protocol as its page shows it.

    Args:
        facts: what was compared, term by term.
        ranks: rows of the ranking; ``apart`` where the evidence parts a row from all above it.
        axis: both ends of the drawn intervals, as text.
        metrics: for each metric its title, its conditions, and rows of method and texts.
        cells: (method, metric, condition) -> text.
        primary: run -> its value of ``metric`` under ``condition``.
    """

    spec: ProtocolSpec
    facts: dict[str, str]
    home: str | None
    metric: str
    condition: str
    ranks: list[dict[str, Any]]
    axis: tuple[str, str]
    trivial: dict[str, Any] | None
    metrics: list[dict[str, Any]]
    cells: dict[tuple[str, str, str], str]
    primary: dict[str, float]
    absent: list[dict[str, str]]
    set_aside: int
    openings: list[dict[str, Any]]

    @property
    def runs(self) -> str:
        return "folds" if self.spec.folds else "seeds"


def told(engine: sa.Engine, spec: ProtocolSpec) -> Board:
    metrics = queries.metrics(engine, spec) or list(spec.metrics[:1])
    conditions = queries.conditions(engine, spec) or list(spec.conditions[:1])
    board = queries.ranking(engine, spec, metrics[0], conditions[0])
    cells, tables, primary = {}, [], {}
    for metric in metrics:
        values = queries.seeds(engine, spec, metric)
        if metric == metrics[0]:
            primary = values[values["condition"] == conditions[0]].set_index("run")["value"].to_dict()
        found = queries.cells(values)
        for row in found.to_dict("records"):
            cells[row["method"], metric, row["condition"]] = interval_text(row, metric)
        names = list(dict.fromkeys([*board.table["method"], *found["method"]]))
        rows = [(name, [cells.get((name, metric, c), "–") for c in conditions]) for name in names]
        tables.append({"title": metric_title(metric), "conditions": conditions, "rows": rows})
    low, high = _domain(board)
    return Board(
        spec=spec,
        facts=protocol_card.facts(spec),
        home=protocol_card.home(spec),
        metric=metrics[0],
        condition=conditions[0],
        ranks=list(_ranks(board, metrics[0], low, high)),
        axis=(value_text(low, metrics[0]), value_text(high, metrics[0])),
        trivial=_trivial(board, spec, metrics[0], low, high),
        metrics=tables,
        cells=cells,
        primary=primary,
        absent=board.absent.to_dict("records"),
        set_aside=board.set_aside,
        openings=queries.openings(engine, key=spec.key).to_dict("records"),
    )


def _domain(board: queries.Ranking) -> tuple[float, float]:
    """Ends of the axis: every interval and the answer without a model are in sight."""
    ends = board.table[["low", "high", "mean"]].to_numpy().ravel().tolist() if len(board.table) else []
    ends = [end for end in [*ends, board.majority] if end is not None and not pd.isna(end)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.01
    return low - room, high + room


def _ranks(board: queries.Ranking, metric: str, low: float, high: float):
    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    rows = board.table.to_dict("records")
    groups = tie_groups(rows)
    for row, group, above in zip(rows, groups, [None, *groups], strict=False):
        # A line where everything above is certainly better.
        apart = above is not None and group != above
        ends = [row["mean"] if pd.isna(row[end]) else row[end] for end in ("low", "high")]
        yield {
            "rank": ranks_text(row),
            "method": row["method"],
            "title": row["title"],
            "kind": "unimodal" if row["unimodal"] else "fusion",
            "score": interval_text(row, metric),
            "from": at(ends[0]),
            "to": at(ends[1]),
            "mean": at(row["mean"]),
            "n": int(row["n"]),
            "parameters": f"{row['parameters']:,.0f}" if not pd.isna(row["parameters"]) else "–",
            "seconds": f"{row['fit_seconds']:.0f} s" if not pd.isna(row["fit_seconds"]) else "–",
            "failed": int(row["failed"]),
            "apart": apart,
        }


def _trivial(board: queries.Ranking, spec: ProtocolSpec, metric: str, low: float, high: float) -> dict | None:
    if board.majority is None:
        return None
    return {
        "title": TASKS[spec.task].trivial_title,
        "score": value_text(board.majority, metric),
        "mean": round(100 * (board.majority - low) / (high - low), 2),
    }
