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

from leaderboard import published
from protocols.paper import Claim, Finding, Pair, Table
from protocols.papers import paper
from protocols.verdict import HOLDS, INCONCLUSIVE, NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED
from runners.papers_cli import method_spec
from runners.report import COLUMNS, Circumstances, layout, write
from runners.reproduce import (
    BY_LOSS,
    BY_SCORE,
    BY_TEST,
    Footing,
    Outcome,
    Reproduction,
    Rerun,
    compared,
    footings,
    prepare,
)
from runners.settings import Settings

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("FUSEBOARD_DATA_ROOT")


JITTER = (-0.001, 0.0, 0.001, 0.0005, -0.0005)
RULES = [Footing(rule, "mosi-utterance@1") for rule in (BY_LOSS, BY_SCORE, BY_TEST)]


def measured(cell, offset):
    """A rerun of a cell, five seeds around the published number plus an offset; half a point more by validation score,
    two points more when chosen on test."""
    rerun = Rerun("hfusion", method_spec("hfusion", {}, cell.modalities), tuple(RULES), cell.value, cell.tolerance)
    seeds = {(seed, 0): cell.value + offset + jitter for seed, jitter in enumerate(JITTER)}
    for footing, more, epoch in zip(RULES, (0.0, 0.005, 0.02), (9, 4, 2), strict=True):
        rerun.values[footing] = {key: value + more for key, value in seeds.items()}
        rerun.epochs[footing] = dict.fromkeys(seeds, epoch)
    return rerun


@pytest.fixture
def told():
    """Table 2 of HFusion with made-up runs: one cell that holds, one that does not, one that is open, one not run."""
    found = paper("hfusion2018")
    [table] = found.chosen("2-mosi")
    outcomes = [Outcome(cell) for cell in table.cells]
    ready = [outcome for outcome in outcomes if outcome.cell.run and outcome.cell.run.method == "hfusion"]
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


def test_what_each_step_of_choosing_the_epoch_adds_is_a_number_with_an_interval(told):
    for outcome in told.runnable:
        rerun = outcome.reruns[0]
        by_score, by_test = rerun.between(BY_LOSS, BY_SCORE), rerun.between(BY_SCORE, BY_TEST)
        assert (by_score.mean, by_test.mean, by_test.n) == (pytest.approx(0.005), pytest.approx(0.015), 5)
        both = outcome.leaking.difference - outcome.main.difference
        assert both == pytest.approx(by_score.mean + by_test.mean)


def test_a_cell_has_no_verdict_before_its_last_run(told):
    outcome = told.runnable[0]
    outcome.reruns[0].waiting.add("a run")
    assert outcome.main is None and outcome.leaking is None and outcome.reruns[0].between(BY_LOSS, BY_TEST) is None


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
    assert {path.name for path in tmp_path.iterdir()} == names | {"figure-percent.svg", "claims.csv"}
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS and len(rows) == len(told.table.cells), "one row a cell"
    run = [row for row in rows if row["mean"]]
    assert [row["verdict"] for row in run] == [REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE]
    assert all(float(row["low"]) <= float(row["mean"]) <= float(row["high"]) for row in run)
    assert all((row["added_by_score"], row["added_by_test"]) == ("0.5000", "1.5000") for row in run)
    assert all(row["majority_class"] == "62.1011" for row in run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;hfusion2018&gt;" in page and "<hfusion2018>" not in page and page.count("<svg") == 1
    assert json.loads((tmp_path / "manifest.json").read_text())["test_openings"] == 7
    assert len((tmp_path / "ledger.csv").read_text().splitlines()) == 8
    assert r"$\rightarrow$" in (tmp_path / "table.tex").read_text(encoding="utf-8")


def test_a_report_answers_what_a_new_reader_asks(told, tmp_path):
    write(told, made(openings=7), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "do its numbers hold?" in text.splitlines()[0]
    assert f"3 of {len(told.table.cells)} numbers were recomputed, each with 5 runs." in text
    assert "| lowest validation loss | 1 | 1 | 1 | 2.00 | 9 |" in text
    assert "| best test score | 0 | 2 | 1 | 2.00 | 2 |" in text, "2 above, 3 below, 1 above"
    assert "![Figure](figure-percent.svg)" in text and text.count("Published numbers (black)") == 1
    parts = ["In short", "![", "How to read a number", "What the rows are", "The table\n", "Number by number"]
    parts += ["What comes of how the epoch is chosen", "Why numbers differ", "Not recomputed", "What the paper prints"]
    parts += ["What was run", "How to make this report again", "How often the test part was opened"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places), "what came out stands first, the rule before the tables"
    assert "T is text, V is video" in text and text.count("page read by eye") == 1
    gap = next(line for line in text.splitlines() if line.startswith("| own features: HFusion, T+A | -5.00"))
    assert gap == "| own features: HFusion, T+A | -5.00 | +0.50 ± 0.00 | +1.50 ± 0.00 | -3.00 |", "a row adds up"
    assert "| 57.70 to 57.90 | -1.00 | 9 / 4 / 2 |  |" in text, "epochs of the three rules"
    assert "Not reproduced under any rule, and nothing is known of why: own features: HFusion (T+A)." in text
    assert "7 openings by the" in text and "2026-01-07 10:00:00" in text


def test_claims_are_compared_run_by_run(told, tmp_path):
    two = [(o.cell.row.heading, o.cell.column.title) for o in told.runnable[:2]]
    pair, missing = Pair(better=two[0], worse=two[1]), Pair(better=two[0], worse=("own features: TFN", "T+V"))
    claims = (Claim(says="Video helps more than audio", pairs=[pair]), Claim(says="It beats TFN", pairs=[missing]))
    told.table = told.table.model_copy(update={"claims": claims, "headline": two[1]})
    (found,) = compared(told, claims[0])
    assert found.printed == pytest.approx(0.005)
    assert {rule: word for rule, (_, word) in found.ours.items()} == dict.fromkeys((BY_LOSS, BY_SCORE, BY_TEST), HOLDS)
    assert compared(told, claims[1]) == []
    write(told, made(), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    lines = list(csv.DictReader((tmp_path / "claims.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["epoch_chosen_by"], row["published"], row["mean"], row["n"], row["verdict"]) for row in lines] == [
        (rule, "0.5000", "5.5000", "5", HOLDS) for rule in (BY_LOSS, BY_SCORE, BY_TEST)
    ]
    (row,) = published.claims(tmp_path).to_dict("records")
    assert row["Comparison"] == "own features: HFusion, T+V over own features: HFusion, T+A"
    assert row["Ours, epoch by test score"] == "+5.50 ± 0.00 ✓"
    assert "Video helps more than audio. Seen in our runs: it holds in 1 of 1 comparisons at the epoch of the" in text
    wanted = "| own features: HFusion, T+V over own features: HFusion, T+A | +0.50 |"
    assert f"{wanted} +5.50 ± 0.00 ✓ | +5.50 ± 0.00 ✓ | +5.50 ± 0.00 ✓ |" in text
    assert "It beats TFN: not compared, for want of one of its numbers (1 comparisons)." in text
    assert "known for, own features: HFusion, T+A: published 77.3, ours at the epoch of the lowest validation" in text


def test_a_finding_stands_in_the_report_with_the_numbers_that_it_rests_on(told, tmp_path):
    outcome = told.runnable[1]
    measurement = {"what": "without dropout", "value": "77.1 ± 0.3 (5)", "runs": ("0123456789abcdef",)}
    row = outcome.cell.row.model_copy(update={"finding": Finding(says="Dropout is too high.", measured=[measurement])})
    outcome.cell = replace(outcome.cell, row=row)
    write(told, made(), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "- (a) own features: HFusion (T+A): Dropout is too high." in text
    assert text.count("Dropout is too high.") == 1, "once; the other places have its letter"
    assert "| a | without dropout | 77.1 ± 0.3 (5) | 0123456789abcdef |" in text
    assert "what is known of why stands above: own features: HFusion (T+A)." in text
    assert any("Dropout is too high." in row["reason"] for row in rows_of(tmp_path))


def test_further_presets_stand_beside_the_first(told, tmp_path):
    outcome = told.runnable[0]
    other = measured(outcome.cell, -0.03)
    other.preset = "hfusion-wide"
    outcome.reruns.append(other)
    write(told, made(), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| own features: HFusion, T+V | 77.8 | hfusion-wide | 74.80 ± 0.10 (5) | 75.30 ± 0.10 (5) |" in text
    assert outcome.verdict == REPRODUCED, "the verdict is the first one's"


def test_a_replica_gives_every_rule_from_one_training():
    found = paper("mmmuba2018")
    [table] = found.chosen("1-mosi")
    cell = next(cell for cell in table.cells if cell.state == "now")
    rules = footings(found, cell)
    assert {rule.protocol for rule in rules} == {"mosi-mmmuba-replica@2"}
    named = {BY_LOSS: "/validation_selected", BY_SCORE: "/validation_metric_selected", BY_TEST: ""}
    assert {rule.rule: rule.suffix for rule in rules} == named


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
    row = next(row for row in table.rows if row.run and row.run.method == "hfusion")
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
    runs = list(csv.DictReader((place / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["epoch_chosen_by"] for row in runs} == {BY_LOSS, BY_SCORE, BY_TEST}
    assert all(1 <= int(row["epoch"]) <= 200 for row in runs)
