"""Bundles into the index of the board, for every command that needs it filled."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runners.output import say
from runners.settings import Settings

PATIENCE = 120.0  # seconds that a database may be away when a command has results to index
Answer = TypeVar("Answer")


def ingest(found: Settings, roots: list[Path], *, rebuild: bool = False, patience: float = 0.0):
    """Index bundles; refused ones are named, the others go in.

    Args:
        rebuild: empty the index first.
        patience: seconds that the database may be away.

    Returns:
        ``leaderboard.store.Ingested``.

    Raises:
        StoreError: if the database cannot be used, or is away for longer.
    """
    from leaderboard import store
    from runners.console import counter

    roots = [root for root in roots if root.is_dir()]

    def once():
        engine = store.connect(found.database_url)
        try:
            with counter("indexing bundles") as progress:
                if rebuild:
                    return store.rebuild(engine, roots, progress)
                return sum((store.ingest(engine, root, progress) for root in roots), store.Ingested())
        finally:
            engine.dispose()

    done = patiently(once, patience)
    for place, why in done.failed:
        say(f"refused {place}: {why}")
    return done


def fill(found: Settings) -> None:
    """Index what is not indexed yet, so that a fresh clone opens filled."""
    from leaderboard.store import records_root

    ingest(found, [records_root(), found.bundle_root])


def patiently(call: Callable[[], Answer], patience: float, hurried: Callable[[], bool] = lambda: False) -> Answer:
    """Call again while the database is away; what no waiting mends, such as a wrong address, is told at once.

    Args:
        patience: seconds.
        hurried: whether to wait no longer.

    Raises:
        StoreError: after so many seconds.
    """
    from sqlalchemy.exc import DBAPIError

    from leaderboard.store import StoreError

    deadline, pause = time.monotonic() + patience, 0.5
    while True:
        try:
            return call()
        except StoreError as error:
            away = isinstance(error.__cause__, DBAPIError)
            if not away or hurried() or time.monotonic() + pause > deadline:
                raise
            if pause == 0.5:
                say(f"The database does not answer; trying again for {deadline - time.monotonic():.0f} s. {error}")
            time.sleep(pause)
            pause = min(2 * pause, 10.0)
