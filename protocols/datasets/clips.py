"""Data sets of labelled clips that a person brings: found, checked, decoded once, cut to a representation.

A data set that is made of clips says in its own file which clips there are, of which class, and where their files
lie; everything else is here. Each representation is prepared by itself when it is first asked for:

=============  ==========================================================================================
audio
``logmel``     log-mel steps of the whole sound, 40 filters (``protocols.datasets.logmel``)
``spectrogram``  800 x 128, 8 s in the middle (``protocols.datasets.spectrogram``)
video
``movement``   grey, the square in the middle at 48 x 48, less its own mean frame (``protocols.datasets.movement``)
``frames``     8 RGB frames of 224 x 224, evenly over the 8 s in the middle (``protocols.datasets.pixels``)
=============  ==========================================================================================

No face is looked for. At most ``SECONDS`` of a clip count. Clips that a person cannot have any more are named in
``absent.txt`` beside the others, one id a line; nothing is left out without it.
"""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress, logmel, movement, pixels, spectrogram
from protocols.datasets.checks import check_request
from protocols.datasets.decoded import decoded
from protocols.datasets.media import SAMPLE_RATE, file_problem, read_pictures, read_sound
from protocols.examples import DataError, Examples, Stream, fingerprint

INPUTS = {"audio": ("logmel", "spectrogram"), "video": ("movement", "frames")}
SECONDS = 10.0
SIDE = 48  # pixels of a grey frame
FRAMES, FRAME_SIDE, FRAME_SECONDS = 8, 224, 8.0
VERSION = 1  # rises when the prepared arrays would differ
ABSENT, UNREADABLE = "absent.txt", "unreadable.txt"


@dataclass(frozen=True)
class Clip:
    """One clip.

    Args:
        label: class, counting from 0; for several labels the classes that are present.
        video: its file.
        audio: where the sound is a file of its own.
    """

    id: str
    label: int | tuple[int, ...]
    video: Path
    audio: Path | None = None

    def file(self, modality: str) -> Path:
        return self.audio or self.video if modality == "audio" else self.video


@dataclass(frozen=True)
class Listing:
    """Every clip that belongs to a data set, there or not."""

    classes: tuple[str, ...]
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class ClipSet:
    """A data set of clips, read by what its own file knows of it.

    Args:
        listing: folder, target -> the clips that belong there. Raises DataError for names and lists that are not as
            the card says.
        fps: grey frames a second.
        task: see ``Examples``.
    """

    card: Card
    listing: Callable[[Path, str], Listing]
    fps: float
    task: str = "classification"

    def check(self, root: Path) -> list[str]:
        """One sentence for each thing that is missing or wrong, without decoding; empty if all is well."""
        try:
            found = self.listed(root, self.card.targets[0])
        except DataError as error:
            return [str(error)]
        files = dict.fromkeys(file for clip in found.clips for file in (clip.file("audio"), clip.video))
        return [problem for file in files if (problem := file_problem(file))]

    def load(self, root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
        """Every clip, decoded into ``cache`` the first time that a representation is asked for.

        Raises:
            DataError: for files that are missing, too many or cannot be read, and for a target or representation that
                the data set does not have.
        """
        check_request(self.card, target, inputs)
        found = self.listed(root, target)
        home = Path(cache) / self.card.folder
        streams, marks = {}, []
        for modality, name in inputs.items():
            streams[modality], mark = self._stream(home, found.clips, modality, name, progress)
            marks.append(f"{modality} {name} {mark}")
        ids = tuple(clip.id for clip in found.clips)
        labels = _labels(found, self.task)
        mark = fingerprint((*ids, *found.classes, *marks), labels)
        return Examples(ids, labels, found.classes, streams, mark, self.task)

    def listed(self, root: Path, target: str) -> Listing:
        """The clips that are there, sorted by id.

        Raises:
            DataError: if clips are missing that ``absent.txt`` does not name, or their number is not the published one.
        """
        folder = Path(root) / self.card.folder
        if not folder.is_dir() or not any(folder.iterdir()):
            state = "is empty" if folder.is_dir() else "does not exist"
            raise DataError(
                f"{self.card.title}: the folder {folder} {state}. Wanted there: {self.card.layout}. {self.card.obtain} "
                f"Home page: {self.card.home}. Licence: {self.card.licence}."
            )
        found, absent = self.listing(folder, target), _absent(folder)
        clips = {clip.id: clip for clip in found.clips}
        self._check_count(folder, clips.keys() | absent)
        gone = sorted(
            clip.id
            for clip in clips.values()
            if clip.id not in absent and not (clip.video.exists() and clip.file("audio").exists())
        )
        if gone:
            where = clips[gone[0]]
            lacking = next(file for file in (where.video, where.file("audio")) if not file.exists())
            raise DataError(
                f"{folder}: {len(gone)} of {len(clips)} clips are missing, {_some(gone)}; {lacking} for one. "
                f"{self.card.obtain} To go on without them, name them in {folder / ABSENT}, one id a line."
            )
        return Listing(found.classes, tuple(clips[name] for name in sorted(clips.keys() - absent)))

    def check_split(self, name: str) -> None:
        """Refuse a split that the card does not name.

        Raises:
            DataError: with the nearest name.
        """
        if name not in self.card.splits:
            near = get_close_matches(name, self.card.splits, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{self.card.title}: no split {name!r}.{hint} Known: {', '.join(self.card.splits)}.")

    def _check_count(self, folder: Path, ids: set[str]) -> None:
        wanted = self.card.counts.get("clips")
        if wanted is not None and len(ids) != wanted:
            raise DataError(
                f"{folder}: {len(ids)} clips, expected {wanted} ({ABSENT} included). Wanted there: {self.card.layout}. "
                f"{self.card.obtain} Clips that you cannot have are named in {folder / ABSENT}, one id a line."
            )

    def _stream(
        self, home: Path, clips: tuple[Clip, ...], modality: str, name: str, progress: Progress
    ) -> tuple[Stream, str]:
        """The stream of a representation, and the fingerprint of its rows.

        Raises:
            DataError: naming clips that cannot be read; ``unreadable.txt`` in ``home`` then holds all their ids.
        """
        asked = _representation(name, self.fps)
        cut = hashlib.sha256(json.dumps([VERSION, SECONDS, *asked.cut]).encode()).hexdigest()[:16]
        files = {clip.id: clip.file(modality) for clip in clips}
        description = f"Decoding {self.card.title}, {asked.rows}"
        rows, wrong = decoded(home / f"{asked.rows}-{cut}", files, asked.read, progress, description)
        if wrong:
            (home / UNREADABLE).write_text("".join(f"{clip}\n" for clip in wrong), encoding="utf-8")
            raise DataError(
                f"{len(wrong)} of {len(clips)} clips cannot be read: {' '.join(list(wrong.values())[:3])} All their "
                f"ids are in {home / UNREADABLE}; fetch them again, or name them in {ABSENT} to go on without them. "
                "The others stay decoded."
            )
        told = asked.width, asked.features, asked.kind, asked.rate_hz, asked.shape
        return Stream(rows.values, rows.starts, rows.stops, *told), rows.fingerprint


@dataclass(frozen=True)
class Representation:
    """What is kept of a file, and what becomes of it in a batch.

    Args:
        rows: name of the prepared rows; several representations may share them.
        read: file -> rows.
        cut: everything that the rows depend on besides the file.
        width, features, kind, rate_hz, shape: see ``Stream``.
    """

    rows: str
    read: Callable[[Path], np.ndarray]
    cut: tuple
    width: int
    features: Callable[[np.ndarray], np.ndarray]
    kind: str
    rate_hz: float
    shape: tuple[int, ...] | None = None


def _representation(name: str, fps: float) -> Representation:
    if name in INPUTS["audio"]:
        listen = partial(read_sound, seconds=SECONDS)
        width, features = {
            "logmel": (logmel.FILTERS, logmel.logmel),
            "spectrogram": (spectrogram.BINS, spectrogram.spectrogram),
        }[name]
        return Representation("sound", listen, (SAMPLE_RATE,), width, features, "waveform", SAMPLE_RATE)
    if name == "movement":
        watch = partial(read_pictures, seconds=SECONDS, times=partial(_every, 1 / fps), size=SIDE, grey=True)
        width = (SIDE // movement.POOL) ** 2
        return Representation(name, watch, (SIDE, fps), width, movement.movement, "frames", fps)
    watch = partial(read_pictures, seconds=SECONDS, times=_spread, size=FRAME_SIDE, grey=False)
    cut, shape = (FRAMES, FRAME_SIDE, FRAME_SECONDS), (FRAME_SIDE, FRAME_SIDE, 3)
    rate_hz = FRAMES / FRAME_SECONDS
    return Representation(name, watch, cut, math.prod(shape), pixels.pixels, "frames", rate_hz, shape)


def read_rows(path: Path, columns: int, card: Card, *, delimiter: str = ",") -> list[tuple[str, list[str]]]:
    """The rows of a list that came with the data, each with its place for messages; comments (#) are left out.

    Raises:
        DataError: for a file that is missing or no text, and for a row of fewer columns.
    """
    if problem := file_problem(path):
        raise DataError(f"{problem} {card.obtain}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as text:
            rows = list(csv.reader(text, delimiter=delimiter, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a list of text ({error}). {card.obtain}") from None
    found = [(f"{path}:{n}", row) for n, row in enumerate(rows, 1) if row and not row[0].startswith("#")]
    for where, row in found:
        if len(row) < columns:
            raise DataError(f"{where}: {len(row)} columns ({delimiter.join(row)}), wanted {columns}. {card.obtain}")
    return found


def check_parts(card: Card, name: str, came: Mapping[str, int]) -> None:
    """Refuse lists whose parts are not as long as published.

    Raises:
        DataError: naming the split and both numbers.
    """
    wanted = card.splits[name].counts
    if wrong := [part for part, count in wanted.items() if came.get(part) != count]:
        told = ", ".join(f"{part} {came.get(part, 0)}, expected {wanted[part]}" for part in wrong)
        raise DataError(f"{card.title}, split {name}: {told}. {card.obtain}")


def by_hash(name: str, share: int = 10) -> bool:
    """True for one in ``share`` names, the same everywhere: carves a validation part where a paper has none."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % share == 0


def _labels(found: Listing, task: str) -> np.ndarray:
    """(N,) int64, or (N, K) float32 with 1 where a label is present."""
    if task == "classification":
        return np.array([clip.label for clip in found.clips], dtype=np.int64)
    labels = np.zeros((len(found.clips), len(found.classes)), dtype=np.float32)
    for row, clip in zip(labels, found.clips, strict=True):
        row[list(clip.label)] = 1
    return labels


def _absent(folder: Path) -> set[str]:
    """The ids that a person declared to be missing."""
    path = folder / ABSENT
    if not path.is_file():
        return set()
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" and more" if len(names) > 3 else "")


def _every(step: float, seconds: float) -> np.ndarray:
    return np.arange(max(1, int(seconds / step + 1e-6))) * step


def _spread(seconds: float) -> np.ndarray:
    """FRAMES times in the middle of as many equal parts of the FRAME_SECONDS in the middle."""
    span = min(seconds, FRAME_SECONDS)
    return (seconds - span) / 2 + (np.arange(FRAMES) + 0.5) * span / FRAMES
