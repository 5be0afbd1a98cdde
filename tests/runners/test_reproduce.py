"""A published table recomputed: which runs it takes, what its report says, on the real data where they are at hand."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.papers import paper
from protocols.verdict import INCONCLUSIVE, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, judge
from runners.report import COLUMNS, layout, write
from runners.reproduce import Footing, Outcome, Reproduction, footings

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("FUSEBOARD_DATA_ROOT")


@pytest.fixture
def told():
    """Table 2 of HFusion with made-up runs: one cell that holds, one that does not, one that is open, one not run."""
    found = paper("hfusion2018")
    [table] = found.chosen("2-mosi")
    outcomes = [Outcome(cell) for cell in table.cells]
    ready = [outcome for outcome in outcomes if outcome.cell.state == "now"]
    fair, leaking = Footing("validation-selected", "mosi-utterance@1"), Footing("test", "mosi-utterance@1", leaks=True)
    offsets = (0.0, -0.05, -0.01)
    for outcome, offset in zip(ready, offsets, strict=False):
        values = [outcome.cell.value + offset + jitter for jitter in (-0.001, 0.0, 0.001, 0.0005, -0.0005)]
        outcome.judged[fair] = judge(values, outcome.cell.value, outcome.cell.tolerance)
        outcome.judged[leaking] = judge([v + 0.02 for v in values], outcome.cell.value, outcome.cell.tolerance)
        outcome.trivial = 467 / 752
    return Reproduction(found, table, outcomes, [], {}, {id(outcome): set() for outcome in ready[:3]})


def test_the_words_of_the_cells(told):
    words = [outcome.verdict for outcome in told.runnable]
    assert words == [REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE]
    rest = [outcome for outcome in told.outcomes if outcome not in told.runnable and outcome.cell.state != "now"]
    assert rest and all(o.verdict == NOT_COMPARABLE and o.reason for o in rest)
    assert all(outcome.leak == pytest.approx(0.02) for outcome in told.runnable)


def test_the_layout_is_the_papers(told):
    header, rows = layout(told, leaking=False)
    assert header[1:] == [column.title for column in told.table.columns]
    assert [row[0] for row in rows] == [row.heading for row in told.table.rows]
    shown = next(row for row in rows if "HFusion" in row[0] and "→" in "".join(row))
    assert re.fullmatch(r"77\.8 → 77\.80 ± 0\.10 \(5\) ✓", shown[header.index("T+V")])


def test_the_files_of_a_report(told, tmp_path):
    write(told, 7, "fuseboard reproduce <hfusion2018>", tmp_path)
    names = {"report.md", "report.html", "table.csv", "table.tex", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    run = [row for row in rows if row["mean"]]
    assert len(run) == 6 and {row["verdict"] for row in run if row["footing"] == "validation-selected"} == {
        REPRODUCED,
        NOT_REPRODUCED,
        INCONCLUSIVE,
    }
    assert all(float(row["low"]) <= float(row["mean"]) <= float(row["high"]) for row in run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;hfusion2018&gt;" in page and "<hfusion2018>" not in page
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "1 reproduced, 1 not reproduced, 1 inconclusive" in text and "62.10" in text
    assert json.loads((tmp_path / "manifest.json").read_text())["test_openings"] == 7
    assert r"$\rightarrow$" in (tmp_path / "table.tex").read_text(encoding="utf-8")


def test_a_replica_gives_both_rules_from_one_training():
    found = paper("mmmuba2018")
    [table] = found.chosen("1-mosi")
    cell = next(cell for cell in table.cells if cell.state == "now")
    honest, leaking = footings(found, cell)
    assert honest.protocol == leaking.protocol == "mosi-mmmuba-replica@1"
    assert leaking.leaks and not honest.leaks and honest.suffix == "/validation_selected"


def rows_of(folder):
    """table.csv as dictionaries."""
    return list(csv.DictReader((folder / "table.csv").read_text(encoding="utf-8").splitlines()))


def call(*arguments, home, **more):
    places = {"bundle_root": home / "bundles", "cache_root": home / "cache", "tracking_url": "off"}
    variables = {f"FUSEBOARD_{name.upper()}": str(value) for name, value in places.items()}
    command = [sys.executable, "-m", "runners.cli", "reproduce", *map(str, arguments), "--out", str(home / "reports")]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def test_a_table_whose_data_are_not_here_says_what_to_bring(tmp_path):
    done = call("mult2019", "--table", "1", home=tmp_path)
    card, said = done.communicate(timeout=60)
    assert done.returncode == 2
    assert "mosi_data.pkl" in card and "--data-root" in said


def test_a_wrong_paper_is_answered_with_the_nearest(tmp_path):
    done = call("hfusion2019", "--table", "2", home=tmp_path)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 2 and "'hfusion2018'" in said and "Traceback" not in said


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="FUSEBOARD_DATA_ROOT is not set: CMU-MOSI is needed")
def test_a_killed_reproduction_goes_on_and_ends_with_every_cell(tmp_path):
    arguments = ("hfusion2018", "--table", "2", "--rows", "own features: HFusion", "--seeds", "2")
    begun = call(*arguments, home=tmp_path)
    for line in begun.stderr:
        if line.startswith("[1/"):
            break
    begun.kill()
    begun.communicate()
    before = set((tmp_path / "bundles").glob("*/*/*/manifest.json"))
    assert before
    done = call(*arguments, home=tmp_path)
    said, _ = done.communicate(timeout=280)
    assert done.returncode == 0 and "→" in said
    assert before < set((tmp_path / "bundles").glob("*/*/*/manifest.json"))
    place = tmp_path / "reports" / "hfusion2018" / "table-2-mosi"
    rows = [row for row in rows_of(place) if row["mean"]]
    assert len(rows) == 4 and all(row["n"] == "2" and row["reason"] for row in rows)
