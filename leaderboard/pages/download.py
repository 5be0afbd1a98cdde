"""The results as files: which, in which form, how large, and what each column means."""

import atexit
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import queries, tables
from leaderboard.contents import says
from leaderboard.downloads.citation import BIBTEX, CITATION, LICENCE
from leaderboard.downloads.descriptor import beside
from leaderboard.downloads.formats import FORMATS
from leaderboard.downloads.levels import LEVELS
from leaderboard.downloads.levels import ExportError as NothingToExport
from leaderboard.export import Exported, data_dictionary, export, file_name, first_rows
from leaderboard.session import bundle_roots, choose, choose_protocol, open_store, plain, require_protocols
from leaderboard.store import records, reporting

AT_ONCE = 150_000  # records that a page may read before it shows anything
LARGEST = 200 * 10**6  # bytes that go through the server's memory to a browser
READERS = {
    "csv": "pd.read_csv({name!r})",
    "parquet": "pd.read_parquet({name!r})",
    "json": "pd.read_json({name!r}, precise_float=True)",
    "croissant": "pd.read_parquet({data!r})",
}


@st.cache_resource(show_spinner=False)
def folder() -> Path:
    """Where files wait for their readers; gone with the server."""
    place = Path(tempfile.mkdtemp(prefix="fuseboard-downloads-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@st.cache_data(show_spinner="Writing the file", max_entries=64)
def written(_engine: sa.Engine, address: str, stamp: tuple, protocol: str, level: str, format: str) -> Exported:
    """The file; ``address`` and ``stamp`` make it new when the store or its runs change."""
    place = Path(tempfile.mkdtemp(dir=folder())) / file_name(protocol, level, format)
    return export(_engine, protocol, level, format, place, bundle_roots())


@st.cache_data(show_spinner=False, max_entries=64)
def preview(_engine: sa.Engine, address: str, stamp: tuple, protocol: str, level: str) -> pd.DataFrame:
    return first_rows(_engine, protocol, level, bundle_roots())


@st.cache_data(show_spinner=False, max_entries=64)
def recorded(_engine: sa.Engine, address: str, stamp: tuple, protocol: str) -> int:
    """Records of a protocol, those of runs that are set aside as well."""
    with reporting(_engine.url), _engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(records).where(records.c.protocol == protocol)
        return connection.scalar(count)


def main() -> None:
    engine = open_store()
    st.title("Download")
    st.caption(says("download"))
    specs = require_protocols(engine)
    left, middle, right = st.columns([2, 2, 1])
    protocol = choose_protocol(specs, place=left).key
    level = choose("Level", list(LEVELS), "level", lambda name: f"{name.title()}: {LEVELS[name].title}", place=middle)
    formats = [name for name, format in FORMATS.items() if level in format.levels]
    format = choose("Format", formats, "format", place=right)
    whose = (engine, str(engine.url), queries.stamp(engine), protocol)
    try:
        show_file(whose, level, format)
        st.header("First rows")
        st.dataframe(preview(*whose, level), hide_index=True)
    except NothingToExport as error:
        st.info(plain(str(error)))
        return
    st.header("What the columns mean")
    meanings = data_dictionary(level)
    meanings["in_key"] = meanings["in_key"].map({True: "yes", False: ""})
    meanings = meanings.rename(columns={"column": "Column", "in_key": "In the key", "meaning": "Meaning"})
    tables.show(meanings, "What the columns mean", cards=True)
    st.caption(plain(f"{LICENCE} Cite as: {CITATION}"))
    with st.expander("BibTeX"):
        st.code(BIBTEX, language=None)


def show_file(whose: tuple, level: str, format: str) -> None:
    """The buttons, the sums, and the same without a browser. What takes long is written when it is asked for."""
    protocol = whose[-1]
    count = recorded(*whose)
    asked = f"asked for {protocol} {level} {format} {whose[2]}"
    wanted = level != "samples" and count <= AT_ONCE or st.session_state.get(asked)
    if not wanted:
        what = "the predictions of every run" if level == "samples" else f"{count:,} records"
        st.write(f"This file is made of {what}. That may take a minute; its size is said once it is there.")
        wanted = st.session_state[asked] = st.button("Write the file", type="primary")
    if wanted:
        show_buttons(written(*whose, level, format), format)
    name = file_name(protocol, level, format)
    if format in READERS:
        data = file_name(protocol, level, "parquet")
        st.write("Read it, or make the same file without a browser:")
        st.code(f"import pandas as pd\n\nframe = {READERS[format].format(name=name, data=data)}", language=None)
    command = f"fuseboard export --protocol {protocol} --level {level} --format {format} --out {name}"
    st.code(f"{command}\nfuseboard verify {name}", language=None, wrap_lines=True)


def show_buttons(file: Exported, format: str) -> None:
    size = f"{size_text(file.size)}, {file.rows:,} rows"
    if file.size > LARGEST:
        st.info(f"The file has {size}: too much for a browser. Make it with the command below, or take Parquet.")
        return
    offered = [(file.path, f"Download {plain(file.path.name)} ({size})", FORMATS[format].mime)]
    for path in file.beside[:1]:
        label = f"Download {plain(path.name)} ({size_text(path.stat().st_size)}), which it describes"
        offered.append((path, label, FORMATS["parquet"].mime))
    about = beside(file.path)
    label = f"Download {plain(about.name)}: columns, sums, licence, citation"
    offered.append((about, label, "application/json"))
    for place, (path, label, mime) in enumerate(offered):
        kind = "secondary" if place else "primary"
        st.download_button(label, path.read_bytes(), path.name, mime, type=kind, on_click="ignore")
    st.write("SHA-256 of the file:")
    st.code(file.sha256, language=None, wrap_lines=True)


def size_text(size: int) -> str:
    """1536 -> ``1.5 KB``."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


main()
