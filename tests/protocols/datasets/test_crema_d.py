"""CREMA-D on files of its layout: names, folds of unseen actors, the lists that share actors."""

import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

from protocols.datasets import crema_d
from protocols.datasets.clips import by_hash
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import RATE, quiet, tone, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}
CLIPS = ("1001_DFA_ANG_XX", "1001_IEO_HAP_MD", "1002_WSI_NEU_XX", "1091_TIE_SAD_XX", "1045_IEO_FEA_HI")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five clips, the demographics of all 91 actors, and lists over three of the clips."""
    place = tmp_path_factory.mktemp("data") / "crema_d"
    made = write_clip(place / "VideoFlash" / f"{CLIPS[0]}.flv")
    (place / "AudioWAV").mkdir()
    for name in CLIPS:
        soundfile.write(place / "AudioWAV" / f"{name}.wav", tone(1.2), RATE)
        if name != CLIPS[0]:
            shutil.copy(made, place / "VideoFlash" / f"{name}.flv")
    sexes = ["Female" if k % 2 and k < 86 else "Male" for k in range(91)]
    rows = [f"{1001 + k},{20 + k % 40},{sex},Caucasian,Not Hispanic" for k, sex in enumerate(sexes)]
    (place / "VideoDemographics.csv").write_text("\n".join(["ActorID,Age,Sex,Race,Ethnicity", *rows]) + "\n")
    (place / "train.csv").write_text("".join(f"{name},{name[9:12]}\n" for name in CLIPS[:3]))
    (place / "test.csv").write_text(f"{CLIPS[3]},SAD\n{CLIPS[4]},FEA\n")
    return place


@pytest.fixture
def root(folder, tmp_path, monkeypatch):
    """A copy that a test may spoil, with its own counts in place of the published ones."""
    monkeypatch.setitem(crema_d.CARD.counts, "clips", len(CLIPS))
    counts = crema_d.CARD.splits["shared-actor"].counts
    monkeypatch.setitem(counts, "train", 3)
    monkeypatch.setitem(counts, "test", 2)
    return shutil.copytree(folder, tmp_path / "data" / "crema_d").parent


def test_ids_labels_and_streams(root, tmp_path):
    assert crema_d.check(root) == []
    examples = crema_d.load(root, tmp_path, "emotion", INPUTS, quiet)
    assert examples.ids == tuple(sorted(CLIPS))
    told = {name: examples.classes[label] for name, label in zip(examples.ids, examples.labels, strict=True)}
    assert told["1001_DFA_ANG_XX"] == "angry" and told["1002_WSI_NEU_XX"] == "neutral"
    assert told["1045_IEO_FEA_HI"] == "fearful" and told["1001_IEO_HAP_MD"] == "happy"
    assert examples.streams["video"].raw(0).shape[1:] == (48, 48)
    assert np.array_equal(examples.streams["audio"].raw(3), tone(1.2))


def test_folds_hold_actors_apart_and_balance_the_sexes(root):
    every = tuple(f"{actor}_DFA_ANG_XX" for actor in range(1001, 1092))
    folds = crema_d.split(root, "actors", every)
    assert Counter(folds.values()) == {"1": 19, "2": 18, "3": 18, "4": 18, "5": 18}
    women = Counter(folds[f"{1001 + k}_DFA_ANG_XX"] for k in range(1, 86, 2))
    assert sorted(women.values()) == [8, 8, 9, 9, 9]
    both = crema_d.split(root, "actors", ("1001_DFA_ANG_XX", "1001_IEO_HAP_MD"))
    assert len(set(both.values())) == 1


def test_lists_that_share_actors_get_a_validation_part(root):
    parts = crema_d.split(root, "shared-actor", CLIPS)
    assert {name: part for name, part in parts.items() if part == "test"}.keys() == set(CLIPS[3:])
    assert all(parts[name] == ("validation" if by_hash(name) else "train") for name in CLIPS[:3])
    assert crema_d.split(root, "shared-actor", CLIPS[1:]).keys() == set(CLIPS[1:]), "only of clips that are there"


@pytest.mark.parametrize(
    ("file", "text", "name", "message"),
    [
        ("train.csv", "1001_DFA_ANG_XX,ANG\n", "shared-actor", "train 1, expected 3"),
        (
            "test.csv",
            "1091_TIE_SAD_XX,SAD\n1045_IEO_FEA_HI,HAP\n",
            "shared-actor",
            r"test\.csv:2: .*no clip with its emotion",
        ),
        (
            "test.csv",
            "1091_TIE_SAD_XX,SAD\n1001_DFA_ANG_XX,ANG\n",
            "shared-actor",
            r"test\.csv:2: 1001_DFA_ANG_XX is in train",
        ),
        ("test.csv", "1091_TIE_SAD_XX\n1045_IEO_FEA_HI\n", "shared-actor", r"test\.csv:1: 1 columns .*, wanted 2"),
        ("VideoDemographics.csv", "ActorID,Age,Sex\n1001,51,Male\n", "actors", r"\{'Male': 1\}; wanted"),
        ("VideoDemographics.csv", "Actor,Sex,Age\n1001,Male,51\n", "actors", "header Actor,Sex,Age"),
    ],
)
def test_lists_that_cannot_be_right(root, file, text, name, message):
    (root / "crema_d" / file).write_text(text)
    with pytest.raises(DataError, match=message):
        crema_d.split(root, name, CLIPS)


def test_lists_that_did_not_come(root):
    (root / "crema_d" / "test.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv: no such file\. The lists of OGM-GE .*data/CREMAD"):
        crema_d.split(root, "shared-actor", CLIPS)


def test_a_clip_without_its_picture_or_sound(root, tmp_path):
    (root / "crema_d" / "VideoFlash" / "1091_TIE_SAD_XX.flv").unlink()
    with pytest.raises(
        DataError, match=r"1 of 5 clips are missing, 1091_TIE_SAD_XX; .*VideoFlash/1091_TIE_SAD_XX\.flv"
    ):
        crema_d.load(root, tmp_path, "emotion", INPUTS, quiet)
    (root / "crema_d" / "AudioWAV" / "1091_TIE_SAD_XX.wav").unlink()
    assert "4 clips, expected 5" in crema_d.check(root)[0]


def test_a_name_that_is_no_clip(root):
    soundfile.write(root / "crema_d" / "AudioWAV" / "1001_DFA_JOY_XX.wav", tone(1.0), RATE)
    assert "'1001_DFA_JOY_XX' is not named ACTOR_SENTENCE_EMOTION_LEVEL" in crema_d.check(root)[0]


def test_a_truncated_sound_is_named(root, tmp_path):
    path = root / "crema_d" / "AudioWAV" / "1002_WSI_NEU_XX.wav"
    path.write_bytes(path.read_bytes()[:9000])
    assert [sentence.split("/")[-1][:31] for sentence in crema_d.check(root)] == ["1002_WSI_NEU_XX.wav: truncated,"]
    with pytest.raises(DataError, match=r"1 of 5 clips cannot be read: .*1002_WSI_NEU_XX\.wav: truncated"):
        crema_d.load(root, tmp_path, "emotion", INPUTS, quiet)
