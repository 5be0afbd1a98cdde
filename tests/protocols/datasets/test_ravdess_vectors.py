"""The real vectors: who speaks, how, and which columns belong to which modality."""

import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import pickles
from protocols.datasets import ravdess_vectors as ravdess
from protocols.examples import DataError

INPUTS = {"audio": "mfcc", "video": "action_units"}


@pytest.fixture(scope="module")
def data_root() -> Path:
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not root:
        pytest.skip("FUSEBOARD_DATA_ROOT is not set: the real vectors are not at hand.")
    if not (Path(root) / ravdess.CARD.folder).is_dir():
        pytest.skip(f"{root} holds no {ravdess.CARD.folder} folder.")
    return Path(root)


@pytest.fixture(scope="module")
def clips(data_root):
    return load(data_root)


def load(root, target="emotion", inputs=INPUTS):
    return ravdess.load(root, root, target, inputs, lambda items, description: items)


def put(root: Path, content) -> Path:
    path = root / ravdess.CARD.folder / "au_mfcc.pkl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


def made_vectors() -> dict[str, np.ndarray]:
    """As many clips as the set has, with its names, but other numbers."""
    rng = np.random.default_rng(0)
    names = (
        f"01-01-0{emotion}-0{intensity}-0{statement}-0{repetition}-{actor:02d}"
        for emotion in range(1, 9)
        for intensity in ((1,) if emotion == 1 else (1, 2))
        for statement in (1, 2)
        for repetition in (1, 2)
        for actor in range(1, 25)
    )
    return {name: rng.standard_normal(294) for name in names}


def test_counts_and_shapes(clips):
    assert len(clips.ids) == ravdess.CARD.counts["clips"] == 1440
    assert np.bincount(clips.labels).tolist() == [96] + 7 * [192]
    assert len(clips.classes) == ravdess.CARD.counts["emotions"]
    for modality, width in {"video": 35, "audio": 259}.items():
        stream = clips.streams[modality]
        assert stream.values.shape == (1440, width) and stream.values.dtype == np.float32
        assert stream.raw(7).shape == (1, width)


def test_labels_and_actors_come_from_the_names(clips):
    assert clips.classes[clips.labels[clips.ids.index("01-01-05-02-01-01-13")]] == "angry"
    assert ravdess.speaker("01-01-05-02-01-01-13") == (13, "male")
    assert ravdess.speaker("01-01-05-02-01-01-24") == (24, "female")
    assert Counter(ravdess.speaker(name) for name in clips.ids) == {
        (actor, "male" if actor % 2 else "female"): 60 for actor in range(1, 25)
    }


def test_the_first_columns_are_action_units_and_the_rest_is_sound(clips):
    faces, sound = clips.streams["video"].values, clips.streams["audio"].values
    # OpenFace intensities lie in 0..5, presences in 0..1.
    assert faces[:, :17].min() >= 0 and faces[:, :17].max() <= 5 and (faces[:, :17].max(0) > 0.5).all()
    assert faces[:, 17:].min() >= 0 and faces[:, 17:].max() <= 1
    # The acoustic contour lies far below 0, and after its end there is nothing but zeros.
    silent = sound == 0
    assert np.median(sound, axis=1).max() < -15
    assert (np.diff(silent.astype(int), axis=1) >= 0).all() and silent.any(axis=1).sum() == 377


def test_no_column_is_constant(clips):
    for stream in clips.streams.values():
        assert np.ptp(stream.values, axis=0).min() > 0


def test_a_vector_is_cut_where_the_card_says(data_root, clips):
    vector = pickles.load(data_root / ravdess.CARD.folder / "au_mfcc.pkl")["01-01-08-02-02-02-24"]
    at = clips.ids.index("01-01-08-02-02-02-24")
    joined = np.concatenate([clips.streams["video"].raw(at)[0], clips.streams["audio"].raw(at)[0]])
    np.testing.assert_array_equal(joined, vector.astype(np.float32))


def test_the_published_file_is_whole(data_root):
    assert ravdess.check(data_root) == []


def test_only_what_is_asked_for_and_the_same_every_time(data_root, clips):
    alone = load(data_root, inputs={"video": "action_units"})
    assert list(alone.streams) == ["video"]
    assert load(data_root).fingerprint == clips.fingerprint != alone.fingerprint


def test_an_empty_or_missing_root_gives_one_sentence(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        (sentence,) = ravdess.check(root)
        assert str(root / ravdess.CARD.folder) in sentence and "zenodo.org" in sentence
        with pytest.raises(DataError) as error:
            load(root)
        assert str(error.value) == sentence


def test_another_file_fails_its_checksum(tmp_path):
    path = put(tmp_path, made_vectors())
    (sentence,) = ravdess.check(tmp_path)
    assert str(path) in sentence and "SHA-256" in sentence


def without(content: dict, name: str) -> dict:
    return {key: value for key, value in content.items() if key != name}


FIRST = "01-01-01-01-01-01-01"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: without(c, FIRST), "1439 clips; wanted 1440"),
        (lambda c: {**without(c, FIRST), "01-01-09-01-01-01-01": c[FIRST]}, "clip '01-01-09-01-01-01-01' is not named"),
        (lambda c: {**c, FIRST: c[FIRST][:293]}, f"clip {FIRST} has (293,); wanted a vector of 294 columns"),
        (lambda c: {**c, FIRST: 3.0}, f"clip {FIRST} has float"),
        (lambda c: {**c, FIRST: np.full(294, np.nan)}, "values are not finite"),
        (lambda c: {name: np.r_[0.5, vector[1:]] for name, vector in c.items()}, "video: column 0 is constant"),
        (lambda c: list(c.values()), "wanted a dict from clip names to vectors"),
        (lambda c: pickle.dumps(c)[:5000], "truncated or damaged"),
        (lambda c: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
    ],
)
def test_unexpected_content_is_refused(tmp_path, change, said):
    path = put(tmp_path, change(made_vectors()))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert said in str(error.value)
    assert str(path) in str(error.value) or ravdess.CARD.title in str(error.value)


@pytest.mark.parametrize(
    ("target", "inputs", "said"),
    [
        ("gender", INPUTS, "no target 'gender'. Accepted: emotion"),
        ("emotion", {"video": "face"}, "no video input 'face'. Accepted: action_units"),
        ("emotion", {"text": "words"}, "no modality 'text'. Accepted: audio, video"),
    ],
)
def test_a_wrong_request_says_what_is_accepted(tmp_path, target, inputs, said):
    with pytest.raises(DataError) as error:
        load(tmp_path, target, inputs)
    assert said in str(error.value)
