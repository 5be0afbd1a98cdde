"""Rows as CSV, Parquet and JSON, piece by piece, the same bytes for the same rows."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

GROUP = 250_000  # rows that Parquet compresses together


def write_csv(path: Path, tables: Iterable[pa.Table], about: Mapping[str, str]) -> int:
    """UTF-8 with a header, text in quotes; floats read back as they are, an empty field is no value.

    Gives back the rows.
    """
    rows = 0
    with open(path, "wb") as out:
        for place, table in enumerate(tables):
            if place == 0:
                out.write((",".join(table.column_names) + "\n").encode())
            csv.write_csv(table, out, csv.WriteOptions(include_header=False))
            rows += len(table)
    return rows


def write_json(path: Path, tables: Iterable[pa.Table], about: Mapping[str, str]) -> int:
    """One array, one object a line; ``null`` is no value. Gives back the rows."""
    rows = 0
    with open(path, "w", encoding="utf-8") as out:
        out.write("[")
        for table in tables:
            for row in _batches(table):
                out.write(",\n" if rows else "\n")
                out.write(json.dumps(row, ensure_ascii=False, allow_nan=False))
                rows += 1
        out.write("\n]\n")
    return rows


def _batches(table: pa.Table) -> Iterator[dict]:
    """Rows as dictionaries, some at a time: Python needs ten times the room of a table for them."""
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def write_parquet(path: Path, tables: Iterable[pa.Table], about: Mapping[str, str]) -> int:
    """Zstandard, with ``about`` and the meaning of the columns in the file itself. Gives back the rows."""
    writer, waiting, rows = None, [], 0
    try:
        for table in tables:
            if writer is None:
                writer = parquet.ParquetWriter(path, table.schema.with_metadata(dict(about)), compression="zstd")
            waiting.append(table)
            rows += len(table)
            if sum(map(len, waiting)) >= GROUP:
                writer.write_table(pa.concat_tables(waiting), row_group_size=GROUP)
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=GROUP)
    finally:
        if writer is not None:
            writer.close()
    return rows
