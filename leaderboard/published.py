"""Published tables beside what our runs say to them: the printed number, the verdict of a report, what is missing."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.figures import decimals
from leaderboard.review import reports_root
from protocols.paper import NONE, STATES, Cell, Evidence, Paper, Table
from protocols.papers import datasets, keys, paper

# Of a verdict, as the reports themselves print it: a colour is never the only sign.
SIGNS = {"reproduced": "✓", "not reproduced": "✗", "inconclusive": "?"}
WORDS = {"holds": "✓", "the other way round": "✗", "not told apart": "?"}
BY = {"ours": "the paper's own", "cited": "cited from another paper", "rerun": "another's method, run by the authors"}
WHO = "Who ran it"
UNITS = {"percent": "%", "points": "points", "fraction": "fraction", "number": "", "GFLOPs": "GFLOPs"}
ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
# In the order in which a reader wants them; those that a report lacks are not offered.
FILES = {
    "report.html": ("The whole report (HTML)", "text/html"),
    "report.md": ("The whole report (Markdown)", "text/markdown"),
    "table.csv": ("Its cells (CSV)", "text/csv"),
    "table.tex": ("The table (LaTeX)", "text/x-tex"),
    "claims.csv": ("Its claims (CSV)", "text/csv"),
    "runs.csv": ("Every run (CSV)", "text/csv"),
    "ledger.csv": ("Openings of the test part (CSV)", "text/csv"),
    "manifest.json": ("Manifest (JSON)", "application/json"),
}


@dataclass(frozen=True)
class Number:
    """One published number and ours.

    Args:
        printed: as the paper prints it, with its spread; ``not verified`` where nobody could check.
        ours: mean ± half width (runs) in the unit of the table, the epoch chosen on validation; None without a report.
        on_test: the same with the epoch chosen on the test part, which leaks and only explains a distance.
        verdict: of the report; None without one.
        why: what the verdict rests on, or why there is none.
    """

    cell: Cell
    printed: str
    ours: str | None
    on_test: str | None
    verdict: str | None
    why: str

    @property
    def text(self) -> str:
        """``77.8 → 74.68 ± 0.73 (10) ✗``."""
        return f"{self.printed} → {self.ours} {SIGNS.get(self.verdict, '')}".rstrip() if self.ours else self.printed

    @property
    def apart(self) -> tuple[str, str]:
        """``why``, and what running it again showed, which several numbers may share; empty where nothing is told."""
        told = self.cell.finding.says if self.cell.finding else ""
        if told and self.why.endswith(told):
            return self.why.removesuffix(told).rstrip("; "), told
        return self.why, ""

    @property
    def read(self) -> str:
        """Where it was read."""
        return "; ".join(map(place, self.cell.evidence)) or "–"


def place(evidence: Evidence) -> str:
    """``paper: Table 2, page read by eye``."""
    return f"{evidence.source}: {evidence.at}"


def report(key: str, table: str, root: Path | None = None) -> Path | None:
    """The folder of the report that comes with the package; None where there is none."""
    folder = (root or reports_root()) / key / f"table-{table}"
    return folder if (folder / "manifest.json").is_file() else None


def address(key: str, table: str) -> str:
    """Where a static site has the files of a report."""
    return f"reports/{key}-table-{table}"


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def numbers(key: str, table: Table, root: Path | None = None) -> list[Number]:
    """Every published number of a table, row by row, with ours where a report has it."""
    folder, judged = report(key, table.id, root), {}
    if folder:
        with open(folder / "table.csv", encoding="utf-8", newline="") as file:
            judged = {(row["row"], row["column"]): row for row in csv.DictReader(file)}
    return [_number(cell, judged.get((cell.row.heading, cell.column.title))) for cell in table.cells]


def _number(cell: Cell, told: Mapping[str, str] | None) -> Number:
    if not told or not told["mean"]:
        return Number(cell, printed(cell), None, None, None, cell.reason or STATES[cell.state])
    ours, on_test = (_ours(told, kind) for kind in ("", "test_"))
    return Number(cell, printed(cell), ours, on_test, told["verdict"], told["reason"])


def _ours(told: Mapping[str, str], kind: str) -> str | None:
    """As many digits as the interval supports."""
    if not told[f"{kind}mean"]:
        return None
    mean, low, high = (float(told[f"{kind}{end}"] or "nan") for end in ("mean", "low", "high"))
    if low != low:
        return f"{mean:.1f} ({told['n']})"
    digits = decimals((high - low) / 2)
    return f"{mean:.{digits}f} ± {(high - low) / 2:.{digits}f} ({told['n']})"


def claims(folder: Path) -> pd.DataFrame:
    """A row a comparison of two numbers that the paper draws: claim, comparison, published, ours by each rule.

    Differences are positive where ours agree with the paper; empty where the report compares nothing.
    """
    path = folder / "claims.csv"
    found = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    if found.empty:
        return found
    rules, rows = list(dict.fromkeys(found["epoch_chosen_by"])), {}
    for told in found.to_dict("records"):
        better, worse = (f"{told[f'{which}_row']}, {told[f'{which}_column']}" for which in ("better", "worse"))
        start = {
            "Claim": told["claim"],
            "Comparison": f"{better} over {worse}",
            "Published": f"{told['published']:+.2f}",
        }
        row = rows.setdefault((told["claim"], better, worse), start | dict.fromkeys(map(by_rule, rules), "–"))
        half = (told["high"] - told["low"]) / 2
        row[by_rule(told["epoch_chosen_by"])] = f"{told['mean']:+.2f} ± {half:.2f} {WORDS[told['verdict']]}"
    return pd.DataFrame(list(rows.values()))


def by_rule(rule: str) -> str:
    """A heading for what was measured at the epoch that a rule chose."""
    return f"Ours, epoch by {rule}"


def printed(cell: Cell) -> str:
    if cell.printed is None:
        return "not verified"
    return cell.printed if cell.spread in (None, NONE) else f"{cell.printed} ± {cell.spread}"


def column_title(column) -> str:
    """``T+A (%) ↑``: unit, and which way is better."""
    unit = f" ({UNITS[column.unit]})" if UNITS[column.unit] else ""
    return f"{column.title}{unit} {ARROWS[column.direction]}".rstrip()


def layout(table: Table, found: Sequence[Number]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table as the paper lays it out and who ran each row; and the verdict of each cell in the same places."""
    places = {(number.cell.row.heading, number.cell.index): number for number in found}
    index = pd.Index([row.heading for row in table.rows], name="Row")
    columns = [column_title(column) for column in table.columns]
    both = []
    for told in (lambda n: n.text if n else "–", lambda n: (n.verdict or "") if n else ""):
        rows = [[told(places.get((row.heading, i))) for i in range(len(columns))] for row in table.rows]
        both.append(pd.DataFrame(rows, index=index, columns=columns))
    texts, verdicts = both
    return texts.assign(**{WHO: [BY[row.by] for row in table.rows]}), verdicts.assign(**{WHO: ""})


def every(found: Sequence[Number]) -> pd.DataFrame:
    """A row a number: row, column, printed, who ran it, where it was read, ours, verdict, why."""
    return pd.DataFrame(
        [
            {
                "Row": n.cell.row.heading,
                "Column": n.cell.column.title,
                "Printed": n.printed,
                WHO: BY[n.cell.row.by],
                "Read at": n.read,
                "Ours": n.ours or "–",
                "Verdict": n.verdict or STATES[n.cell.state],
                "Why": n.why,
            }
            for n in found
        ]
    )


def needed(found: Sequence[Number]) -> list[tuple[str, int, str]]:
    """What recomputing a table would take: what, how many of its numbers, and how."""
    rows = []
    waiting = [n.cell for n in found if not n.ours]
    if now := sum(cell.state == "now" for cell in waiting):
        rows.append(("only a run", now, "the data are read by this version; the command below recomputes them"))
    for key, count in Counter(cell.needs for cell in waiting if cell.state == "data").items():
        data = datasets()[key]
        rows.append((data.title, count, f"Bring {data.bring}. Ask: {data.ask} Licence: {data.licence} {data.home}"))
    for state in ("not_comparable", "blank"):
        for why, count in Counter(cell.reason for cell in waiting if cell.state == state).items():
            rows.append((STATES[state], count, why))
    return rows


def on_protocol(protocol: str, root: Path | None = None) -> list[tuple[Paper, Table, list[Number]]]:
    """The published numbers that are re-run under a protocol, table by table."""
    found = []
    for each in map(paper, keys()):
        for table in each.tables:
            cells = {
                (c.row.heading, c.index) for c in table.cells if c.run and c.run.protocol == protocol and c.printed
            }
            if cells:
                told = [n for n in numbers(each.key, table, root) if (n.cell.row.heading, n.cell.index) in cells]
                found.append((each, table, told))
    return found
