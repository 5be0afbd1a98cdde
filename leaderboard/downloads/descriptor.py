"""What goes with a file: a Frictionless Data Package (v1) beside it, with the data dictionary and the checksum.

https://specs.frictionlessdata.io/data-package/ and /table-schema/; hash and bytes are those of the file as written.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from leaderboard.downloads.citation import BIBTEX, CITATION, LICENCE, LICENCE_NAME, LICENCE_URL
from leaderboard.downloads.formats import Format
from leaderboard.downloads.levels import Level, Source
from protocols.record import SCHEMA_VERSION

SUFFIX = ".datapackage.json"
TYPES = {"string": "string", "int64": "integer", "double": "number", "float": "number"}


def beside(path: Path) -> Path:
    """Where the descriptor of a file lies: ``cells.csv.datapackage.json``."""
    return path.with_name(path.name + SUFFIX)


def about(source: Source, level: Level) -> dict[str, str]:
    """What Parquet files carry inside."""
    return {
        "schema_version": str(SCHEMA_VERSION),
        "protocol": source.protocol,
        # Of the newest run, not of the download: the same store gives the same file.
        "created": source.newest,
        "level": level.name,
        "licence": LICENCE,
        "citation": CITATION,
        "unique_key": ", ".join(level.key),
        "data_dictionary": json.dumps({name: level.meaning(name) for name in level.columns}),
    }


def describe(path: Path, source: Source, level: Level, format: Format, rows: int, columns: Sequence[pa.Field]) -> str:
    """The descriptor of a file that was written, as JSON.

    Args:
        columns: of the table; empty for a format that is no table.
    """
    resource = {
        "name": path.name.lower(),
        "path": path.name,
        "format": format.name,
        "mediatype": format.mime,
        "bytes": path.stat().st_size,
        "hash": f"sha256:{sha256(path)}",
        "rows": rows,
    }
    if columns:
        resource["schema"] = table_schema(level, columns)
    told = {
        "profile": "data-package",
        "name": path.name.partition(".")[0].lower(),
        "title": f"{source.protocol}: {level.title}",
        "created": source.newest,
        "schema_version": SCHEMA_VERSION,
        "protocol": source.protocol,
        "level": level.name,
        "licenses": [{"name": LICENCE_NAME, "path": LICENCE_URL, "title": LICENCE}],
        "citation": CITATION,
        "bibtex": BIBTEX,
        "resources": [resource],
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def table_schema(level: Level, columns: Sequence[pa.Field]) -> dict[str, Any]:
    fields = [
        {"name": column.name, "type": TYPES[str(column.type)], "description": level.meaning(column.name)}
        for column in columns
    ]
    return {"fields": fields, "primaryKey": list(level.key), "missingValues": [""]}


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
