"""VGGSound on a list and clips of its layout."""

import shutil

import pytest

from protocols.datasets import vggsound
from protocols.datasets.clips import by_hash
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
ROWS = (
    ("---g-f_I2yQ", 1, "people marching", "test"),
    ("abcdefghijk", 170, "wind noise, outside", "train"),
    ("lmnopqrstuv", 0, "people marching", "train"),
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setitem(vggsound.CARD.counts, "sounds", 2)
    folder = tmp_path / "data" / "vggsound"
    made = write_clip(tmp_path / "made.mp4")
    (folder / "clips").mkdir(parents=True)
    for video, second, _, _ in ROWS:
        shutil.copy(made, folder / "clips" / f"{video}_{second:06}.mp4")
    lines = [f'{video},{second},"{sound}",{part}\n' for video, second, sound, part in ROWS]
    (folder / "vggsound.csv").write_text("".join(lines))
    return folder.parent


def test_ids_labels_and_parts(root, tmp_path):
    assert vggsound.check(root) == []
    examples = vggsound.load(root, tmp_path, "sound", INPUTS, quiet)
    assert examples.ids == ("---g-f_I2yQ_000001", "abcdefghijk_000170", "lmnopqrstuv_000000")
    assert [examples.classes[k] for k in examples.labels] == [
        "people marching",
        "wind noise, outside",
        "people marching",
    ]
    parts = vggsound.split(root, "official", examples.ids)
    assert list(parts.values()) == ["test"] + ["validation" if by_hash(row[0]) else "train" for row in ROWS[1:]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("lmnopqrstuv,0,rain,train", r"vggsound\.csv:4: lmnopqrstuv_000000 stands twice"),
        ("wwwwwwwwwww,0,rain,val", r"vggsound\.csv:4: 0,rain,val; wanted a second"),
        ("wwwwwwwwwww,0,rain,train", r"vggsound\.csv: 3 sounds, expected 2"),
        ("wwwwwwwwwww,0,rain", r"vggsound\.csv:4: 3 columns"),
    ],
)
def test_a_list_that_cannot_be_right(root, tmp_path, row, message):
    with open(root / "vggsound" / "vggsound.csv", "a") as file:
        file.write(row + "\n")
    with pytest.raises(DataError, match=message):
        vggsound.load(root, tmp_path, "sound", INPUTS, quiet)
