"""What the page of a paper tells: its tables as printed, where they were read, and what can be run again."""

from typing import Any

from protocols.paper import NONE, STATES, Paper, Table


def told(paper: Paper) -> dict[str, Any]:
    return {
        "paper": paper,
        "link": link(paper),
        "venue": ", ".join(str(part) for part in (paper.venue, paper.year) if part),
        "tables": [_table(paper, table) for table in paper.tables],
    }


def link(paper: Paper) -> str | None:
    if paper.doi:
        return f"https://doi.org/{paper.doi}"
    return f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None


def _table(paper: Paper, table: Table) -> dict[str, Any]:
    states = {(cell.row.heading, cell.index): cell.state for cell in table.cells}
    rows = []
    for row in table.rows:
        texts = [_printed(row, index) for index in range(len(table.columns))]
        marks = [STATES.get(states.get((row.heading, index), ""), "") for index in range(len(table.columns))]
        rows.append({"heading": row.heading, "cells": list(zip(texts, marks, strict=True))})
    return {
        "table": table,
        "columns": [f"{column.title} ({column.unit})" for column in table.columns],
        "rows": rows,
        "read": [f"{e.source}: {e.at}" for e in table.evidence],
        "counts": ", ".join(f"{count} {STATES[state]}" for state, count in table.coverage().items() if count),
        "command": f"fuseboard reproduce {paper.key} --table {table.id}",
        "runs": table.coverage()["now"] > 0,
    }


def _printed(row, index: int) -> str:
    value = row.values[index]
    if value is None:
        return "not verified"
    if value == NONE:
        return "–"
    spread = row.spread[index] if row.spread else None
    return value if spread in (None, NONE) else f"{value} ± {spread}"
