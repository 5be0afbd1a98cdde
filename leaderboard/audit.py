"""The audit log: who did what to which submission or token, when, and why. Rows are added, never changed."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from leaderboard.store import reporting
from leaderboard.submission_tables import audit

REASON, LOG = 2000, 8000  # characters that are kept: of a reason the first, of a log the last


@dataclass(frozen=True)
class Entry:
    """One row.

    Args:
        at: ISO 8601, UTC.
        event: the state that was reached, or what was done.
        log: last lines of the work that ended here.
    """

    at: str
    actor: str
    event: str
    reason: str | None
    log: str | None


def write(
    connection: sa.Connection,
    actor: str,
    kind: str,
    subject: str,
    event: str,
    reason: str | None = None,
    log: str | None = None,
) -> None:
    """Add a row in the transaction of the change that it tells of."""
    row = {"at": now(), "actor": actor, "kind": kind, "subject": subject, "event": event}
    row |= {"reason": _text(reason)[:REASON] or None, "log": _text(log)[-LOG:] or None}
    connection.execute(sa.insert(audit), row)


def history(engine: sa.Engine, kind: str, subject: str) -> list[Entry]:
    """What happened to one submission or token, oldest first."""
    columns = [audit.c[name] for name in ("at", "actor", "event", "reason", "log")]
    query = sa.select(*columns).where(audit.c.kind == kind, audit.c.subject == subject).order_by(audit.c.number)
    with reporting(engine.url), engine.connect() as connection:
        return [Entry(*row) for row in connection.execute(query)]


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _text(value: str | None) -> str:
    """Without what no database, terminal or page can hold: control characters and halves of pairs."""
    lines = (value or "").replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in lines)
