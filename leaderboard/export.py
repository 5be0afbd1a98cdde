"""Standardised results to take away: tidy rows, one fact each, a unique key, the same bytes for the same store."""

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from leaderboard.queries import CELL, cells, current_runs
from leaderboard.store import records
from protocols.record import FIELDS, KEY, SCHEMA_VERSION

LEVELS = ("seeds", "cells")
FORMATS = ("csv", "parquet", "json")
LICENCE = "Results: CC BY 4.0. Data sets keep their own licences; no example of theirs is in here."
CITATION = "Fuseboard, a living, executable systematic review of attention-based audio-visual fusion."
MEANING = {
    "method": "name of the method spec, for example mult-paper",
    "protocol": "name@version of the protocol; numbers of two protocols are never comparable",
    "split": "test, or test/fold3 where the protocol has folds; without the fold in cells",
    "condition": "what was done to the test input: clean, audio/white_noise/-5dB, video/missing",
    "metric": "what was computed; /majority_class is what always answering the most frequent class of the "
    "scored items would reach",
    "value": "in the metric's own unit; fractions are in [0, 1], never percent",
    "n": "seeds: scored examples (or steps) behind the value; cells: runs (seeds or folds) behind the mean",
    "seed": "of the initial weights and the order of the examples; empty for published numbers",
    "origin": "measured here, or published in a paper",
    "source": "hash of the code that measured it; paper, table and row where published",
    "run": "id of the run: a hash of method, protocol, data, code and seed",
    "created": "when the run ended, ISO 8601, UTC",
    "mean": "of the values of n runs",
    "low": "lower end of the 95% t interval of the mean over runs; empty for one run",
    "high": "upper end of that interval",
}
COLUMNS = {"seeds": FIELDS, "cells": ("protocol", *CELL, "mean", "low", "high", "n")}
UNIQUE = {"seeds": KEY, "cells": ("protocol", *CELL)}


class ExportError(ValueError):
    """Nothing to export, or not in this way: what is accepted, what to do."""


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    rows: int
    size: int
    sha256: str


def export(
    engine: sa.Engine, protocol: str, level: str = "seeds", format: str = "csv", out: Path | None = None
) -> Exported:
    """Write the current results of a protocol, beside and then renamed, so that no half file is left.

    Args:
        protocol: ``name@version``.
        level: ``"seeds"`` for the records themselves, ``"cells"`` for means with intervals.
        format: ``"csv"``, ``"parquet"`` or ``"json"``.
        out: file to write; by default named after what it holds.

    Raises:
        ExportError: for an unknown level or format, and where there is nothing to export.
    """
    frame = rows(engine, protocol, level)
    content = encode(frame, level, format)
    path = Path(out) if out else Path(file_name(protocol, level, format))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}. Choose another file with --out.") from None
    finally:
        beside.unlink(missing_ok=True)
    return Exported(path, len(frame), len(content), hashlib.sha256(content).hexdigest())


def file_name(protocol: str, level: str, format: str) -> str:
    """``grid-digit@1`` -> ``grid-digit-v1-seeds.csv``: a name that every file system takes."""
    return f"{protocol.replace('@', '-v')}-{level}.{format}"


def rows(engine: sa.Engine, protocol: str, level: str) -> pd.DataFrame:
    """Rows of an export, sorted by their unique key; those of measured runs that the board shows, and published ones.

    Raises:
        ExportError: as `export`.
    """
    if level not in LEVELS:
        raise ExportError(f"No level {level!r}. Known: {', '.join(LEVELS)}.")
    with engine.connect() as connection:
        found = connection.execute(sa.select(records).where(records.c.protocol == protocol)).all()
    frame = pd.DataFrame(found, columns=list(FIELDS)).astype({"seed": "Int64", "n": "int64", "value": "float64"})
    kept, _ = current_runs(engine, protocol)
    frame = frame[frame["run"].isin(kept["run"]) | (frame["origin"] == "published")]
    if level == "cells":
        frame = cells(frame[frame["origin"] == "measured"]).assign(protocol=protocol)
    if frame.empty:
        raise ExportError(
            f"No results of {protocol} in the store. Run: fuseboard run <method> --protocol {protocol}, "
            "then: fuseboard ingest"
        )
    return frame[list(COLUMNS[level])].sort_values(list(UNIQUE[level]), ignore_index=True)


def encode(frame: pd.DataFrame, level: str, format: str) -> bytes:
    """A file of the rows. Floats are written so that they read back as they are.

    Raises:
        ExportError: for an unknown format.
    """
    if format == "csv":
        return frame.to_csv(index=False, lineterminator="\n").encode()
    if format == "json":
        table = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return (json.dumps(table, indent=1, allow_nan=False) + "\n").encode()
    if format != "parquet":
        raise ExportError(f"No format {format!r}. Known: {', '.join(FORMATS)}.")
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    about = {
        "schema_version": str(SCHEMA_VERSION),
        "licence": LICENCE,
        "citation": CITATION,
        "unique_key": ", ".join(UNIQUE[level]),
        # The newest record, not the time of the download: the same store gives the same file.
        **({"created": frame["created"].max()} if level == "seeds" else {}),
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **about}), buffer, compression="zstd")
    return buffer.getvalue()


def data_dictionary(level: str = "seeds") -> pd.DataFrame:
    """What each column means: column, in_key, meaning."""
    rows = [(name, name in UNIQUE[level], MEANING[name]) for name in COLUMNS[level]]
    return pd.DataFrame(rows, columns=["column", "in_key", "meaning"])
