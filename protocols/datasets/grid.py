"""GRID corpus, speaker s1: a talking face says a sentence of six words; a protocol asks for one of them.

Clips are decoded once, whole, into memory-mapped arrays. An example is the time of one word with a margin on
both sides, the same span of frames and of sound. The alignment gives word and time, the clip's name must agree.
"""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress, grid_clips, logmel, media, movement
from protocols.datasets.checks import check_request
from protocols.datasets.grid_clips import (
    DIGITS,
    FPS,
    LETTERS,
    SAMPLES_PER_FRAME,
    SLOTS,
    UNITS_PER_FRAME,
    alignment_path,
    read_alignment,
    read_clips,
    video_path,
)
from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError, Examples, Stream, fingerprint

MARGIN = 3  # frames (120 ms) each side: lips move before the sound, and sounds colour their neighbours
VERSION = 1  # rises when the prepared arrays or the spans would differ
TARGETS = {"digit": DIGITS, "letter": LETTERS}
SPLIT = Path(__file__).parents[1] / "splits" / "grid" / "stratified.csv"

CARD = Card(
    title="GRID audiovisual sentence corpus, speaker s1",
    folder="grid",
    home="https://zenodo.org/records/3625687",
    licence="CC BY 4.0",
    citation="Cooke, Barker, Cunningham and Shao 2006, JASA 120(5), doi:10.1121/1.2229005",
    inputs={"audio": ("logmel",), "video": ("mouth", "face")},
    targets=tuple(TARGETS),
    counts={"clips": 1000},
    layout="grid/s1/<id>.mp4 (180x144, 25 frames a second, with sound) and grid/align/s1/<id>.align",
    obtain="Download the video and the alignments of speaker 1 from the home page. Re-encode each clip to a "
    "180x144 MP4 (H.264, AAC), its name kept.",
    aligned=False,
    traps=(
        "One speaker: nothing here says how a method does on a voice or a face that it has not met.",
        "Clean audio alone is at ceiling; noise or a missing stream is what makes fusion matter.",
        "Alignments count in thousandths of a video frame (1/25 s), and mark pauses as sil and sp.",
    ),
)


def check(root: Path) -> list[str]:
    """One sentence for each thing that is missing or wrong, without decoding; empty if all is well."""
    folder = Path(root) / CARD.folder
    problems = _missing(folder)
    for clip in _clip_ids(folder):
        if problem := media.file_problem(video_path(folder, clip)):
            problems.append(problem)
        try:
            read_alignment(alignment_path(folder, clip))
        except DataError as error:
            problems.append(str(error))
    return problems


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """All 1000 clips, cut to the word that ``target`` names. Decodes into ``cache / "grid"`` the first time.

    Args:
        target: ``"digit"`` or ``"letter"``.
        inputs: modality -> representation, as in ``CARD.inputs``.
        progress: draws the clips as they are decoded.

    Raises:
        DataError: for files that are missing, damaged or contradict each other, for a target or
            representation that GRID does not have, and where the cache cannot be written.
    """
    folder = Path(root) / CARD.folder
    if problems := _missing(folder):
        raise DataError(" ".join(problems))
    return load_clips(folder, cache, _clip_ids(folder), target, inputs, progress)


def load_clips(
    folder: Path, cache: Path, clips: list[str], target: str, inputs: Mapping[str, str], progress: Progress
) -> Examples:
    """``load`` for the named clips of a GRID folder, however many they are."""
    check_request(CARD, target, inputs)
    home = Path(cache) / CARD.folder / _signature(folder, clips)
    meta = prepared(home, lambda partial: _prepare(folder, clips, partial, progress))
    spans = _spans(meta, target)
    streams = {}
    for modality, name in inputs.items():
        if modality == "audio":
            values, features, rate = _open(home, "audio"), logmel.logmel, logmel.SAMPLE_RATE
            streams[modality] = Stream(values, *spans["audio"], logmel.FILTERS, features, "waveform", rate)
        else:
            values = _open(home, name)
            width = values.shape[1] * values.shape[2] // movement.POOL**2
            streams[modality] = Stream(values, *spans["video"], width, movement.movement, "frames", FPS)
    return Examples(tuple(meta["ids"]), _labels(meta, target), TARGETS[target], streams, meta["fingerprints"][target])


def _open(home: Path, name: str) -> np.ndarray:
    return np.load(home / f"{name}.npy", mmap_mode="r")


def _clip_ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "s1").glob("*.mp4"))


def _missing(folder: Path) -> list[str]:
    """Clips of the split that are not there, and clips that the split does not know."""
    if not (folder / "s1").is_dir():
        return [f"{folder / 's1'}: no such folder. Wanted {CARD.layout}. {CARD.obtain} Home page: {CARD.home}."]
    with open(SPLIT, newline="", encoding="utf-8") as rows:
        expected = {row["id"] for row in csv.DictReader(rows)}
    found = set(_clip_ids(folder))
    sentences = []
    for text, clips in (("missing", expected - found), ("not part of GRID s1", found - expected)):
        if clips:
            names = " and ".join(sorted(clips)[:2]) if len(clips) < 3 else ", ".join(sorted(clips)[:2]) + " and more"
            sentences.append(
                f"{folder / 's1'}: {len(found)} clips, expected {len(expected)}; {len(clips)} {text}: {names}. "
                f"{CARD.obtain if text == 'missing' else 'Move what is not part of it elsewhere.'}"
            )
    return sentences


def _signature(folder: Path, clips: list[str]) -> str:
    """Changes with any source file, and with anything that the prepared arrays and spans depend on."""
    digest = hashlib.sha256(json.dumps(_representation()).encode())
    for path in [p(folder, clip) for clip in clips for p in (video_path, alignment_path)]:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}. Wanted {CARD.layout}.") from None
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _representation() -> list:
    crops = [(s.start, s.stop) for s in (*grid_clips.MOUTH, *grid_clips.FACE)]
    return [VERSION, MARGIN, movement.POOL, FPS, media.SAMPLE_RATE, crops]


def _prepare(folder: Path, clips: list[str], partial: Path, progress: Progress) -> dict:
    """Decode the clips into ``partial``; returns what ``load_clips`` needs to find an example in the arrays."""
    # Alignments first: they are quick, so a wrong one is told at once.
    words = [read_alignment(alignment_path(folder, clip)) for clip in clips]
    lengths = {"frames": [], "samples": []}

    def kept():
        for piece in read_clips([video_path(folder, clip) for clip in clips], progress):
            lengths["frames"].append(len(piece["mouth"]))
            lengths["samples"].append(len(piece["audio"]))
            yield piece

    names = ("audio", "mouth", "face")
    write_rows({name: partial / f"{name}.npy" for name in names}, kept())
    meta = {"ids": clips, "words": words, **lengths}
    for clip, (*_, last), frames in zip(clips, words, lengths["frames"], strict=True):
        if last.start >= frames * UNITS_PER_FRAME:
            where = alignment_path(folder, clip)
            raise DataError(f"{where}: {last.text!r} starts after the clip's {frames} frames. Fetch both files again.")
    arrays = [_open(partial, name) for name in names]
    meta["fingerprints"] = {
        target: fingerprint(tuple(clips), _labels(meta, target), *_spans(meta, target).values(), *arrays)
        for target in TARGETS
    }
    return meta


def _labels(meta: dict, target: str) -> np.ndarray:
    slot = list(SLOTS).index(target)
    return np.array([TARGETS[target].index(row[slot][0]) for row in meta["words"]], dtype=np.int64)


def _spans(meta: dict, target: str) -> dict[str, np.ndarray]:
    """Stream -> (2, N) first and last + 1 row of each word with its margin, in the array of all clips."""
    slot = list(SLOTS).index(target)
    units = np.array([row[slot][1:] for row in meta["words"]], dtype=np.int64).T
    frames, samples = (np.array(meta[name], dtype=np.int64) for name in ("frames", "samples"))
    begin = np.maximum(units[0] // UNITS_PER_FRAME - MARGIN, 0)
    end = np.minimum(-(-units[1] // UNITS_PER_FRAME) + MARGIN, frames)
    seen = np.stack([begin, end])
    heard = np.minimum(seen * SAMPLES_PER_FRAME, samples)
    return {"audio": heard + np.cumsum(samples) - samples, "video": seen + np.cumsum(frames) - frames}
