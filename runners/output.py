"""What a command prints: tables or JSON on standard output, remarks on standard error."""

import re
import sys
from collections.abc import Iterable

from protocols.tasks import TASKS


def say(text: str) -> None:
    """A remark or an error, beside the results."""
    print(text, file=sys.stderr, flush=True)


def print_rows(rows: list[dict] | dict, as_json: bool) -> None:
    """Rows as a table, or anything as JSON."""
    if as_json:
        import json

        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table_of(list(rows[0]), [row.values() for row in rows]))


def table_of(header: list[str], rows: Iterable[Iterable]):
    """A table as rich draws it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text("–" if value is None else str(value)) for value in row))
    return table


def print_card(card: dict, as_json: bool) -> None:
    """A card: one line a field, several for a field that is a list."""
    if as_json:
        print_rows(card, True)
        return
    import textwrap

    for name, value in card.items():
        lines = [value] if isinstance(value, str) else value
        marks = (f"{name:14}", "") if isinstance(value, str) else (f"{name:14}- ", f"{'':14}- ")
        for place, line in enumerate(lines or ["none"]):
            first = marks[0] if place == 0 else marks[1]
            print(textwrap.fill(line, 118, initial_indent=first, subsequent_indent=" " * len(first)))


def until_year(paper: str) -> str:
    """``Tsai et al. 2019, ACL, doi:...`` -> ``Tsai et al. 2019``."""
    head = re.match(r".*?\b(19|20)\d\d", paper)
    return head.group() if head else paper


def listed(value) -> str:
    """A cell: several values with commas between."""
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def ranking_rows(spec, metric: str, condition: str, ranking) -> dict:
    """A ranking as JSON."""
    import json

    return {
        "protocol": spec.key,
        "metric": metric,
        "condition": condition,
        TASKS[spec.task].trivial: ranking.majority,
        "methods": json.loads(ranking.table.to_json(orient="records")),
        "absent": json.loads(ranking.absent.to_json(orient="records")),
    }


def print_ranking(spec, metric: str, condition: str, ranking) -> None:
    """A ranking for people: percent, intervals, ranks that are really separated."""
    from leaderboard.figures import interval_text, ranks_text, value_text

    print(f"\n{spec.key}  {spec.title}\n{metric}, {condition}, 95% interval over {'folds' if spec.folds else 'seeds'}")
    rows = [
        {
            "rank": ranks_text(row),
            "method": row["method"] + (" (unimodal)" if row["unimodal"] else ""),
            metric: interval_text(row, metric),
            "n": row["n"],
            "parameters": f"{row['parameters']:,}",
            "training": f"{row['fit_seconds']:.0f} s",
        }
        for row in ranking.table.to_dict("records")
    ]
    if rows:
        print_rows(rows, False)
    else:
        print("  no completed run")
    if ranking.majority is not None:
        print(f"{TASKS[spec.task].trivial_title}: {value_text(ranking.majority, metric)}")
    waiting = ranking.absent["reason"].str.startswith("not run yet")
    for reason, absent in ranking.absent[~waiting].groupby("reason", sort=False):
        print(f"not listed: {', '.join(absent['method'])}: {reason}")
    if waiting.any():
        print(f"not run yet: {', '.join(ranking.absent['method'][waiting])}")
