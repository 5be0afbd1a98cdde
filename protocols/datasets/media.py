"""Decoding of talking-face clips with PyAV (FFmpeg): grey frames and mono 16 kHz samples on one time line.

FFmpeg decodes what is left of a damaged file without complaint. What the container declares is therefore
compared with what came out of it. PyAV is imported inside functions: naming this module costs nothing.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.examples import DataError

SAMPLE_RATE = 16000
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

    Sees a missing or empty file, a git-LFS pointer and, for MP4, a file that ends before its boxes do.
    """
    try:
        size = path.stat().st_size
        if is_pointer(path):
            return pointer_sentence(path)
        if not size:
            return f"{path}: empty file. {FETCH_AGAIN}"
        with open(path, "rb") as file:
            end = _mp4_end(file, size) if path.suffix == ".mp4" else size
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
