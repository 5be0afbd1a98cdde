"""AVE: clips of 10 s in which one of 28 events is seen and heard; here the event of the whole clip.

Source: Tian et al. 2018. Its own task, the event of each second, is another one, scored over 29 classes.
"""

from collections import Counter
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, check_parts, read_rows
from protocols.datasets.media import file_problem
from protocols.examples import DataError

ORDERS = {"train": "train_order.h5", "validation": "val_order.h5", "test": "test_order.h5"}
COUNTS = {"train": 3339, "validation": 402, "test": 402}

CARD = Card(
    title="AVE, events of clips",
    owner="Yapeng Tian and colleagues",
    folder="ave",
    home="https://github.com/YapengTian/AVE-ECCV18",
    licence="not checked: read the owner's page; the clips are from AudioSet and belong to those who uploaded them",
    citation="Tian et al. 2018, ECCV, arXiv:1803.08842",
    inputs=INPUTS,
    targets=("event",),
    counts={"clips": 4143, "events": 28},
    layout="Annotations.txt, train_order.h5, val_order.h5, test_order.h5 and AVE/<video>.mp4",
    obtain="Annotations and orders are in data of the repository; the clips are the archive that its page links to.",
    aligned=False,
    splits={
        "order": Standard(
            "The three orders of the authors: rows of Annotations.txt, counting from 0.",
            COUNTS,
            leak="shared-video",
        ),
        "videos-apart": Standard(
            "The same test part; training and validation without the videos that are in it, training without those of "
            "the validation part.",
        ),
    },
    traps=(
        "45 videos have more than one row, some with two events. By the authors' orders 8 of them are in training and "
        "test part and 10 in training and validation part.",
        "Accuracy of clips over 28 events and of seconds over 29 classes are two tasks; they are never mixed.",
    ),
)


def annotations(folder: Path) -> list[tuple[str, str, str]]:
    """Id, video and event of each row. The second row of a video is ``<video>#2``."""
    path = folder / "Annotations.txt"
    rows = [row for _, row in read_rows(path, 5, CARD, delimiter="&") if row[0] != "Category"]
    if len(rows) != CARD.counts["clips"]:
        raise DataError(f"{path}: {len(rows)} rows, expected {CARD.counts['clips']}. {CARD.obtain}")
    seen: Counter[str] = Counter()
    found = []
    for event, video, *_ in rows:
        seen[video] += 1
        found.append((video if seen[video] == 1 else f"{video}#{seen[video]}", video, event))
    return found


def _listing(folder: Path, target: str) -> Listing:
    annotated = annotations(folder)
    events = tuple(sorted({event for _, _, event in annotated}))
    if len(events) != CARD.counts["events"]:
        raise DataError(f"{folder}: {len(events)} events, expected {CARD.counts['events']}. {CARD.obtain}")
    clips = [Clip(name, events.index(event), folder / "AVE" / f"{video}.mp4") for name, video, event in annotated]
    return Listing(events, tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=10)
check, load = CLIPS.check, CLIPS.load


def present(root: Path) -> bool:
    """Whether the clips are in the folder, which ``ave_segments`` shares."""
    return (Path(root) / CARD.folder / "AVE").is_dir()


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The part of each clip; ``videos-apart`` leaves out those whose video is in a later part too.

    Raises:
        DataError: for an unknown split, and for orders that are missing or not those that the card describes.
    """
    CLIPS.check_split(name)
    folder, known = Path(root) / CARD.folder, set(ids)
    annotated = annotations(folder)
    orders = {part: _order(folder / file, len(annotated)) for part, file in ORDERS.items()}
    check_parts(CARD, "order", {part: len(order) for part, order in orders.items()})
    placed = Counter(row for order in orders.values() for row in order)
    if twice := [row for row, count in placed.items() if count > 1]:
        raise DataError(f"{folder}: row {twice[0]} stands in two orders. {CARD.obtain}")
    parts, later = {}, set()
    for part in ("test", "validation", "train"):
        chosen = [annotated[row] for row in orders[part] if name == "order" or annotated[row][1] not in later]
        parts |= {clip: part for clip, _, _ in chosen if clip in known}
        later |= {video for _, video, _ in chosen}
    return parts


def _order(path: Path, rows: int) -> list[int]:
    """Rows of Annotations.txt."""
    import h5py

    if problem := file_problem(path):
        raise DataError(f"{problem} {CARD.obtain}")
    try:
        with h5py.File(path, "r") as file:
            order = file["order"][:].ravel().tolist()
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: no HDF5 file with a data set named order ({error}). {CARD.obtain}") from None
    if wrong := [row for row in order if row != int(row) or not 0 <= row < rows]:
        raise DataError(f"{path}: row {wrong[0]}; accepted are 0 to {rows - 1}. {CARD.obtain}")
    return [int(row) for row in order]
