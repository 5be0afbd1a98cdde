"""SAVEE on files of its layout."""

import shutil

import pytest
import soundfile

from protocols.datasets import savee
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import RATE, quiet, tone, write_clip

INPUTS = {"audio": "logmel", "video": "movement"}


@pytest.fixture
def root(tmp_path):
    """Every speaker's sa07 and n16 as clips; the rest is declared to be absent."""
    folder = tmp_path / "data" / "savee"
    made = write_clip(tmp_path / "made.avi")
    for speaker in savee.SPEAKERS:
        for kind in ("AudioData", "AudioVisualClip"):
            (folder / kind / speaker).mkdir(parents=True)
        for name in ("sa07", "n16"):
            soundfile.write(folder / "AudioData" / speaker / f"{name}.wav", tone(1.2), RATE)
            shutil.copy(made, folder / "AudioVisualClip" / speaker / f"{name}.avi")
    there = {clip.id for clip in savee.CLIPS.listing(folder, "emotion").clips if clip.video.exists()}
    others = [clip.id for clip in savee.CLIPS.listing(folder, "emotion").clips if clip.id not in there]
    assert len(there) == 8 and len(others) == 4 * (7 * 15 - 1)
    (folder / "absent.txt").write_text("\n".join(others))
    return folder.parent


def test_two_letter_codes_come_first_and_folds_are_speakers(root, tmp_path):
    assert savee.check(root) == []
    examples = savee.load(root, tmp_path, "emotion", INPUTS, quiet)
    assert examples.ids == ("DC_n16", "DC_sa07", "JE_n16", "JE_sa07", "JK_n16", "JK_sa07", "KL_n16", "KL_sa07")
    assert [examples.classes[k] for k in examples.labels[:2]] == ["neutral", "sad"]
    folds = savee.split(root, "speakers", examples.ids)
    assert [folds[name] for name in examples.ids] == list("11223344")


def test_the_fifteen_sentences_of_an_emotion_must_be_there(root, tmp_path):
    lines = (root / "savee" / "absent.txt").read_text().splitlines()
    (root / "savee" / "absent.txt").write_text("\n".join(line for line in lines if line != "JE_su15"))
    with pytest.raises(DataError, match=r"clips are missing, JE_su15; .*AudioVisualClip/JE/su15\.avi for one"):
        savee.load(root, tmp_path, "emotion", INPUTS, quiet)


@pytest.mark.parametrize(("name", "message"), [("x01", "KL/x01 is not named"), ("sa16", "KL/sa16 is beyond the 15")])
def test_names_that_are_none(root, name, message):
    soundfile.write(root / "savee" / "AudioData" / "KL" / f"{name}.wav", tone(0.5), RATE)
    assert message in savee.check(root)[0]
