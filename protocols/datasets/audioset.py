"""AudioSet: web clips of 10 s with the sounds that occur in them, 527 labels, several of a clip at once.

Source: Gemmeke et al. 2017.
"""

import re
from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, by_hash, read_rows
from protocols.examples import DataError

TRAINING = {"balanced": "balanced_train_segments.csv", "500k": "train_500k_segments.csv"}
EVALUATION, LABELS = "eval_segments.csv", "class_labels_indices.csv"
HASHED = "It has no validation part: the tenth of the training videos whose names hash to 0 is ours."

CARD = Card(
    title="AudioSet",
    owner="Google",
    folder="audioset",
    home="https://research.google.com/audioset/",
    licence="labels CC BY 4.0, ontology CC BY-SA 4.0; the clips belong to those who uploaded them",
    citation="Gemmeke et al. 2017, ICASSP, doi:10.1109/ICASSP.2017.7952261",
    inputs=INPUTS,
    targets=tuple(TRAINING),
    counts={"labels": 527},
    layout=(
        "balanced_train_segments.csv or train_500k_segments.csv, eval_segments.csv, class_labels_indices.csv and "
        "clips/<video>.mp4, cut to the segment of its list"
    ),
    obtain=(
        "Download the lists from the home page; a list of 500,000 segments is your own choice, in the same format. The "
        "clips have to be fetched from the video site, as far as they are still there."
    ),
    aligned=False,
    splits={
        "balanced": Standard(f"Trained on the balanced list, tested on the evaluation list. {HASHED}"),
        "500k": Standard(f"Trained on train_500k_segments.csv, tested on the evaluation list. {HASHED}"),
    },
    traps=(
        "Clips vanish from the video site: MBT's released configuration has 20,361 training and 18,589 evaluation "
        "clips. Name in absent.txt what you cannot have; no two papers have the same evaluation part.",
        "Which 500,000 segments MBT took is in no list that is known here.",
        "A run keeps the features of a part in memory: about 400 KB a clip with log-mel steps and movement.",
    ),
)


def _labels(folder: Path) -> dict[str, str]:
    """Machine id -> name of each label, by index."""
    path = folder / LABELS
    rows = [row for _, row in read_rows(path, 3, CARD) if row[0] != "index"]
    if len(rows) != CARD.counts["labels"] or [row[0] for row in rows] != [str(k) for k in range(len(rows))]:
        raise DataError(f"{path}: {len(rows)} labels; expected {CARD.counts['labels']}, numbered from 0. {CARD.obtain}")
    return {machine: name for _, machine, name, *_ in rows}


def _segments(path: Path) -> dict[str, list[str]]:
    """Video -> machine ids of its labels."""
    found = {}
    for where, (video, *_, labels) in read_rows(path, 4, CARD):
        if video in found:
            raise DataError(f"{where}: {video} stands twice. {CARD.obtain}")
        found[video] = labels.split(",")
    declared = re.search(r"num_segs=(\d+)", path.read_text(encoding="utf-8")[:2000])
    if declared and len(found) != int(declared[1]):
        raise DataError(f"{path}: {len(found)} segments, but its header says {declared[1]}. {CARD.obtain}")
    return found


def _listing(folder: Path, target: str) -> Listing:
    names = _labels(folder)
    index = {machine: place for place, machine in enumerate(names)}
    clips = []
    for file in (TRAINING[target], EVALUATION):
        for video, labels in _segments(folder / file).items():
            if unknown := [label for label in labels if label not in index]:
                raise DataError(
                    f"{folder / file}: {video} has {unknown[0]!r}, which {LABELS} does not know. {CARD.obtain}"
                )
            clips.append(Clip(video, tuple(index[label] for label in labels), folder / "clips" / f"{video}.mp4"))
    return Listing(tuple(names.values()), tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=10, task="multilabel")
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The part of each clip.

    Raises:
        DataError: for an unknown split, and for lists that are missing or not as the card describes them.
    """
    CLIPS.check_split(name)
    training = _segments(Path(root) / CARD.folder / TRAINING[name])
    return {clip: ("validation" if by_hash(clip) else "train") if clip in training else "test" for clip in ids}
