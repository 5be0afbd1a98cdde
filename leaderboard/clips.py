"""The media behind an exhibit, from the user's own data folder: frames, sound and words of one clip.

Nothing of them is stored: what a model was shown is cut out of the clip again, noise included.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.corruptions import CORRUPTIONS, parse_condition
from protocols.datasets import dataset, grid, grid_clips, logmel, media
from protocols.datasets.clips import INPUTS
from protocols.examples import DataError
from protocols.spec import ProtocolSpec

MEDIA = {name for names in INPUTS.values() for name in names}
CROPS = {"mouth": grid_clips.MOUTH, "face": grid_clips.FACE}
RATES_HZ = {"audio": media.SAMPLE_RATE, "video": grid_clips.FPS}


class NoClip(Exception):
    """Why there is nothing to see or to hear, and how to bring it."""


@dataclass(frozen=True)
class Clip:
    """One example of a protocol with the clip that it was cut from.

    Args:
        path: of the whole clip.
        words: (text, start, stop) in seconds of the clip.
        spoken: which of the words the example is about.
        begin, end: of the example, seconds of the clip.
        fps: frames a second.
        frames: (T, H, W) uint8, the face in each frame of the example.
        seen: rows and columns of ``frames`` that a model is given.
        samples: (S,) float32 sound of the example in int16 units, 16 kHz, as a model is given it.
        unlike: how ``samples`` and ``frames`` differ from what a model is given; empty where they do not.
    """

    path: Path
    words: tuple[tuple[str, float, float], ...]
    spoken: int
    begin: float
    end: float
    fps: float
    frames: np.ndarray
    seen: tuple[slice, slice]
    samples: np.ndarray
    unlike: str

    @property
    def spectrogram(self) -> np.ndarray:
        """(steps, filters) log-mel energies, a step each 10 ms."""
        return logmel.logmel(self.samples)

    def times(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of each step in seconds of the clip, (T,) each: of frames, or of the 10 ms between windows."""
        if modality == "video":
            begin = self.begin + np.arange(len(self.frames)) / self.fps
            return begin, begin + 1 / self.fps
        hop, window = logmel.HOP / logmel.SAMPLE_RATE, logmel.WINDOW / logmel.SAMPLE_RATE
        # A window of 25 ms is drawn as the 10 ms around its middle.
        begin = self.begin + window / 2 - hop / 2 + hop * np.arange(len(self.spectrogram))
        return begin, begin + hop


def clip_path(root: Path | None, spec: ProtocolSpec, example: str) -> Path:
    """Where the clip of an example lies.

    Raises:
        NoClip: for data sets without media, without a data folder, and for a clip that is not in it.
    """
    name = spec.dataset.partition("/")[0]
    if name != "grid":
        title = dataset(name).CARD.title
        if MEDIA.isdisjoint(spec.inputs.values()):
            raise NoClip(f"{title}: feature vectors, without picture or sound to show them over.")
        raise NoClip(f"{title}: the board plays clips of {grid.CARD.title} only. Saliency stands over the steps.")
    if root is None or not (root / grid.CARD.folder).is_dir():
        raise NoClip(
            f"To see and hear the clip, bring {grid.CARD.title}. {grid.CARD.obtain} Home page: {grid.CARD.home}. Lay "
            f"it out as {grid.CARD.layout}, say in FUSEBOARD_DATA_ROOT which folder holds {grid.CARD.folder}/, and "
            "start the board again: fuseboard serve"
        )
    if len(example) != len(grid_clips.SLOTS) or not example.isalnum():
        raise NoClip(f"{example!r} is not the name of a GRID clip.")
    path = grid_clips.video_path(root / grid.CARD.folder, example)
    if problem := media.file_problem(path):
        raise NoClip(f"{problem} Home page: {grid.CARD.home}")
    return path


def read(root: Path | None, spec: ProtocolSpec, example: str, condition: str) -> Clip:
    """Decode the clip of an example and alter it as the condition does.

    Raises:
        NoClip: as `clip_path` does, for damaged files, and without the library that decodes them.
    """
    path = clip_path(root, spec, example)
    try:
        words = grid_clips.read_alignment(grid_clips.alignment_path(root / grid.CARD.folder, example))
        whole = media.decode(path)
    except DataError as error:
        raise NoClip(str(error)) from None
    except ImportError:
        raise NoClip("To decode clips, install PyAV: pip install 'fuseboard[media]'") from None
    spoken = list(grid_clips.SLOTS).index(spec.target)
    first, last = span(words[spoken], len(whole.frames))
    crop = CROPS[spec.inputs.get("video", "mouth")]
    frames = whole.frames[first:last]
    samples = whole.samples[first * grid_clips.SAMPLES_PER_FRAME : last * grid_clips.SAMPLES_PER_FRAME]
    met = {"audio": samples, "video": frames[:, *crop]}
    unlike = _alter(met, spec, condition, example)
    faces = frames[:, *grid_clips.FACE].copy()
    seen = tuple(slice(c.start - f.start, c.stop - f.start) for c, f in zip(crop, grid_clips.FACE, strict=True))
    faces[:, *seen] = np.clip(np.rint(met["video"]), 0, 255)
    unit = grid_clips.UNITS_PER_FRAME * grid_clips.FPS
    return Clip(
        path=path,
        words=tuple((word.text, word.start / unit, word.stop / unit) for word in words),
        spoken=spoken,
        begin=first / grid_clips.FPS,
        end=last / grid_clips.FPS,
        fps=grid_clips.FPS,
        frames=faces,
        seen=seen,
        samples=np.asarray(met["audio"], dtype=np.float32),
        unlike=unlike,
    )


def span(word: grid_clips.Word, frames: int) -> tuple[int, int]:
    """First and last + 1 frame of an example: its word with a margin on both sides, within the clip."""
    first = max(word.start // grid_clips.UNITS_PER_FRAME - grid.MARGIN, 0)
    return first, min(-(-word.stop // grid_clips.UNITS_PER_FRAME) + grid.MARGIN, frames)


def _alter(met: dict[str, np.ndarray], spec: ProtocolSpec, text: str, example: str) -> str:
    """Alter the streams as a condition does, in place; empty, or what cannot be shown.

    The generator is that of ``protocols.batches``, which cannot be imported here: it needs torch.
    """
    condition = parse_condition(text)
    if condition.modality is None:
        return ""
    corruption = CORRUPTIONS.get(condition.corruption)
    known = {"rate_hz": RATES_HZ.get(condition.modality), "unit": condition.unit}
    if corruption is None or not set(corruption.needs) <= set(known):
        return f"Under {text} they are given something else in its place, which takes other examples to make."
    digest = hashlib.sha256("\0".join((spec.key, "test", text, example)).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    needed = {name: known[name] for name in corruption.needs}
    met[condition.modality] = condition.apply(met[condition.modality], rng, **needed)
    return ""
