"""Clips made here, and the real GRID where a data root is set."""

import os
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

SPEECH = """0 10000 sil
10000 15250 {0}
15250 21000 {1}
21000 25500 {2}
25500 31750 {3}
31750 33000 sp
33000 41500 {4}
41500 50000 {5}
50000 74500 sil
"""
SENTENCES = {
    "bbaf2n": "bin blue at f two now",
    "lgwaza": "lay green with a zero again",
    "srbz9p": "set red by z nine please",
}


def write_media(path: Path, frames: np.ndarray | None, samples: np.ndarray | None, fps: int = 25) -> None:
    """An MP4 file of (T, H, W) uint8 frames and (S,) int16 samples at 16 kHz; either may be left out."""
    import av

    with av.open(str(path), "w") as container:
        if frames is not None:
            video = container.add_stream("mpeg4", rate=fps)
            video.height, video.width = frames.shape[1:]
            video.pix_fmt, video.bit_rate = "yuv420p", 2_000_000
        if samples is not None:
            audio = container.add_stream("aac", rate=16000, layout="mono")
        if frames is not None:
            for pixels in frames:
                container.mux(
                    video.encode(av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p"))
                )
            container.mux(video.encode(None))
        if samples is not None:
            for at in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 16000, at, Fraction(1, 16000)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


@pytest.fixture(scope="session")
def flash_and_beep() -> tuple[np.ndarray, np.ndarray]:
    """75 dark frames and 3 silent seconds; at 1 second the picture turns bright and a 1 kHz tone begins."""
    frames = np.full((75, 144, 180), 40, np.uint8)
    frames[25:] = 200
    samples = 8000 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 16000)
    samples[:16000] = 0
    return frames, samples.astype(np.int16)


@pytest.fixture(scope="session")
def made_clips(tmp_path_factory, flash_and_beep) -> Path:
    """A GRID folder with three clips that were made here."""
    folder = tmp_path_factory.mktemp("made") / "grid"
    (folder / "s1").mkdir(parents=True)
    (folder / "align" / "s1").mkdir(parents=True)
    for clip, sentence in SENTENCES.items():
        write_media(folder / "s1" / f"{clip}.mp4", *flash_and_beep)
        (folder / "align" / "s1" / f"{clip}.align").write_text(SPEECH.format(*sentence.split()))
    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The real data."""
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not root:
        pytest.skip("FUSEBOARD_DATA_ROOT is not set: the real clips are not at hand.")
    if not (Path(root) / "grid").is_dir():
        pytest.skip(f"{root} holds no grid folder.")
    return Path(root)


@pytest.fixture(scope="session")
def grid_cache(tmp_path_factory) -> Path:
    """Where the real clips are decoded to, once a session, or once for all where FUSEBOARD_CACHE_ROOT is set."""
    place = os.environ.get("FUSEBOARD_CACHE_ROOT")
    return Path(place) if place else tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def grid_digit(data_root, grid_cache):
    """Examples of the real GRID: which digit is said, from sound and mouth."""
    from protocols.datasets import grid

    began = time.perf_counter()
    inputs = {"audio": "logmel", "video": "mouth"}
    examples = grid.load(data_root, grid_cache, "digit", inputs, lambda items, description: items)
    print(f"\nGRID prepared or found in {time.perf_counter() - began:.1f} s")
    return examples
