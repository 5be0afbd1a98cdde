"""RAVDESS raw clips on files of their layout: what there is follows from the naming rule."""

import shutil

import pytest

from protocols.datasets import ravdess
from protocols.examples import DataError
from protocols.split import SPLITS, read_split
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
THERE = ("01-01-01-01-01-01-01", "01-01-05-02-02-01-24")


@pytest.fixture
def root(tmp_path):
    """Two clips of the 1440, and the names of the others in absent.txt."""
    folder = tmp_path / "data" / "ravdess"
    for name in THERE:
        write_clip(folder / f"Actor_{name[-2:]}" / f"{name}.mp4")
    others = [clip.id for clip in ravdess.CLIPS.listing(folder, "emotion").clips if clip.id not in THERE]
    (folder / "absent.txt").write_text("\n".join(others))
    return folder.parent


def test_the_naming_rule_gives_the_published_ids(tmp_path):
    listed = ravdess.CLIPS.listing(tmp_path, "emotion").clips
    labels = [clip.label for clip in listed]
    assert len(listed) == 1440 and [labels.count(k) for k in range(8)] == [96] + [192] * 7
    ids = tuple(clip.id for clip in listed)
    for name, folds in (("actors", 6), ("fixed-actors", None)):
        parts = read_split(SPLITS / "ravdess" / f"{name}.csv", ids, folds=folds, fold=folds and 1)
        assert {part: len(rows) for part, rows in parts.items()} == ravdess.CARD.splits[name].counts
        actors = {part: {ids[row][-2:] for row in rows} for part, rows in parts.items()}
        assert len(set.union(*actors.values())) == 24 == sum(map(len, actors.values())), "nobody is in two parts"
    assert actors["test"] == {"05", "10", "16", "19"} and actors["validation"] == {"11", "13", "18", "22"}


def test_ids_and_labels(root, tmp_path):
    assert ravdess.check(root) == []
    examples = ravdess.load(root, tmp_path, "emotion", INPUTS, quiet)
    assert examples.ids == THERE and [examples.classes[k] for k in examples.labels] == ["neutral", "angry"]


def test_a_missing_clip_is_known_by_name(root, tmp_path):
    shutil.rmtree(root / "ravdess" / "Actor_24")
    with pytest.raises(DataError, match=r"missing, 01-01-05-02-02-01-24; .*Actor_24/01-01-05-02-02-01-24\.mp4"):
        ravdess.load(root, tmp_path, "emotion", INPUTS, quiet)
