"""``fuseboard export``, ``fuseboard verify`` and ``fuseboard publish``: results as files."""

from pathlib import Path
from typing import Annotated

import typer

from runners.options import FAILED, BundleRoot, DatabaseUrl, Json

LEVELS = "seeds: every record; cells: mean and interval; samples: predictions; curves: robustness over severities."
FORMATS = "csv, parquet, json or croissant; of cells also latex and hf-eval."


def export(
    protocol: Annotated[str, typer.Option(help="name@version.")],
    out: Annotated[Path | None, typer.Option(help="File to write; named after what it holds if not given.")] = None,
    level: Annotated[str, typer.Option(help=LEVELS)] = "seeds",
    format: Annotated[str, typer.Option(help=FORMATS)] = "csv",
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
):
    """Write standardised results to a file.

    Beside it stands <file>.datapackage.json: what each column means, SHA-256 sum, licence, citation. Croissant metadata
    stand beside a Parquet file that is written with them.
    """
    from leaderboard.downloads.formats import format_for
    from leaderboard.downloads.levels import level_for
    from leaderboard.export import export as write

    format_for(format, level_for(level))  # refused before the index is filled
    found, engine, roots = _store(bundle_root, database_url)
    written = write(engine, protocol, level, format, out, roots)
    print(f"wrote {written.path} ({written.size:,} bytes, {written.rows:,} rows)")
    for path in written.beside[:1]:
        print(f"wrote {path} ({path.stat().st_size:,} bytes), which it describes")
    print(f"SHA-256 {written.sha256}")


def verify(
    path: Annotated[Path, typer.Argument(help="A downloaded file, or a folder of them.")],
    seeds: Annotated[
        Path | None, typer.Option(help="Seed rows to compute means from; else those of the same folder.")
    ] = None,
    json: Json = False,
):
    """Check downloaded results: sums, schema, unique key, values, and every mean computed again from its seed rows.

    Needs neither the database nor the bundles. Ends with 1 unless everything holds.
    """
    from leaderboard.downloads.verify import verify as check
    from runners.output import print_rows

    found = check(path, seeds)
    if json:
        print_rows([{**vars(verdict), "path": str(verdict.path), "said": verdict.said} for verdict in found], True)
    else:
        for verdict in found:
            print(f"{verdict.path}: {verdict.said}")
            for mark, lines in (
                ("differs", verdict.differs),
                ("lacks", verdict.lacks),
                ("holds", verdict.held),
                ("not checked", verdict.unchecked),
            ):
                for line in lines:
                    print(f"  {mark}: {line}")
    if any(verdict.said != "holds" for verdict in found):
        raise typer.Exit(FAILED)


def publish(
    place: Annotated[Path, typer.Argument(help="Folder of the site; a site that is there is replaced.")],
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
):
    """Write the results as a static site: rankings, methods, papers, and every download with its checksum.

    Plain files that any web server or object store hands out; nothing runs on the reader's side.
    """
    from leaderboard.site.publish import publish as write
    from runners.output import say

    _, engine, roots = _store(bundle_root, database_url)
    written = write(engine, place, roots, progress=say)
    for level, why in written.without.items():
        say(f"without {level}: {why}")
    print(f"wrote {written.place}: {written.pages} pages, {written.files} files, {written.size / 1e6:,.1f} MB")
    print(f"Look at it: python -m http.server --bind 127.0.0.1 --directory {written.place}")


def _store(bundle_root: Path | None, database_url: str | None):
    """Settings, the filled index, and the roots that its bundles lie below."""
    from leaderboard import store
    from runners.indexing import fill
    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root, database_url=database_url)
    fill(found)
    return found, store.connect(found.database_url), [found.bundle_root, store.records_root()]
