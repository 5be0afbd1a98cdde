"""Standardised results to take away: tidy rows, one fact each, a unique key, the same bytes for the same store."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from leaderboard.downloads import croissant, descriptor
from leaderboard.downloads.formats import FORMATS, Format, format_for
from leaderboard.downloads.levels import ExportError, Level, Source, level_for


@dataclass(frozen=True)
class Exported:
    """A file that was written, its descriptor beside it.

    Args:
        beside: further files without which this one is not whole: of a Croissant file the table.
    """

    path: Path
    rows: int
    size: int
    sha256: str
    beside: tuple[Path, ...] = ()


def export(
    engine: sa.Engine,
    protocol: str,
    level: str = "seeds",
    format: str = "csv",
    out: Path | None = None,
    roots: Sequence[Path] = (),
) -> Exported:
    """Write the current results of a protocol, beside and then renamed, so that no half file is left.

    The file's descriptor (data dictionary, sums, licence, citation) stands beside it: ``<file>.datapackage.json``.

    Args:
        protocol: ``name@version``.
        level: a key of LEVELS.
        format: a key of FORMATS.
        out: file to write; by default named after what it holds.
        roots: bundle roots, where the predictions of the level ``samples`` lie.

    Raises:
        ExportError: for an unknown level or format, and where there is nothing to export.
    """
    return export_from(Source(engine, protocol, roots), level, format, out)


def export_from(source: Source, level: str, format: str, out: Path | None = None) -> Exported:
    """As `export`, of a source that several files are made of: its means are computed once.

    Raises:
        ExportError: as `export`.
    """
    kind = level_for(level)
    how = format_for(format, kind)
    path = Path(out) if out else Path(file_name(source.protocol, level, format))
    if how.name == "croissant":
        data = export_from(source, level, "parquet", croissant.data_file(path))
        count = _placed(path, lambda file: how.writer()(file, data.path, kind))
        return _described(path, source, kind, how, count, (), (data.path, descriptor.beside(data.path)))
    if not how.table:
        count = _placed(path, lambda file: _some(how.writer()(file, source), source, kind))
        return _described(path, source, kind, how, count, ())
    columns: list[pa.Field] = []
    about = descriptor.about(source, kind)
    count = _placed(path, lambda file: _some(how.writer()(file, _seen(kind, source, columns), about), source, kind))
    return _described(path, source, kind, how, count, columns)


def _seen(kind: Level, source: Source, columns: list[pa.Field]) -> Iterator[pa.Table]:
    """The rows, with the columns of the first piece kept."""
    for table in kind.tables(source):
        columns[:] = columns or list(table.schema)
        yield table


def _some(count: int, source: Source, kind: Level) -> int:
    """The number of rows, refused if there are none.

    Raises:
        ExportError: naming the next command.
    """
    if count:
        return count
    raise ExportError(
        f"Nothing of {source.protocol} has the level {kind.name} ({kind.title}). Measure its runs: "
        f"fuseboard evaluate <method> --protocol {source.protocol}"
    )


def _placed(path: Path, write: Callable[[Path], int]) -> int:
    """Write beside, then rename. Gives back what the writer does.

    Raises:
        ExportError: where the file cannot be written; what was there stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        count = write(beside)
        beside.replace(path)
    except OSError as error:
        said = error.strerror or str(error)
        raise ExportError(f"{path} cannot be written: {said}. Choose another file with --out.") from None
    finally:
        beside.unlink(missing_ok=True)
    return count


def _described(
    path: Path,
    source: Source,
    kind: Level,
    how: Format,
    count: int,
    columns: Iterable[pa.Field],
    beside: tuple[Path, ...] = (),
) -> Exported:
    text = descriptor.describe(path, source, kind, how, count, list(columns))
    _placed(descriptor.beside(path), lambda file: file.write_text(text, encoding="utf-8"))
    return Exported(path, count, path.stat().st_size, descriptor.sha256(path), beside)


def file_name(protocol: str, level: str, format: str) -> str:
    """``grid-digit@1`` -> ``grid-digit-v1-seeds.csv``: a name that every file system takes."""
    return f"{protocol.replace('@', '-v')}-{level}{FORMATS[format].suffix}"


def rows(engine: sa.Engine, protocol: str, level: str, roots: Sequence[Path] = ()) -> pd.DataFrame:
    """Rows of a level as one frame, sorted; for tables that fit into memory.

    Raises:
        ExportError: as `export`.
    """
    return _frame(pa.concat_tables(level_for(level).tables(Source(engine, protocol, roots))))


def first_rows(engine: sa.Engine, protocol: str, level: str, roots: Sequence[Path] = (), n: int = 5) -> pd.DataFrame:
    """The first rows of a level; what follows them is not read.

    Raises:
        ExportError: as `export`.
    """
    kind, source = level_for(level), Source(engine, protocol, roots)
    some = next((table for table in kind.tables(source) if len(table)), kind.schema.empty_table())
    _some(len(some), source, kind)
    return _frame(some.slice(0, n))


def _frame(table: pa.Table) -> pd.DataFrame:
    # Without the mapping a column of whole numbers with gaps would become one of floats.
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def data_dictionary(name: str = "seeds") -> pd.DataFrame:
    """What each column means: column, in_key, meaning."""
    kind = level_for(name)
    found = [(column, column in kind.key, kind.meaning(column)) for column in kind.columns]
    return pd.DataFrame(found, columns=["column", "in_key", "meaning"])
