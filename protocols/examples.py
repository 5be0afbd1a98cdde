"""Labelled multimodal sequences, as every data set hands them over."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

# Stands in a batch where a step is padding; no label of any task may be this number.
UNLABELLED = -100


class DataError(ValueError):
    """The data are not what their loader declares: what is wrong, where, and what to do."""


def identity(raw: np.ndarray) -> np.ndarray:
    """Features that came extracted already."""
    return np.asarray(raw, dtype=np.float32)


@dataclass(frozen=True)
class Stream:
    """One modality of all examples, end to end in one array that may be memory-mapped.

    Args:
        values: (sum of raw lengths, ...): feature rows, waveform samples or frames.
        starts, stops: (N,) rows of ``values`` that belong to each example.
        width: D of the features.
        features: raw (T_raw, ...) -> (T, D) float32. Corruptions act on the raw rows, so noise
            in decibels is added to the waveform, not to its spectrogram.
        kind: what the raw rows are: ``"features"``, ``"waveform"`` or ``"frames"``. Each corruption
            names the kinds it is defined for.
        rate_hz: raw rows a second, where that has a meaning.
        shape: of one step, where its ``width`` numbers are a picture; a method that cuts patches gets it back.
    """

    values: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    width: int
    features: Callable[[np.ndarray], np.ndarray] = identity
    kind: str = "features"
    rate_hz: float | None = None
    shape: tuple[int, ...] | None = None

    def raw(self, index: int) -> np.ndarray:
        """Rows of one example, (T_raw, ...)."""
        return self.values[self.starts[index] : self.stops[index]]


@dataclass(frozen=True)
class Examples:
    """Everything a protocol reads of a data set, for one target.

    Args:
        ids: (N,) unique names, the key of the split files.
        labels: of each example: (N,) int64 classes from 0 (classification); (N, K) float32 targets (regression);
            (N, K) float32, 1 where a label is present and 0 where it is absent (multilabel). Where every step is
            labelled, a list of N such arrays with T in place of N: (T,) int64, or (T, K) float32. Steps that nobody
            labelled do not belong into the data.
        classes: names of the K classes, targets or labels.
        streams: one Stream for each modality.
        fingerprint: SHA-256 over ids, labels and arrays: two runs with the same one saw the same data.
        task: key of ``protocols.tasks.TASKS``; what the labels are.

    Raises:
        DataError: for an id that occurs twice, or labels that are not what ``task`` says: another type or width, a
            class out of range, a number that is not finite, UNLABELLED, a label that is neither 0 nor 1.
    """

    ids: tuple[str, ...]
    labels: np.ndarray | list[np.ndarray]
    classes: tuple[str, ...]
    streams: Mapping[str, Stream]
    fingerprint: str
    task: str = "classification"

    def __post_init__(self):
        if len(set(self.ids)) != len(self.ids):
            twice = sorted({i for i in self.ids if self.ids.count(i) > 1})
            raise DataError(f"duplicate id {twice[0]!r} ({len(twice)} in all); every example needs its own.")
        flat = np.concatenate(self.labels) if self.per_step else self.labels
        if self.task != "classification":
            _check_numbers(self.task, flat, self.classes)
        elif len(flat) and not (0 <= flat.min() and flat.max() < len(self.classes)):
            raise DataError(
                f"label out of range: found {int(flat.min())} to {int(flat.max())}, "
                f"accepted are 0 to {len(self.classes) - 1} ({', '.join(self.classes)})."
            )

    @property
    def per_step(self) -> bool:
        """True where every step carries a label."""
        return isinstance(self.labels, list)

    @property
    def aligned(self) -> bool:
        """True where all modalities have the same steps: equally many rows, used as they come."""
        lengths = [stream.stops - stream.starts for stream in self.streams.values()]
        same = all(np.array_equal(lengths[0], other) for other in lengths[1:])
        return len(lengths) == 1 or (same and all(s.features is identity for s in self.streams.values()))


def _check_numbers(task: str, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse (items, K) labels that no loss could take."""
    if labels.dtype != np.float32 or labels.ndim != 2 or labels.shape[1] != len(names):
        raise DataError(
            f"{task}: labels are {labels.dtype} {labels.shape}; wanted float32 (items, {len(names)}), one column for "
            f"each of {', '.join(names)}."
        )
    wrong = ~np.isfinite(labels) | (labels == UNLABELLED)
    if task == "multilabel":
        wrong |= (labels != 0) & (labels != 1)
    if wrong.any():
        item, column = np.argwhere(wrong)[0]
        accepted = "0 and 1" if task == "multilabel" else f"finite numbers other than {UNLABELLED}"
        raise DataError(
            f"{task}: {names[column]} of item {item} is {labels[item, column]:g} ({int(wrong.sum())} such labels); "
            f"accepted are {accepted}. Leave out what nobody labelled."
        )


def fingerprint(ids: tuple[str, ...], *arrays: np.ndarray) -> str:
    """SHA-256 of names and arrays, shapes and types included."""
    digest = hashlib.sha256("\n".join(ids).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_features(
    where: str, values: np.ndarray, lengths: np.ndarray, known_constant: frozenset[int] = frozenset()
) -> None:
    """Refuse feature rows that would silently spoil a comparison.

    Args:
        where: file or modality, for the message.
        values: (sum of lengths, D).
        lengths: (N,) rows of each example.
        known_constant: columns that are constant in the data set as published.

    Raises:
        DataError: for a wrong number of rows, an empty example, NaN or infinity, and for a constant
            column that nobody declared.
    """
    if values.ndim != 2:
        raise DataError(f"{where}: shape {values.shape}; wanted (rows, columns).")
    if int(lengths.sum()) != len(values):
        raise DataError(f"{where}: {len(values)} rows, but the lengths add up to {int(lengths.sum())}.")
    if (lengths < 1).any():
        raise DataError(f"{where}: example number {int(np.argmin(lengths))} has no row; each needs at least one.")
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{where}: {int(bad.sum())} values are not finite, the first in row {row}, column {column}. "
            "Remove or impute them before bringing the data."
        )
    constant = set(np.flatnonzero(np.ptp(values, axis=0) == 0).tolist()) if len(values) > 1 else set()
    if extra := sorted(constant - known_constant):
        raise DataError(
            f"{where}: column {extra[0]} is constant ({len(extra)} such columns). A dead column hints at a broken "
            "extraction; drop it, or declare it as known to be constant."
        )
