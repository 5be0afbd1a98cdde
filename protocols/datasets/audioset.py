"""AudioSet: web clips of 10 s with the sounds that occur in them, 527 labels, several of a clip at once.

Source: Gemmeke et al. 2017.
"""

import re
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, by_hash, read_rows
from protocols.examples import DataError

EVALUATION, LABELS = "eval_segments.csv", "class_labels_indices.csv"
COUNTS = {"labels": 527}


def _card(title: str, training: str, traps: tuple[str, ...]) -> Card:
    return Card(
        title=title,
        owner="Google",
        folder="audioset",
        home="https://research.google.com/audioset/",
        licence="labels CC BY 4.0, ontology CC BY-SA 4.0; the clips belong to those who uploaded them",
        citation="Gemmeke et al. 2017, ICASSP, doi:10.1109/ICASSP.2017.7952261",
        inputs=INPUTS,
        targets=("sounds",),
        counts=COUNTS,
        layout=f"{training}, {EVALUATION}, {LABELS} and clips/<video>.mp4, cut to the segment of its list",
        obtain=(
            "Download the lists from the home page. The clips have to be fetched from the video site, as far as they "
            "are still there."
        ),
        aligned=False,
        splits={
            "evaluation": Standard(
                f"Trained on {training}, tested on {EVALUATION}. There is no validation part: the tenth of the "
                "training videos whose names hash to 0 is ours.",
            ),
        },
        traps=(
            *traps,
            "Clips vanish from the video site: MBT's released configuration has 20,361 training and 18,589 evaluation "
            "clips. Name in absent.txt what you cannot have; no two papers have the same evaluation part.",
            "The cache takes 320 KB of sound a clip, and 230 KB of movement or 1.2 MB of frames.",
        ),
    )


def _labels(folder: Path, card: Card) -> dict[str, str]:
    """Machine id -> name of each label, by index."""
    path = folder / LABELS
    rows = [row for _, row in read_rows(path, 3, card) if row[0] != "index"]
    if len(rows) != COUNTS["labels"] or [row[0] for row in rows] != [str(k) for k in range(len(rows))]:
        raise DataError(f"{path}: {len(rows)} labels; expected {card.counts['labels']}, numbered from 0. {card.obtain}")
    return {machine: name for _, machine, name, *_ in rows}


def _segments(path: Path, card: Card) -> dict[str, list[str]]:
    """Video -> machine ids of its labels."""
    found = {}
    for where, (video, *_, labels) in read_rows(path, 4, card):
        if video in found:
            raise DataError(f"{where}: {video} stands twice. {card.obtain}")
        found[video] = labels.split(",")
    declared = re.search(r"num_segs=(\d+)", path.read_text(encoding="utf-8")[:2000])
    if declared and len(found) != int(declared[1]):
        raise DataError(f"{path}: {len(found)} segments, but its header says {declared[1]}. {card.obtain}")
    return found


class AudioSet:
    """AudioSet with one of its training lists; folder, labels and evaluation list are the same for all.

    Args:
        title: of the card.
        training: the list of training segments.
        traps: of this list.
    """

    def __init__(self, title: str, training: str, *traps: str):
        self.training, self.CARD = training, _card(title, training, traps)
        self.CLIPS = ClipSet(self.CARD, self._listing, fps=10, task="multilabel")
        self.check, self.load = self.CLIPS.check, self.CLIPS.load

    def _listing(self, folder: Path, target: str) -> Listing:
        names = _labels(folder, self.CARD)
        index = {machine: place for place, machine in enumerate(names)}
        clips = []
        for file in (self.training, EVALUATION):
            for video, labels in _segments(folder / file, self.CARD).items():
                if unknown := [label for label in labels if label not in index]:
                    raise DataError(f"{folder / file}: {video} has {unknown[0]!r}, which {LABELS} does not know.")
                clips.append(Clip(video, tuple(index[label] for label in labels), folder / "clips" / f"{video}.mp4"))
        return Listing(tuple(names.values()), tuple(clips))

    def present(self, root: Path) -> bool:
        """Whether the training list is in the folder, which the other list shares."""
        return (Path(root) / self.CARD.folder / self.training).is_file()

    def split(self, root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
        """The part of each clip.

        Raises:
            DataError: for an unknown split, and for a list that is missing or not as the card describes it.
        """
        self.CLIPS.check_split(name)
        training = _segments(Path(root) / self.CARD.folder / self.training, self.CARD)
        return {clip: ("validation" if by_hash(clip) else "train") if clip in training else "test" for clip in ids}


BALANCED = AudioSet("AudioSet, the balanced training list", "balanced_train_segments.csv")
LARGE = AudioSet(
    "AudioSet, a training list of 500,000 segments",
    "train_500k_segments.csv",
    "The list is your own choice, in the format of the others: which segments MBT took is in no list known here.",
)
