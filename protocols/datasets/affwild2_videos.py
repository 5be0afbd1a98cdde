"""Aff-Wild2: what an annotation file says, and what is kept of a video's faces and sound for each labelled frame."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from protocols.datasets import Card, logmel
from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.datasets.media import FETCH_AGAIN, file_problem, read_sound
from protocols.datasets.stills import blocks, read_still
from protocols.examples import DataError

HEADER = "valence,arousal"
UNLABELLED = -5.0
PARTS = ("Train_Set", "Validation_Set")
FACES = 8  # blocks each way of a face, and as many of what changed since the frame before
SOUND = 0.2  # seconds of sound that belong to a frame, with the frame in their middle
LONGEST = 86_400.0  # seconds; no recording is longer
SUFFIXES = (".mp4", ".avi")


class Annotation(NamedTuple):
    """The labelled frames of a video, rising.

    Args:
        frames: (T,) numbers from 1, as the pictures are named.
        labels: (T, 2) float32, valence and arousal.
    """

    frames: np.ndarray
    labels: np.ndarray


def annotation_paths(folder: Path, card: Card) -> dict[str, tuple[str, Path]]:
    """Video -> its official part and its file, sorted by name.

    Raises:
        DataError: without the folders, and for a video in both parts.
    """
    found: dict[str, tuple[str, Path]] = {}
    for part in PARTS:
        home = folder / "VA_Estimation_Challenge" / part
        if not home.is_dir():
            raise DataError(f"{home}: no such folder. Wanted {card.layout}. {card.obtain} Home page: {card.home}.")
        for path in home.glob("*.txt"):
            if path.stem in found:
                raise DataError(f"{path}: this video is in {found[path.stem][0]} too. {card.obtain}")
            found[path.stem] = part, path
    return dict(sorted(found.items()))


def recording(video: str) -> str:
    """The recording of a video: two people of one have a name each, ending in _left and _right."""
    return video.removesuffix("_left").removesuffix("_right")


def video_file(folder: Path, video: str) -> Path:
    """The file with the sound of a video.

    Raises:
        DataError: if there is none.
    """
    candidates = [folder / "videos" / f"{recording(video)}{suffix}" for suffix in SUFFIXES]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(
        f"{candidates[0]}: no such file, nor one ending in {SUFFIXES[1]}. Put the challenge's videos there."
    )


def read_annotation(path: Path) -> Annotation:
    """The labelled frames of one file; a frame counts if neither of its two numbers is -5.

    Raises:
        DataError: naming file and line, for another header, a line that is no two numbers, and a label outside
            [-1, 1] that is not -5.
    """
    if is_pointer(path):
        raise DataError(pointer_sentence(path))
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text of ASCII letters ({error}). Fetch this annotation again.") from None
    if not lines or lines[0].strip().lower() != HEADER:
        raise DataError(f"{path}:1: {(lines or [''])[0].strip()!r}; wanted the header {HEADER!r}.")
    while lines and not lines[-1].strip():
        lines.pop()
    values = np.array([_numbers(path, number, line) for number, line in enumerate(lines[1:], 2)], dtype=np.float64)
    values = values.reshape(-1, 2)
    labelled = (values != UNLABELLED).all(axis=1)
    outside = labelled & (np.abs(values) > 1).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"{path}:{row + 2}: {lines[row + 1].strip()!r}; accepted are -1 to 1, and -5 for no label.")
    return Annotation(np.flatnonzero(labelled) + 1, values[labelled].astype(np.float32))


def _numbers(path: Path, number: int, line: str) -> tuple[float, float]:
    fields = line.split(",")
    try:
        valence, arousal = map(float, fields)
    except ValueError:
        raise DataError(f"{path}:{number}: {line.strip()!r}; wanted two numbers with a comma between them.") from None
    if not np.isfinite((valence, arousal)).all():
        raise DataError(f"{path}:{number}: {line.strip()!r}; a label is not finite.")
    return valence, arousal


def face_rows(folder: Path, video: str, frames: np.ndarray) -> np.ndarray:
    """(T, 2 x 64) float32: 8 x 8 grey blocks of the face, and their change since the labelled frame before.

    A frame without a picture is black.

    Raises:
        DataError: without the video's folder, and for a picture that cannot be decoded.
    """
    home = folder / "cropped_aligned" / video
    if not home.is_dir():
        raise DataError(f"{home}: no such folder. Put the challenge's cropped_aligned pictures there.")
    there = {path.name for path in home.iterdir()}
    faces = np.zeros((len(frames), FACES * FACES), dtype=np.float32)
    for face, frame in zip(faces, frames, strict=True):
        if (name := f"{frame:05d}.jpg") in there:
            face[:] = blocks(read_still(home / name), FACES).ravel()
    return np.hstack([faces, np.diff(faces, axis=0, prepend=faces[:1])])


def sound_rows(folder: Path, video: str, frames: np.ndarray) -> np.ndarray:
    """(T, 40) float32: the mean log-mel spectrum of 0.2 s of sound around each frame.

    A recording without a sound track is silent, and so is what lies behind the end of its sound.

    Raises:
        DataError: without the video's file, for sound that cannot be decoded, and for a label behind the last frame.
    """
    path = video_file(folder, video)
    times, heard = frame_times(path)
    if frames[-1] > len(times):
        raise DataError(f"{path}: {len(times)} frames, but frame {frames[-1]} of {video} has a label. {FETCH_AGAIN}")
    samples = read_sound(path, LONGEST) if heard else np.zeros(0, np.int16)
    missing = round((times[frames[-1] - 1] + SOUND) * logmel.SAMPLE_RATE) - len(samples)
    spectrum = _spectrum(np.pad(samples, (0, max(0, missing))))
    sums = np.vstack([np.zeros(spectrum.shape[1]), np.cumsum(spectrum, axis=0, dtype=np.float64)])
    steps = logmel.SAMPLE_RATE / logmel.HOP
    begin, end = (np.rint((times[frames - 1] + side * SOUND / 2) * steps).astype(int) for side in (-1, 1))
    begin = np.clip(begin, 0, len(spectrum) - 1)
    end = np.clip(end, begin + 1, len(spectrum))
    return ((sums[end] - sums[begin]) / (end - begin)[:, None]).astype(np.float32)


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """``logmel`` of long sound, a minute at a time, because it holds every window at once: (S,) -> (T, 40)."""
    minute = 60 * logmel.SAMPLE_RATE
    reach = minute + logmel.WINDOW - logmel.HOP
    return np.concatenate([logmel.logmel(samples[at : at + reach]) for at in range(0, len(samples), minute)])


def frame_times(path: Path) -> tuple[np.ndarray, bool]:
    """(F,) seconds at which each frame of a file is shown, without decoding pictures, and whether it has sound.

    Rates vary within some of these videos, so the file's own clock counts; a file without one has its mean rate.
    """
    import av

    if problem := file_problem(path):
        raise DataError(problem)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video stream in it. {FETCH_AGAIN}")
            stream, heard = container.streams.video[0], bool(container.streams.audio)
            clock = [packet.pts for packet in container.demux(stream) if packet.size]
            if any(tick is None for tick in clock):
                return np.arange(len(clock)) / float(stream.average_rate), heard
            seconds = np.sort(np.array(clock, dtype=np.float64)) * float(stream.time_base)
            return seconds - (container.start_time or 0) / 1_000_000, heard
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: cannot be decoded ({error.strerror}). {FETCH_AGAIN}") from None
