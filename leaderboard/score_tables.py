"""Scores in words, a row a score and a column a method; and why some have no value."""

from collections.abc import Iterable, Sequence

import pandas as pd

from leaderboard.contributions import score_name
from leaderboard.figures import interval_text
from leaderboard.tables import DASH


def texts(found: pd.DataFrame, bases: Sequence[str], *, but: str = "") -> list[tuple[str, str, str]]:
    """(score, method, text) of some families of scores, in the order of ``bases``.

    Args:
        found: of `contributions.cells`.
        but: the condition that needs no naming; others stand behind the score.
    """
    place = {base: index for index, base in enumerate(bases)}
    chosen = found[found["base"].isin(place)].sort_values("base", key=lambda b: b.map(place), kind="stable")
    return [
        (
            score_name(row["metric"]) + ("" if row["condition"] == but else f", {row['condition']}"),
            row["method"],
            interval_text(row, row["metric"]),
        )
        for row in chosen.to_dict("records")
    ]


def scores_table(said: Iterable[tuple[str, str, str]], methods: Sequence[str]) -> pd.DataFrame:
    """A row a score in the order given, a column a method, a dash where there is none."""
    rows: dict[str, dict[str, str]] = {}
    for score, method, text in said:
        rows.setdefault(score, {})[method] = text
    columns = {method: [found.get(method, DASH) for found in rows.values()] for method in methods}
    return pd.DataFrame(columns, index=pd.Index(list(rows), name="Score"))


def reasons_table(why: pd.DataFrame) -> pd.DataFrame:
    """Why scores have no value, scores and conditions with one reason in one row.

    Args:
        why: of ``queries.undefined``.
    """
    rows = [
        {
            "Method": method,
            "Why": reason,
            "Scores": _some(dict.fromkeys(map(score_name, group["metric"]))),
            "Conditions": _some(dict.fromkeys(group["condition"])),
            "Runs": int(group["runs"].max()),
        }
        for (method, reason), group in why.groupby(["method", "reason"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["Method", "Why", "Scores", "Conditions", "Runs"])


def _some(names: Iterable[str], most: int = 3) -> str:
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return "; ".join(every[:most]) + rest


def height(table: pd.DataFrame, most: int) -> int:
    """Pixels of a grid that shows all rows, or ``most`` of them and scrolls."""
    return 38 + 35 * min(len(table), most)
