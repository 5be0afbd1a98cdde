"""A published table recomputed: which runs it takes, what its report says, on the real data where they are at hand."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.paper import Finding, Table
from protocols.papers import paper
from protocols.verdict import INCONCLUSIVE, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED
from runners.papers_cli import method_spec
from runners.report import COLUMNS, Circumstances, layout, write
from runners.reproduce import Footing, Outcome, Reproduction, Rerun, footings, prepare
from runners.settings import Settings

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("FUSEBOARD_DATA_ROOT")


JITTER = (-0.001, 0.0, 0.001, 0.0005, -0.0005)
FAIR = Footing("validation-selected", "mosi-utterance@1")
LEAKING = Footing("test-selected", "mosi-utterance@1", leaks=True)


def measured(cell, offset):
    """A rerun of a cell, five seeds around the published number plus an offset; two points more when chosen on test."""
    rerun = Rerun("hfusion", method_spec("hfusion", {}, cell.modalities), (FAIR, LEAKING), cell.value, cell.tolerance)
    seeds = {(seed, 0): cell.value + offset + jitter for seed, jitter in enumerate(JITTER)}
    rerun.values = {FAIR: seeds, LEAKING: {key: value + 0.02 for key, value in seeds.items()}}
    return rerun


@pytest.fixture
def told():
    """Table 2 of HFusion with made-up runs: one cell that holds, one that does not, one that is open, one not run."""
    found = paper("hfusion2018")
    [table] = found.chosen("2-mosi")
    outcomes = [Outcome(cell) for cell in table.cells]
    ready = [outcome for outcome in outcomes if outcome.cell.state == "now"]
    for outcome, offset in zip(ready, (0.0, -0.05, -0.01), strict=False):
        outcome.reruns, outcome.trivial = [measured(outcome.cell, offset)], {"majority_class": 467 / 752}
    return Reproduction(found, table, outcomes, [])


def made(openings=0):
    entry = {"method": "hfusion", "protocol": "mosi-utterance@1", "split": "test", "seed": 0, "run": "0" * 16}
    times = [entry | {"opened": f"2026-01-0{1 + number}T10:00:00+00:00"} for number in range(openings)]
    return Circumstances("fuseboard reproduce <hfusion2018>", times)


def test_the_words_of_the_cells(told):
    words = [outcome.verdict for outcome in told.runnable]
    assert words == [REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE]
    rest = [outcome for outcome in told.outcomes if outcome not in told.runnable]
    assert rest and all(o.verdict == NOT_COMPARABLE and o.reason for o in rest)


def test_what_choosing_on_test_adds_is_a_number_with_an_interval(told):
    for outcome in told.runnable:
        added = outcome.reruns[0].added
        assert added.mean == pytest.approx(0.02) and added.n == 5
        assert outcome.leaking.difference - outcome.main.difference == pytest.approx(added.mean)


def test_a_cell_has_no_verdict_before_its_last_run(told):
    outcome = told.runnable[0]
    outcome.reruns[0].waiting.add("a run")
    assert outcome.main is None and outcome.leaking is None and outcome.reruns[0].added is None


def test_the_layout_is_the_papers_with_the_trivial_answer_below(told):
    header, rows = layout(told)
    assert header[1:] == [column.title for column in told.table.columns]
    assert [row[0] for row in rows[:-1]] == [row.heading for row in told.table.rows]
    shown = next(row for row in rows if "HFusion" in row[0] and "→" in "".join(row))
    assert re.fullmatch(r"77\.8 → 77\.80 ± 0\.10 \(5\) ✓", shown[header.index("T+V")])
    assert rows[-1][header.index("T+V")] == "62.10" and "most frequent class" in rows[-1][0]


def test_the_files_of_a_report(told, tmp_path):
    write(told, made(openings=7), tmp_path)
    names = {"report.md", "report.html", "table.csv", "table.tex", "runs.csv", "ledger.csv", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS and len(rows) == len(told.table.cells), "one row a cell"
    run = [row for row in rows if row["mean"]]
    assert [row["verdict"] for row in run] == [REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE]
    assert all(float(row["low"]) <= float(row["mean"]) <= float(row["high"]) for row in run)
    assert all(float(row["selection"]) == pytest.approx(2.0) and row["majority_class"] == "62.1011" for row in run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;hfusion2018&gt;" in page and "<hfusion2018>" not in page and page.count("<svg") == 1
    assert json.loads((tmp_path / "manifest.json").read_text())["test_openings"] == 7
    assert len((tmp_path / "ledger.csv").read_text().splitlines()) == 8
    assert r"$\rightarrow$" in (tmp_path / "table.tex").read_text(encoding="utf-8")


def test_a_report_answers_what_a_new_reader_asks(told, tmp_path):
    write(told, made(openings=7), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Recomputed numbers: 3; 1 reproduced, 1 not reproduced, 1 inconclusive." in text
    parts = ["In short", "What the paper's table shows", "What was run", "When a number counts", "The table\n"]
    parts += ["choosing the epoch on the test part\n", "Why numbers differ", "Cell by cell", "Not recomputed"]
    parts += ["How often the test part was opened", "How to make this report again"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places), "the rule stands before the numbers"
    assert "T+V is video and text" in text and "page read by eye" in text
    gap = next(line for line in text.splitlines() if line.startswith("| own features: HFusion, T+A | 77.3"))
    assert gap.split(" | ")[-3:] == ["+5.00", "+2.00 ± 0.00", "+3.00 |"], "the distance is the sum of its two parts"
    assert "Not reproduced under either rule, and not explained yet: own features: HFusion (T+A)." in text
    assert "7 openings by the runs" in text and "2026-01-07 10:00:00" in text


def test_a_finding_stands_in_the_report_with_the_numbers_that_it_rests_on(told, tmp_path):
    outcome = told.runnable[1]
    measurement = {"what": "without dropout", "value": "77.1 ± 0.3 (5)", "runs": ("0123456789abcdef",)}
    row = outcome.cell.row.model_copy(update={"finding": Finding(says="Dropout is too high.", measured=[measurement])})
    outcome.cell = replace(outcome.cell, row=row)
    write(told, made(), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "- own features: HFusion (T+A): Dropout is too high." in text
    assert "| without dropout | 77.1 ± 0.3 (5) | 0123456789abcdef |" in text
    assert "for a reason given above: own features: HFusion (T+A)." in text
    assert any("Dropout is too high." in row["reason"] for row in rows_of(tmp_path))


def test_further_presets_stand_beside_the_first(told, tmp_path):
    outcome = told.runnable[0]
    other = measured(outcome.cell, -0.03)
    other.preset = "hfusion-wide"
    outcome.reruns.append(other)
    write(told, made(), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| own features: HFusion, T+V | 77.8 | hfusion-wide | 74.80 ± 0.10 (5) | 76.80 ± 0.10 (5) |" in text
    assert outcome.verdict == REPRODUCED, "the verdict is the first one's"


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


@pytest.mark.skipif(not DATA, reason="FUSEBOARD_DATA_ROOT is not set: CMU-MOSI is needed")
def test_rows_of_one_preset_and_other_settings_are_other_runs(tmp_path):
    found = paper("hfusion2018")
    [table] = found.chosen("2-mosi")
    row = next(row for row in table.rows if row.run)
    narrow = row.model_copy(update={"name": "narrow", "run": row.run.model_copy(update={"settings": {"width": 40}})})
    table = Table.model_validate({name: getattr(table, name) for name in Table.model_fields} | {"rows": (row, narrow)})
    settings = Settings.resolve(data_root=Path(DATA), cache_root=tmp_path, bundle_root=tmp_path, tracking_url="off")
    prepared = prepare(found, table, settings, seeds=2)
    waiting = [outcome.reruns[0].waiting for outcome in prepared.runnable]
    assert len(waiting) == 8 and all(len(runs) == 2 for runs in waiting)
    assert len(set().union(*waiting)) == len(prepared.experiments) == 16


@pytest.mark.skipif(not DATA, reason="FUSEBOARD_DATA_ROOT is not set: CMU-MOSI is needed")
def test_a_share_of_a_gpu_needs_ray_and_decides_where_runs_are_trained(tmp_path):
    done = call("hfusion2018", "--table", "2", "--gpus", "0.25", home=tmp_path)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 2
    assert said.endswith("Error: --gpus is the share of each Ray task; it needs --backend ray.\n")
    found, settings = paper("hfusion2018"), Settings.resolve(data_root=Path(DATA), cache_root=tmp_path)
    on = {
        device: prepare(found, found.chosen("2-mosi")[0], settings, seeds=1, device=device).experiments
        for device in ("cpu", "cuda")
    }
    assert {(device, e.device) for device, runs in on.items() for e in runs} == {("cpu", "cpu"), ("cuda", "cuda")}
    assert not {e.run for e in on["cpu"]} & {e.run for e in on["cuda"]}


def test_a_wrong_paper_is_answered_with_the_nearest(tmp_path):
    done = call("hfusion2019", "--table", "2", home=tmp_path)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 2 and "'hfusion2018'" in said and "Traceback" not in said


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="FUSEBOARD_DATA_ROOT is not set: CMU-MOSI is needed")
def test_an_interrupted_reproduction_goes_on_and_ends_with_every_cell(tmp_path):
    arguments = ("hfusion2018", "--table", "2", "--rows", "own features: HFusion", "--seeds", "2")
    begun = call(*arguments, home=tmp_path)
    for line in begun.stderr:
        if line.startswith("[1/"):
            break
    begun.send_signal(signal.SIGINT)
    _, last = begun.communicate(timeout=120)
    assert begun.returncode == 130 and "Traceback" not in last
    assert re.search(
        r"^Interrupted\. \d of 8 runs have ended; .* The same command goes on from there\.\n\Z", last, re.M
    )
    before = set((tmp_path / "bundles").glob("*/*/*/manifest.json"))
    assert before
    done = call(*arguments, home=tmp_path)
    said, _ = done.communicate(timeout=280)
    assert done.returncode == 0 and "→" in said
    assert before < set((tmp_path / "bundles").glob("*/*/*/manifest.json"))
    place = tmp_path / "reports" / "hfusion2018" / "table-2-mosi"
    rows = [row for row in rows_of(place) if row["mean"]]
    assert len(rows) == 4 and all(row["n"] == "2" and row["reason"] for row in rows)
