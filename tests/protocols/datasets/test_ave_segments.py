"""AVE with the authors' features, on files of their layout."""

import h5py
import numpy as np
import pytest

from protocols.datasets import ave, ave_segments
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import quiet

INPUTS = {"audio": "vggish", "video": "vgg19"}
EVENTS = ("Church bell", "Race car", "Church bell", "Race car", "Race car")
COLUMNS = {"Church bell": 3, "Race car": 0}
BACKGROUND = 28


def labels_of(events):
    """One-hot (clips, 10, 29): background, and the clip's event in seconds 2 to 6."""
    labels = np.zeros((len(events), 10, 29))
    labels[..., BACKGROUND] = 1
    for row, event in zip(labels, events, strict=True):
        row[2:7] = np.eye(29)[COLUMNS[event]]
    return labels


def write(path, values, name="avadataset"):
    with h5py.File(path, "w") as file:
        file[name] = values


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Five clips of two events, with their own counts in place of the published ones."""
    for card in (ave.CARD, ave_segments.CARD):
        monkeypatch.setitem(card.counts, "clips", len(EVENTS))
        monkeypatch.setitem(card.counts, "events", 2)
    for part, count in (("train", 3), ("validation", 1), ("test", 1)):
        monkeypatch.setitem(ave.COUNTS, part, count)
    folder = tmp_path / "data" / "ave"
    folder.mkdir(parents=True)
    (folder / "Annotations.txt").write_text("".join(f"{e}&video{k}&good&0&10\n" for k, e in enumerate(EVENTS)))
    for part, order in {"train": (4, 0, 2), "val": (1,), "test": (3,)}.items():
        write(folder / f"{part}_order.h5", order, "order")
    rng = np.random.default_rng(0)
    write(folder / "labels.h5", labels_of(EVENTS))
    write(folder / "audio_feature.h5", rng.normal(size=(5, 10, 128)))
    write(folder / "visual_feature.h5", rng.normal(size=(5, 10, 7, 7, 512)).astype(np.float32))
    return folder.parent


def test_every_second_has_a_class_and_a_row_of_each_modality(root, tmp_path):
    assert ave_segments.check(root) == []
    examples = ave_segments.load(root, tmp_path / "cache", "segment", INPUTS, quiet)
    assert examples.per_step and examples.aligned and examples.ids == tuple(f"video{k}" for k in range(5))
    named = [examples.classes[k] for k in examples.labels[1]]
    assert named == ["background"] * 2 + ["Race car"] * 5 + ["background"] * 3
    with h5py.File(root / "ave" / "visual_feature.h5") as file:
        cells = file["avadataset"][3]
    assert np.allclose(examples.streams["video"].raw(3), cells.mean(axis=(1, 2)), atol=1e-6)
    assert examples.streams["audio"].raw(0).shape == (10, 128)
    assert ave_segments.split(root, "order", examples.ids)["video3"] == "test"


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("labels.h5", labels_of(EVENTS)[::-1], "its rows are not those of Annotations.txt: 3 classes occur"),
        ("labels.h5", np.zeros((5, 10, 29)), "a second has not exactly one class"),
        (
            "labels.h5",
            labels_of(EVENTS)[:4],
            r"avadataset of shape \(4, 10, 29\); wanted avadataset of shape \(5, 10, 29\)",
        ),
        ("audio_feature.h5", np.full((5, 10, 128), np.nan), "values are not finite"),
        ("audio_feature.h5", np.zeros((5, 128)), r"shape \(5, 128\); wanted avadataset of shape \(5, 10, 128\)"),
    ],
)
def test_files_that_cannot_be_right(root, tmp_path, file, values, message):
    write(root / "ave" / file, values)
    with pytest.raises(DataError, match=message):
        ave_segments.load(root, tmp_path / "cache", "segment", INPUTS, quiet)


def test_files_that_are_missing_or_none(root, tmp_path):
    (root / "ave" / "audio_feature.h5").write_bytes(b"nothing")
    assert "audio_feature.h5: not a readable HDF5 file" in ave_segments.check(root)[0]
    (root / "ave" / "audio_feature.h5").unlink()
    with pytest.raises(DataError, match=r"audio_feature\.h5: no such file"):
        ave_segments.load(root, tmp_path / "cache", "segment", INPUTS, quiet)
