"""Computational sequences of the CMU Multimodal SDK (.csd, HDF5), and how the SDK lines them up in time.

A file has one root group. Below it, ``data/<entry>/intervals`` (T, 2) in seconds and ``data/<entry>/features`` (T, D)
hold the rows of one video, or of one part of it where the entry is named ``video[3]``; ``metadata`` is not read.

Source   CMU-MultiComp-Lab/CMU-MultimodalSDK at 4f2eadc: computational_sequence/file_ops.py, dataset/dataset.py (align,
         impute), examples/mmdatasdk_examples/full_examples/process_mosi.py.
"""

from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.examples import DataError

EPSILON = 1e-5  # seconds; an overlap that is no longer is none
FETCH = "Fetch the file again from where its data set's card says."


class Csd(AbstractContextManager):
    """One open file.

    Raises:
        DataError: for a file that is missing, a Git LFS pointer, no HDF5 or cut short, or laid out otherwise.
        ImportError: without h5py (``pip install 'fuseboard[media]'``).
    """

    def __init__(self, path: Path):
        import h5py

        if not path.is_file():
            raise DataError(f"{path} is missing. {FETCH}")
        if is_pointer(path):
            raise DataError(pointer_sentence(path))
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(f"{path}: not an HDF5 file that can be read, or cut short ({error}). {FETCH}") from None
        roots = list(self._file)
        if len(roots) != 1 or "data" not in self._file[roots[0]]:
            self._file.close()
            raise DataError(
                f"{path}: top level {', '.join(roots) or 'empty'}; wanted one group with data in it. {FETCH}"
            )
        self._data = self._file[roots[0]]["data"]
        self._entries: dict[str, list[str]] = defaultdict(list)
        for entry in self._data:
            self._entries[entry.split("[")[0]].append(entry)

    def __exit__(self, *error):
        self._file.close()

    @property
    def videos(self) -> set[str]:
        """The videos that have an entry."""
        return set(self._entries)

    def rows(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """(T, 2) intervals in seconds and (T, D) features of a video, sorted by start.

        Raises:
            DataError: naming file and entry, for arrays that do not belong together or are no numbers.
        """
        parts = [self._entry(entry) for entry in self._entries[video]]
        intervals, features = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        order = np.argsort(intervals[:, 0], kind="stable")
        return intervals[order], features[order]

    def _entry(self, entry: str) -> tuple[np.ndarray, np.ndarray]:
        where, found = f"{self.path}: data/{entry}", self._data[entry]
        if missing := [name for name in ("intervals", "features") if name not in found]:
            raise DataError(f"{where}: no {missing[0]}. {FETCH}")
        try:
            intervals, features = found["intervals"][()], found["features"][()]
        except OSError as error:
            raise DataError(f"{where}: cannot be read ({error}). {FETCH}") from None
        for name, values in (("intervals", intervals), ("features", features)):
            if values.dtype.kind not in "fiu":
                raise DataError(f"{where}/{name}: {values.dtype}; wanted numbers. Words and phones are not read here.")
        if intervals.ndim != 2 or intervals.shape[1] != 2 or features.ndim != 2 or len(intervals) != len(features):
            raise DataError(
                f"{where}: intervals {intervals.shape} and features {features.shape}; wanted (T, 2) and (T, D). {FETCH}"
            )
        if not np.isfinite(intervals).all():
            raise DataError(f"{where}/intervals: a time is not finite. {FETCH}")
        return intervals.astype(np.float64), features.astype(np.float64)


def overlapping(intervals: np.ndarray, spans: np.ndarray) -> list[np.ndarray]:
    """For each span the rows that share more than EPSILON of time with it, in order.

    Args:
        intervals: (T, 2), sorted by start. spans: (W, 2); one that is shorter than EPSILON has no rows.
    """
    latest = np.maximum.accumulate(intervals[:, 1]) if len(intervals) else intervals[:, 1]
    first = np.searchsorted(latest, spans[:, 0] + EPSILON, side="right")
    last = np.searchsorted(intervals[:, 0], spans[:, 1] - EPSILON, side="left")
    found = []
    for (start, stop), low, high in zip(spans, first, last, strict=True):
        near = intervals[low:high]
        shared = np.minimum(near[:, 1], stop) - np.maximum(near[:, 0], start)
        found.append(low + np.flatnonzero(shared > EPSILON))
    return found


def averaged(intervals: np.ndarray, features: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Rows of features averaged over the time of each word: (T, 2), (T, D) and (W, 2) -> (W, D) float32.

    Every row that overlaps a word counts alike, however short the overlap. A word without a row is zeros, and so is
    a mean that is not finite: COVAREP holds minus infinity, which loaders of these files set to zero.
    """
    means = np.zeros((len(words), features.shape[1]), dtype=np.float32)
    for mean, rows in zip(means, overlapping(intervals, words), strict=True):
        if len(rows):
            with np.errstate(invalid="ignore", over="ignore"):  # infinity less infinity
                mean[:] = features[rows].mean(axis=0)
    means[~np.isfinite(means)] = 0
    return means
