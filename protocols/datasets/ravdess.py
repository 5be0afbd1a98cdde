"""RAVDESS speech: 24 actors say two sentences in eight emotions; the audio-video files as they were published.

Source: Livingstone and Russo 2018. What there is follows from the naming rule, so a missing file is known by name.
"""

from itertools import product
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
ACTORS = 24

CARD = Card(
    title="RAVDESS speech, raw clips",
    owner="Steven Livingstone and Frank Russo, SMART Lab, Toronto Metropolitan University",
    folder="ravdess",
    home="https://zenodo.org/records/1188976",
    licence="CC BY-NC-SA 4.0 (non-commercial use only)",
    citation="Livingstone and Russo 2018, PLoS ONE 13(5): e0196391, doi:10.1371/journal.pone.0196391",
    inputs=INPUTS,
    targets=("emotion",),
    counts={"clips": 1440, "actors": 24, "emotions": 8},
    layout="Actor_<AA>/01-01-EE-II-SS-RR-AA.mp4, the 60 clips with picture and sound of each of the actors 01 to 24",
    obtain="Download Video_Speech_Actor_01.zip to Video_Speech_Actor_24.zip from the home page and unpack them there.",
    aligned=False,
    splits={
        "actors": Standard(
            "Six folds of four consecutive actors, two women and two men, as HiCMAE has them; committed. The next fold "
            "is the validation part.",
            {"train": 960, "validation": 240, "test": 240},
        ),
        "fixed-actors": Standard(
            "Test actors 5, 10, 16, 19 and validation actors 11, 13, 18, 22, as in the released models of Chumachenko "
            "et al. 2022; committed.",
            {"train": 960, "validation": 240, "test": 240},
        ),
    },
    traps=(
        "Split by actor: one abstract has 95.8 % with a random split and 48.1 % with one actor left out.",
        "Files that begin with 02 show the same trials without sound, those with 03 are their sound: no new examples.",
        "Neutral has 96 clips, every other emotion 192: it was spoken at normal intensity only.",
    ),
)


def _listing(folder: Path, target: str) -> Listing:
    clips = []
    for emotion, intensity, sentence, take, actor in product(range(1, 9), (1, 2), (1, 2), (1, 2), range(1, ACTORS + 1)):
        if (emotion, intensity) != (1, 2):  # there is no strong neutral
            name = f"01-01-{emotion:02}-{intensity:02}-{sentence:02}-{take:02}-{actor:02}"
            clips.append(Clip(name, emotion - 1, folder / f"Actor_{actor:02}" / f"{name}.mp4"))
    return Listing(EMOTIONS, tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=25)
check, load = CLIPS.check, CLIPS.load
