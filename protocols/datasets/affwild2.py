"""Aff-Wild2, valence and arousal of every frame, in the layout of the ABAW challenges.

Each frame that has both labels is a step. A video is cut into stretches of at most 300 such frames, which share no
frame, so that every labelled frame is scored once. Frames marked -5 are no part of the data.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress, Standard
from protocols.datasets.affwild2_videos import (
    FACES,
    SOUND,
    Annotation,
    annotation_paths,
    face_rows,
    read_annotation,
    recording,
    sound_rows,
    video_file,
)
from protocols.datasets.checks import check_request
from protocols.datasets.clips import by_hash
from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError, Examples, Stream, fingerprint

VERSION = 1  # rises when the prepared arrays would differ
STRETCH = 300  # frames; the window of the released code of RJCMA
TARGETS = ("valence", "arousal")
# Release -> annotation files of the training and of the validation part, as papers of these challenges count them.
RELEASES = {"abaw3": (341, 71), "abaw6": (356, 76)}

CARD = Card(
    title="Aff-Wild2, valence and arousal",
    owner="Dimitrios Kollias, Queen Mary University of London",
    folder="affwild2",
    home="https://sites.google.com/view/dimitrioskollias/databases/aff-wild2",
    licence="academic research, after a signed licence agreement",
    citation="Kollias and Zafeiriou, Aff-Wild2; releases: the third and the sixth ABAW challenge, 2022 and 2024",
    inputs={"video": ("face_blocks",), "audio": ("logmel_frames",)},
    targets=("valence_arousal",),
    counts={"videos of ABAW3": 412, "videos of ABAW6": 432},
    layout=(
        "VA_Estimation_Challenge/{Train_Set,Validation_Set}/<video>.txt: the line valence,arousal, then one line a "
        "frame; cropped_aligned/<video>/<frame from 00001>.jpg; videos/<video without _left or _right>.{mp4,avi}, for "
        "sound and for the times of the frames"
    ),
    obtain="Sign the agreement on the home page; annotations, videos and cropped faces come by the owner's links.",
    aligned=True,
    splits={
        name: Standard(
            f"Test: the official validation part, {validation} files of {train + validation}. Validation: a tenth of "
            "the recordings of the official training part, those whose names hash to 0.",
        )
        for name, (train, validation) in RELEASES.items()
    },
    traps=(
        "Releases differ from challenge to challenge, so their numbers are no single leaderboard.",
        "The labels of the challenge's test part are not given out. Here the official validation part is the test "
        "part, and a tenth of the training recordings, taken by a hash of their names, is for validation.",
        "Published numbers on the official validation part were also selected on it.",
        "By the papers official parts share no person; whether our two shares of the training part do, no name tells.",
        "Two people of one recording have a file each (_left, _right); they stay in one part.",
        "A frame without a face has no picture; it counts as black, as in released code. A recording without a sound "
        "track counts as silent.",
    ),
)


def check(root: Path) -> list[str]:
    """One sentence for each thing that is missing or wrong, without decoding; empty if all is well."""
    folder = Path(root) / CARD.folder
    try:
        videos = annotation_paths(folder, CARD)
        found = _count_problems(folder, videos)
        for name, (_, path) in videos.items():
            read_annotation(path)
            if not (folder / "cropped_aligned" / name).is_dir():
                found.append(f"{folder / 'cropped_aligned' / name}: no such folder. {CARD.obtain}")
            video_file(folder, name)
    except DataError as error:
        return [str(error)]
    return found


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """Stretches of labelled frames, valence and arousal in [-1, 1] for each. Decodes into ``cache`` the first time.

    Raises:
        DataError: for an unknown request, files that are missing, damaged or malformed, other counts than a release
            has, and where the cache cannot be written.
    """
    folder = Path(root) / CARD.folder
    videos = annotation_paths(folder, CARD)
    if problems := _count_problems(folder, videos):
        raise DataError(" ".join(problems))
    return load_videos(folder, cache, {name: path for name, (_, path) in videos.items()}, target, inputs, progress)


def load_videos(
    folder: Path, cache: Path, videos: Mapping[str, Path], target: str, inputs: Mapping[str, str], progress: Progress
) -> Examples:
    """``load`` for the named videos of an Aff-Wild2 folder, however many they are."""
    check_request(CARD, target, inputs)
    home = Path(cache) / CARD.folder / _signature(folder, videos, inputs)
    meta = prepared(home, lambda partial: _prepare(folder, videos, tuple(inputs), partial, progress))
    lengths = np.array(meta["lengths"], dtype=np.int64)
    stops = np.cumsum(lengths)
    labels = np.split(np.load(home / "labels.npy"), stops[:-1])
    streams = {}
    for modality in inputs:
        values = np.load(home / f"{modality}.npy", mmap_mode="r")
        streams[modality] = Stream(values, stops - lengths, stops, values.shape[1])
    return Examples(tuple(meta["ids"]), labels, TARGETS, streams, meta["fingerprint"], task="regression")


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """Part of each stretch: test is the official validation part, see ``CARD.traps``.

    Args:
        name: a key of RELEASES.

    Raises:
        DataError: for an unknown release, and where the files are another one's.
    """
    folder = Path(root) / CARD.folder
    if name not in RELEASES:
        raise DataError(f"{CARD.title}: no release {name!r}. Known: {', '.join(RELEASES)}.")
    videos = annotation_paths(folder, CARD)
    if (came := _counts(videos)) != RELEASES[name]:
        wanted = " and ".join(map(str, RELEASES[name]))
        raise DataError(f"{folder}: {came[0]} training and {came[1]} validation files; {name} has {wanted}.")
    parts = {
        video: "test" if official == "Validation_Set" else "validation" if by_hash(recording(video)) else "train"
        for video, (official, _) in videos.items()
    }
    return {stretch: parts[stretch.rpartition("/")[0]] for stretch in ids}


def _counts(videos: Mapping[str, tuple[str, Path]]) -> tuple[int, int]:
    parts = [part for part, _ in videos.values()]
    return parts.count("Train_Set"), parts.count("Validation_Set")


def _count_problems(folder: Path, videos: Mapping[str, tuple[str, Path]]) -> list[str]:
    came = _counts(videos)
    if came in RELEASES.values():
        return []
    known = "; ".join(f"{name} {train} and {validation}" for name, (train, validation) in RELEASES.items())
    return [
        f"{folder / 'VA_Estimation_Challenge'}: {came[0]} training and {came[1]} validation files. Wanted the files of "
        f"one release: {known}. {CARD.obtain}"
    ]


def _signature(folder: Path, videos: Mapping[str, Path], inputs: Mapping[str, str]) -> str:
    """Changes with any annotation, video file or folder of faces, and with what is kept of them."""
    digest = hashlib.sha256(json.dumps([VERSION, STRETCH, FACES, SOUND, sorted(inputs)]).encode())
    for name, path in videos.items():
        sources = [path]
        sources += [folder / "cropped_aligned" / name] if "video" in inputs else []
        sources += [video_file(folder, name)] if "audio" in inputs else []
        for source in sources:
            try:
                stat = source.stat()
            except OSError as error:
                raise DataError(f"{source}: {error.strerror}. Wanted {CARD.layout}.") from None
            size = stat.st_size if source.is_file() else 0
            digest.update(f"{source.relative_to(folder)} {size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _prepare(
    folder: Path, videos: Mapping[str, Path], modalities: tuple[str, ...], partial: Path, progress: Progress
) -> dict:
    """Write rows of every labelled frame into ``partial``; returns ids and lengths of the stretches."""
    # Annotations first: they are quick, so a wrong one is told at once.
    annotations = {name: read_annotation(path) for name, path in videos.items()}
    annotations = {name: found for name, found in annotations.items() if len(found.frames)}
    meta: dict[str, list] = {"ids": [], "lengths": []}
    for name, annotation in annotations.items():
        for begin in range(0, len(annotation.frames), STRETCH):
            frames = annotation.frames[begin : begin + STRETCH]
            meta["ids"].append(f"{name}/{frames[0]:05d}")
            meta["lengths"].append(len(frames))
    if not annotations:
        raise DataError(f"{folder}: no frame has a label. {CARD.obtain}")
    paths = {name: partial / f"{name}.npy" for name in ("labels", *modalities)}
    write_rows(paths, _decoded(folder, annotations, modalities, progress))
    arrays = [np.load(path, mmap_mode="r") for path in paths.values()]
    mark = fingerprint(tuple(meta["ids"]), np.array(meta["lengths"]), *arrays)
    return meta | {"fingerprint": mark}


def _decoded(
    folder: Path, annotations: Mapping[str, Annotation], modalities: tuple[str, ...], progress: Progress
) -> Iterator[dict[str, np.ndarray]]:
    """Labels and rows of each video, in order, by as many threads as there are cores: FFmpeg frees them."""
    rows = {"video": face_rows, "audio": sound_rows}

    def decode(name: str) -> dict[str, np.ndarray]:
        found = annotations[name]
        return {"labels": found.labels} | {m: rows[m](folder, name, found.frames) for m in modalities}

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            results = threads.map(decode, annotations)
            for _ in progress(list(annotations), f"Decoding {CARD.title}"):
                yield next(results)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
