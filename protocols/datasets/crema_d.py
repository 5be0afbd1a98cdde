"""CREMA-D: 91 actors say twelve sentences in six emotions. The label is the intended emotion, which the file names.

Source: Cao et al. 2014.
"""

import re
from collections import Counter
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, by_hash, check_parts, read_rows
from protocols.examples import DataError

EMOTIONS = {"NEU": "neutral", "HAP": "happy", "SAD": "sad", "FEA": "fearful", "DIS": "disgusted", "ANG": "angry"}
SENTENCES = "DFA|IEO|IOM|ITH|ITS|IWL|IWW|MTI|TAI|TIE|TSI|WSI"
NAME = re.compile(rf"(10(?:0[1-9]|[1-8]\d|9[01]))_(?:{SENTENCES})_({'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX)")
FOLDS = 5
SEXES = {"Female": 43, "Male": 48}
OBTAIN = (
    "Clone the repository with Git LFS (about 7.6 GB; without LFS the clips are pointers), and copy or link its "
    "folders AudioWAV and VideoFlash and its file VideoDemographics.csv."
)

CARD = Card(
    title="CREMA-D",
    owner="Houwei Cao, David Cooper and colleagues",
    folder="crema_d",
    home="https://github.com/CheyneyComputerScience/CREMA-D",
    licence="ODbL 1.0 for the database, DbCL 1.0 for its contents",
    citation="Cao et al. 2014, IEEE Transactions on Affective Computing 5(4), doi:10.1109/TAFFC.2014.2336244",
    inputs=INPUTS,
    targets=("emotion",),
    counts={"clips": 7442, "actors": 91, "emotions": 6},
    layout=(
        "AudioWAV/<id>.wav, VideoFlash/<id>.flv, VideoDemographics.csv; for the split shared-actor also train.csv and "
        "test.csv. <id> is ACTOR_SENTENCE_EMOTION_LEVEL, as in 1001_DFA_ANG_XX"
    ),
    obtain=OBTAIN,
    aligned=False,
    splits={
        "actors": Standard(
            "Ours: five folds of 18 or 19 actors, nobody in two. Women by ascending number, then men, are dealt "
            "to folds 1 to 5 in turn, by the sexes of VideoDemographics.csv. The next fold is the validation part.",
        ),
        "shared-actor": Standard(
            "The lists of OGM-GE (Peng et al. 2022), which S-CMRL and others use: github.com/GeWu-Lab/OGM-GE_CVPR2022, "
            "data/CREMAD. They have no validation part: the tenth of train.csv whose names hash to 0 is ours.",
            {"train": 6698, "test": 744},
            leak="shared-actor",
        ),
    },
    traps=(
        "The lists that most papers on modality balance use have all 91 actors in both parts: one abstract has 73.5 % "
        "with a random split and 53.1 % with unseen actors.",
        "HiCMAE released five folds of its own that hold actors apart as well: between its folds are four points, so a "
        "smaller gain on one split is no evidence.",
        "The intended emotion (file name) and the perceived one (votes of listeners) are two tasks; this is the first.",
        "1076_MTI_NEU_XX, 1076_MTI_SAD_XX, 1064_TIE_SAD_XX, 1064_IEO_DIS_MD, 1047_IEO_SAD_LO and 1047_IEO_FEA_LO are "
        "known to others as bad; those that cannot be read go into absent.txt.",
    ),
)


def _listing(folder: Path, target: str) -> Listing:
    names = {path.stem for kind in ("AudioWAV/*.wav", "VideoFlash/*.flv") for path in folder.glob(kind)}
    clips = []
    for name in sorted(names):
        told = NAME.fullmatch(name)
        if told is None:
            raise DataError(f"{folder}: {name!r} is not named ACTOR_SENTENCE_EMOTION_LEVEL. Move it elsewhere.")
        label = list(EMOTIONS).index(told[2])
        clips.append(Clip(name, label, folder / f"VideoFlash/{name}.flv", folder / f"AudioWAV/{name}.wav"))
    return Listing(tuple(EMOTIONS.values()), tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=25)
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The fold of each clip by its actor (``actors``), or the lists that came with the data (``shared-actor``).

    Raises:
        DataError: for an unknown split, and for lists that are missing or not those that the card describes.
    """
    CLIPS.check_split(name)
    folder = Path(root) / CARD.folder
    if name == "actors":
        folds = _folds(folder)
        return {clip: folds[NAME.fullmatch(clip)[1]] for clip in ids}
    parts, known = {}, set(ids)
    for part in ("train", "test"):
        path = folder / f"{part}.csv"
        if not path.is_file():
            raise DataError(f"{path}: no such file. {CARD.splits[name].rule}")
        rows = read_rows(path, 2, CARD)
        check_parts(CARD, name, {**CARD.splits[name].counts, part: len(rows)})
        for where, (clip, emotion, *_) in rows:
            told = NAME.fullmatch(clip)
            if told is None or told[2] != emotion:
                raise DataError(f"{where}: {clip},{emotion} is no clip with its emotion. Fetch the list again.")
            if parts.get(clip, part).replace("validation", "train") != part:
                raise DataError(f"{where}: {clip} is in train.csv too. Fetch both lists again.")
            parts[clip] = "validation" if part == "train" and by_hash(clip) else part
    return {clip: part for clip, part in parts.items() if clip in known}


def _folds(folder: Path) -> dict[str, str]:
    """Actor -> fold."""
    path = folder / "VideoDemographics.csv"
    header, *rows = read_rows(path, 3, CARD)
    if header[1][:3] != ["ActorID", "Age", "Sex"]:
        raise DataError(f"{path}: header {','.join(header[1])}; wanted ActorID,Age,Sex,... {OBTAIN}")
    sexes = {row[0]: row[2] for _, row in rows}
    if Counter(sexes.values()) != SEXES:
        raise DataError(f"{path}: {dict(Counter(sexes.values()))}; wanted {SEXES}. Fetch it again. {OBTAIN}")
    order = sorted(sexes, key=lambda actor: (list(SEXES).index(sexes[actor]), actor))
    return {actor: str(place % FOLDS + 1) for place, actor in enumerate(order)}
