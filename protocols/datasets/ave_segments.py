"""AVE with the features of its authors: the event of each second, 28 events and background.

Source: Tian et al. 2018. Sound is VGGish, picture VGG-19, whose 7 x 7 cells are averaged here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress, ave
from protocols.datasets.checks import check_request
from protocols.datasets.media import file_problem
from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError, Examples, Stream, check_features, fingerprint

SECONDS = 10
KEY = "avadataset"
SHAPES = {"audio_feature.h5": (SECONDS, 128), "visual_feature.h5": (SECONDS, 7, 7, 512), "labels.h5": (SECONDS, 29)}
FILES = {"audio": "audio_feature.h5", "video": "visual_feature.h5"}
WIDTHS = {"audio": 128, "video": 512}
BACKGROUND = "background"
CHUNK = 64  # clips read at once: 64 MB of VGG-19 cells

CARD = Card(
    title="AVE, events of seconds, the authors' features",
    owner=ave.CARD.owner,
    folder=ave.CARD.folder,
    home=ave.CARD.home,
    licence=ave.CARD.licence,
    citation=ave.CARD.citation,
    inputs={"audio": ("vggish",), "video": ("vgg19",)},
    targets=("segment",),
    counts={"clips": 4143, "events": 28},
    layout=(
        "Annotations.txt, train_order.h5, val_order.h5, test_order.h5, and with a data set named avadataset each "
        "labels.h5, audio_feature.h5 and visual_feature.h5 (7.7 GB)"
    ),
    obtain="Annotations, orders and labels are in data of the repository; its page links to both files of features.",
    aligned=True,
    splits=ave.CARD.splits,
    traps=(
        *ave.CARD.traps,
        "That row k of labels and features is row k of Annotations.txt is said nowhere; it is checked by the events, "
        "which have to agree in every row.",
    ),
)
split = ave.split


def present(root: Path) -> bool:
    """Whether the features are in the folder, which ``ave`` shares."""
    return (Path(root) / CARD.folder / "labels.h5").is_file()


def check(root: Path) -> list[str]:
    """One sentence for each thing that is missing or wrong; the features are opened, not read."""
    folder = Path(root) / CARD.folder
    try:
        _labels(folder)
        for file in FILES.values():
            with _opened(folder / file):
                pass
    except DataError as error:
        return [str(error)]
    return []


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """4143 clips of ten labelled seconds. The picture's features are averaged into ``cache`` the first time.

    Raises:
        DataError: for files that are missing, of another shape or not finite, and for labels that contradict the
            annotations.
    """
    check_request(CARD, target, inputs)
    folder = Path(root) / CARD.folder
    ids, classes, labels = _labels(folder)
    stops = np.arange(1, len(ids) + 1) * SECONDS
    streams = {}
    for modality in inputs:
        rows = _rows(folder / FILES[modality], Path(cache) / CARD.folder, WIDTHS[modality], progress)
        streams[modality] = Stream(rows, stops - SECONDS, stops, WIDTHS[modality], rate_hz=1.0)
    mark = fingerprint((*ids, *classes), labels, *(stream.values for stream in streams.values()))
    return Examples(ids, list(labels), classes, streams, mark)


def _labels(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Ids, names of the 29 classes and (clips, 10) int64 classes.

    Which class is which event follows from the annotations; the one that clips of several events have is background.
    """
    path, annotated = folder / "labels.h5", ave.annotations(folder)
    with _opened(path) as values:
        labels = values[:]
    if not np.isin(labels, (0, 1)).all() or (labels.sum(-1) != 1).any():
        raise DataError(f"{path}: a second has not exactly one class. {CARD.obtain}")
    labels = labels.argmax(-1).astype(np.int64)
    events: list[set[str]] = [set() for _ in range(SHAPES["labels.h5"][-1])]
    for (_, _, event), seconds in zip(annotated, labels, strict=True):
        for label in set(seconds.tolist()):
            events[label].add(event)
    classes = tuple(BACKGROUND if len(found) > 1 else next(iter(found), "") for found in events)
    if len({*classes} - {""}) != CARD.counts["events"] + 1:
        raise DataError(
            f"{path}: its rows are not those of Annotations.txt: {classes.count(BACKGROUND)} classes occur with "
            f"several events, where only background may. {CARD.obtain}"
        )
    return tuple(name for name, _, _ in annotated), classes, labels


def _rows(path: Path, home: Path, width: int, progress: Progress) -> np.ndarray:
    """(clips * 10, width) float32, memory-mapped; cells of a picture averaged.

    Raises:
        DataError: for features that are not finite or constant.
    """
    stat = path.stat() if path.is_file() else None
    if stat is None:
        raise DataError(f"{file_problem(path)} {CARD.obtain}")

    def pieces():
        with _opened(path) as values:
            for start in progress(range(0, len(values), CHUNK), f"Reading {path.name}"):
                chunk = values[start : start + CHUNK].astype(np.float32)
                cells = tuple(range(2, chunk.ndim - 1))
                yield {"rows": (chunk.mean(axis=cells) if cells else chunk).reshape(-1, width)}

    def write(beside: Path) -> dict:
        write_rows({"rows": beside / "rows.npy"}, pieces())
        rows = np.load(beside / "rows.npy", mmap_mode="r")
        dead = frozenset(np.flatnonzero(np.ptp(rows, axis=0) == 0).tolist())  # a unit that never fires is the network's
        check_features(str(path), rows, np.array([len(rows)]), dead)
        return {"dead": len(dead)}

    place = home / f"{path.stem}-{stat.st_size}-{stat.st_mtime_ns}"
    prepared(place, write)
    return np.load(place / "rows.npy", mmap_mode="r")


@contextmanager
def _opened(path: Path) -> Iterator:
    """The data set of a file, checked for its shape."""
    import h5py

    if problem := file_problem(path):
        raise DataError(f"{problem} {CARD.obtain}")
    wanted = (CARD.counts["clips"], *SHAPES[path.name])
    try:
        with h5py.File(path, "r") as file:
            if KEY not in file or file[KEY].shape != wanted:
                came = f"{KEY} of shape {file[KEY].shape}" if KEY in file else f"data sets {', '.join(file) or 'none'}"
                raise DataError(f"{path}: {came}; wanted {KEY} of shape {wanted}. {CARD.obtain}")
            yield file[KEY]
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error}). Fetch it again. {CARD.obtain}") from None
