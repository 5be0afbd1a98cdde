"""Decoding with PyAV (FFmpeg): frames and mono 16 kHz samples on one time line.

``decode`` takes a short clip whole; ``read_sound`` and ``read_pictures`` take from a file what a data set keeps of it.

FFmpeg decodes what is left of a damaged file without complaint. What the container declares is therefore
compared with what came out of it. PyAV is imported inside functions: naming this module costs nothing.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.examples import DataError

SAMPLE_RATE = 16000
# How much earlier a stream may end than it says itself, and than its file says, which is as long as the longest stream.
SHORT_STREAM, SHORT_FILE = 0.5, 1.0  # seconds
FETCH_AGAIN = "Fetch this file again from the source that the data set's card names."


@dataclass(frozen=True)
class Clip:
    """One decoded file. Sample 0 sounds when frame 0 is shown.

    Args:
        frames: (T, H, W) uint8, grey.
        samples: (S,) int16, mono, 16 kHz.
        fps: frames a second.
    """

    frames: np.ndarray
    samples: np.ndarray
    fps: float


def file_problem(path: Path) -> str | None:
    """What is wrong with a media file that shows without decoding it, as a sentence; None if nothing is.

    Sees a missing or empty file, a git-LFS pointer and, for MP4, WAV and AVI, a file that ends before its parts do.
    """
    try:
        size = path.stat().st_size
        if is_pointer(path):
            return pointer_sentence(path)
        if not size:
            return f"{path}: empty file. {FETCH_AGAIN}"
        with open(path, "rb") as file:
            end = ENDS[path.suffix](file, size) if path.suffix in ENDS else size
    except FileNotFoundError:
        return f"{path}: no such file. {FETCH_AGAIN}"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}). Check its permissions."
    if end is None:
        return f"{path}: not an MP4 file, or one without its index. {FETCH_AGAIN}"
    if end != size:
        return f"{path}: truncated, {size} bytes of at least {end}. {FETCH_AGAIN}"
    return None


def _mp4_end(file, size: int) -> int | None:
    """Where the last top-level box of an MP4 file says that it ends; None without an index ("moov").

    ISO/IEC 14496-12: a box begins with its size (32 bits, 1 = 64 bits follow, 0 = to the end) and type.
    """
    position, kinds = 0, set()
    while position < size:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break
        length, kind = struct.unpack(">I4s", header[:8])
        if not kinds and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return None
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        elif length == 0:
            length = size - position
        if length < 8:
            return None
        kinds.add(kind)
        position += length
    # A cut inside "mdat" hides an index that would have followed: the cut is the better explanation.
    return position if b"moov" in kinds or position > size else None


def _riff_end(file, size: int) -> int:
    """Where a WAV or AVI file says that its first RIFF chunk ends, or its size where that is near or not said.

    Writers that cannot go back leave 0 or 2^32 - 1, and some count a header too many.
    """
    header = file.read(8)
    if len(header) < 8 or header[:4] != b"RIFF":
        return size
    end = 8 + struct.unpack("<I", header[4:])[0]
    return end if size + 4096 < end < 2**32 - 4096 else size


ENDS = {".mp4": _mp4_end, ".wav": _riff_end, ".avi": _riff_end}


def decode(path: Path) -> Clip:
    """Decode all frames and all sound of one file, in one thread.

    Raises:
        DataError: missing or truncated file, git-LFS pointer, no video or no sound in it, or anything
            that FFmpeg cannot decode.
        ImportError: without PyAV (``pip install 'fuseboard[media]'``).
    """
    import av

    if problem := file_problem(path):
        raise DataError(problem)
    try:
        with av.open(str(path)) as container:
            for kind in ("video", "audio"):
                if not getattr(container.streams, kind):
                    raise DataError(f"{path}: no {kind} stream in it; a clip needs picture and sound. {FETCH_AGAIN}")
            return _decode_streams(container, path)
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: cannot be decoded ({error.strerror}). {FETCH_AGAIN}") from None


def _decode_streams(container, path: Path) -> Clip:
    import av

    video, audio = container.streams.video[0], container.streams.audio[0]
    for stream in (video, audio):
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}  # otherwise FFmpeg paints over the damage
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    frames, pieces, begins = [], [], {}
    for packet in container.demux(video, audio):
        for decoded in packet.decode():
            if decoded.is_corrupt:
                raise DataError(f"{path}: damaged at {decoded.time or 0:.2f} s. {FETCH_AGAIN}")
            begins.setdefault(packet.stream.type, float((decoded.pts or 0) * decoded.time_base))
            if packet.stream.type == "video":
                frames.append(decoded.to_ndarray(format="gray"))
            else:
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(decoded)]
    if pieces:
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    for kind, found in (("frames", frames), ("sound", pieces)):
        if not found:
            raise DataError(f"{path}: no {kind} came out of it. {FETCH_AGAIN}")
    if video.frames and len(frames) != video.frames:
        raise DataError(f"{path}: damaged, {len(frames)} of {video.frames} frames could be decoded. {FETCH_AGAIN}")
    samples = np.concatenate(pieces)
    if audio.duration:
        declared = round(float(audio.duration * audio.time_base) * SAMPLE_RATE)
        # One AAC packet (1024 samples at the file's rate) may be priming that the duration counts.
        if len(samples) < declared - 2048:
            raise DataError(f"{path}: damaged, {len(samples)} of {declared} samples could be decoded. {FETCH_AGAIN}")
        samples = samples[:declared]  # the codec fills its last packet up
    lag = round((begins["audio"] - begins["video"]) * SAMPLE_RATE)
    samples = np.concatenate([np.zeros(lag, np.int16), samples]) if lag > 0 else samples[-lag:]
    return Clip(np.stack(frames), samples, float(video.average_rate))


def read_sound(path: Path, seconds: float) -> np.ndarray:
    """The first ``seconds`` of a file's sound: (S,) int16, mono, 16 kHz. Sample 0 is at the file's time 0.

    Web videos carry small faults that a decoder mends, so unlike ``decode`` this asks only that no time is missing.

    Raises:
        DataError: as ``decode`` does, and for sound that ends before the file says.
    """
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with _opened(path, "audio") as (container, stream):
        pieces, lag, have = [], None, 0
        for decoded in container.decode(stream):
            if lag is None:
                lag = round((_seconds(decoded) - _origin(container)) * SAMPLE_RATE)
            arrived = [piece.to_ndarray()[0] for piece in resampler.resample(decoded)]
            pieces += arrived
            have += sum(map(len, arrived))
            if lag + have >= seconds * SAMPLE_RATE:
                break
        if pieces:
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
        if not have:
            raise DataError(f"{path}: no sound came out of it. {FETCH_AGAIN}")
        samples = np.concatenate([np.zeros(max(lag, 0), np.int16), *pieces])[max(-lag, 0) :]
        _check_length(path, len(samples) / SAMPLE_RATE, container, stream, seconds)
    return samples[: round(seconds * SAMPLE_RATE)]


def read_pictures(
    path: Path, seconds: float, times: Callable[[float], np.ndarray], size: int, *, grey: bool
) -> np.ndarray:
    """Some frames of a file: (T, size, size) uint8 grey, or (T, size, size, 3) RGB, of the square in their middle.

    Args:
        seconds: of the file that count, from its time 0 on.
        times: how many of these seconds the file has -> (T,) rising times, each answered with the frame shown then.

    Raises:
        DataError: as ``decode`` does, for a picture that ends before the file says, and for a file that does not say.
    """
    kept, last, shown = [], None, 0.0
    with _opened(path, "video") as (container, stream):
        step = 1 / float(stream.average_rate or 25)
        declared, _ = _declared(container, stream)
        if not declared:
            raise DataError(f"{path}: it does not say how long it is. Write it into another container, MP4 for one.")
        wanted, origin = times(min(seconds, declared)), _origin(container)
        for index, frame in enumerate(container.decode(stream)):
            at = _seconds(frame, index * step)
            if last is None and container.format.name == "avi":
                origin = at  # it keeps decoding times only, which are late by a frame or two where frames are reordered
            shown = max(at - origin, shown)
            due = int(np.searchsorted(wanted, shown - 0.001)) - len(kept)  # until now the frame before was shown
            kept += [_square(last or frame, size, grey)] * due if due > 0 else []
            last = frame
            if len(kept) == len(wanted):
                break
        if last is None:
            raise DataError(f"{path}: no frames came out of it. {FETCH_AGAIN}")
        if len(kept) < len(wanted):
            _check_length(path, shown + step, container, stream, seconds)
            kept += [_square(last, size, grey)] * (len(wanted) - len(kept))
    return np.stack(kept)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple]:
    """Container and first stream of a kind; whatever FFmpeg says of the file becomes a DataError with its path."""
    import av

    if problem := file_problem(path):
        raise DataError(problem)
    try:
        with av.open(str(path)) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise DataError(f"{path}: no {kind} stream in it. {FETCH_AGAIN}")
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: cannot be decoded ({error.strerror}). {FETCH_AGAIN}") from None


def _seconds(decoded, otherwise: float = 0.0) -> float:
    return otherwise if decoded.pts is None else float(decoded.pts * decoded.time_base)


def _origin(container) -> float:
    """Where the file's clock begins."""
    return (container.start_time or 0) / 1_000_000


def _declared(container, stream) -> tuple[float | None, float]:
    """Seconds that the file says it has, and how many of them a stream may lack."""
    if stream.duration:
        return float(stream.duration * stream.time_base), SHORT_STREAM
    return (container.duration / 1_000_000 if container.duration else None), SHORT_FILE


def _check_length(path: Path, have: float, container, stream, seconds: float) -> None:
    declared, short = _declared(container, stream)
    if declared and have < min(declared, seconds) - short:
        raise DataError(f"{path}: damaged, {stream.type} ends at {have:.2f} of {declared:.2f} s. {FETCH_AGAIN}")


def _square(frame, size: int, grey: bool) -> np.ndarray:
    """The square in the middle of a frame, its side scaled to ``size``: (size, size) grey or (size, size, 3) RGB."""
    scale = size / min(frame.width, frame.height)
    width, height = (max(size, round(length * scale)) for length in (frame.width, frame.height))
    small = frame.reformat(width, height, format="gray" if grey else "rgb24", interpolation="AREA").to_ndarray()
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(small[top : top + size, left : left + size])
