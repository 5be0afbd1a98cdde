"""Kinetics-Sounds on lists and clips of their layout, and one run of a method on them."""

import shutil

import pytest

from protocols.datasets import kinetics_sounds
from protocols.datasets.clips import by_hash
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
TRAIN = {"-0abc_DEF12_0_10": 0, "aBcDeFgHiJk_131_141": 30, "0123456789a_7_17": 4}
TEST = {"zzTOPzzTOPz_21": 30, "yyyyyyyyyyy_5": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "kinetics_sounds"
    made = write_clip(place / "clips" / f"{next(iter(TRAIN))}.mp4")
    for name in [*TRAIN, *TEST][1:]:
        shutil.copy(made, place / "clips" / f"{name}.mp4")
    for file, clips in (("my_train.txt", TRAIN), ("my_test.txt", TEST)):
        (place / file).write_text("".join(f"{name},10,{label}\n" for name, label in clips.items()))
    return place


@pytest.fixture
def root(folder, tmp_path, monkeypatch):
    """A copy that a test may spoil, with its own counts in place of the published ones."""
    monkeypatch.setitem(kinetics_sounds.CARD.counts, "clips", 5)
    counts = kinetics_sounds.CARD.splits["lists"].counts
    monkeypatch.setitem(counts, "train", 3)
    monkeypatch.setitem(counts, "test", 2)
    return shutil.copytree(folder, tmp_path / "data" / "kinetics_sounds").parent


def test_ids_labels_and_parts(root, tmp_path):
    assert kinetics_sounds.check(root) == []
    examples = kinetics_sounds.load(root, tmp_path, "action", INPUTS, quiet)
    assert examples.ids == tuple(sorted([*TRAIN, *TEST])) and len(examples.classes) == 31
    assert dict(zip(examples.ids, examples.labels.tolist(), strict=True)) == TRAIN | TEST
    parts = kinetics_sounds.split(root, "lists", examples.ids)
    assert parts == {n: "validation" if by_hash(n) else "train" for n in TRAIN} | dict.fromkeys(TEST, "test")


def test_clips_that_vanished_are_declared(root, tmp_path):
    (root / "kinetics_sounds" / "clips" / "yyyyyyyyyyy_5.mp4").unlink()
    assert "1 of 5 clips are missing, yyyyyyyyyyy_5" in kinetics_sounds.check(root)[0]
    (root / "kinetics_sounds" / "absent.txt").write_text("yyyyyyyyyyy_5\n")
    ids = kinetics_sounds.load(root, tmp_path, "action", INPUTS, quiet).ids
    assert kinetics_sounds.split(root, "lists", ids).keys() == {*TRAIN, *TEST} - {"yyyyyyyyyyy_5"}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("my_test.txt", "zzTOPzzTOPz_21,10,30\n", "split lists: test 1, expected 2"),
        (
            "my_test.txt",
            "zzTOPzzTOPz_21,10,30\nzzTOPzzTOPz_22,10,31\n",
            r"my_test\.txt:2: class '31'; accepted are 0 to 30",
        ),
        (
            "my_test.txt",
            "zzTOPzzTOPz_21,10,30\n0123456789a_7_17,10,4\n",
            r"my_test\.txt:2: 0123456789a_7_17 stands twice",
        ),
        ("my_train.txt", "zzTOPzzTOPz_21 10 30\n" * 3, r"my_train\.txt:1: 1 columns"),
    ],
)
def test_lists_that_cannot_be_right(root, tmp_path, file, text, message):
    (root / "kinetics_sounds" / file).write_text(text)
    with pytest.raises(DataError, match=message):
        kinetics_sounds.load(root, tmp_path, "action", INPUTS, quiet)
