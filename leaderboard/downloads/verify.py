"""Does a downloaded file hold what it says? Sums, schema, key, values, and every mean computed again from seed rows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pyarrow import csv, parquet

from leaderboard.downloads import descriptor
from leaderboard.downloads.formats import FORMATS
from leaderboard.downloads.levels import ANSWERS, LEVELS, ExportError, Level, cells_of, curves_of
from protocols.metrics import METRICS
from protocols.metrics import metric as metric_card
from protocols.record import ORIGINS, SCHEMA_VERSION

READABLE = (".csv", ".parquet", ".json")
SHOWN = 10  # differences of one kind that are told one by one
CLOSE = 1e-9  # of means computed again, relative: their sums may run in another order
NUMBERS = ("mean", "low", "high", "n")
OF_SCORES = tuple(f"protocols.metrics.{module}" for module in ("task", "regression", "multilabel"))


@dataclass
class Verdict:
    """What was found of one file.

    Args:
        held: what was checked and holds.
        differs: what does not, in the file's own words.
        lacks: what a verdict needs and is not there; without it nothing is verified.
        unchecked: what was left out, and what it takes.
    """

    path: Path
    held: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        """``differs``, ``not verified`` or ``holds``."""
        return "differs" if self.differs else "not verified" if self.lacks else "holds"

    def several(self, wrong: Sequence[str], what: str) -> None:
        """The first of many differences, and how many there are; or what holds, where there are none."""
        if not wrong:
            self.held.append(what)
            return
        self.differs += wrong[:SHOWN]
        if len(wrong) > SHOWN:
            self.differs.append(f"and {len(wrong) - SHOWN} more of this kind")


def verify(path: Path, seeds: Path | None = None) -> list[Verdict]:
    """Check a file, or every file of a folder that has a descriptor.

    Args:
        path: a data file, its descriptor, a Croissant file, or a folder.
        seeds: seed rows that means are computed again from; by default those of the same folder.

    Raises:
        ExportError: if there is nothing that can be checked.
    """
    path = Path(path)
    if not path.is_dir():
        return [_file(path, seeds)]
    found = sorted(path.rglob(f"*{descriptor.SUFFIX}"))
    if not found:
        raise ExportError(f"{path}: no file *{descriptor.SUFFIX} in it. Give a data file itself.")
    return [_file(told.with_name(told.name.removesuffix(descriptor.SUFFIX)), seeds) for told in found]


def _file(path: Path, seeds: Path | None) -> Verdict:
    if path.name.endswith(descriptor.SUFFIX):
        path = path.with_name(path.name.removesuffix(descriptor.SUFFIX))
    if not path.is_file():
        raise ExportError(f"{path}: no such file.")
    found = Verdict(path)
    told = _described(path, found)
    if path.name.endswith(FORMATS["croissant"].suffix):
        _croissant(path, found)
        return found
    if path.suffix not in READABLE:
        found.unchecked.append(f"its content: {path.suffix} is a document; rows of {', '.join(READABLE)} are checked")
        return found
    table, inside = _read(path)
    kind = _level(path, table, {**inside, **told})
    _schema_version(told.get("schema_version") or inside.get("schema_version"), found)
    if _columns(table, kind, found):
        table = _typed(table, kind)
        _key(table, kind, found)
        _values(table, kind, found)
        _aggregates(path, table, kind, seeds, found)
    return found


def _described(path: Path, found: Verdict) -> dict[str, Any]:
    """The descriptor beside a file, after its sum and size were compared."""
    beside = descriptor.beside(path)
    if not beside.is_file():
        found.unchecked.append(f"SHA-256: {beside.name} is not beside it")
        return {}
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
        resource = next(r for r in told["resources"] if r["path"] == path.name)
        size, sum_ = resource["bytes"], resource["hash"].removeprefix("sha256:")
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        found.differs.append(f"{beside.name} is no descriptor of it ({error!r})")
        return {}
    if (is_size := path.stat().st_size) != size:
        found.differs.append(f"size is {is_size:,} bytes, its descriptor says {size:,}")
    if (is_sum := descriptor.sha256(path)) != sum_:
        found.differs.append(f"SHA-256 is {is_sum}, its descriptor says {sum_}")
    else:
        found.held.append(f"SHA-256 {sum_}")
    return told


def _croissant(path: Path, found: Verdict) -> None:
    """The sums of the files that Croissant metadata describe."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["distribution"]
        sums = {file["contentUrl"]: file["sha256"] for file in files}
    except (ValueError, KeyError, TypeError) as error:
        found.differs.append(f"not Croissant metadata ({error!r})")
        return
    for name, wanted in sums.items():
        file = path.parent / Path(name).name
        if not file.is_file():
            found.differs.append(f"{name} is not beside it")
        elif (is_sum := descriptor.sha256(file)) != wanted:
            found.differs.append(f"{name} has SHA-256 {is_sum}, the metadata say {wanted}")
        else:
            found.held.append(f"SHA-256 of {name}")


def _read(path: Path) -> tuple[pa.Table, dict[str, str]]:
    """The rows of a file, and what a Parquet file says about itself.

    Raises:
        ExportError: if it cannot be read.
    """
    try:
        if path.suffix == ".csv":
            # An empty field is no value, of text columns too: none of them is ever empty.
            options = csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
            return csv.read_csv(path, convert_options=options), {}
        if path.suffix == ".json":
            return pa.Table.from_pylist(json.loads(path.read_text(encoding="utf-8"))), {}
        table = parquet.read_table(path)
        return table, {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items() if k != b"pandas"}
    except (ValueError, TypeError, OSError, AttributeError) as error:  # Arrow's own errors are ValueErrors, too
        raise ExportError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from None


def _level(path: Path, table: pa.Table, told: dict[str, Any]) -> Level:
    if told.get("level") in LEVELS:
        return LEVELS[told["level"]]
    names = set(table.column_names)
    for kind in LEVELS.values():
        if set(_own(table, kind)) == set(kind.columns):
            return kind
    raise ExportError(f"{path}: its columns are those of no level ({', '.join(LEVELS)}): {', '.join(sorted(names))}.")


def _schema_version(said: Any, found: Verdict) -> None:
    if said is None:
        found.unchecked.append("schema version: only Parquet files and descriptors carry it")
    elif str(said) != str(SCHEMA_VERSION):
        found.differs.append(f"schema version is {said}; this fuseboard knows {SCHEMA_VERSION}")
    else:
        found.held.append(f"schema version {SCHEMA_VERSION}")


def _columns(table: pa.Table, kind: Level, found: Verdict) -> bool:
    names = _own(table, kind)
    if names != list(kind.columns):
        found.differs.append(f"columns are {', '.join(names)}; those of {kind.name} are {', '.join(kind.columns)}")
        return False
    try:
        _typed(table, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        found.differs.append(f"columns are of other types: {error}")
        return False
    found.held.append(f"{len(names)} columns of the level {kind.name}")
    return True


def _own(table: pa.Table, kind: Level) -> list[str]:
    """Columns without labels and scores, whose number depends on the task."""
    free = ANSWERS if kind.name == "samples" else ()
    return [name for name in table.column_names if name.partition("_")[0] not in free]


def _typed(table: pa.Table, kind: Level) -> pa.Table:
    fields = [pa.field(f.name, kind.columns[f.name][0]) if f.name in kind.columns else f for f in table.schema]
    return table.cast(pa.schema(fields))


def _key(table: pa.Table, kind: Level, found: Verdict) -> None:
    counts = table.group_by(list(kind.key)).aggregate([([], "count_all")])
    twice = counts.filter(pa.compute.greater(counts["count_all"], 1)).to_pylist()
    wrong = [f"{row['count_all']} rows have the key {_told(row, kind)}" for row in twice]
    gaps = [name for name in kind.key if table[name].null_count]
    wrong += [f"{table[name].null_count} rows have no {name}" for name in gaps]
    found.several(wrong, f"the key of each of {len(table):,} rows is its own")


def _told(row: dict, kind: Level) -> str:
    return ", ".join(str(row[name]) for name in kind.key)


def _values(table: pa.Table, kind: Level, found: Verdict) -> None:
    """Numbers are finite and within the bounds of their metric."""
    column = {"seeds": "value", "cells": "mean", "curves": "mean"}.get(kind.name)
    if column is None:
        return
    wrong = []
    for row in table.select([*kind.key, column, "n"]).to_pylist():
        value, base = row[column], row["metric"].split("/")[0]
        if value is None or not np.isfinite(value):
            wrong.append(f"{_told(row, kind)}: {column} is {value}")
        elif row["n"] is None or row["n"] < 1:
            wrong.append(f"{_told(row, kind)}: n is {row['n']}")
        elif base not in METRICS:
            wrong.append(f"{_told(row, kind)}: no metric {base!r}")
        elif not (bounds := metric_card(row["metric"]).bounds)[0] - CLOSE <= value <= bounds[1] + CLOSE:
            wrong.append(f"{_told(row, kind)}: {column} is {value}, outside {bounds}")
    if kind.name == "seeds":
        strange = sorted({*table["origin"].to_pylist()} - {*ORIGINS}, key=str)
        wrong += [f"origin {name!r} is none of {', '.join(ORIGINS)}" for name in strange]
    found.several(wrong, "every number is finite and within the bounds of its metric")


def _aggregates(path: Path, table: pa.Table, kind: Level, seeds: Path | None, found: Verdict) -> None:
    """Compare with what seed rows give; of samples, with the scores that seed rows say."""
    if kind.name == "seeds":
        return
    place = seeds or _seeds_beside(path, kind)
    if place is None:
        found.lacks.append("seed rows to compute it again from: none beside it. Give them with --seeds")
        return
    rows = _typed(_read(place)[0], LEVELS["seeds"])
    if kind.name == "samples":
        wrong = list(_scores_differ(table, rows))
        found.several(wrong, f"the scores of every run are those of {place.name}")
        return
    wanted = cells_of(rows)
    if kind.name == "curves":
        wanted = curves_of(wanted, set(table["metric"].to_pylist()))
    found.several(list(_means_differ(table, wanted, kind)), f"every mean is that of the rows of {place.name}")


def _seeds_beside(path: Path, kind: Level) -> Path | None:
    """``x-v1-cells.csv`` -> ``x-v1-seeds.parquet``, or any other readable format, in the same folder."""
    head, middle, _ = path.name.rpartition(f"-{kind.name}")
    if not middle:
        return None
    return next((p for p in (path.with_name(f"{head}-seeds{s}") for s in READABLE[::-1]) if p.is_file()), None)


def _means_differ(table: pa.Table, wanted: pa.Table, kind: Level) -> Iterator[str]:
    is_, should = ({tuple(row[name] for name in kind.key): row for row in rows.to_pylist()} for rows in (table, wanted))
    yield from (f"{', '.join(key)}: no seed row behind it" for key in sorted(is_.keys() - should.keys()))
    yield from (f"{', '.join(key)}: in the seed rows, not in the file" for key in sorted(should.keys() - is_.keys()))
    for key in sorted(is_.keys() & should.keys()):
        for name in NUMBERS:
            here, there = is_[key][name], should[key][name]
            if not _equal(here, there):
                yield f"{', '.join(key)}: {name} is {here}, the seed rows give {there}"


def _equal(here: float | None, there: float | None) -> bool:
    if here is None or there is None:
        return here is there
    return bool(np.isclose(here, there, rtol=CLOSE, atol=CLOSE))


def _scores_differ(samples: pa.Table, seeds: pa.Table) -> Iterator[str]:
    """Task metrics of each run and condition, computed from its predictions, beside what its records say."""
    frame, records = samples.to_pandas(), seeds.to_pandas()
    scores = [name for name in frame.columns if name.startswith("score_")]
    labels = "label" if "label" in frame.columns else [name for name in frame.columns if name.startswith("label_")]
    records = records[[_scored(name) for name in records["metric"]]]
    groups = dict(list(frame.groupby(["run", "condition"])))
    for row in records[["run", "condition", "metric", "value"]].itertuples(index=False):
        group = groups.get((row.run, row.condition))
        if group is None:
            continue  # a condition of the suite: its numbers come from the run's weights
        value = metric_card(row.metric).score()(group[scores].to_numpy(), group[labels].to_numpy())
        if not _equal(value, row.value):
            yield f"{row.run}, {row.condition}: {row.metric} of the predictions is {value}, the records say {row.value}"


def _scored(metric: str) -> bool:
    """Whether a metric is computed from labels and scores alone, over all targets."""
    return metric in METRICS and METRICS[metric].target.partition(":")[0] in OF_SCORES
