"""Splits whose lists came with the data: a licence forbids to pass them on, or a rule on the names is enough.

Such a data set has ``split(root, name, ids) -> {id: part}``, a fold number in place of a part where the protocol has
folds. What it says is written as a split file, so that it is read, checked and hashed like any other.
"""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path


def write_split(path: Path, parts: Mapping[str, str], *, folds: bool) -> Path:
    """Write ``id,part`` or ``id,fold``, sorted by id; a file that already says the same is left alone.

    Args:
        path: of the CSV; its folder is made.
        parts: id -> train, validation or test, or the number of a fold from 1. Ids that are left out are in no part.

    Returns:
        ``path``.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "fold" if folds else "part"])
    rows.writerows(sorted(parts.items()))
    content = text.getvalue().encode()
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")  # another process may write the same file
        beside.write_bytes(content)
        os.replace(beside, path)
    return path
