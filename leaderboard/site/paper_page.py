"""What the page of a paper tells: its tables as printed, where they were read, and the verdicts of our runs."""

from pathlib import Path
from typing import Any

from leaderboard import published
from protocols.paper import STATES, Paper, Table


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
    numbers = published.numbers(paper.key, table)
    places = {(number.cell.row.heading, number.cell.index): number for number in numbers}
    rows = []
    for row in table.rows:
        cells = [places.get((row.heading, index)) for index in range(len(table.columns))]
        rows.append({"heading": row.heading, "by": published.BY[row.by], "cells": [_cell(found) for found in cells]})
    folder = published.report(paper.key, table.id)
    told = published.manifest(folder) if folder else None
    return {
        "table": table,
        "columns": [published.column_title(column) for column in table.columns],
        "rows": rows,
        "read": [published.place(evidence) for evidence in table.evidence],
        "counts": ", ".join(f"{count} {STATES[state]}" for state, count in table.coverage().items() if count),
        "command": told["command"] if told else f"fuseboard reproduce {paper.key} --table {table.id}",
        "runs": bool(told) or table.coverage()["now"] > 0,
        "judged": [number for number in numbers if number.ours],
        "signs": published.SIGNS,
        "claims": published.claims(folder) if folder else None,
        "report": folder,
        "files": [(f"{published.address(paper.key, table.id)}/{name}", label) for name, label in _offered(folder)],
        "openings": told["test_openings"] if told else 0,
        "needed": published.needed(numbers),
    }


def _offered(folder: Path | None) -> list[tuple[str, str]]:
    return [(name, label) for name, (label, _) in published.FILES.items() if folder and (folder / name).is_file()]


def _cell(found: published.Number | None) -> dict[str, str]:
    """Text of the number, what our runs say below it, and what becomes of it as a hint."""
    if found is None:
        return {"text": "–", "ours": "", "verdict": "", "hint": ""}
    hint = found.verdict or STATES[found.cell.state]
    ours = f"{found.ours} {published.SIGNS.get(found.verdict, '')}".strip() if found.ours else ""
    return {"text": found.printed, "ours": ours, "verdict": found.verdict or "", "hint": hint}
