"""FORMATS: how rows are written."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

from leaderboard.downloads.levels import LEVELS, ExportError, Level

TABULAR = tuple(LEVELS)


@dataclass(frozen=True)
class Format:
    """One way to write rows.

    Args:
        suffix: of a file's name.
        target: ``"module:function"``, called with a path, pieces of a table and what Parquet says about itself for
            a table, with path and `Source` for a document; it gives back the number of rows. Croissant stands beside
            a Parquet file and is called with path, that file, and its level.
        levels: that it can hold.
        table: whether it is one of tidy rows, which any reader of tables opens.
    """

    name: str
    suffix: str
    mime: str
    target: str
    levels: tuple[str, ...] = TABULAR
    table: bool = True

    def writer(self) -> Callable[..., int]:
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


OURS = "leaderboard.downloads"
FORMATS = {
    format.name: format
    for format in (
        Format("csv", ".csv", "text/csv", f"{OURS}.tables:write_csv"),
        Format("parquet", ".parquet", "application/vnd.apache.parquet", f"{OURS}.tables:write_parquet"),
        Format("json", ".json", "application/json", f"{OURS}.tables:write_json"),
        Format("latex", ".tex", "application/x-tex", f"{OURS}.latex:write", ("cells",), table=False),
        Format("hf-eval", ".hf-eval.zip", "application/zip", f"{OURS}.hub:write", ("cells",), table=False),
        Format("croissant", ".croissant.json", "application/ld+json", f"{OURS}.croissant:write", table=False),
    )
}


def format_for(name: str, level: Level) -> Format:
    """The format that a person names, if it can hold the level.

    Raises:
        ExportError: naming what is known.
    """
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ExportError(f"No format {name!r}.{hint} Known: {', '.join(FORMATS)}.")
    found = FORMATS[name]
    if level.name not in found.levels:
        able = [known.name for known in FORMATS.values() if level.name in known.levels]
        raise ExportError(
            f"{name} holds {', '.join(found.levels)}, not {level.name}. Formats for {level.name}: {', '.join(able)}."
        )
    return found
