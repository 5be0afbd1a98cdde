"""RAVDESS speech as one vector per clip and modality: facial action units and an acoustic contour.

Source: Livingstone and Russo 2018. Each clip is a sequence of length one, because the vectors were
averaged or flattened before they were published.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress, pickles
from protocols.datasets.checks import changed_files, check_request, missing_files
from protocols.examples import DataError, Examples, Stream, check_features, fingerprint

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
# Columns of the 294-vector.
COLUMNS = {"video": slice(0, 35), "audio": slice(35, 294)}
FILES = {"au_mfcc.pkl": "7c450c0bc83e31b968168b280c123b740693d782c35b448141b402daa4556d5a"}
# modality-channel-emotion-intensity-statement-repetition-actor
NAME = re.compile(r"\d\d-\d\d-(0[1-8])-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])")

CARD = Card(
    title="RAVDESS speech, one vector per clip",
    folder="ravdess_vectors",
    home="https://zenodo.org/records/1188976",
    licence="CC BY-NC-SA 4.0 (non-commercial use only)",
    citation="Livingstone and Russo 2018, PLoS ONE 13(5): e0196391",
    inputs={"audio": ("mfcc",), "video": ("action_units",)},
    targets=("emotion",),
    counts={"clips": 1440, "actors": 24, "emotions": 8},
    layout=(
        "au_mfcc.pkl: dict from the file name MM-VV-EE-II-SS-RR-AA to float64[294], first 35 OpenFace action-unit "
        "values (17 mean intensities, 18 mean presences), then 259 acoustic values."
    ),
    obtain="Derived from RAVDESS (https://zenodo.org/records/1188976): the published pickle au_mfcc.pkl goes there.",
    aligned=True,
    traps=(
        "Split by actor. A random split has every actor in both parts: a published 0.856 comes from one.",
        "The acoustic values are one contour over time, cut or filled with zeros to 259 values: "
        "in 377 clips the number of trailing zeros tells the duration.",
        "Neutral has 96 clips, every other emotion 192: it was spoken at normal intensity only.",
    ),
)


def check(root: Path) -> list[str]:
    """What is missing or differs from the published file, one sentence each."""
    if found := missing_files(root, CARD, FILES):
        return found
    if found := changed_files(root, CARD, FILES):
        return found
    try:
        _vectors(root)
    except DataError as error:
        return [str(error)]
    return []


def load(root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress) -> Examples:
    """1440 clips, each a sequence of length one in every modality. ``cache`` is not needed.

    Raises:
        DataError: for an unknown request, a missing or damaged file, or unexpected content.
    """
    check_request(CARD, target, inputs)
    if found := missing_files(root, CARD, FILES):
        raise DataError(found[0])
    ids, vectors = _vectors(root)
    labels = np.array([int(NAME.fullmatch(name)[1]) - 1 for name in ids], dtype=np.int64)
    starts = np.arange(len(ids))
    streams = {}
    for modality, columns in COLUMNS.items():
        if modality in inputs:
            values = np.ascontiguousarray(vectors[:, columns], dtype=np.float32)
            check_features(f"{CARD.title}, {modality}", values, np.ones(len(ids), dtype=np.int64))
            streams[modality] = Stream(values, starts, starts + 1, values.shape[1])
    mark = fingerprint(ids, labels, *(stream.values for stream in streams.values()))
    return Examples(ids, labels, EMOTIONS, streams, mark)


def speaker(clip: str) -> tuple[int, str]:
    """Actor 1 to 24 of a clip, and the gender: odd actors are men, even ones women."""
    actor = int(NAME.fullmatch(clip)[2])
    return actor, "male" if actor % 2 else "female"


def _vectors(root: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Sorted clip names and (clips, 294) float64."""
    path = root / CARD.folder / "au_mfcc.pkl"
    content = pickles.load(path)
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise DataError(f"{path}: wanted a dict from clip names to vectors. {CARD.obtain}")
    if len(content) != CARD.counts["clips"]:
        raise DataError(f"{path}: {len(content)} clips; wanted {CARD.counts['clips']}. {CARD.obtain}")
    for name, vector in content.items():
        if not NAME.fullmatch(name):
            raise DataError(f"{path}: clip {name!r} is not named MM-VV-EE-II-SS-RR-AA. {CARD.obtain}")
        if not isinstance(vector, np.ndarray) or vector.shape != (294,):
            came = getattr(vector, "shape", type(vector).__name__)
            raise DataError(f"{path}: clip {name} has {came}; wanted a vector of 294 columns. {CARD.obtain}")
    ids = tuple(sorted(content))
    return ids, np.stack([content[name] for name in ids])
