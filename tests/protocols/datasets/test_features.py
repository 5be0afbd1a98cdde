"""A folder that a person brings: read as described, or refused with file, line and what to do."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from protocols.datasets import cmu_mosi_utterance as mosi
from protocols.datasets import features
from protocols.examples import DataError

NAME = "my-clips"
LENGTHS = {"c": 3, "a": 1, "b": 2}  # in the order of the file, not of the alphabet
DESCRIPTION = {
    "name": NAME,
    "title": "Three clips",
    "licence": "CC0",
    "citation": "none",
    "home": "here",
    "classes": ["calm", "angry"],
    "modalities": {"audio": {"file": "audio.npy", "rate_hz": 50, "width": 4}, "video": {"file": "video.npy"}},
}


@pytest.fixture
def root(tmp_path) -> Path:
    """A data root with one sound folder: audio sequences, video vectors."""
    folder = tmp_path / NAME
    (folder / "splits").mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.save(folder / "audio.npy", rng.standard_normal((6, 4)).astype(np.float32))
    np.save(folder / "video.npy", rng.standard_normal((3, 2)))
    describe(tmp_path)
    table(tmp_path, "examples.csv", "id,label,audio_length", "c,angry,3", "a,calm,1", "b,1,2")
    table(tmp_path, "splits/one.csv", "id,part", "a,train", "b,validation", "c,test")
    return tmp_path


def describe(root: Path, **changes) -> None:
    described = {key: value for key, value in (DESCRIPTION | changes).items() if value is not None}
    (root / NAME / "dataset.yaml").write_text(yaml.safe_dump(described))


def table(root: Path, name: str, *lines: str) -> None:
    (root / NAME / name).write_text("".join(line + "\n" for line in lines))


def load(root: Path, inputs=("audio", "video"), target="label"):
    inputs = inputs if isinstance(inputs, dict) else dict.fromkeys(inputs, "features")
    return features.load(root, root, target, inputs, lambda items, description: items, folder=NAME)


def refused(root: Path, said: str) -> None:
    """Load raises it, check returns it."""
    with pytest.raises(DataError) as error:
        load(root)
    assert said in str(error.value)
    assert any(said in sentence for sentence in features.check(root, NAME))


def test_sequences_and_vectors(root):
    examples = load(root)
    assert examples.ids == ("c", "a", "b") and examples.labels.tolist() == [1, 0, 1]
    audio = np.load(root / NAME / "audio.npy")
    np.testing.assert_array_equal(examples.streams["audio"].raw(0), audio[:3])
    np.testing.assert_array_equal(examples.streams["audio"].raw(2), audio[4:])
    assert examples.streams["audio"].rate_hz == 50 and examples.streams["audio"].width == 4
    video = examples.streams["video"]
    assert video.raw(1).shape == (1, 2) and video.features(video.raw(1)).dtype == np.float32
    assert features.check(root) == features.check(root, NAME) == []


def test_arrays_stay_on_disk(root):
    assert all(isinstance(stream.values, np.memmap) for stream in load(root).streams.values())


def test_one_label_a_step(root):
    describe(root, per_step=True, modalities={"audio": {"file": "audio.npy"}})
    table(root, "examples.csv", "id,audio_length", "c,3", "a,1", "b,2")
    table(root, "steps.csv", "id,step,label", "a,0,calm", "c,0,0", "c,1,1", "c,2,angry", "b,0,0", "b,1,calm")
    examples = load(root, ["audio"])
    assert examples.per_step and [own.tolist() for own in examples.labels] == [[0, 1, 1], [0], [0, 0]]
    assert features.check(root, NAME) == []


def test_numbers_for_each_example(root):
    describe(root, classes=None, targets=["valence", "arousal"])
    table(root, "examples.csv", "id,valence,arousal,audio_length", "c,0.5,-1,3", "a,0,1e-1,1", "b,2,3,2")
    examples = load(root)
    assert examples.task == "regression" and examples.classes == ("valence", "arousal")
    np.testing.assert_array_equal(examples.labels, np.array([[0.5, -1], [0, 0.1], [2, 3]], np.float32))
    assert features.check(root, NAME) == []


def test_numbers_for_each_step(root):
    describe(root, classes=None, targets=["valence"], per_step=True, modalities={"audio": {"file": "audio.npy"}})
    table(root, "examples.csv", "id,audio_length", "c,3", "a,1", "b,2")
    steps = ["a,0,0.25", "c,0,0", "c,1,-0.5", "c,2,1", "b,0,0", "b,1,1"]
    table(root, "steps.csv", "id,step,valence", *steps)
    examples = load(root, ["audio"])
    assert [own.tolist() for own in examples.labels] == [[[0], [-0.5], [1]], [[0.25]], [[0], [1]]]
    table(root, "steps.csv", "id,step,valence", "a,0,none", *steps[1:])
    with pytest.raises(DataError, match="steps.csv:2: valence 'none'; wanted a number"):
        load(root, ["audio"])


def test_the_fingerprint_follows_the_content(root):
    first = load(root).fingerprint
    assert load(root).fingerprint == first != load(root, ["audio"]).fingerprint
    table(root, "examples.csv", "id,label,audio_length", "c,angry,3", "a,calm,2", "b,1,1")
    assert load(root).fingerprint != first


def test_folds_are_checked_too(root):
    table(root, "splits/folds.csv", "id,fold", "a,1", "b,2", "c,3")
    assert features.check(root, NAME) == []
    table(root, "splits/folds.csv", "id,fold", "a,1", "b,2", "d,3")
    (sentence,) = features.check(root, NAME)
    assert "folds.csv:4: id 'd' is not in the data" in sentence
    for path in (root / NAME / "splits").iterdir():
        path.unlink()
    (sentence,) = features.check(root, NAME)
    assert "no split" in sentence and "id,part or id,fold" in sentence


def test_real_utterances_brought_as_a_folder_equal_their_own_loader(tmp_path):
    place = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not place or not (Path(place) / mosi.CARD.folder).is_dir():
        pytest.skip("FUSEBOARD_DATA_ROOT with cmu_mosi_utterance is not set: the real utterances are not at hand.")
    inputs = {"text": "text_cnn", "audio": "opensmile", "video": "cnn3d"}
    videos = mosi.load(Path(place), tmp_path, "sentiment", inputs, lambda items, description: items)
    folder = tmp_path / NAME
    folder.mkdir()
    for modality, stream in videos.streams.items():
        np.save(folder / f"{modality}.npy", stream.values)
    modalities = {m: {"file": f"{m}.npy", "width": s.width} for m, s in videos.streams.items()}
    modalities["video"]["known_constant"] = sorted(mosi.DEAD_VIDEO_UNITS)
    describe(tmp_path, per_step=True, classes=list(videos.classes), modalities=modalities)
    with open(folder / "examples.csv", "w", newline="") as stream:
        lengths = [[name, *[len(own)] * 3] for name, own in zip(videos.ids, videos.labels, strict=True)]
        csv.writer(stream).writerows([["id", *(f"{m}_length" for m in modalities)], *lengths])
    with open(folder / "steps.csv", "w", newline="") as stream:
        rows = [(i, t, y) for i, own in zip(videos.ids, videos.labels, strict=True) for t, y in enumerate(own)]
        csv.writer(stream).writerows([("id", "step", "label"), *rows])
    brought = load(tmp_path, list(modalities))
    assert brought.ids == videos.ids
    for at in range(len(videos.ids)):
        np.testing.assert_array_equal(brought.labels[at], videos.labels[at])
        for modality in modalities:
            np.testing.assert_array_equal(brought.streams[modality].raw(at), videos.streams[modality].raw(at))


def test_an_empty_or_missing_root_gives_one_sentence(tmp_path):
    for place, state in ((tmp_path, "has no folder with a dataset.yaml"), (tmp_path / "no", "does not exist")):
        (sentence,) = features.check(place)
        assert str(place) in sentence and state in sentence and "examples.csv" in sentence
        (sentence,) = features.check(place, NAME)
        with pytest.raises(DataError) as error:
            load(place)
        assert str(error.value) == sentence and str(place / NAME) in sentence
    (tmp_path / NAME).mkdir()
    refused(tmp_path, "is empty. Make a folder there with dataset.yaml")


@pytest.mark.parametrize("name", ["dataset.yaml", "examples.csv", "audio.npy", "video.npy"])
def test_a_missing_file_and_a_pointer_are_named(root, name):
    path = root / NAME / name
    path.unlink()
    refused(root, f"{path} is missing")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    refused(root, f"{path} is a Git LFS pointer")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clases": ["a", "b"]}, "unknown key 'clases'. Did you mean 'classes'? Known keys: name"),
        ({"licence": None}, "key 'licence' is missing"),
        ({"classes": ["calm"]}, "classes: "),
        ({"classes": ["calm", "calm"]}, "a class is named twice"),
        ({"classes": None, "targets": ["valence", "valence"]}, "a target is named twice"),
        ({"classes": None, "targets": ["audio_length"]}, "'audio_length' is another column"),
        ({"classes": None}, "wanted classes, of which an item has one, or targets"),
        ({"targets": ["valence"]}, "wanted classes, of which an item has one, or targets"),
        ({"name": "My Clips"}, "name: "),
        ({"modalities": {"vidoe": {"file": "video.npy"}}}, "unknown key 'modalities.vidoe'. Did you mean 'video'?"),
        ({"modalities": {"audio": {"fil": "a.npy", "file": "a.npy"}}}, "'modalities.audio.fil'. Did you mean 'file'?"),
        ({"modalities": {"audio": {"file": "../secret.npy"}}}, "modalities.audio.file: "),
        ({"modalities": {"audio": {"file": "audio.npy", "rate_hz": 0}}}, "modalities.audio.rate_hz: "),
        ({"modalities": {}}, "modalities: "),
    ],
)
def test_a_wrong_description_is_refused(root, changes, said):
    describe(root, **changes)
    refused(root, said)


@pytest.mark.parametrize("content", ["name: [", "just text", "- a\n- b\n", ""])
def test_a_description_that_is_no_mapping_is_refused(root, content):
    (root / NAME / "dataset.yaml").write_text(content)
    refused(root, "dataset.yaml: ")


HEADER = "id,label,audio_length"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "examples.csv:1: header ''; wanted 'id,label', then any of audio_length, video_length"),
        (("id,audio_length", "a,6"), "header 'id,audio_length'; wanted 'id,label'"),
        (("id,label,audoi_length", "a,calm,6"), "then any of audio_length"),
        ((HEADER,), "no rows below the header"),
        ((HEADER, "a,calm", "b,calm,5"), "examples.csv:2: 2 columns; the header has 3"),
        ((HEADER, "a,calm,3", "b,calm,2", "a,calm,1"), "examples.csv:4: duplicate id 'a', already in line 2"),
        ((HEADER, ",calm,6"), "examples.csv:2: the id is empty"),
        ((HEADER, "a,angri,6"), "examples.csv:2: no class 'angri'. Did you mean 'angry'? Known: calm, angry"),
        ((HEADER, "a,2,6"), "examples.csv:2: label 2 is out of range; accepted are 0 to 1"),
        ((HEADER, "a,-1,6"), "label -1 is out of range"),
        ((HEADER, "a,,6"), "no class ''"),
        ((HEADER, "a,0,0"), "examples.csv:2: audio_length '0'; wanted a whole number of at least 1"),
        ((HEADER, "a,0,2.5"), "audio_length '2.5'"),
        ((HEADER, "a,0,3", "b,0,1", "c,0,1"), "audio.npy: 6 rows, but the lengths add up to 5"),
        (("id,label", "a,0", "b,0", "c,1"), "audio.npy: 6 rows, but the lengths add up to 3"),
    ],
)
def test_wrong_examples_are_refused(root, lines, said):
    table(root, "examples.csv", *lines)
    refused(root, said)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("id,label", "a,0"), "steps.csv:1: header 'id,label'; wanted 'id,step,label'"),
        (("id,step,label", "z,0,0"), "steps.csv:2: id 'z' is not in examples.csv"),
        (("id,step,label", "c,0,0", "c,2,0"), "steps.csv:3: step '2' of c; wanted 1"),
        (("id,step,label", "c,0,2"), "steps.csv:2: label 2 is out of range"),
        (("id,step,label", "c,0,0"), "steps.csv: no label for 'a' (2 such examples)"),
        (("id,step,label", "a,0,0", "b,0,0", "b,1,0", "c,0,0"), "c has 3 rows of audio and 1 labels in steps.csv"),
    ],
)
def test_wrong_steps_are_refused(root, lines, said):
    describe(root, per_step=True, modalities={"audio": {"file": "audio.npy"}})
    table(root, "examples.csv", "id,audio_length", "c,3", "a,1", "b,2")
    table(root, "steps.csv", *lines)
    with pytest.raises(DataError) as error:
        load(root, ["audio"])
    assert said in str(error.value)


def changed(value: float, place) -> np.ndarray:
    array = np.random.default_rng(1).standard_normal((6, 4))
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (changed(np.nan, (2, 3)), "1 values are not finite, the first in row 2, column 3"),
        (changed(np.inf, (0, 0)), "values are not finite"),
        (changed(0.5, (slice(None), 1)), "column 1 is constant"),
        (changed(1e200, (4, 1)), "exceeds the range of float32"),
        (np.ones((6, 3)), "audio.npy: 3 columns; dataset.yaml says width 4"),
        (np.ones(6), "shape (6,); wanted (rows, columns)"),
        (np.ones((6, 4), np.int16), "int16; wanted float32 or float64"),
        (np.full((6, 4), None), "not a readable .npy array of numbers"),
    ],
)
def test_wrong_arrays_are_refused(root, array, said):
    np.save(root / NAME / "audio.npy", array)
    refused(root, said)


def test_a_constant_column_passes_where_it_is_declared(root):
    np.save(root / NAME / "audio.npy", changed(0.5, (slice(None), 1)))
    describe(root, modalities={"audio": {"file": "audio.npy", "known_constant": [1]}, "video": {"file": "video.npy"}})
    assert features.check(root, NAME) == []


def test_a_truncated_array_and_an_archive_are_refused(root):
    path = root / NAME / "audio.npy"
    path.write_bytes(path.read_bytes()[:-8])
    refused(root, "not a readable .npy array of numbers")
    with open(path, "wb") as stream:
        np.savez(stream, a=np.ones(2))
    refused(root, "not a readable .npy array of numbers")


@pytest.mark.parametrize(
    ("inputs", "target", "said"),
    [
        ({"audio": "features"}, "class", "no target 'class'. Accepted: label"),
        ({"text": "features"}, "label", "Three clips: no modality 'text'. Accepted: audio, video"),
        ({"audio": "logmel"}, "label", "no audio input 'logmel'. Accepted: features"),
    ],
)
def test_a_wrong_request_says_what_is_accepted(root, inputs, target, said):
    with pytest.raises(DataError) as error:
        load(root, inputs, target)
    assert said in str(error.value)
