"""UCF51 on lists and clips of the layout of UCF101."""

import shutil

import pytest

from protocols.datasets import ucf51
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
TRAIN = (
    "Archery/v_Archery_g08_c01.avi",
    "Typing/v_Typing_g10_c02.avi",
    "HandstandPushups/v_HandStandPushups_g25_c01.avi",
)
TEST = ("Archery/v_Archery_g01_c01.avi", "Typing/v_Typing_g07_c03.avi")
SILENT = "Biking/v_Biking_g09_c01.avi"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "ucf51"
    made = write_clip(place / "UCF-101" / TRAIN[0])
    for path in (*TRAIN[1:], *TEST):
        (place / "UCF-101" / path).parent.mkdir(exist_ok=True)
        shutil.copy(made, place / "UCF-101" / path)
    lists = place / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("".join(f"{path} 7\r\n" for path in (*TRAIN, SILENT)))
    (lists / "testlist01.txt").write_text("".join(f"{path}\r\n" for path in TEST))
    return place


@pytest.fixture
def root(folder, tmp_path, monkeypatch):
    """A copy that a test may spoil, with its own counts in place of the published ones."""
    monkeypatch.setitem(ucf51.CARD.counts, "clips", 5)
    monkeypatch.setitem(ucf51.CARD.splits["split1"].counts, "train", 3)
    monkeypatch.setitem(ucf51.CARD.splits["split1"].counts, "test", 2)
    return shutil.copytree(folder, tmp_path / "data" / "ucf51").parent


def test_the_published_classes_are_51():
    assert len(set(ucf51.CLASSES)) == ucf51.CARD.counts["classes"] == 51
    assert sum(ucf51.CARD.splits["split1"].counts.values()) == ucf51.CARD.counts["clips"]


def test_only_classes_with_sound_are_read(root, tmp_path):
    assert ucf51.check(root) == []
    examples = ucf51.load(root, tmp_path, "action", INPUTS, quiet)
    told = {name: examples.classes[label] for name, label in zip(examples.ids, examples.labels, strict=True)}
    assert told["v_HandStandPushups_g25_c01"] == "HandstandPushups" and len(told) == 5
    assert ucf51.split(root, "split1", examples.ids) == {
        "v_Archery_g08_c01": "validation",
        "v_Typing_g10_c02": "train",
        "v_HandStandPushups_g25_c01": "train",
        "v_Archery_g01_c01": "test",
        "v_Typing_g07_c03": "test",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEST[0], "split split1: test 1, expected 2"),
        ("Archery_g01_c01.avi", r"testlist01\.txt:1: 'Archery_g01_c01\.avi' is not"),
        (TRAIN[0], r"testlist01\.txt:1: Archery/v_Archery_g08_c01\.avi stands twice"),
    ],
)
def test_lists_that_cannot_be_right(root, tmp_path, text, message):
    (root / "ucf51" / "ucfTrainTestlist" / "testlist01.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        ucf51.load(root, tmp_path, "action", INPUTS, quiet)
