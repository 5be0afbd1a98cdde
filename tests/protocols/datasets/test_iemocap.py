"""IEMOCAP on files of its release's layout: four emotions, folds by session, or a refusal with file and line."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from protocols.datasets import iemocap
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import RATE, quiet, tone

DIALOGUE = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{0}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t(\xe9mue)

[10.0100 - 11.3925]\t{0}_M000\texc\t[4.5000, 4.0000, 2.5000]
[14.8872 - 18.0175]\t{0}_F001\txxx\t[2.5000, 2.5000, 2.5000]
[19.2900 - 20.7875]\t{0}_M001\t{1}\t[3.0000, 3.0000, 3.0000]
"""


def write_dialogue(root: Path, session: int, emotion: str) -> Path:
    name, home = f"Ses0{session}F_impro01", root / "iemocap" / f"Session{session}"
    (home / "dialog" / "EmoEvaluation").mkdir(parents=True)
    path = home / "dialog" / "EmoEvaluation" / f"{name}.txt"
    path.write_text(DIALOGUE.format(name, emotion), encoding="latin-1")
    (home / "sentences" / "wav" / name).mkdir(parents=True)
    for number, turn in enumerate(("F000", "M000", "F001", "M001")):
        sound = home / "sentences" / "wav" / name / f"{name}_{turn}.wav"
        soundfile.write(sound, tone(0.2 + 0.1 * number), RATE)
    return path


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Five sessions of one dialogue, with their own counts in place of the published ones."""
    for session, emotion in enumerate(("ang", "sad", "hap", "ang", "sad"), 1):
        write_dialogue(tmp_path, session, emotion)
    counts = {"neutral": 5, "angry": 2, "sad": 2, "happy": 6}
    for name, count in counts.items():
        monkeypatch.setitem(iemocap.COUNTS, name, count)
    monkeypatch.setitem(iemocap.CARD.counts, "clips", sum(counts.values()))
    return tmp_path


def load(root: Path, cache: Path):
    return iemocap.load(root, cache, "emotion", {"audio": "logmel"}, quiet)


def test_the_published_counts_add_up():
    assert iemocap.CARD.counts["clips"] == 5531 and iemocap.COUNTS["happy"] == 1636


def test_four_emotions_and_their_sound(root, tmp_path):
    assert iemocap.check(root) == []
    examples = load(root, tmp_path / "cache")
    assert len(examples.ids) == 15 and not any(name.endswith("F001") for name in examples.ids)
    told = {name: examples.classes[label] for name, label in zip(examples.ids, examples.labels, strict=True)}
    assert told["Ses01F_impro01_M000"] == "happy" and told["Ses02F_impro01_M001"] == "sad"
    assert np.array_equal(examples.streams["audio"].raw(examples.ids.index("Ses03F_impro01_F000")), tone(0.2))


def test_a_session_is_a_fold(root, tmp_path):
    parts = iemocap.split(root, "sessions", load(root, tmp_path / "cache").ids)
    assert all(parts[name] == name[4] for name in parts) and set(parts.values()) == set("12345")
    with pytest.raises(DataError, match="no split 'session'. Did you mean 'sessions'"):
        iemocap.split(root, "session", ())


def test_counts_and_missing_sound_are_refused(root, tmp_path):
    (root / "iemocap/Session4/sentences/wav/Ses04F_impro01/Ses04F_impro01_M001.wav").unlink()
    with pytest.raises(DataError, match="1 of 15 clips are missing, Ses04F_impro01_M001"):
        load(root, tmp_path / "cache")
    path = root / "iemocap/Session4/dialog/EmoEvaluation/Ses04F_impro01.txt"
    path.write_text(path.read_text(encoding="latin-1").replace("ang", "fru"), encoding="latin-1")
    with pytest.raises(DataError, match="1 angry, expected 2"):
        load(root, tmp_path / "cache")
    path.unlink()
    assert "Session4/dialog/EmoEvaluation: no text of a dialogue" in iemocap.check(root)[0]
    assert "signed release form" in iemocap.check(tmp_path / "nowhere")[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    (
        ("[6.2901 - 8.2357]", "[6.2901 8.2357]", ":3: '.6.2901 8.2357.*wanted .start - end., name, emotion"),
        ("\tneu\t", " neu ", ":3: .*with tabs"),
        ("\texc\t", "\tjoy\t", ":7: emotion 'joy'; accepted are neu, ang, sad"),
        ("Ses01F_impro01_M000", "Ses01F_impro02_M000", ":7: Ses01F_impro02_M000 is of another dialogue"),
        ("Ses01F_impro01_M001", "Ses01F_impro01_M000", ":9: Ses01F_impro01_M000 stands here twice"),
    ),
)
def test_wrong_lines_are_named(tmp_path, old, new, said):
    path = write_dialogue(tmp_path, 1, "ang")
    path.write_text(path.read_text(encoding="latin-1").replace(old, new), encoding="latin-1")
    with pytest.raises(DataError, match=rf"Ses01F_impro01\.txt{said}"):
        iemocap.read_evaluation(path)
