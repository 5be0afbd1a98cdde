"""Labelled segments out of computational sequences: every word of a segment is a step, in all modalities.

As in the SDK's word-level recipe: audio and video rows are averaged over the time of each word, then the words are cut
by the intervals of the label file. Segment 3 of a video is ``video[3]``. A video that a file lacks is left out, as the
SDK's ``unify`` does, and so is a segment without a word. Steps are neither cut nor filled to a common length here.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress
from protocols.datasets.checks import check_request, is_pointer, pointer_sentence
from protocols.datasets.csd import EPSILON, Csd, averaged, overlapping
from protocols.datasets.prepared import prepared, write_rows
from protocols.examples import DataError, Examples, Stream, fingerprint

VERSION = 1  # rises when the prepared arrays would differ
SHARED = 0.9  # of the labelled videos have to be in all files; released arrays of CMU-MOSEI keep 97 % of its segments
PARTS = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}


@dataclass(frozen=True)
class Release:
    """One release of computational sequences.

    Args:
        files: modality -> representation -> name of its file; words come with the text.
        labels: name of the label file.
        targets: name of each of its columns -> lowest and highest value.
        folds: the SDK's Python file with the id lists, and how many videos each list has.
    """

    card: Card
    files: Mapping[str, Mapping[str, str]]
    labels: str
    targets: Mapping[str, tuple[float, float]]
    folds: tuple[str, Mapping[str, int]]

    def path(self, root: Path, name: str) -> Path:
        return Path(root) / self.card.folder / name


def check(root: Path, release: Release) -> list[str]:
    """What is missing or wrong in the label file, the fold lists, and the default file of each modality."""
    folder = Path(root) / release.card.folder
    if not folder.is_dir():
        card = release.card
        return [f"{card.title}: the folder {folder} does not exist. Wanted there: {card.layout}. {card.obtain}"]
    found = []
    defaults = [next(iter(names.values())) for names in release.files.values()]
    for name in (release.labels, *defaults):
        try:
            with Csd(release.path(root, name)):
                pass
        except DataError as error:
            found.append(str(error))
    try:
        read_folds(root, release)
        if not found:
            _labels(root, release)
    except DataError as error:
        found.append(str(error))
    return found


def load(
    root: Path, cache: Path, release: Release, target: str, inputs: Mapping[str, str], progress: Progress
) -> Examples:
    """All labelled segments; lines the files up in ``cache`` the first time. Text is read whatever is asked for.

    Raises:
        DataError: for an unknown request, files that are missing, damaged or laid out otherwise, files that lack more
            than a tenth of the labelled videos, labels out of range, and where the cache cannot be written.
    """
    check_request(release.card, target, inputs)
    text = inputs.get("text", next(iter(release.files["text"])))
    chosen = {m: release.files[m][name] for m, name in {"text": text, **inputs}.items()}
    paths = [release.path(root, name) for name in (*chosen.values(), release.labels)]
    home = Path(cache) / release.card.folder / _signature(paths)
    meta = prepared(home, lambda partial: _prepare(root, release, chosen, partial, progress))
    column = list(release.targets).index(target)
    labels = np.array(meta["labels"], dtype=np.float32)[:, [column]]
    lengths = np.array(meta["words"], dtype=np.int64)
    stops, streams = np.cumsum(lengths), {}
    for modality in inputs:
        values = np.load(home / f"{modality}.npy", mmap_mode="r")
        streams[modality] = Stream(values, stops - lengths, stops, values.shape[1])
    ids = tuple(meta["ids"])
    mark = fingerprint(ids, stops, labels, *(stream.values for stream in streams.values()))
    return Examples(ids, labels, (target,), streams, mark, task="regression")


def split(root: Path, release: Release, ids: tuple[str, ...]) -> dict[str, str]:
    """Part of each segment, by the SDK's lists of videos; a segment of a video in no list is in no part.

    Raises:
        DataError: for a missing list, or one that is not the published one by its length.
    """
    folds = read_folds(root, release)
    return {name: folds[video] for name in ids if (video := name.split("[")[0]) in folds}


def read_folds(root: Path, release: Release) -> dict[str, str]:
    """Video -> part, out of the SDK's Python file. It is parsed, never run.

    Raises:
        DataError: for a missing file, missing lists, wrong counts, and a video in two lists.
    """
    name, counts = release.folds
    path = release.path(root, name)
    if not path.is_file():
        raise DataError(f"{path} is missing. Copy it from the SDK's folder of this data set. {release.card.obtain}")
    if is_pointer(path):
        raise DataError(pointer_sentence(path))
    found: dict[str, str] = {}
    lists = _lists(path)
    for label, part in PARTS.items():
        if label not in lists:
            raise DataError(f"{path}: no list {label}. Found: {', '.join(lists) or 'none'}.")
        if len(lists[label]) != counts[part]:
            raise DataError(f"{path}: {label} has {len(lists[label])} videos; the SDK's has {counts[part]}.")
        if twice := [video for video in lists[label] if video in found]:
            raise DataError(f"{path}: video {twice[0]!r} is in {found[twice[0]]} and in {part}.")
        found |= dict.fromkeys(lists[label], part)
    return found


def _lists(path: Path) -> dict[str, list[str]]:
    """The lists of text that a Python file assigns to names."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a Python file with lists ({error}). Copy it from the SDK again.") from None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List):
            items = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
            if len(items) != len(node.value.elts) or not all(isinstance(item, str) for item in items):
                raise DataError(f"{path}:{node.lineno}: {node.targets[0].id} holds more than names of videos.")
            found[node.targets[0].id] = items
    return found


def _labels(root: Path, release: Release) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Video -> (S, 2) intervals and (S, K) labels."""
    path, found = release.path(root, release.labels), {}
    low, high = (np.array(bound) for bound in zip(*release.targets.values(), strict=True))
    with Csd(path) as file:
        for video in sorted(file.videos):
            spans, labels = file.rows(video)
            if labels.shape[1] != len(release.targets):
                raise DataError(
                    f"{path}: {video} has {labels.shape[1]} label columns; wanted {', '.join(release.targets)}."
                )
            wrong = ~((labels >= low) & (labels <= high))
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise DataError(
                    f"{path}: {video}[{row}]: {list(release.targets)[column]} is {labels[row, column]:g}; accepted are "
                    f"{low[column]:g} to {high[column]:g}."
                )
            found[video] = spans, labels
    expected = release.card.counts
    for what, came in (("videos", len(found)), ("segments", sum(len(spans) for spans, _ in found.values()))):
        if what in expected and came != expected[what]:
            raise DataError(f"{path}: {came} {what}; wanted {expected[what]}. {release.card.obtain}")
    return found


def _signature(paths: list[Path]) -> str:
    """Changes with any of the files."""
    digest = hashlib.sha256(json.dumps(VERSION).encode())
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing. Put the file that the data set's card names there.")
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _prepare(root: Path, release: Release, chosen: Mapping[str, str], partial: Path, progress: Progress) -> dict:
    """Line the chosen files up and write one array for each modality; returns ids, labels and words of each segment."""
    labelled = _labels(root, release)
    meta: dict[str, list] = {"ids": [], "labels": [], "words": []}
    with ExitStack() as stack:
        files = {m: stack.enter_context(Csd(release.path(root, name))) for m, name in chosen.items()}
        shared = sorted(set(labelled).intersection(*(file.videos for file in files.values())))
        if len(shared) < SHARED * len(labelled):
            least = min(files.values(), key=lambda file: len(file.videos & set(labelled)))
            raise DataError(
                f"{least.path}: only {len(shared)} of {len(labelled)} labelled videos are in all of "
                f"{', '.join(chosen.values())}, and this file has the fewest. Fetch it again. {release.card.obtain}"
            )

        def pieces() -> Iterator[dict[str, np.ndarray]]:
            for video in progress(shared, f"Lining up {release.card.title}"):
                yield from _segments(video, files, labelled[video], meta)

        write_rows({m: partial / f"{m}.npy" for m in files}, pieces())
    if not meta["ids"]:
        raise DataError(f"{release.path(root, release.labels)}: no segment has a word in {chosen['text']}.")
    return meta


def _segments(video: str, files: Mapping[str, Csd], labelled, meta: dict[str, list]) -> Iterator[dict[str, np.ndarray]]:
    """(W, D) rows of each modality for each segment of a video."""
    words, text = files["text"].rows(video)
    kept = words[:, 1] - words[:, 0] >= EPSILON
    words, rows = words[kept], {"text": text[kept].astype(np.float32)}
    rows["text"][~np.isfinite(rows["text"])] = 0
    rows |= {m: averaged(*file.rows(video), words) for m, file in files.items() if m != "text"}
    spans, labels = labelled
    for number, inside in enumerate(overlapping(words, spans)):
        if len(inside):
            meta["ids"].append(f"{video}[{number}]")
            meta["labels"].append(labels[number].tolist())
            meta["words"].append(len(inside))
            yield {m: values[inside] for m, values in rows.items()}
