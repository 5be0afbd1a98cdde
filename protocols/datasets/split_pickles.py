"""Word-level sequences of text, audio and video in one pickle with its split inside: what MulT and MMSA read.

The file is a dict of the parts train, valid and test, each a dict of padded arrays. It is read once, by the reader that
runs no code (``pickles``); what is left of it without padding lies in the cache afterwards, as memory maps.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protocols.datasets import Card, Progress, pickles
from protocols.datasets.checks import check_request, missing_files
from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError, Examples, Stream, check_features

PARTS = {"train": "train", "valid": "validation", "test": "test"}
FIELDS = {"text": "text", "audio": "audio", "video": "vision"}  # modality -> name in the file

# where, part of the file -> modality -> (starts, stops), (N,) each: the rows of (N, T, D) that are no padding
Spans = Callable[[str, Mapping[str, np.ndarray], Mapping[str, Any]], dict[str, tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class SplitPickle:
    """One such file; has what ``protocols.datasets`` asks of a data set.

    Args:
        CARD: its only input of each modality and its only target are what the file holds.
        file: below ``CARD.folder``.
        counts: part -> examples, where they are known.
        totals: numbers of examples in all that are accepted.
        widths: modality -> D.
        task: of the labels.
        names: of the K targets or labels.
        labels: where, part of the file -> (N, K) float32.
        spans: finds the padding.
    """

    CARD: Card
    file: str
    counts: Mapping[str, int]
    totals: tuple[int, ...]
    widths: Mapping[str, int]
    task: str
    names: tuple[str, ...]
    labels: Callable[[str, Mapping[str, Any]], np.ndarray]
    spans: Spans

    def check(self, root: Path) -> list[str]:
        """What is missing or not as the card says, one sentence each. Reads the whole file."""
        if found := missing_files(root, self.CARD, {self.file: ""}):
            return found
        try:
            self._parts(root)
        except DataError as error:
            return [str(error)]
        return []

    def present(self, root: Path) -> bool:
        """Whether the file is there; one folder may hold the files of several data sets."""
        return (Path(root) / self.CARD.folder / self.file).is_file()

    def load(self, root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
        """All examples of the three parts, named ``<part>/<row>``, without padding.

        Raises:
            DataError: for an unknown request, a missing or damaged file, or content that is not as the card says.
        """
        check_request(self.CARD, target, inputs)
        if found := missing_files(root, self.CARD, {self.file: ""}):
            raise DataError(found[0])
        stat = (root / self.CARD.folder / self.file).stat()
        # A file of gigabytes is not hashed at every start; one that changes has another size or time.
        home = Path(cache) / self.CARD.folder / f"{Path(self.file).stem}-{stat.st_size}-{stat.st_mtime_ns}"
        meta = prepared(home, lambda folder: self._prepare(root, folder, progress))
        labels = np.load(home / "labels.npy")
        streams = {}
        for modality in (m for m in FIELDS if m in inputs):
            starts, stops = np.load(home / f"{modality}_spans.npy")
            values = np.load(home / f"{modality}.npy", mmap_mode="r")
            streams[modality] = Stream(values, starts, stops, self.widths[modality])
        mark = hashlib.sha256("".join(meta["digests"][name] for name in ("labels", *streams)).encode()).hexdigest()
        return Examples(tuple(meta["ids"]), labels, self.names, streams, mark, self.task)

    def split(self, root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
        """Id -> part: the parts of the file are the split."""
        if name != "official":
            raise DataError(f"{self.CARD.title}: no split {name!r}. Accepted: official, the parts of the file.")
        return {example: PARTS[example.partition("/")[0]] for example in ids}

    def _prepare(self, root: Path, folder: Path, progress: Progress) -> dict:
        parts = self._parts(root)
        ids = [f"{name}/{row:05d}" for name, part in zip(PARTS, parts, strict=True) for row in range(len(part.labels))]
        labels = np.concatenate([part.labels for part in parts])
        np.save(folder / "labels.npy", labels)
        digests = {"labels": hashlib.sha256(labels.tobytes()).hexdigest()}
        for modality in FIELDS:
            lengths = np.concatenate([np.subtract(*part.spans[modality][::-1]) for part in parts])
            stops = np.cumsum(lengths)
            np.save(folder / f"{modality}_spans.npy", np.stack([stops - lengths, stops]))
            digest = hashlib.sha256(stops.tobytes())
            sequences = progress(list(_sequences(parts, modality)), f"{self.CARD.title}, {modality}")
            write_rows({modality: folder / f"{modality}.npy"}, _hashed(modality, sequences, digest))
            digests[modality] = digest.hexdigest()
        return {"ids": ids, "digests": digests}

    def _parts(self, root: Path) -> list["_Part"]:
        path = root / self.CARD.folder / self.file
        content = pickles.load(path)
        if not isinstance(content, dict) or (absent := [part for part in PARTS if part not in content]):
            missing = f"no part {absent[0]!r}" if isinstance(content, dict) else f"a {type(content).__name__}"
            raise DataError(f"{path}: {missing}; wanted a dict of {', '.join(PARTS)}. {self.CARD.obtain}")
        parts = [self._part(f"{path}, {part}", content.pop(part), self.counts.get(part)) for part in PARTS]
        total = sum(len(part.labels) for part in parts)
        if total not in self.totals:
            known = " or ".join(map(str, self.totals))
            raise DataError(f"{path}: {total} examples in all; wanted {known}. {self.CARD.obtain}")
        return parts

    def _part(self, where: str, told: Any, count: int | None) -> "_Part":
        if not isinstance(told, dict):
            wanted = ", ".join(FIELDS.values())
            raise DataError(f"{where}: a {type(told).__name__}; wanted a dict with {wanted} and labels.")
        values = self._values(where, told, count)
        labels, count = self.labels(where, told), len(values["text"])
        if labels.shape != (count, len(self.names)):
            raise DataError(f"{where}: labels of {labels.shape}; wanted {(count, len(self.names))}.")
        spans = self.spans(where, values, told)
        for modality, array in values.items():
            starts, stops = spans[modality]
            rows = np.concatenate([x[a:b] for x, a, b in zip(array, starts, stops, strict=True)])
            # Which columns never vary in the released files is not known, so none is refused for it.
            check_features(f"{where}, {FIELDS[modality]}", rows, stops - starts, frozenset(range(array.shape[2])))
        return _Part(values, spans, labels)

    def _values(self, where: str, told: Mapping[str, Any], count: int | None) -> dict[str, np.ndarray]:
        """Modality -> (N, T, D) float32, of ``count`` examples where that is known, else as many as there are texts."""
        values = {}
        for modality, field in FIELDS.items():
            array = told.get(field)
            if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind != "f":
                came = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                raise DataError(f"{where}: {field} is {came}; wanted numbers (examples, steps, columns).")
            count = count or len(array)
            if array.shape[0] != count or array.shape[2] != self.widths[modality]:
                raise DataError(
                    f"{where}: {field} is {array.shape}; wanted {count} examples of {self.widths[modality]} columns. "
                    f"{self.CARD.obtain}"
                )
            array = array.astype(np.float32)
            if modality == "audio":  # logarithms of silence, which the released loaders set to 0
                array[np.isneginf(array)] = 0
            values[modality] = array
        return values


@dataclass(frozen=True)
class _Part:
    values: dict[str, np.ndarray]  # modality -> (N, T, D)
    spans: dict[str, tuple[np.ndarray, np.ndarray]]
    labels: np.ndarray


def _sequences(parts: list[_Part], modality: str) -> Iterator[np.ndarray]:
    for part in parts:
        for array, start, stop in zip(part.values[modality], *part.spans[modality], strict=True):
            yield array[start:stop]


def _hashed(name: str, sequences, digest) -> Iterator[dict[str, np.ndarray]]:
    for sequence in sequences:
        digest.update(np.ascontiguousarray(sequence).data)
        yield {name: sequence}


def real_rows(array: np.ndarray) -> np.ndarray:
    """(N, T) bool, True on rows of (N, T, D) that are not zero throughout."""
    return array.any(2)


def without_padding(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(starts, stops) of the rows between the zeros at both ends; a sequence of zeros keeps its last row.

    Args:
        real: of ``real_rows``.
    """
    steps, some = real.shape[1], real.any(1)
    starts = np.where(some, real.argmax(1), steps - 1)
    stops = np.where(some, steps - real[:, ::-1].argmax(1), steps)
    return starts, stops


def sentiment(where: str, labels: Any) -> np.ndarray:
    """(N, 1) float32 of one number an example.

    Raises:
        DataError: for labels that are no array of one number each from -3 to 3.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "fiu" or array.ndim < 1 or array.size != len(array):
        raise DataError(f"{where}: labels are {array.dtype} {array.shape}; wanted one number an example.")
    flat = array.reshape(-1, 1).astype(np.float32)
    if not (np.abs(flat) <= 3).all():
        row = int(np.argmin(np.abs(flat[:, 0]) <= 3))
        raise DataError(f"{where}: label {flat[row, 0]:g} of example {row}; wanted a sentiment from -3 to 3.")
    return flat
