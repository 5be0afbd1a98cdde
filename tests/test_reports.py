"""The committed reports: every mean and verdict follows from the runs that stand beside it."""

import csv
import json
from pathlib import Path

import pytest

import leaderboard
from protocols.papers import paper
from protocols.verdict import judge

REPORTS = sorted((Path(leaderboard.__file__).parent / "reports").glob("*/table-*"))
NAMED = ("row", "column", "metric")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_means_and_verdicts_follow_from_the_runs(folder):
    told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    table = next(part for part in paper(told["paper"]).tables if part.id == told["table"])
    runs, checked = rows(folder / "runs.csv"), 0
    for cell in rows(folder / "table.csv"):
        if not cell["n"]:
            continue
        of_cell = [r for r in runs if all(r[key] == cell[key] for key in NAMED)]
        first = [r for r in of_cell if r["preset"] == of_cell[0]["preset"]]
        for rule, prefix in (("validation loss", ""), ("validation score", "score_"), ("test score", "test_")):
            values = [float(r["value"]) for r in first if r["epoch_chosen_by"] == rule]
            if not values:
                assert not cell.get(f"{prefix}mean")
                continue
            judged = judge(values, float(cell["reported"]), float(cell["tolerance"]))
            assert cell[f"{prefix}verdict"] == judged.verdict
            found = [float(cell[f"{prefix}{end}"]) for end in ("mean", "low", "high")]
            assert found == pytest.approx([judged.mean, judged.low, judged.high], abs=1e-4)
            checked += 1
        printed = [c for c in table.cells if (c.row.heading, c.column.title) == (cell["row"], cell["column"])]
        assert [c.printed for c in printed] == [cell["reported"]]
    assert checked
    assert {r["run"] for r in told["runs"]} == {r["run"] for r in rows(folder / "ledger.csv")}
