"""Kinetics-Sounds: clips of Kinetics whose action is seen and heard, 31 classes, by the lists that circulate.

Source: Arandjelovic and Zisserman 2017 (34 classes of the first Kinetics). The lists are those of OGM-GE and bmmal.
"""

from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, by_hash, check_parts, read_rows
from protocols.examples import DataError

CLASSES = 31
LISTS = {"train": "my_train.txt", "test": "my_test.txt"}

CARD = Card(
    title="Kinetics-Sounds, 31 classes",
    owner="Kinetics: Google DeepMind; the lists: GeWu-Lab",
    folder="kinetics_sounds",
    home="https://github.com/GeWu-Lab/OGM-GE_CVPR2022",
    licence="not checked: read the owners' pages; the clips belong to those who uploaded them",
    citation="Arandjelovic and Zisserman 2017, ICCV, arXiv:1705.08168; lists as in Peng et al. 2022, arXiv:2203.15332",
    inputs=INPUTS,
    targets=("action",),
    counts={"clips": 17396, "classes": 31},
    layout="my_train.txt, my_test.txt and clips/<name>.mp4, <name> as the first column of a list has it",
    obtain=(
        "The lists are in data/KineticSound of the repository; the clips come with Kinetics-400 "
        "(https://github.com/cvdfoundation/kinetics-dataset). Name each clip as its list does."
    ),
    aligned=False,
    splits={
        "lists": Standard(
            "The two lists. They have no validation part: the tenth of my_train.txt whose names hash to 0 is ours.",
            {"train": 14799, "test": 2597},
        ),
    },
    traps=(
        "Lists differ from paper to paper: 34 classes at first, 36 in MBT's words, 31 here.",
        "Which number is which action stands in no list; it follows from the annotations of Kinetics.",
        "Clips vanish from the video site: another user of the lists had 14,739 and 2,594. Name yours in absent.txt.",
    ),
)


def _rows(folder: Path) -> dict[str, tuple[str, int]]:
    """Clip -> part and class, as the lists say."""
    found: dict[str, tuple[str, int]] = {}
    for part, file in LISTS.items():
        rows = read_rows(folder / file, 3, CARD)
        check_parts(CARD, "lists", {**CARD.splits["lists"].counts, part: len(rows)})
        for where, (name, _, label, *_) in rows:
            if name in found:
                raise DataError(f"{where}: {name} stands twice, the first time for {found[name][0]}. {CARD.obtain}")
            if not label.isdecimal() or int(label) >= CLASSES:
                raise DataError(f"{where}: class {label!r}; accepted are 0 to {CLASSES - 1}. {CARD.obtain}")
            found[name] = part, int(label)
    return found


def _listing(folder: Path, target: str) -> Listing:
    clips = [Clip(name, label, folder / "clips" / f"{name}.mp4") for name, (_, label) in _rows(folder).items()]
    return Listing(tuple(f"action {label}" for label in range(CLASSES)), tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=10)
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The part of each clip.

    Raises:
        DataError: for an unknown split, and for lists that are missing or not those that the card describes.
    """
    CLIPS.check_split(name)
    rows = _rows(Path(root) / CARD.folder)
    return {clip: "validation" if rows[clip][0] == "train" and by_hash(clip) else rows[clip][0] for clip in ids}
