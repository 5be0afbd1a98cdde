"""The real utterances line up across files, and damaged files are refused with the place of the damage."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import cmu_mosi_utterance as mosi
from protocols.examples import DataError

INPUTS = {"text": "text_cnn", "audio": "opensmile", "video": "cnn3d"}


@pytest.fixture(scope="module")
def data_root() -> Path:
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not root:
        pytest.skip("FUSEBOARD_DATA_ROOT is not set: the real utterances are not at hand.")
    if not (Path(root) / mosi.CARD.folder).is_dir():
        pytest.skip(f"{root} holds no {mosi.CARD.folder} folder.")
    return Path(root)


@pytest.fixture(scope="module")
def videos(data_root):
    return load(data_root)


@pytest.fixture
def linked(data_root, tmp_path) -> Path:
    """A data root whose files are links to the real ones, to be replaced one at a time."""
    for name in mosi.FILES:
        path = tmp_path / mosi.CARD.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((data_root / mosi.CARD.folder / name).resolve())
    return tmp_path


def load(root, target="sentiment", inputs=INPUTS):
    return mosi.load(root, root, target, inputs, lambda items, description: items)


def edit(root: Path, name: str, change) -> Path:
    """Replace a link by a changed copy; ``change`` takes and returns the rows."""
    path = root / mosi.CARD.folder / name
    with open(path, newline="", encoding="utf-8") as stream:
        rows = change(list(csv.reader(stream)))
    path.unlink()
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_counts_and_shapes(videos):
    assert len(videos.ids) == mosi.CARD.counts["videos"] == 93 and videos.per_step
    lengths = np.array([len(labels) for labels in videos.labels])
    assert lengths.sum() == mosi.CARD.counts["utterances"] == 2199
    assert (lengths.min(), lengths.max()) == (9, 63)
    assert np.bincount(np.concatenate(videos.labels)).tolist() == [1023, 1176]
    for modality, width in {"text": 100, "audio": 73, "video": 100}.items():
        stream = videos.streams[modality]
        assert stream.values.shape == (2199, width) and stream.values.dtype == np.float32
        np.testing.assert_array_equal(stream.stops - stream.starts, lengths)


def test_published_files_are_whole(data_root):
    assert mosi.check(data_root) == []


def test_utterances_stand_in_the_order_of_their_segments(data_root):
    names = [name.rpartition("_") for name in mosi.read_utterances(data_root).ids]
    keys = [(video, int(segment)) for video, _, segment in names]
    assert keys == sorted(keys)
    # Sorted as text, segment 10 would come before segment 2.
    assert keys != sorted(keys, key=lambda key: (key[0], str(key[1])))


def test_an_utterance_found_by_hand(data_root, videos):
    # Line 1 of every training file belongs to row 39 of the transcripts.
    folder = data_root / mosi.CARD.folder
    with open(folder / "transcripts.csv", newline="", encoding="utf-8") as stream:
        video, _, segment = list(csv.reader(stream))[39][0].rpartition("_")
    with open(folder / "labels_merged.csv", newline="", encoding="utf-8") as stream:
        before = [r for r in csv.DictReader(stream) if r["video"] == video and int(r["segment"]) < int(segment)]
    at = videos.ids.index(video)
    for modality in INPUTS:
        first = (folder / modality / f"{modality}_train0.csv").read_text().split("\n", 1)[0].replace('"', "").split(",")
        wanted = np.array(first, dtype=np.float32)
        np.testing.assert_array_equal(videos.streams[modality].raw(at)[len(before)], wanted[:-1])
        assert videos.labels[at][len(before)] == wanted[-1]


def test_labels_are_the_sign_of_the_sentiment_and_neutral_is_positive(data_root):
    rows = mosi.read_utterances(data_root)
    np.testing.assert_array_equal(rows.labels, (rows.sentiment >= 0).astype(int))
    assert (rows.sentiment == 0).sum() == 96 and np.abs(rows.sentiment).max() == 3


def test_the_dead_video_units_are_exactly_the_declared_ones(videos):
    constant = {m: set(np.flatnonzero(np.ptp(s.values, axis=0) == 0)) for m, s in videos.streams.items()}
    assert constant == {"text": set(), "audio": set(), "video": mosi.DEAD_VIDEO_UNITS}


def test_only_what_is_asked_for_and_the_same_every_time(data_root, videos):
    alone = load(data_root, inputs={"audio": "opensmile"})
    assert list(alone.streams) == ["audio"]
    assert load(data_root).fingerprint == videos.fingerprint != alone.fingerprint


def test_an_empty_or_missing_root_gives_one_sentence(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        (sentence,) = mosi.check(root)
        assert str(root / mosi.CARD.folder) in sentence and "does not exist" in sentence
        assert "github.com/declare-lab" in sentence and "transcripts.csv" in sentence
        with pytest.raises(DataError) as error:
            load(root)
        assert str(error.value) == sentence
    (tmp_path / mosi.CARD.folder).mkdir()
    (sentence,) = mosi.check(tmp_path)
    assert "is empty" in sentence


def test_a_missing_file_and_a_pointer_are_named(linked):
    (linked / mosi.CARD.folder / "transcripts.csv").unlink()
    pointer = linked / mosi.CARD.folder / "audio" / "audio_test0.csv"
    pointer.unlink()
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    first, second = sorted(mosi.check(linked), key=lambda sentence: "pointer" in sentence)
    assert "transcripts.csv is missing" in first and "github.com" in first
    assert str(pointer) in second and "git lfs pull" in second
    with pytest.raises(DataError):
        load(linked)


def test_a_changed_file_fails_its_checksum(linked):
    path = edit(linked, "labels_merged.csv", lambda rows: rows[:-1] + [rows[-1][:6] + ["OTHER WORDS"]])
    (sentence,) = mosi.check(linked)
    assert str(path) in sentence and "SHA-256" in sentence


def in_row(number: int, change):
    """Change of one row, the others as they are."""
    return lambda rows: [change(row) if at == number else row for at, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("audio/audio_train0.csv", in_row(2, lambda r: r[1:]), "audio_train0.csv:3: 73 columns; wanted 74"),
        ("video/video_test0.csv", lambda rows: rows[:-1], "video_test0.csv: 751 rows; wanted 752"),
        ("audio/audio_test0.csv", in_row(5, lambda r: ["x", *r[1:]]), "a value is not a number"),
        ("audio/audio_test0.csv", in_row(5, lambda r: ["nan", *r[1:]]), "not finite"),
        ("text_train.csv", lambda rows: [rows[1], rows[0], *rows[2:]], "the order of the rows is not certain"),
        ("text_test.csv", in_row(0, lambda r: ["2199", *r[1:]]), "row 2199 of transcripts.csv is named; it has 2199"),
        ("text_test.csv", in_row(0, lambda r: ["3", *r[1:]]), "name an utterance twice"),
        ("text/text_train0.csv", in_row(7, lambda r: [*r[:-1], "2"]), "label 2 is out of range; accepted are 0 and 1"),
        ("video/video_train0.csv", in_row(7, lambda r: [*r[:-1], str(1 - int(r[-1]))]), "in video"),
        ("labels_merged.csv", in_row(1, lambda r: [*r[:4], "3.0", *r[5:]]), "sentiment 3.0 contradicts the label 0"),
        ("labels_merged.csv", in_row(1, lambda r: [*r[:5], "train", r[6]]), "labels_merged.csv puts it into 'train'"),
        ("labels_merged.csv", lambda rows: [rows[0], *rows[2:]], "the id is not in labels_merged.csv"),
    ],
)
def test_files_that_contradict_each_other_are_refused(linked, name, change, said):
    edit(linked, name, change)
    with pytest.raises(DataError) as error:
        load(linked)
    assert said in str(error.value)


def test_an_undeclared_dead_column_is_refused(linked):
    for part in ("train", "test"):
        edit(linked, f"audio/audio_{part}0.csv", lambda rows: [["0.5", *row[1:]] for row in rows])
    with pytest.raises(DataError, match="audio: column 0 is constant"):
        load(linked)


@pytest.mark.parametrize(
    ("target", "inputs", "said"),
    [
        ("emotion", INPUTS, "no target 'emotion'. Accepted: sentiment"),
        ("sentiment", {"audio": "logmel"}, "no audio input 'logmel'. Accepted: opensmile"),
        ("sentiment", {"image": "cnn3d"}, "no modality 'image'. Accepted: text, audio, video"),
    ],
)
def test_a_wrong_request_says_what_is_accepted(tmp_path, target, inputs, said):
    with pytest.raises(DataError) as error:
        load(tmp_path, target, inputs)
    assert said in str(error.value)
