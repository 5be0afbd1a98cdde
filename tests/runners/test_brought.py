"""Numbers that wait for data: where the data belong, and that they are seen once they lie there."""

import pytest

from protocols.paper import Paper
from protocols.papers import paper
from runners.brought import folder, here, places


@pytest.fixture
def cells():
    """One cell that runs on data at hand, one that waits, one whose data nothing reads, one that is not comparable."""
    told = paper("mmmuba2018").model_dump()
    rows = told["tables"][0]["rows"]
    now, waiting, unread, never = rows[0], dict(rows[1]), dict(rows[2]), rows[-1]
    waiting["run"] = waiting["run"] | {"protocol": "grid-letter@1", "needs": "affwild2"}
    unread["run"] = unread["run"] | {"protocol": None, "needs": "affwild2"}
    told["tables"] = [told["tables"][0] | {"rows": [now, waiting, unread, never]}]
    table = Paper.model_validate(told).tables[0]
    return [next(cell for cell in table.cells if cell.row is row) for row in table.rows]


def test_a_cell_waits_until_the_folder_is_there(cells, tmp_path):
    assert [here(cell, tmp_path) for cell in cells] == [True, False, False, False]
    (tmp_path / "grid").mkdir()
    assert [here(cell, tmp_path) for cell in cells] == [True, True, False, False]


def test_the_place_names_folder_protocol_and_files(cells):
    assert folder("mosi-utterance@1") == "cmu_mosi_utterance"
    (said,) = places(cells[1:3])
    assert said.startswith("grid/ below the data root, for grid-letter@1: ") and "<id>.mp4" in said
    assert places(cells[2:3]) == []


def test_features_of_ones_own_say_how_they_are_cut_and_once_how_they_are_written():
    (table,) = paper("jca2022").chosen("ablation")
    *folders, written = places([cell for cell in table.cells if cell.state == "data"])
    assert len(folders) == 4 and all("8 sub-clips of 32 frames" in said for said in folders)
    assert "examples.csv" in written and not any("examples.csv" in said for said in folders)
