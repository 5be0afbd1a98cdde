"""Croissant metadata (MLCommons, version 1.0) beside a Parquet file, so that data loaders know its columns.

http://mlcommons.org/croissant/1.0; the context is the one that the specification prints.
"""

import json
from pathlib import Path
from typing import Any

from pyarrow import parquet

from leaderboard.downloads.citation import BIBTEX, LICENCE_URL
from leaderboard.downloads.descriptor import sha256
from leaderboard.downloads.levels import Level
from protocols.record import SCHEMA_VERSION

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float", "float": "sc:Float"}


def data_file(path: Path) -> Path:
    """The Parquet file that a Croissant file stands beside: ``cells.croissant.json`` -> ``cells.parquet``."""
    return path.with_name(path.name.removesuffix(".json").removesuffix(".croissant") + ".parquet")


def write(path: Path, data: Path, level: Level) -> int:
    """Describe a Parquet file of a level. Gives back its rows."""
    file = parquet.ParquetFile(data)
    about = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    told = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": data.stem,
        "description": f"{about['protocol']}: {level.title}. {about['citation']}",
        "license": LICENCE_URL,
        "citeAs": BIBTEX,
        "version": f"{SCHEMA_VERSION}.0.0",
        "datePublished": about["created"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "table",
                "name": data.name,
                "contentUrl": data.name,
                "contentSize": f"{data.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": sha256(data),
            }
        ],
        "recordSet": [_record_set(file, level)],
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return file.metadata.num_rows


def _record_set(file: parquet.ParquetFile, level: Level) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{level.name}/{column.name}",
            "name": column.name,
            "description": level.meaning(column.name),
            "dataType": TYPES[str(column.type)],
            "source": {"fileObject": {"@id": "table"}, "extract": {"column": column.name}},
        }
        for column in file.schema_arrow
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": level.name,
        "name": level.name,
        "description": f"{level.title[0].upper()}{level.title[1:]}.",
        "key": [{"@id": f"{level.name}/{name}"} for name in level.key],
        "field": fields,
    }
