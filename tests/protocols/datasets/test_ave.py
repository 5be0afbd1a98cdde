"""AVE on annotations, orders and clips of their layout."""

import shutil

import h5py
import pytest

from protocols.datasets import ave
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
ROWS = (
    ("Church bell", "aaaaaaaaaaa"),
    ("Male speech, man speaking", "-bbbbbbbbbb"),
    ("Church bell", "ccccccccccc"),
    ("Race car", "aaaaaaaaaaa"),  # one video, two events
    ("Race car", "ddddddddddd"),
    ("Church bell", "-bbbbbbbbbb"),
)
ORDERS = {"train": (5, 0, 2), "val": (4,), "test": (1, 3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "ave"
    made = write_clip(place / "AVE" / "aaaaaaaaaaa.mp4")
    for _, video in ROWS:
        if video != "aaaaaaaaaaa":
            shutil.copy(made, place / "AVE" / f"{video}.mp4")
    (place / "Annotations.txt").write_text("".join(f"{event}&{video}&good&0&10\n" for event, video in ROWS))
    for part, order in ORDERS.items():
        with h5py.File(place / f"{part}_order.h5", "w") as file:
            file["order"] = order
    return place


@pytest.fixture
def root(folder, tmp_path, monkeypatch):
    """A copy that a test may spoil, with its own counts in place of the published ones."""
    monkeypatch.setitem(ave.CARD.counts, "clips", len(ROWS))
    monkeypatch.setitem(ave.CARD.counts, "events", 3)
    for part, order in zip(("train", "validation", "test"), ORDERS.values(), strict=True):
        monkeypatch.setitem(ave.COUNTS, part, len(order))
    return shutil.copytree(folder, tmp_path / "data" / "ave").parent


def test_a_video_with_two_rows_is_two_examples(root, tmp_path):
    assert ave.check(root) == []
    examples = ave.load(root, tmp_path, "event", INPUTS, quiet)
    told = {name: examples.classes[label] for name, label in zip(examples.ids, examples.labels, strict=True)}
    assert told == {
        "aaaaaaaaaaa": "Church bell",
        "aaaaaaaaaaa#2": "Race car",
        "-bbbbbbbbbb": "Male speech, man speaking",
        "-bbbbbbbbbb#2": "Church bell",
        "ccccccccccc": "Church bell",
        "ddddddddddd": "Race car",
    }


def test_the_orders_share_videos_and_the_other_split_does_not(root):
    ids = tuple(clip.id for clip in ave.CLIPS.listed(root, "event").clips)
    order = ave.split(root, "order", ids)
    assert order == {"-bbbbbbbbbb#2": "train", "aaaaaaaaaaa": "train", "ccccccccccc": "train"} | {
        "ddddddddddd": "validation",
        "-bbbbbbbbbb": "test",
        "aaaaaaaaaaa#2": "test",
    }
    apart = ave.split(root, "videos-apart", ids)
    assert apart == {name: part for name, part in order.items() if name not in ("-bbbbbbbbbb#2", "aaaaaaaaaaa")}
    with pytest.raises(DataError, match="no split 'videos_apart'. Did you mean 'videos-apart'"):
        ave.split(root, "videos_apart", ids)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((1, 3, 4), "split order: test 3, expected 2"),
        ((1, 9), "row 9; accepted are 0 to 5"),
        ((1, 4), "row 4 stands in two"),
    ],
)
def test_orders_that_cannot_be_right(root, order, message):
    with h5py.File(root / "ave" / "test_order.h5", "w") as file:
        file["order"] = order
    with pytest.raises(DataError, match=message):
        ave.split(root, "order", ())


def test_orders_that_are_no_orders(root):
    (root / "ave" / "val_order.h5").write_bytes(b"not HDF5 at all")
    with pytest.raises(DataError, match=r"val_order\.h5: no HDF5 file"):
        ave.split(root, "order", ())
    (root / "ave" / "val_order.h5").unlink()
    with pytest.raises(DataError, match=r"val_order\.h5: no such file"):
        ave.split(root, "order", ())


def test_annotations_of_another_length(root, tmp_path):
    text = (root / "ave" / "Annotations.txt").read_text()
    (root / "ave" / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + text)
    assert ave.check(root) == [], "a header is no row"
    (root / "ave" / "Annotations.txt").write_text(text + "Race car&eeeeeeeeeee&good&0&10\n")
    with pytest.raises(DataError, match="7 rows, expected 6"):
        ave.load(root, tmp_path, "event", INPUTS, quiet)
