"""Computational sequences written here in the SDK's layout: lined up as the SDK does, or refused with the place."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from protocols.datasets import cmu_mosi_csd, csd_segments
from protocols.datasets.csd import Csd, averaged, overlapping
from protocols.examples import DataError

TRAIN = [f"video{i}" for i in range(52)]
VALIDATION = [f"video{i}" for i in range(52, 62)]
TEST = [f"video{i}" for i in range(62, 93)]
EVERY = TRAIN + VALIDATION + TEST
WORDS = 4  # of each segment


def write_csd(path: Path, root: str, entries: dict[str, tuple]) -> None:
    """``entries``: name -> intervals and features."""
    with h5py.File(path, "w") as file:
        data = file.create_group(f"{root}/data")
        for entry, (intervals, features) in entries.items():
            group = data.create_group(entry)
            group["intervals"], group["features"] = np.asarray(intervals), np.asarray(features)
        metadata = file.create_group(f"{root}/metadata")
        metadata.create_dataset("root name", data=[f'"{root}"'], dtype=h5py.string_dtype())


def segments(video: str) -> int:
    """2199 over 93 videos."""
    return 24 if EVERY.index(video) < 60 else 23


@pytest.fixture(scope="module")
def mosi(tmp_path_factory) -> Path:
    """A data root with all files of CMU-MOSI's layout: 93 videos, 2199 segments of four words of one second."""
    root = tmp_path_factory.mktemp("csd")
    folder = root / "cmu_mosi_csd"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tables = {"glove_vectors": {}, "COVAREP": {}, "FACET_4.2": {}, "Opinion Segment Labels": {}}
    for video in EVERY:
        count = segments(video)
        words = np.arange(count * WORDS, dtype=np.float64)[:, None] + [0.0, 1.0]
        halves = np.arange(2 * len(words))[:, None] / 2 + [0.0, 0.5]
        tables["glove_vectors"][video] = words, rng.standard_normal((len(words), 6))
        tables["COVAREP"][video] = halves, rng.standard_normal((len(halves), 5))
        tables["FACET_4.2"][video] = halves, rng.standard_normal((len(halves), 3))
        spans = WORDS * np.arange(count)[:, None] + [0.0, float(WORDS)]
        tables["Opinion Segment Labels"][video] = spans, rng.uniform(-3, 3, (count, 1))
    tables["COVAREP"][TRAIN[0]][1][0, 2] = -np.inf
    files = ("text", "audio", "video")
    names = [next(iter(cmu_mosi_csd.FILES[modality].values())) for modality in files] + [cmu_mosi_csd.LABELS]
    for name, (title, entries) in zip(names, tables.items(), strict=True):
        write_csd(folder / name, title, entries)
    lists = {"standard_train_fold": TRAIN, "standard_valid_fold": VALIDATION, "standard_test_fold": TEST}
    (folder / cmu_mosi_csd.FOLDS).write_text("".join(f"{name}={videos!r}\n" for name, videos in lists.items()))
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Where the release is lined up, once."""
    return tmp_path_factory.mktemp("csd-cache")


def load(root, cache, **inputs):
    inputs = inputs or {"text": "glove", "audio": "covarep", "video": "facet42"}
    return cmu_mosi_csd.load(root, cache, "sentiment", inputs, lambda items, description: items)


def test_rows_of_a_video_come_from_all_its_entries_sorted(tmp_path):
    write_csd(tmp_path / "a.csd", "a", {"v[1]": ([[2, 3]], [[7.0]]), "v[0]": ([[0, 1], [1, 2]], [[5.0], [6.0]])})
    with Csd(tmp_path / "a.csd") as file:
        intervals, features = file.rows("v")
        assert file.videos == {"v"}
    assert intervals.tolist() == [[0, 1], [1, 2], [2, 3]] and features.ravel().tolist() == [5, 6, 7]


def test_every_overlap_counts_alike_and_touching_is_none():
    intervals = np.array([[0, 1], [1, 1.5], [1.4, 3], [3, 4]])
    features = np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 8.0], [9.0, 9.0]])
    words = np.array([[0, 1], [1, 2], [4, 5], [2, 2]])
    assert [rows.tolist() for rows in overlapping(intervals, words)] == [[0], [1, 2], [], []]
    assert averaged(intervals, features, words).tolist() == [[1, 0], [4, 4], [0, 0], [0, 0]]


def test_a_long_row_is_found_behind_short_ones():
    intervals = np.array([[0, 10], [1, 2], [3, 4]])
    assert [rows.tolist() for rows in overlapping(intervals, np.array([[3.5, 5.0], [6.0, 7.0]]))] == [[0, 2], [0]]


def test_means_that_are_not_finite_are_zero():
    found = averaged(np.array([[0, 1], [0, 1]]), np.array([[np.inf, 1.0], [-np.inf, 3.0]]), np.array([[0, 1]]))
    assert found.tolist() == [[0, 2]]


def test_segments_of_a_release(mosi, cache):
    examples = load(mosi, cache)
    assert len(examples.ids) == 2199 and examples.aligned and examples.task == "regression"
    assert examples.classes == ("sentiment",) and examples.labels.shape == (2199, 1)
    place = examples.ids.index(f"{TRAIN[0]}[2]")
    folder = mosi / "cmu_mosi_csd"
    with h5py.File(folder / cmu_mosi_csd.LABELS) as file:
        label = file["Opinion Segment Labels/data"][TRAIN[0]]["features"][2]
    with h5py.File(folder / cmu_mosi_csd.FILES["audio"]["covarep"]) as file:
        audio = file["COVAREP/data"][TRAIN[0]]["features"][()]
    np.testing.assert_allclose(examples.labels[place], label, rtol=1e-6)
    np.testing.assert_allclose(
        examples.streams["audio"].raw(place), audio.reshape(-1, 2, 5).mean(1)[8:12], rtol=1e-5, atol=1e-6
    )
    first = examples.ids.index(f"{TRAIN[0]}[0]")
    assert examples.streams["audio"].raw(first)[0, 2] == 0  # minus infinity
    assert {m: s.width for m, s in examples.streams.items()} == {"text": 6, "audio": 5, "video": 3}
    assert load(mosi, cache).fingerprint == examples.fingerprint != load(mosi, cache, audio="covarep").fingerprint


def test_the_folds_are_the_sdks_lists(mosi, cache):
    ids = load(mosi, cache).ids
    parts = cmu_mosi_csd.split(mosi, "sdk-folds", ids)
    assert set(parts) == set(ids) and parts[f"{TEST[3]}[0]"] == "test" and parts[f"{VALIDATION[0]}[1]"] == "validation"
    assert cmu_mosi_csd.split(mosi, "sdk-folds", ("elsewhere[0]",)) == {}
    assert cmu_mosi_csd.check(mosi) == []


@pytest.fixture
def copy(mosi, tmp_path) -> Path:
    """The release again, to be damaged."""
    folder = tmp_path / "root" / "cmu_mosi_csd"
    folder.mkdir(parents=True)
    for path in (mosi / "cmu_mosi_csd").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def refused(copy: Path, said: str) -> None:
    """Load or split raises it."""
    with pytest.raises(DataError, match=said):
        load(copy.parent, copy.parent / "cache")
        cmu_mosi_csd.split(copy.parent, "sdk-folds", ())


def test_wrong_files_are_named(copy):
    audio = copy / cmu_mosi_csd.FILES["audio"]["covarep"]
    whole = audio.read_bytes()
    audio.write_bytes(whole[: len(whole) // 2])
    refused(copy, f"{audio.name}: not an HDF5 file that can be read, or cut short")
    assert any("cut short" in sentence for sentence in cmu_mosi_csd.check(copy.parent))
    audio.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(copy, "Git LFS pointer")
    audio.unlink()
    refused(copy, f"{audio.name} is missing")
    write_csd(audio, "COVAREP", {video: ([[0, 1]], [[1.0]]) for video in EVERY[:83]})
    refused(copy, f"{audio.name}: only 83 of 93 labelled videos are in all of")
    write_csd(audio, "COVAREP", {video: ([[0, 1]], [[1.0], [2.0]]) for video in EVERY})
    refused(copy, r"data/video\d+: intervals \(1, 2\) and features \(2, 1\)")
    write_csd(audio, "words", {video: ([[0, 1]], np.array([[b"well"]])) for video in EVERY})
    refused(copy, "Words and phones are not read here")


def test_wrong_labels_are_named(copy):
    labels = copy / cmu_mosi_csd.LABELS
    with h5py.File(labels, "a") as file:
        file["Opinion Segment Labels/data"][TEST[0]]["features"][1] = 4.5
    refused(copy, rf"{TEST[0]}\[1\]: sentiment is 4.5; accepted are -3 to 3")
    with h5py.File(labels, "a") as file:
        del file["Opinion Segment Labels/data"][TEST[0]]
    refused(copy, "92 videos; wanted 93")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    (
        (f"'{TEST[0]}', ", "", "standard_test_fold has 30 videos; the SDK's has 31"),
        (f"'{TEST[0]}'", f"'{TRAIN[0]}'", f"video '{TRAIN[0]}' is in train and in test"),
        ("standard_valid_fold", "valid", "no list standard_valid_fold"),
        (f"'{TEST[0]}'", "print(1)", "cmu_mosi_std_folds.py:3: standard_test_fold holds more than names"),
        ("=[", "=[[", "not a Python file with lists"),
    ),
)
def test_wrong_fold_lists_are_named(copy, old, new, said):
    path = copy / cmu_mosi_csd.FOLDS
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        csd_segments.read_folds(copy.parent, cmu_mosi_csd.RELEASE)
