"""The results as files: which, in which form, and what each column means."""

import hashlib

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import queries
from leaderboard.export import CITATION, FORMATS, LEVELS, LICENCE, data_dictionary, encode, file_name, rows
from leaderboard.export import ExportError as NothingToExport
from leaderboard.session import choose, open_store, plain, require_protocols

LEVEL_TITLES = {"seeds": "Seeds: every record", "cells": "Cells: means with intervals"}
READERS = {
    "csv": "pd.read_csv({name!r})",
    "parquet": "pd.read_parquet({name!r})",
    "json": "pd.read_json({name!r}, precise_float=True)",
}
MIME = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "json": "application/json"}


@st.cache_data(show_spinner="Writing the file", max_entries=16)
def prepared(_engine: sa.Engine, address: str, stamp: tuple, protocol: str, level: str, format: str):
    """(file, rows, first rows); ``address`` and ``stamp`` make it new when the store or its runs change."""
    frame = rows(_engine, protocol, level)
    return encode(frame, level, format), len(frame), frame.head(5)


def main() -> None:
    engine = open_store()
    st.header("Download")
    specs = require_protocols(engine)
    left, middle, right = st.columns([2, 2, 1])
    protocol = choose("Protocol", list(specs), "protocol", place=left)
    level = choose("Level", LEVELS, "level", LEVEL_TITLES.get, place=middle)
    format = choose("Format", FORMATS, "format", place=right)
    try:
        stamp = queries.stamp(engine)
        content, count, first = prepared(engine, str(engine.url), stamp, protocol, level, format)
    except NothingToExport as error:
        st.info(plain(str(error)))
        return
    name = file_name(protocol, level, format)
    label = f"Download {plain(name)} ({size_text(len(content))}, {count:,} rows)"
    st.download_button(label, content, name, MIME[format], type="primary", on_click="ignore")
    st.write("SHA-256 of the file:")
    st.code(hashlib.sha256(content).hexdigest(), language=None, wrap_lines=True)
    st.write("Read it, or make the same file without a browser:")
    st.code(f"import pandas as pd\n\nframe = {READERS[format].format(name=name)}", language="python")
    command = f"fuseboard export --protocol {protocol} --level {level} --format {format} --out {name}"
    st.code(command, language=None, wrap_lines=True)
    st.subheader("First rows")
    st.dataframe(first, hide_index=True)
    st.subheader("What the columns mean")
    meanings = data_dictionary(level)
    meanings["in_key"] = meanings["in_key"].map({True: "yes", False: ""})
    show_dictionary(meanings.rename(columns={"column": "Column", "in_key": "In the key", "meaning": "Meaning"}))
    st.caption(plain(f"{LICENCE} Cite as: {CITATION}"))


def show_dictionary(table: pd.DataFrame) -> None:
    """As a table that wraps: whole sentences do not fit into cells of a grid."""
    st.table(table.map(plain).set_index("Column"))


def size_text(size: int) -> str:
    """1536 -> ``1.5 KB``."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


main()
