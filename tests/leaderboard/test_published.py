"""Published tables with the verdicts of the committed reports, and what the others would need."""

import csv

import pytest

from leaderboard import published
from leaderboard.review import reports_root
from leaderboard.site import paper_page
from protocols.papers import keys, paper

REPORTS = sorted(place.parent for place in reports_root().glob("*/table-*/manifest.json"))


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_every_recomputed_cell_stands_in_its_place(folder):
    """Each row of a report's table.csv meets a cell of the paper: the same number, the same verdict."""
    found = paper(folder.parts[-2])
    (table,) = (t for t in found.tables if t.id == folder.name.removeprefix("table-"))
    numbers = {(n.cell.row.heading, n.cell.column.title): n for n in published.numbers(found.key, table)}
    with open(folder / "table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        number = numbers[row["row"], row["column"]]
        assert number.cell.printed == (row["reported"] or None)
        assert number.verdict == (row["verdict"] if row["mean"] else None)
        assert (number.ours is None) == (not row["mean"])
        if row["mean"]:
            assert float(number.ours.split(" ")[0]) == pytest.approx(float(row["mean"]), abs=0.06)
    texts, verdicts = published.layout(table, list(numbers.values()))
    judged = sum(bool(row["mean"]) for row in rows)
    assert (verdicts != "").to_numpy().sum() == judged
    assert texts.map(lambda text: "→" in text).to_numpy().sum() == judged


def test_a_verdict_beside_its_number():
    (table,) = (t for t in paper("hfusion2018").tables if t.id == "2-mosi")
    texts, verdicts = published.layout(table, published.numbers("hfusion2018", table))
    assert texts.loc["own features: HFusion", "T+V (%) ↑"] == "77.8 → 74.68 ± 0.73 (10) ✗"
    assert verdicts.loc["own features: HFusion", "A+V (%) ↑"] == "reproduced"
    assert texts.loc["own features: TFN", "T (%) ↑"] == "–"
    assert texts.loc["own features: TFN", published.WHO] == "another's method, run by the authors"


def test_without_a_report_nothing_is_ours(tmp_path):
    (table,) = (t for t in paper("hfusion2018").tables if t.id == "2-mosi")
    numbers = published.numbers("hfusion2018", table, tmp_path)
    assert not any(number.ours or number.verdict for number in numbers)
    what = published.needed(numbers)
    assert ("only a run", 8) in [row[:2] for row in what]
    assert sum(count for _, count, _ in what) == len(numbers)


@pytest.mark.parametrize("key", keys())
def test_every_number_has_a_place_a_reason_and_a_page(key):
    told = paper_page.told(paper(key))
    for table, shown in zip(paper(key).tables, told["tables"], strict=True):
        numbers = published.numbers(key, table)
        texts, _ = published.layout(table, numbers)
        assert texts.shape == (len(table.rows), len(table.columns) + 1)
        assert len(published.every(numbers)) == len(table.cells)
        assert all(number.ours or number.why for number in numbers)
        assert sum(count for _, count, _ in published.needed(numbers)) == sum(not number.ours for number in numbers)
        assert shown["judged"] == [number for number in numbers if number.ours]


def test_numbers_of_a_protocol_are_those_that_run_under_it():
    found = published.on_protocol("mosi-utterance@1")
    assert {"hfusion2018", "bclstm2017", "mmmuba2018"} <= {each.key for each, _, _ in found}
    assert all(n.cell.run.protocol == "mosi-utterance@1" and n.cell.printed for _, _, told in found for n in told)
    assert published.on_protocol("synthetic@1") == []
