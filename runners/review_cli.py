"""``fuseboard review``: the review with its tables recomputed, as a document."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from runners.options import BundleRoot, DatabaseUrl


def review(
    format: Annotated[Literal["md", "html", "tex"], typer.Option(help="Markdown, HTML or LaTeX.")] = "md",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if not given.")] = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
):
    """Write the review as a document: its map, studies and tables, recomputed from the runs, and its slips."""
    from leaderboard.review_document import blocks
    from leaderboard.store import connect
    from protocols.review import review as committed
    from runners.documents import html, latex, markdown
    from runners.indexing import fill
    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root, database_url=database_url)
    fill(found)
    parts = list(blocks(connect(found.database_url), committed()))
    writers = {"md": markdown, "html": lambda parts: html("The review, recomputed", parts), "tex": latex}
    text = writers[format](parts)
    if out is None:
        print(text, end="")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        print(f"wrote {out} ({out.stat().st_size:,} bytes)")
