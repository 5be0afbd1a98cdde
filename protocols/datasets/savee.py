"""SAVEE: four English speakers, all men, say sentences in seven emotions.

Source: Haq and Jackson 2009. Codes and folders of the sound follow the data set's own Info.txt.
"""

import re
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing
from protocols.examples import DataError

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SENTENCES = 15  # of each emotion; neutral has more
NAME = re.compile(r"(sa|su|[adfhn])(\d\d)")

CARD = Card(
    title="SAVEE",
    owner="Sanaul Haq and Philip Jackson, University of Surrey",
    folder="savee",
    home="http://kahlan.eps.surrey.ac.uk/savee/",
    licence="research, after registration (not checked: read the owner's page)",
    citation="Haq and Jackson 2009, AVSP",
    inputs=INPUTS,
    targets=("emotion",),
    counts={"speakers": 4, "emotions": 7, "sentences of an emotion": 15},
    layout=(
        "AudioData/<speaker>/<code><nn>.wav and AudioVisualClip/<speaker>/<code><nn>.avi; speakers DC, JE, JK, KL; "
        "codes a, d, f, h, n, sa, su"
    ),
    obtain="Register on the home page, then unpack the sound (AudioData) and the clips (AudioVisualClip).",
    aligned=False,
    splits={
        "speakers": Standard("One fold a speaker: DC, JE, JK, KL. The next one is the validation part."),
    },
    traps=(
        "Four men and nobody else: nothing here says how a method does on a woman's voice or face.",
        "Random splits have every speaker in both parts (shared-actor).",
        "Neutral is usually said to have 30 sentences, which would make 480 clips; nobody checked. All that are there "
        "count, and the fifteen of every other emotion must be there.",
        "Nobody checked the folders of the clips with picture; move them to where the layout says.",
    ),
)


def _listing(folder: Path, target: str) -> Listing:
    clips = []
    for speaker in SPEAKERS:
        found = {path.stem for path in (folder / "AudioData" / speaker).glob("*.wav")}
        if wrong := sorted(name for name in found if not NAME.fullmatch(name)):
            raise DataError(f"{folder}: {speaker}/{wrong[0]} is not named <code><nn>, as in sa07. Move it elsewhere.")
        wanted = {f"{code}{number:02}" for code in EMOTIONS for number in range(1, SENTENCES + 1)}
        if more := sorted(name for name in found - wanted if NAME.fullmatch(name)[1] != "n"):
            raise DataError(f"{folder}: {speaker}/{more[0]} is beyond the {SENTENCES} sentences of its emotion.")
        for name in sorted(found | wanted):
            label = list(EMOTIONS).index(NAME.fullmatch(name)[1])
            picture, sound = folder / "AudioVisualClip" / speaker, folder / "AudioData" / speaker
            clips.append(Clip(f"{speaker}_{name}", label, picture / f"{name}.avi", sound / f"{name}.wav"))
    return Listing(tuple(EMOTIONS.values()), tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=25)
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The fold of each clip: its speaker's."""
    CLIPS.check_split(name)
    return {clip: str(SPEAKERS.index(clip[:2]) + 1) for clip in ids}
