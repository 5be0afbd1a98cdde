"""Who belongs to which part: committed CSV files, never seeds."""

import csv
from pathlib import Path

import numpy as np

from protocols.examples import DataError

SPLITS = Path(__file__).parent / "splits"
PARTS = ("train", "validation", "test")


def read_split(path: Path, ids: tuple[str, ...], *, folds: int | None, fold: int | None) -> dict[str, np.ndarray]:
    """Indices into ``ids`` of each part.

    With folds, part test is fold ``fold``, validation is the next one (the first after the last).

    Args:
        path: CSV with a header ``id,part`` or, where ``folds`` is given, ``id,fold`` counting from 1.
        fold: which of ``folds`` to test on.

    Returns:
        ``{"train": (n,) int64, "validation": ..., "test": ...}``, in the order of the file.

    Raises:
        DataError: for a missing file, a wrong header, an unknown or repeated id, an unknown part, an
            empty part.
    """
    column = "fold" if folds else "part"
    if not path.is_file():
        raise DataError(f"{path}: no such split file. A split is a CSV with the header id,{column}.")
    with open(path, newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if rows.fieldnames != ["id", column]:
            raise DataError(f"{path}: header {rows.fieldnames}; wanted ['id', '{column}'].")
        placed = [(number, row["id"], row[column]) for number, row in enumerate(rows, 2)]
    where = {name: index for index, name in enumerate(ids)}
    accepted = {str(k): k for k in range(1, folds + 1)} if folds else dict.fromkeys(PARTS)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    seen: set[str] = set()
    for number, name, place in placed:
        if name not in where:
            raise DataError(f"{path}:{number}: id {name!r} is not in the data ({len(ids)} examples, e.g. {ids[0]!r}).")
        if name in seen:
            raise DataError(f"{path}:{number}: id {name!r} stands here twice; each belongs to one {column}.")
        if place not in accepted:
            raise DataError(f"{path}:{number}: {column} {place!r}; accepted: {', '.join(accepted)}.")
        seen.add(name)
        if folds:
            k = accepted[place]
            place = "test" if k == fold else "validation" if k == fold % folds + 1 else "train"
        parts[place].append(where[name])
    if empty := [part for part, members in parts.items() if not members]:
        raise DataError(f"{path}: no example in part {empty[0]!r}.")
    return {part: np.array(members) for part, members in parts.items()}
