"""Stored predictions: what each run answered for every item of the test part, read from its bundle."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from leaderboard.bundles import BundleError, read_evaluation
from leaderboard.store import reporting, runs
from protocols.datasets import DATASETS, dataset
from protocols.spec import ProtocolSpec

FILE = "predictions.parquet"
ITEM = ["id", "step"]
CLASS = "class="  # begins what names a class in a metric of an evaluation


@dataclass(frozen=True)
class Predictions:
    """Answers under one condition.

    Args:
        items: a row an item and run: run, method, split, seed, id, step, and ``label`` and ``prediction`` (a class
            each), or ``label_0``, ``score_0`` and so on where targets are numbers or occur together.
        absent: run -> why its predictions are not there.
    """

    items: pd.DataFrame
    absent: Mapping[str, str]


def read(engine: sa.Engine, roots: Sequence[Path], kept: pd.DataFrame, condition: str) -> Predictions:
    """The predictions of some runs; a file that is gone or was altered is told, never used.

    Args:
        roots: where bundles are looked for, the first that holds one counts.
        kept: run, method, split and seed, as ``queries.current_runs`` gives them.
    """
    query = sa.select(runs.c.run, runs.c.bundle, runs.c.manifest).where(runs.c.run.in_(kept["run"].tolist()))
    with reporting(engine.url), engine.connect() as connection:
        places = {run: (bundle, json.loads(manifest)) for run, bundle, manifest in connection.execute(query)}
    found, absent = [], {}
    for row in kept.to_dict("records"):
        bundle, manifest = places[row["run"]]
        try:
            table = _answers(_file(roots, bundle), manifest["files"].get(FILE), condition)
        except BundleError as error:
            absent[row["run"]] = str(error)
            continue
        whose = {name: row[name] for name in ("run", "method", "split", "seed")}
        found.append(table.assign(**whose))
    columns = ["run", "method", "split", "seed", *ITEM]
    return Predictions(pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns), absent)


def _file(roots: Sequence[Path], bundle: str) -> Path:
    path = next((p for root in roots if (p := Path(root) / bundle / FILE).is_file()), None)
    if path is None:
        raise BundleError("no predictions are stored here")
    return path


def _answers(path: Path, sha256: str | None, condition: str) -> pd.DataFrame:
    """Id, step, labels and answers under a condition.

    Raises:
        BundleError: if the file is not that of the manifest, or has no item under the condition.
    """
    import pyarrow.compute as pc
    from pyarrow import parquet

    content = path.read_bytes()
    if sha256 is None or hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"{FILE} is not the file that the manifest names: it was altered or cut short")
    file = parquet.ParquetFile(io.BytesIO(content))
    names = file.schema_arrow.names
    # Scores of classes are many, and the class with the highest one stands beside them.
    wanted = ("label", "prediction") if "prediction" in names else ("label_", "score_")
    columns = [name for name in names if name in ("condition", *ITEM) or name.startswith(wanted)]
    table = file.read(columns=columns, use_threads=False)
    table = table.filter(pc.equal(table["condition"], condition)).drop_columns("condition")
    if not len(table):
        raise BundleError(f"no prediction under {condition} is stored")
    return table.to_pandas()


def class_names(spec: ProtocolSpec, folders: Iterable[Path]) -> tuple[str, ...] | None:
    """Names of the classes in the order of their numbers; None where nothing here tells them.

    Runs store numbers. The data set's module may list the names; else an evaluation names them, one class after the
    other, unless a class had no item.

    Args:
        folders: bundles.
    """
    family = spec.dataset.partition("/")[0]
    targets: Any = getattr(dataset(family), "TARGETS", None) if family in DATASETS else None
    if isinstance(targets, Mapping) and all(isinstance(name, str) for name in targets.get(spec.target, (0,))):
        return tuple(targets[spec.target])
    for folder in folders:
        try:
            evaluation = read_evaluation(folder)
        except BundleError:
            continue
        if evaluation and (names := _classes(evaluation.values)) and not _classes(evaluation.reasons):
            return names
    return None


def _classes(findings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The classes that metrics name, each once, in order; behind a name the rule may follow that took it."""
    named = (finding["metric"].partition(f"/{CLASS}")[2].partition("/")[0] for finding in findings)
    return tuple(dict.fromkeys(name for name in named if name))


def said(absent: Mapping[str, str], kept: pd.DataFrame) -> list[str]:
    """``mbt-small: 2 of 5 runs: no predictions are stored here``, a line a method and reason."""
    there = kept.assign(why=kept["run"].map(dict(absent)))
    counts = kept["method"].value_counts()
    groups = there.dropna(subset=["why"]).groupby(["method", "why"], sort=False)
    return [f"{method}: {len(group)} of {counts[method]} runs: {why}" for (method, why), group in groups]
