"""Bundles into the index of the board, for every command that needs it filled."""

from pathlib import Path

from runners.output import say
from runners.settings import Settings


def ingest(found: Settings, roots: list[Path], *, rebuild: bool = False):
    """Index bundles; refused ones are named, the others go in.

    Args:
        rebuild: empty the index first.

    Returns:
        ``leaderboard.store.Ingested``.
    """
    from leaderboard import store
    from runners.console import counter

    engine = store.connect(found.database_url)
    roots = [root for root in roots if root.is_dir()]
    with counter("indexing bundles") as progress:
        if rebuild:
            done = store.rebuild(engine, roots, progress)
        else:
            done = sum((store.ingest(engine, root, progress) for root in roots), store.Ingested())
    for place, why in done.failed:
        say(f"refused {place}: {why}")
    return done


def fill(found: Settings) -> None:
    """Index what is not indexed yet, so that a fresh clone opens filled."""
    from leaderboard.store import records_root

    ingest(found, [records_root(), found.bundle_root])
