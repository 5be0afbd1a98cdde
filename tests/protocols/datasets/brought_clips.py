"""Clips in the containers that data sets come in, made here: small, short, and with something to see and hear."""

from fractions import Fraction
from pathlib import Path

import numpy as np

RATE = 16000
# Container -> encoders of picture and sound, as the data sets have them or next to it.
CODECS = {".mp4": ("mpeg4", "aac"), ".flv": ("flv", "libmp3lame"), ".avi": ("mpeg4", "pcm_s16le")}


def write_clip(path: Path, *, seconds: float = 1.2, pitch_hz: float = 500.0, fps: int = 10, sound: bool = True) -> Path:
    """A clip of 64 x 48 whose picture is dark, and bright from the half on, with a tone that begins there too."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.full((round(seconds * fps), 48, 64, 3), 40, np.uint8)
    frames[len(frames) // 2 :] = (230, 200, 180)
    with av.open(str(path), "w") as container:
        see, hear = CODECS[path.suffix]
        video = container.add_stream(see, rate=fps)
        video.height, video.width, video.pix_fmt, video.bit_rate = 48, 64, "yuv420p", 400_000
        video.codec_context.max_b_frames = 2 if path.suffix == ".avi" else 0  # which puts frames out of order
        audio = container.add_stream(hear, rate=44100, layout="mono") if sound else None
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")))
        container.mux(video.encode(None))
        if audio:
            heard = av.AudioFrame.from_ndarray(tone(seconds, pitch_hz)[None], format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = RATE, 0, Fraction(1, RATE)
            for frame in (heard, None):
                container.mux(audio.encode(frame))
    return path


def tone(seconds: float, pitch_hz: float = 500.0) -> np.ndarray:
    """(S,) int16 at 16 kHz, silent in its first half."""
    at = np.arange(round(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * pitch_hz * at) * (at >= seconds / 2)).astype(np.int16)


def quiet(items, description):
    """Progress that nobody watches."""
    return items
