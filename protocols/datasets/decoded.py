"""Rows that were decoded from the files of clips, each file once; a kill or a clip that cannot be read costs no other.

A store is a folder with ``rows``, the rows of every clip end to end in the order in which they were decoded, and
``clips.jsonl``: type and shape of a row, then a line for each clip, written once its rows are on the disk. What stands
in ``rows`` beyond the last line is cut off. The file of a clip is known by name, size and time, so one that was fetched
again is decoded again, and one that is left out costs the others nothing.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from protocols.ahead import ahead
from protocols.datasets import Progress
from protocols.datasets.prepared import locked, no_room, to_disk
from protocols.examples import DataError

ROWS, CLIPS = "rows", "clips.jsonl"
SAVE_EVERY = 10.0  # seconds of decoding that a kill may cost


@dataclass(frozen=True)
class Source:
    """A file as it is now.

    Args:
        clip: its id. size: in bytes. changed: time of its last change, in ns.
    """

    clip: str
    size: int
    changed: int


@dataclass(frozen=True)
class Decoded:
    """Rows of some clips in a store.

    Args:
        values: of all clips that were ever decoded, memory-mapped.
        starts, stops: (N,) rows of each clip.
        fingerprint: SHA-256 over the rows of the clips, in their order.
    """

    values: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    fingerprint: str


def source(clip: str, path: Path) -> Source:
    """The file of a clip as it is now."""
    stat = path.stat()
    return Source(clip, stat.st_size, stat.st_mtime_ns)


def decoded(
    folder: Path,
    files: dict[str, Path],
    read: Callable[[Path], np.ndarray],
    progress: Progress,
    description: str,
) -> tuple[Decoded, dict[str, str]]:
    """The rows of every file; those that the store does not have are decoded first. A second process waits.

    Args:
        files: id of a clip -> its file.
        read: file -> its rows; one type and trailing shape for all.

    Returns:
        The rows, and why each clip that cannot be read cannot be; it has none.

    Raises:
        DataError: where the store cannot be written, a full disk for one. What was decoded stays.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sources = {clip: source(clip, path) for clip, path in files.items()}
        with locked(folder.with_suffix(".lock")):
            there = _Store(folder)
            waiting = [clip for clip, now in sources.items() if now not in there.places]
            if done := len(files) - len(waiting):
                description += f" ({done} of {len(files)} are there)"
            wrong = there.add(waiting, sources, files, read, progress, description) if waiting else {}
    except OSError as error:
        raise no_room(folder, error) from error
    places = [there.places[now] for clip, now in sources.items() if clip not in wrong]
    starts = np.array([start for start, _, _ in places], dtype=np.int64)
    counts = np.array([count for _, count, _ in places], dtype=np.int64)
    mark = hashlib.sha256("".join(f"{count} {digest}\n" for _, count, digest in places).encode()).hexdigest()
    return Decoded(there.values(), starts, starts + counts, mark), wrong


class _Store:
    """A folder of rows, under its lock."""

    def __init__(self, folder: Path):
        self._rows, self._clips = folder / ROWS, folder / CLIPS
        self.places: dict[Source, tuple[int, int, str]] = {}  # file -> first row, rows, SHA-256 of them
        self._kind: tuple[np.dtype, tuple[int, ...]] | None = None
        self._count = 0  # rows that lines tell of
        if self._clips.exists():
            whole = self._clips.read_bytes()
            whole = whole[: whole.rfind(b"\n") + 1]  # a kill may have cut the last line
            os.truncate(self._clips, len(whole))
            for line in map(json.loads, whole.splitlines()):
                self._told(line)
            if self._count and (not self._rows.exists() or self._rows.stat().st_size < self._count * self._size()):
                self.places, self._kind, self._count = {}, None, 0  # somebody took the rows away
                os.truncate(self._clips, 0)

    def values(self) -> np.ndarray:
        """All rows, memory-mapped."""
        if not self._count:
            return np.zeros(0)
        dtype, shape = self._kind
        return np.memmap(self._rows, dtype, "r", shape=(self._count, *shape))

    def add(
        self,
        waiting: list[str],
        sources: dict[str, Source],
        files: dict[str, Path],
        read: Callable[[Path], np.ndarray],
        progress: Progress,
        description: str,
    ) -> dict[str, str]:
        """Decode some clips, with as many threads as cores; why those that cannot be read cannot be."""
        wrong: dict[str, str] = {}
        threads = os.cpu_count() or 1
        coming = ahead(lambda clip: _attempt(read, files[clip]), waiting, threads=threads, most=4 * threads)
        with open(self._rows, "ab") as rows, open(self._clips, "a", encoding="utf-8") as lines:
            rows.truncate(self._count * self._size())  # what a killed process wrote and told nothing of
            written, saved = [], time.monotonic()
            for clip, found in zip(progress(waiting, description), coming, strict=True):
                if isinstance(found, DataError):
                    wrong[clip] = str(found)
                    continue
                if self._kind is None:
                    written.append({"dtype": found.dtype.str, "shape": found.shape[1:]})
                    self._kind = found.dtype, found.shape[1:]
                assert (found.dtype, found.shape[1:]) == self._kind, (clip, found.dtype, found.shape)
                content = np.ascontiguousarray(found).data
                rows.write(content)
                digest = hashlib.sha256(content).hexdigest()
                written.append(asdict(sources[clip]) | {"rows": len(found), "sha256": digest})
                if time.monotonic() - saved > SAVE_EVERY:
                    self._save(rows, lines, written)
                    written, saved = [], time.monotonic()
            self._save(rows, lines, written)
        return wrong

    def _save(self, rows, lines, written: list[dict]) -> None:
        to_disk(rows)
        for line in written:
            lines.write(json.dumps(line) + "\n")
            self._told(line)
        to_disk(lines)

    def _told(self, line: dict) -> None:
        if "dtype" in line:
            self._kind = np.dtype(line["dtype"]), tuple(line["shape"])
            return
        place = self._count, line["rows"], line["sha256"]
        self.places[Source(line["clip"], line["size"], line["changed"])] = place
        self._count += line["rows"]

    def _size(self) -> int:
        """Bytes of a row."""
        if self._kind is None:
            return 0
        dtype, shape = self._kind
        return dtype.itemsize * int(np.prod(shape))


def _attempt(read: Callable[[Path], np.ndarray], path: Path) -> np.ndarray | DataError:
    try:
        return read(path)
    except DataError as error:
        return error
