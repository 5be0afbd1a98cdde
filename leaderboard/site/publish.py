"""``publish``: every page and file of the site, written beside and then put in its place whole."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from leaderboard import queries
from leaderboard.downloads import descriptor
from leaderboard.downloads.citation import BIBTEX
from leaderboard.downloads.formats import FORMATS
from leaderboard.downloads.levels import LEVELS, ExportError, Source
from leaderboard.export import Exported, export_from, file_name
from leaderboard.site import method_page, overview, paper_page, protocol_page
from leaderboard.site.render import Pages, slug
from protocols.papers import keys, paper
from protocols.record import SCHEMA_VERSION
from protocols.spec import ProtocolSpec

MARK = "fuseboard-site.json"
FILES = "downloads"
# Predictions of hundreds of runs: as text they would take ten times the room.
OFFERED = {level: ("csv", "parquet", "json", "croissant") for level in ("cells", "seeds", "curves")}
OFFERED["cells"] += ("latex", "hf-eval")
OFFERED["samples"] = ("parquet", "croissant")


@dataclass(frozen=True)
class Published:
    """A site that was written.

    Args:
        without: level of a protocol -> why it is not offered.
    """

    place: Path
    pages: int
    files: int
    size: int
    without: dict[str, str]


def publish(
    engine: sa.Engine, place: Path, roots: Sequence[Path], progress: Callable[[str], None] = lambda what: None
) -> Published:
    """Write the site. Where one is already, the new one takes its place once it is whole.

    Args:
        place: folder of the site; it must be new, empty, or hold a site.
        roots: bundle roots, for the predictions.
        progress: called with what is being written.

    Raises:
        ExportError: if there are no results, or something else is in the folder.
    """
    place = Path(place).resolve()
    _refuse_others(place)
    specs = queries.protocols(engine)
    if not specs:
        raise ExportError("No results yet, so nothing to publish. Run: fuseboard run all --protocol synthetic@1")
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        without: dict[str, str] = {}
        sources = [Source(engine, key, roots) for key in specs]
        files = {source.protocol: _downloads(source, beside / FILES, without, progress) for source in sources}
        pages = _pages(engine, specs, files, beside, progress)
        (beside / FILES / "fuseboard.bib").write_text(BIBTEX, encoding="utf-8")
        _sums(beside)
        (beside / MARK).write_text(json.dumps({"schema_version": SCHEMA_VERSION}) + "\n", encoding="utf-8")
        whole = [path for path in beside.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in whole)
        _put(beside, place)
    except OSError as error:
        raise ExportError(f"{place} cannot be written: {error.strerror or error}. The old site stays.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Published(place, pages, len(whole) - pages, size, without)


def _refuse_others(place: Path) -> None:
    if place.exists() and not (place.is_dir() and ((place / MARK).is_file() or not any(place.iterdir()))):
        raise ExportError(f"{place} holds something that is no published site; give a folder that is new or empty.")


def _downloads(
    source: Source, folder: Path, without: dict[str, str], progress: Callable[[str], None]
) -> list[tuple[str, str, Exported]]:
    """(level, format, file) of a protocol; a level that it has not is noted with its reason."""
    found = []
    for level in LEVELS:
        for format in OFFERED[level]:
            progress(f"{source.protocol}: {level} as {format}")
            path = folder / file_name(source.protocol, level, format)
            try:
                file = export_from(source, level, format, path)
            except ExportError as error:
                without[f"{source.protocol}: {level}"] = str(error)
                break
            found.append((level, format, file))
    return found


def _pages(
    engine: sa.Engine, specs: dict[str, ProtocolSpec], files: dict, place: Path, progress: Callable[[str], None]
) -> int:
    pages = Pages(place)
    boards = {}
    for key, spec in specs.items():
        progress(f"page of {key}")
        board = protocol_page.told(engine, spec)
        boards[key] = board
        offered = [_offer(*file) for file in files[key]]
        pages.write("protocol.html", f"protocols/{slug(key)}.html", title=spec.title, board=board, offered=offered)
    ran = queries.methods(engine)["method"].tolist()
    for name in ran:
        told = method_page.told(engine, name, boards)
        pages.write("method.html", f"methods/{slug(name)}.html", title=told["title"], method=told)
    papers = sorted(map(paper, keys()), key=lambda paper: paper.short)
    for found in papers:
        told = paper_page.told(found)
        pages.write("paper.html", f"papers/{slug(found.key)}.html", title=found.title, paper=told)
        _reports(told, place)
    home = overview.told(boards, [method_page.line(engine, name, boards) for name in ran], papers)
    every = {key: [_offer(*file) for file in found] for key, found in files.items()}
    pages.write("index.html", "index.html", title="Fuseboard", home=home)
    pages.write("downloads.html", "downloads.html", title="Downloads", offered=every, **overview.dictionaries())
    return pages.count


def _reports(told: dict, place: Path) -> None:
    """The files of each table's report."""
    for table in told["tables"]:
        for address, _ in table["files"]:
            (place / address).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table["report"] / Path(address).name, place / address)


def _offer(level: str, format: str, file: Exported) -> dict:
    described = descriptor.beside(file.path)
    return {
        "level": level,
        "holds": LEVELS[level].title,
        "format": format,
        "name": file.path.name,
        "address": f"{FILES}/{file.path.name}",
        "about": f"{FILES}/{described.name}" if described.is_file() else None,
        "rows": file.rows,
        "size": file.size,
        "sha256": file.sha256,
        "mime": FORMATS[format].mime,
    }


def _sums(place: Path) -> None:
    """``SHA256SUMS`` of every file, as ``sha256sum --check`` reads it."""
    paths = sorted(path for path in place.rglob("*") if path.is_file())
    lines = [f"{descriptor.sha256(path)}  {path.relative_to(place).as_posix()}\n" for path in paths]
    (place / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _put(new: Path, place: Path) -> None:
    """Rename the old site away, the new one in; if that fails, the old one back."""
    old = new.with_name(f"{new.name}.old")
    if place.exists():
        os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError:
        if old.exists():
            os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
