"""AudioSet on lists and clips of their layout: several labels of a clip."""

import shutil

import numpy as np
import pytest

from protocols.datasets import audioset
from protocols.datasets.audioset import BALANCED, LARGE
from protocols.datasets.clips import by_hash
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
LABELS = {"/m/09x0r": "Speech", "/m/05zppz": "Male speech, man speaking", "/t/dd00088": "Gush"}
LISTS = {
    "balanced_train_segments.csv": {"-0RWZT-miFs": "/m/09x0r,/m/05zppz", "aaaaaaaaaaa": "/t/dd00088"},
    "train_500k_segments.csv": {"bbbbbbbbbbb": "/t/dd00088,/m/09x0r", "ccccccccccc": "/m/09x0r"},
    "eval_segments.csv": {"ddddddddddd": "/m/09x0r"},
}
HEADER = (
    "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids={0}, num_segs={0}, num_unique_labels=3\n# YTID, ...\n"
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setitem(audioset.COUNTS, "labels", len(LABELS))
    folder = tmp_path / "data" / "audioset"
    made = write_clip(tmp_path / "made.mp4")
    (folder / "clips").mkdir(parents=True)
    for file, videos in LISTS.items():
        rows = [f'{video}, 30.000, 40.000, "{labels}"\n' for video, labels in videos.items()]
        (folder / file).write_text(HEADER.format(len(videos)) + "".join(rows))
        for video in videos:
            shutil.copy(made, folder / "clips" / f"{video}.mp4")
    rows = [f'{place},{machine},"{name}"\n' for place, (machine, name) in enumerate(LABELS.items())]
    (folder / "class_labels_indices.csv").write_text("index,mid,display_name\n" + "".join(rows))
    return folder.parent


def test_labels_are_a_row_of_ones_and_zeros(root, tmp_path):
    assert BALANCED.check(root) == []
    examples = BALANCED.load(root, tmp_path, "sounds", INPUTS, quiet)
    assert examples.task == "multilabel" and examples.classes == tuple(LABELS.values())
    assert examples.ids == ("-0RWZT-miFs", "aaaaaaaaaaa", "ddddddddddd")
    assert np.array_equal(examples.labels, np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32))
    parts = BALANCED.split(root, "evaluation", examples.ids)
    assert list(parts.values()) == ["validation" if by_hash(n) else "train" for n in examples.ids[:2]] + ["test"]


def test_another_training_list_has_the_same_test_part(root, tmp_path):
    examples = LARGE.load(root, tmp_path, "sounds", INPUTS, quiet)
    assert examples.ids == ("bbbbbbbbbbb", "ccccccccccc", "ddddddddddd")
    assert LARGE.split(root, "evaluation", examples.ids)["ddddddddddd"] == "test"


def test_each_list_is_seen_by_its_name(root):
    assert BALANCED.present(root) and LARGE.present(root)
    (root / "audioset" / "train_500k_segments.csv").unlink()
    assert BALANCED.present(root) and not LARGE.present(root)
    assert "train_500k_segments.csv: no such file" in LARGE.check(root)[0] and BALANCED.check(root) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("eval_segments.csv", "num_segs=1,", "num_segs=20371,", r"1 segments, but its header says 20371"),
        ("eval_segments.csv", "/m/09x0r", "/m/xxx", "ddddddddddd has '/m/xxx', which class_labels_indices"),
        ("balanced_train_segments.csv", "aaaaaaaaaaa", "-0RWZT-miFs", r":5: -0RWZT-miFs stands twice"),
        ("class_labels_indices.csv", "2,/t", "3,/t", "3 labels; expected 3, numbered from 0"),
    ],
)
def test_lists_that_cannot_be_right(root, tmp_path, file, old, new, message):
    path = root / "audioset" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        BALANCED.load(root, tmp_path, "sounds", INPUTS, quiet)
