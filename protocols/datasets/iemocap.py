"""IEMOCAP as it is released: one of four emotions for each utterance, from its sound.

Source: Busso et al. 2008. Labels are the majority votes in the EmoEvaluation texts; happy and excited are one class,
and utterances of another or no majority are left out, as in most papers with four classes.
"""

import re
from collections import Counter
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing
from protocols.datasets.media import file_problem
from protocols.examples import DataError

EMOTIONS = ("neutral", "angry", "sad", "happy")
COUNTS = dict(zip(EMOTIONS, (1708, 1103, 1084, 595 + 1041), strict=True))
# Code -> class; None for what the four classes leave out.
CODES = {"neu": "neutral", "ang": "angry", "sad": "sad", "hap": "happy", "exc": "happy"}
CODES |= dict.fromkeys(("fru", "fea", "sur", "dis", "oth", "xxx"))
SESSIONS = 5
# [start - end], utterance, emotion, [valence, activation, dominance]
TURN = re.compile(
    r"\[(?P<start>\d+\.\d+) - (?P<end>\d+\.\d+)\]\t(?P<name>Ses0[1-5][FM]_\w+_[FM]\d{3})\t(?P<code>\w{3})\t\[[^\]]*\]"
)

CARD = Card(
    title="IEMOCAP, four emotions",
    owner="Signal Analysis and Interpretation Laboratory, University of Southern California",
    folder="iemocap",
    home="https://sail.usc.edu/iemocap/",
    licence="research use, after a signed release form",
    citation="Busso et al. 2008, Language Resources and Evaluation 42(4)",
    inputs={"audio": INPUTS["audio"]},
    targets=("emotion",),
    counts={"clips": sum(COUNTS.values()), "emotions": len(EMOTIONS), "sessions": SESSIONS},
    layout=(
        "Session<1 to 5>/dialog/EmoEvaluation/<dialogue>.txt and "
        "Session<1 to 5>/sentences/wav/<dialogue>/<utterance>.wav, as released"
    ),
    obtain="Sign the release form on the home page; unpack the release and name or link its folder so.",
    aligned=False,
    splits={
        "sessions": Standard(
            "Leave one session out: fold k is session k, the session after it validates. The two people of a session "
            "are in no other.",
        )
    },
    traps=(
        "Sound only: a picture shows both people of a session, and nothing in a name says who is on which side.",
        "Papers with other emotions, or with happy and excited apart, have other counts.",
        "Utterances of scripted dialogues repeat the same sentences in every session.",
        "At most the first ten seconds of an utterance are read.",
    ),
)


def _listing(folder: Path, target: str) -> Listing:
    clips = []
    for session in range(1, SESSIONS + 1):
        home = folder / f"Session{session}"
        texts = sorted((home / "dialog" / "EmoEvaluation").glob("Ses*.txt"))
        if not texts:
            raise DataError(f"{home / 'dialog' / 'EmoEvaluation'}: no text of a dialogue. {CARD.obtain}")
        for text in texts:
            for name, emotion in read_evaluation(text):
                sound = home / "sentences" / "wav" / text.stem / f"{name}.wav"
                clips.append(Clip(name, EMOTIONS.index(emotion), sound))
    came = Counter(EMOTIONS[clip.label] for clip in clips)
    if wrong := [name for name in EMOTIONS if came[name] != COUNTS[name]]:
        told = ", ".join(f"{came[name]} {name}, expected {COUNTS[name]}" for name in wrong)
        raise DataError(f"{folder}: {told}. {CARD.obtain}")
    return Listing(EMOTIONS, tuple(clips))


def read_evaluation(path: Path) -> list[tuple[str, str]]:
    """Name and emotion of the utterances of a dialogue that have one of the four.

    Lines that begin with a bracket are utterances; the votes of single listeners below them are not read.

    Raises:
        DataError: naming file and line, for an utterance that is written otherwise, of another dialogue, told twice, or
            of an emotion that IEMOCAP does not have.
    """
    if problem := file_problem(path):
        raise DataError(problem)
    seen, found = set(), []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):  # listeners' comments
        if not line.startswith("["):
            continue
        where, told = f"{path}:{number}", TURN.fullmatch(line.rstrip())
        if told is None:
            raise DataError(f"{where}: {line!r}; wanted [start - end], name, emotion and [three numbers], with tabs.")
        name, code = told["name"], told["code"]
        if not name.startswith(f"{path.stem}_") or name in seen:
            fault = "stands here twice" if name in seen else "is of another dialogue"
            raise DataError(f"{where}: {name} {fault}. Fetch it again.")
        if code not in CODES:
            raise DataError(f"{where}: emotion {code!r}; accepted are {', '.join(CODES)}.")
        seen.add(name)
        if CODES[code]:
            found.append((name, CODES[code]))
    return found


_CLIPS = ClipSet(CARD, _listing, fps=1.0)
check, load = _CLIPS.check, _CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """Fold of each utterance: the number of its session."""
    _CLIPS.check_split(name)
    return {utterance: utterance[4] for utterance in ids}
