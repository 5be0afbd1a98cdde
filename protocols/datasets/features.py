"""Sequences or vectors that a person extracted: one folder, described by a YAML, read without a line of Python.

Below the data root, ``<folder>`` holds

``dataset.yaml``
    .. code-block:: yaml

        name: my-clips
        title: What the examples are
        licence: CC BY 4.0
        citation: Author 2024, venue
        home: https://example.org/my-clips
        classes: [calm, angry]       # the label 0 is calm, 1 is angry
        # or, where numbers are predicted: targets: [valence, arousal]
        per_step: false              # true: every step has a label, see steps.csv
        modalities:                  # audio, video, text: any of them
          audio: {file: audio.npy, rate_hz: 50, width: 64}
          video: {file: video.npy, known_constant: [3]}

    ``rate_hz`` (steps a second), ``width`` (D) and ``known_constant`` (columns that may be constant, counting
    from 0) are optional; the other keys are not, but ``per_step`` defaults to false.
``audio.npy``
    float32 or float64, (sum of lengths, D): the rows of all examples end to end, in the order of
    ``examples.csv``. Without a length column: (N, D), one vector for each example.
``examples.csv``
    header ``id,label`` and, for each modality that is a sequence, ``<modality>_length``. A label is the name
    of a class or its index; names win where both could be meant. With targets there is one column for each of them,
    in their order, in place of ``label``. With ``per_step`` there is no label column.
``steps.csv``
    only with ``per_step``: header ``id,step,label`` (or the targets), the steps of an example in order from 0. Each
    modality has as many rows for an example as the example has labels. Steps that nobody labelled are left out of all
    files.
``splits/<name>.csv``
    header ``id,part`` (train, validation, test), or ``id,fold`` with folds from 1.

A protocol names such data as ``dataset: features/<folder>`` and the split as ``split: <name>``.
"""

import csv
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from protocols.datasets import Card, Progress
from protocols.datasets.checks import check_request
from protocols.datasets.features_description import LAYOUT, OBTAIN, Description, Modality, present, read_description
from protocols.examples import DataError, Examples, Stream, check_features, fingerprint
from protocols.split import read_split

CARD = Card(
    title="Features of one's own",
    folder="",
    home="the data root",
    licence="as dataset.yaml says",
    citation="as dataset.yaml says",
    inputs={modality: ("features",) for modality in ("audio", "video", "text")},
    targets=("label",),
    counts={},
    layout=LAYOUT,
    obtain=OBTAIN,
    aligned=True,
    traps=("Extract with nothing fitted on the test part: no normalisation, no supervised encoder.",),
)


def check(root: Path, folder: str | None = None) -> list[str]:
    """What is wrong with one folder, or with every folder of the root that has a ``dataset.yaml``."""
    if folder is None:
        folders = sorted(path.parent.name for path in root.glob("*/dataset.yaml"))
        if not folders:
            state = "has no folder with a dataset.yaml" if root.is_dir() else "does not exist"
            return [f"{CARD.title}: the data root {root} {state}. {CARD.obtain} Layout: {LAYOUT}"]
        return [sentence for name in folders for sentence in check(root, name)]
    try:
        described = read_description(root, folder)
        inputs = dict.fromkeys(described.modalities, "features")
        ids = load(root, root, "label", inputs, lambda items, _: items, folder=folder).ids
    except DataError as error:
        return [str(error)]
    return _check_splits(root / folder / "splits", ids)


def load(
    root: Path, cache: Path, target: str, inputs: Mapping[str, str], progress: Progress, *, folder: str
) -> Examples:
    """The examples of ``root / folder``; arrays stay on disk, memory-mapped. ``cache`` is not needed.

    Raises:
        DataError: naming file and row, for a missing file, a Git LFS pointer, a key, column, label or id that
            is not as the layout says, lengths that do not add up, values that are not finite, and constant columns.
    """
    described = read_description(root, folder)
    check_request(_card(described), target, inputs)
    home = root / folder
    ids, rows = _read_examples(home / "examples.csv", described)
    if described.per_step:
        labels = _read_steps(home / "steps.csv", ids, described)
        flat = np.concatenate(labels)
    else:
        where = home / "examples.csv"
        labels = flat = _array(
            [_read_label(row, described, f"{where}:{n}") for n, row in enumerate(rows, 2)], described
        )
    streams = {}
    for modality, declared in described.modalities.items():
        if modality not in inputs:
            continue
        lengths = _lengths(home / "examples.csv", modality, rows)
        if described.per_step:
            _one_row_a_label(home, modality, ids, lengths, labels)
        values = _read_array(home / declared.file, declared, lengths)
        stops = np.cumsum(lengths)
        streams[modality] = Stream(values, stops - lengths, stops, values.shape[1], rate_hz=declared.rate_hz)
    arrays = [part for stream in streams.values() for part in (stream.stops, stream.values)]
    steps = np.array([len(own) for own in labels]) if described.per_step else np.ones(len(ids), dtype=np.int64)
    mark = fingerprint(ids, steps, flat, *arrays)
    return Examples(ids, labels, described.names, streams, mark, task=described.task)


def _card(described: Description) -> Card:
    """What may be asked of this folder."""
    inputs = {modality: ("features",) for modality in described.modalities}
    said = {key: getattr(described, key) for key in ("title", "home", "licence", "citation")}
    return replace(CARD, inputs=inputs, **said)


def _table(path: Path, required: list[str], optional: list[str]) -> list[dict[str, str]]:
    """Rows of a CSV whose header is ``required`` and then any of ``optional``."""
    with open(present(path), newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.reader(stream))
    header = lines[0] if lines else []
    extra = header[len(required) :]
    if header[: len(required)] != required or set(extra) - set(optional) or len(set(extra)) != len(extra):
        more = f", then any of {', '.join(optional)}" if optional else ""
        raise DataError(f"{path}:1: header {','.join(header)!r}; wanted {','.join(required)!r}{more}.")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise DataError(f"{path}:{number}: {len(line)} columns; the header has {len(header)}.")
    if len(lines) < 2:
        raise DataError(f"{path}: no rows below the header.")
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def _read_examples(path: Path, described: Description) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    required = ["id"] if described.per_step else ["id", *described.columns]
    rows = _table(path, required, [f"{modality}_length" for modality in described.modalities])
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        if not row["id"]:
            raise DataError(f"{path}:{number}: the id is empty.")
        if row["id"] in first:
            raise DataError(f"{path}:{number}: duplicate id {row['id']!r}, already in line {first[row['id']]}.")
        first[row["id"]] = number
    return tuple(first), rows


def _read_steps(path: Path, ids: tuple[str, ...], described: Description) -> list[np.ndarray]:
    """(T,) int64 classes, or (T, K) float32 targets, of each example."""
    found: dict[str, list] = {name: [] for name in ids}
    for number, row in enumerate(_table(path, ["id", "step", *described.columns], []), 2):
        where = f"{path}:{number}"
        if row["id"] not in found:
            raise DataError(f"{where}: id {row['id']!r} is not in examples.csv.")
        steps = found[row["id"]]
        if row["step"] != str(len(steps)):
            raise DataError(f"{where}: step {row['step']!r} of {row['id']}; wanted {len(steps)}: in order, from 0.")
        steps.append(_read_label(row, described, where))
    if silent := [name for name, steps in found.items() if not steps]:
        raise DataError(f"{path}: no label for {silent[0]!r} ({len(silent)} such examples).")
    return [_array(steps, described) for steps in found.values()]


def _array(labels: list, described: Description) -> np.ndarray:
    return np.array(labels, dtype=np.float32 if described.targets else np.int64)


def _read_label(row: dict[str, str], described: Description, where: str) -> int | list[float]:
    """The class of a row, or the number of each target."""
    if described.targets is None:
        return _label(row["label"], described.classes, where)
    return [_number(row[target], target, where) for target in described.targets]


def _number(text: str, target: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"{where}: {target} {text!r}; wanted a number. Leave out what nobody labelled.")
    return value


def _label(text: str, classes: tuple[str, ...], where: str) -> int:
    if text in classes:
        return classes.index(text)
    if text.lstrip("-").isdecimal():
        if 0 <= int(text) < len(classes):
            return int(text)
        raise DataError(f"{where}: label {text} is out of range; accepted are 0 to {len(classes) - 1}.")
    near = get_close_matches(text, classes, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(f"{where}: no class {text!r}.{hint} Known: {', '.join(classes)}.")


def _lengths(path: Path, modality: str, rows: list[dict[str, str]]) -> np.ndarray:
    """(N,) rows of each example; ones where the modality has no length column."""
    column = f"{modality}_length"
    if column not in rows[0]:
        return np.ones(len(rows), dtype=np.int64)
    for number, row in enumerate(rows, 2):
        if not row[column].isdecimal() or int(row[column]) < 1:
            raise DataError(f"{path}:{number}: {column} {row[column]!r}; wanted a whole number of at least 1.")
    return np.array([int(row[column]) for row in rows], dtype=np.int64)


def _one_row_a_label(home: Path, modality: str, ids, lengths: np.ndarray, labels: list[np.ndarray]) -> None:
    for name, length, own in zip(ids, lengths, labels, strict=True):
        if length != len(own):
            raise DataError(
                f"{home}: {name} has {length} rows of {modality} and {len(own)} labels in steps.csv; "
                "with per_step every row needs one label."
            )


def _read_array(path: Path, declared: Modality, lengths: np.ndarray) -> np.ndarray:
    """Memory-mapped (sum of lengths, D)."""
    try:
        # Opens .npy only: never an archive, never pickled objects.
        values = np.lib.format.open_memmap(present(path), mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not a readable .npy array of numbers ({error}). Write it with numpy.save.") from None
    if values.dtype not in (np.float32, np.float64):
        raise DataError(f"{path}: {values.dtype}; wanted float32 or float64.")
    if declared.width and values.ndim == 2 and values.shape[1] != declared.width:
        raise DataError(f"{path}: {values.shape[1]} columns; dataset.yaml says width {declared.width}.")
    check_features(str(path), values, lengths, declared.known_constant)
    if max(-values.min(), values.max()) > np.finfo(np.float32).max:
        raise DataError(f"{path}: a value exceeds the range of float32, which training uses. Scale the column.")
    return values


def _check_splits(folder: Path, ids: tuple[str, ...]) -> list[str]:
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        return [f"{folder}: no split. Write one as <name>.csv with the header id,part or id,fold."]
    found = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as stream:
            lines = list(csv.reader(stream))
        folds = None
        if lines and lines[0] == ["id", "fold"]:
            folds = len({line[1] for line in lines[1:] if len(line) == 2})
        try:
            read_split(path, ids, folds=folds, fold=1 if folds else None)
        except DataError as error:
            found.append(str(error))
    return found
