"""UCF51: the 51 classes of UCF101 whose clips have sound.

Source: Soomro et al. 2012. A group is one source video cut into clips, so parts are parts of groups.
"""

import re
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, check_parts, read_rows
from protocols.examples import DataError

CLASSES = (
    "ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BasketballDunk BlowDryHair "
    "BlowingCandles BodyWeightSquats Bowling BoxingPunchingBag BoxingSpeedBag BrushingTeeth CliffDiving CricketBowling "
    "CricketShot CuttingInKitchen FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl Haircut HammerThrow "
    "Hammering HandstandPushups HandstandWalking HeadMassage IceDancing Knitting LongJump MoppingFloor ParallelBars "
    "PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingSitar Rafting ShavingBeard Shotput SkyDiving "
    "SoccerPenalty StillRings SumoWrestling Surfing TableTennisShot Typing UnevenBars WallPushups WritingOnBoard"
).split()
LISTS = {"train": "trainlist01.txt", "test": "testlist01.txt"}
VALIDATION = ("08", "09")  # of the training groups 08 to 25
NAME = re.compile(r"(\w+)/v_\w+_g(\d\d)_c\d\d\.avi")

CARD = Card(
    title="UCF51, the classes of UCF101 with sound",
    owner="Center for Research in Computer Vision, University of Central Florida",
    folder="ucf51",
    home="https://www.crcv.ucf.edu/data/UCF101.php",
    licence="research use (not checked: read the owner's page)",
    citation="Soomro, Zamir and Shah 2012, arXiv:1212.0402",
    inputs=INPUTS,
    targets=("action",),
    counts={"clips": 6836, "classes": 51},
    layout="UCF-101/<class>/v_<class>_g<group>_c<clip>.avi and ucfTrainTestlist/trainlist01.txt, testlist01.txt",
    obtain="Unpack UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip of the home page there.",
    aligned=False,
    splits={
        "split1": Standard(
            "The first of the three official splits: groups 01 to 07 are the test part. Of the training groups, 08 and "
            "09 are the validation part, which is ours.",
            {"train": 4892, "test": 1944},
        ),
    },
    traps=(
        "Clips of one group show the same scene and people: a split of clips instead of groups is shared-video.",
        "The other 50 classes of UCF101 have no sound; they stay where they are and are not read.",
        "Lists and folders spell HandstandPushups in two ways.",
    ),
)


def _rows(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Path below UCF-101 -> part, class and group of the clips of the 51 classes."""
    spelled = {name.lower(): name for name in CLASSES}
    found: dict[str, tuple[str, str, str]] = {}
    for part, file in LISTS.items():
        count = 0
        for where, (path, *_) in read_rows(folder / "ucfTrainTestlist" / file, 1, CARD, delimiter=" "):
            told = NAME.fullmatch(path)
            if told is None:
                raise DataError(f"{where}: {path!r} is not <class>/v_<class>_g<group>_c<clip>.avi. {CARD.obtain}")
            if path in found:
                raise DataError(f"{where}: {path} stands twice. {CARD.obtain}")
            if told[1].lower() in spelled:
                count += 1
                found[path] = part, spelled[told[1].lower()], told[2]
        check_parts(CARD, "split1", {**CARD.splits["split1"].counts, part: count})
    return found


def _listing(folder: Path, target: str) -> Listing:
    clips = [
        Clip(Path(path).stem, CLASSES.index(label), folder / "UCF-101" / path)
        for path, (_, label, _) in _rows(folder).items()
    ]
    return Listing(tuple(CLASSES), tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=12.5)
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The part of each clip.

    Raises:
        DataError: for an unknown split, and for lists that are missing or not those that the card describes.
    """
    CLIPS.check_split(name)
    rows = {Path(path).stem: told for path, told in _rows(Path(root) / CARD.folder).items()}
    return {
        clip: "validation" if rows[clip][0] == "train" and rows[clip][2] in VALIDATION else rows[clip][0]
        for clip in ids
    }
