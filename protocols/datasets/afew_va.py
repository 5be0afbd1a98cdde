"""AFEW-VA: clips from films, valence, arousal and 68 facial landmarks for every frame.

A folder a clip holds its frames and one JSON file. A frame is a step. There is no sound in this data set.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from protocols.datasets import Card, Progress, Standard
from protocols.datasets.checks import check_request, is_pointer, pointer_sentence
from protocols.datasets.prepared import prepared, write_rows
from protocols.datasets.stills import blocks, read_still
from protocols.examples import DataError, Examples, Stream, fingerprint

VERSION = 1  # rises when the prepared arrays would differ
TARGETS = ("valence", "arousal")
LOW, HIGH = -10, 10
LANDMARKS = 68
FACE = 12  # blocks each way of the face
MARGIN = 0.2  # of the landmarks' height and width, around them on each side
SUFFIXES = (".png", ".jpg")
FOLDS = 5

CARD = Card(
    title="AFEW-VA",
    owner="Jean Kossaifi and colleagues, iBUG, Imperial College London",
    folder="afew_va",
    home="https://ibug.doc.ic.ac.uk/resources/afew-va-database/",
    licence="not checked: read the owner's page; the frames are from films",
    citation="Kossaifi, Tzimiropoulos, Todorovic and Pantic 2017, Image and Vision Computing 65",
    inputs={"video": ("landmarks", "face_blocks")},
    targets=("valence_arousal",),
    counts={"clips": 600},
    layout=(
        "<clip from 001 to 600>/<clip>.json and <clip>/<frame from 00000>.png; in the JSON file actor and frames, "
        "each with valence and arousal from -10 to 10 and 68 landmarks"
    ),
    obtain="Fetch the archives that the home page links and unpack them all into this one folder.",
    aligned=True,
    splits={
        "actors": Standard(
            "Ours: five folds, nobody in two. Actors, by the JSON files, from the one of the most clips on go into the "
            "smallest fold so far. The next fold is the validation part."
        )
    },
    traps=(
        "There is no official split. Ours is by actor; papers split clips at random, so an actor is in both parts.",
        "Frames only: papers that score sound on it took it from elsewhere.",
        "Labels are whole numbers from -10 to 10; concordance does not mind, an absolute error does.",
        "Papers print correlation, concordance and errors of this set; they are not one number.",
    ),
)


class Clip(NamedTuple):
    """One clip's file.

    Args:
        frames: names of the frames, rising.
        labels: (T, 2) float32, valence and arousal.
        landmarks: (T, 68, 2) pixels, column and row.
    """

    actor: str
    frames: tuple[str, ...]
    labels: np.ndarray
    landmarks: np.ndarray


def check(root: Path) -> list[str]:
    """One sentence for each thing that is missing or wrong, without decoding; empty if all is well."""
    folder = Path(root) / CARD.folder
    try:
        clips = _clips(folder)
        for clip in clips:
            for frame in read_clip(folder, clip).frames:
                picture_path(folder, clip, frame)
    except DataError as error:
        return [str(error)]
    return _count_problems(folder, clips)


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """All 600 clips with valence and arousal of each frame. Decodes into ``cache`` the first time.

    Raises:
        DataError: for an unknown request, files that are missing, damaged or malformed, another number of clips, and
            where the cache cannot be written.
    """
    folder = Path(root) / CARD.folder
    clips = _clips(folder)
    if problems := _count_problems(folder, clips):
        raise DataError(problems[0])
    return load_clips(folder, cache, clips, target, inputs, progress)


def load_clips(
    folder: Path, cache: Path, clips: list[str], target: str, inputs: Mapping[str, str], progress: Progress
) -> Examples:
    """``load`` for the named clips of an AFEW-VA folder, however many they are."""
    check_request(CARD, target, inputs)
    kept = inputs["video"]
    home = Path(cache) / CARD.folder / _signature(folder, clips, kept)
    meta = prepared(home, lambda partial: _prepare(folder, clips, kept, partial, progress))
    lengths = np.array(meta["lengths"], dtype=np.int64)
    stops = np.cumsum(lengths)
    labels = np.split(np.load(home / "labels.npy"), stops[:-1])
    values = np.load(home / "video.npy", mmap_mode="r")
    streams = {"video": Stream(values, stops - lengths, stops, values.shape[1])}
    mark = fingerprint(tuple(clips), lengths, np.concatenate(labels), values)
    return Examples(tuple(clips), labels, TARGETS, streams, mark, task="regression")


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """Fold of each clip, all clips of an actor in one; see ``folds``. There is no other split."""
    folder = Path(root) / CARD.folder
    return {clip: str(fold) for clip, fold in folds({clip: read_clip(folder, clip).actor for clip in ids}).items()}


def folds(actors: Mapping[str, str]) -> dict[str, int]:
    """Clip -> fold from 1 to 5: actors by descending number of clips, then by name, each into the smallest fold."""
    sizes, found = [0] * FOLDS, {}
    counts = Counter(actors.values())
    for actor in sorted(counts, key=lambda name: (-counts[name], name)):
        found[actor] = sizes.index(min(sizes)) + 1
        sizes[found[actor] - 1] += counts[actor]
    return {clip: found[actor] for clip, actor in actors.items()}


def _clips(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Wanted {CARD.layout}. {CARD.obtain} Home page: {CARD.home}.")
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())


def _count_problems(folder: Path, clips: list[str]) -> list[str]:
    if len(clips) == CARD.counts["clips"]:
        return []
    return [f"{folder}: {len(clips)} clips, expected {CARD.counts['clips']}. {CARD.obtain}"]


def read_clip(folder: Path, clip: str) -> Clip:
    """What the JSON file of a clip says.

    Raises:
        DataError: naming file and line, or file and frame, for JSON that cannot be read, a key that is missing, a
            label that is no number from -10 to 10, and other than 68 landmarks.
    """
    path = folder / clip / f"{clip}.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file. {CARD.obtain}")
    if is_pointer(path):
        raise DataError(pointer_sentence(path))
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}). Fetch it again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text ({error}). Fetch it again.") from None
    if not isinstance(said, dict) or not isinstance(said.get("frames"), dict) or "actor" not in said:
        raise DataError(f"{path}: wanted the keys actor and frames. Fetch it again.")
    if not said["frames"]:
        raise DataError(f"{path}: no frame in it. Fetch it again.")
    names = sorted(said["frames"])
    read = [_frame(f"{path}: frame {name}", said["frames"][name]) for name in names]
    labels, landmarks = (np.array(part, dtype=np.float32) for part in zip(*read, strict=True))
    return Clip(str(said["actor"]), tuple(names), labels, landmarks)


def _frame(where: str, said: object) -> tuple[tuple[float, float], np.ndarray]:
    """Labels and landmarks of one frame."""
    values = said if isinstance(said, dict) else {}
    for name in TARGETS:
        value = values.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not LOW <= value <= HIGH:
            raise DataError(f"{where}: {name} is {value!r}; accepted are numbers from {LOW} to {HIGH}.")
    try:
        points = np.array(values.get("landmarks"), dtype=np.float32)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.shape != (LANDMARKS, 2) or not np.isfinite(points).all():
        raise DataError(f"{where}: landmarks {points.shape}; wanted {LANDMARKS} pairs of numbers.")
    return (float(values["valence"]), float(values["arousal"])), points


def picture_path(folder: Path, clip: str, frame: str) -> Path:
    """The picture of a frame.

    Raises:
        DataError: if there is none.
    """
    for suffix in SUFFIXES:
        if (path := folder / clip / f"{frame}{suffix}").is_file():
            return path
    raise DataError(f"{folder / clip / frame}{SUFFIXES[0]}: no such file. {CARD.obtain}")


def _signature(folder: Path, clips: list[str], kept: str) -> str:
    """Changes with any clip's JSON file or folder, and with what is kept of it."""
    digest = hashlib.sha256(json.dumps([VERSION, FACE, MARGIN, kept]).encode())
    for clip in clips:
        for path in (folder / clip, folder / clip / f"{clip}.json"):
            try:
                stat = path.stat()
            except OSError as error:
                raise DataError(f"{path}: {error.strerror}. Wanted {CARD.layout}.") from None
            digest.update(f"{path.relative_to(folder)} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _prepare(folder: Path, clips: list[str], kept: str, partial: Path, progress: Progress) -> dict:
    """Write labels and rows of every frame into ``partial``; returns how many frames each clip has."""
    # Labels first: they are quick, so a wrong one is told at once.
    read = {clip: read_clip(folder, clip) for clip in clips}
    paths = {name: partial / f"{name}.npy" for name in ("labels", "video")}
    write_rows(paths, _decoded(folder, read, kept, progress))
    return {"lengths": [len(clip.frames) for clip in read.values()]}


def _decoded(folder: Path, read: Mapping[str, Clip], kept: str, progress: Progress) -> Iterator[dict[str, np.ndarray]]:
    """Labels and rows of each clip, in order, by as many threads as there are cores: FFmpeg frees them."""

    def decode(clip: str) -> dict[str, np.ndarray]:
        rows = shape(read[clip].landmarks) if kept == "landmarks" else faces(folder, clip, read[clip])
        return {"labels": read[clip].labels, "video": rows}

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            results = threads.map(decode, read)
            for _ in progress(list(read), f"Reading {CARD.title}"):
                yield next(results)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def shape(landmarks: np.ndarray) -> np.ndarray:
    """(T, 68, 2) pixels -> (T, 136): landmarks of each frame about their mean, in units of their root mean square."""
    centred = landmarks - landmarks.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).mean(axis=(1, 2), keepdims=True))
    return (centred / np.maximum(size, 1e-6)).reshape(len(landmarks), -1).astype(np.float32)


def faces(folder: Path, clip: str, read: Clip) -> np.ndarray:
    """(T, 144): 12 x 12 grey blocks of the box around the landmarks of each frame, a fifth wider on each side.

    What of the box lies outside the picture repeats the picture's edge.
    """
    pictures = (read_still(picture_path(folder, clip, frame)) for frame in read.frames)
    return np.stack([face(picture, points) for picture, points in zip(pictures, read.landmarks, strict=True)])


def face(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(H, W) grey and (68, 2) pixels -> (144,) float32 in 0..1."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = MARGIN * (high - low)
    spans = []
    for begin, end in zip(low - room, high + room, strict=True):
        size = max(round(float(end - begin)), FACE)
        spans.append(np.arange(size) + round(float(begin)))
    columns, rows = (np.clip(span, 0, length - 1) for span, length in zip(spans, picture.shape[::-1], strict=True))
    return blocks(picture[np.ix_(rows, columns)], FACE).ravel()
