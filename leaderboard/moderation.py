"""What maintainers decide: approve, refuse, hide, show again, run again. Each decision is one transaction."""

from collections.abc import Sequence

import sqlalchemy as sa

from leaderboard import audit, submissions
from leaderboard.access import Actor, clock, require_maintainer
from leaderboard.estimate import duration
from leaderboard.store import forget, reporting, writing
from leaderboard.submission_tables import submission_runs
from leaderboard.submission_tables import submissions as table
from leaderboard.submissions import (
    APPROVED,
    FAILED,
    KIND,
    QUEUED,
    RANKED,
    REFUSED,
    RUNNING,
    VALIDATED,
    Submission,
    SubmissionError,
)

COST_CAP = 48 * 3600.0  # seconds of training that one submission may be expected to take


def approve(engine: sa.Engine, actor: Actor, submission: str, *, over_cap: bool = False) -> Submission:
    """Let a validated submission join the queue.

    Args:
        over_cap: also where its expected cost is beyond `COST_CAP`.

    Raises:
        AccessError, SubmissionError: if the actor, the state or the cost does not allow it.
    """
    require_maintainer(actor, "approve")
    with reporting(engine.url), writing(engine) as connection:
        row = _locked(connection, submission, "approve", (VALIDATED,))
        if row.estimate is not None and row.estimate > COST_CAP and not over_cap:
            raise SubmissionError(
                f"submission {row.submission} is expected to train {duration(row.estimate)}, beyond the cap of "
                f"{duration(COST_CAP)}. To approve it all the same: --over-cap"
            )
        audit.write(connection, actor.name, KIND, row.submission, APPROVED)
        _queue(engine, connection, actor, row.submission, "waits for a worker")
    return submissions.get(engine, row.submission)


def refuse(engine: sa.Engine, actor: Actor, submission: str, reason: str) -> Submission:
    """End a submission that is not scored yet; a worker that holds it stops.

    Raises:
        AccessError, SubmissionError: if the actor or the state does not allow it.
    """
    require_maintainer(actor, "refuse")
    with reporting(engine.url), writing(engine) as connection:
        row = _locked(connection, submission, "refuse", (VALIDATED, QUEUED, RUNNING))
        change = {"state": REFUSED, "worker": None, "heartbeat": None, "queued": None}
        connection.execute(sa.update(table).where(table.c.submission == row.submission), change)
        audit.write(connection, actor.name, KIND, row.submission, REFUSED, reason)
    return submissions.get(engine, row.submission)


def rerun(engine: sa.Engine, actor: Actor, submission: str, reason: str) -> Submission:
    """Queue an ended submission again. Runs that are finished and whose code is unchanged are not repeated.

    Raises:
        AccessError, SubmissionError: if the actor or the state does not allow it.
    """
    require_maintainer(actor, "run again")
    with reporting(engine.url), writing(engine) as connection:
        row = _locked(connection, submission, "run again", (FAILED, REFUSED, RANKED))
        connection.execute(sa.update(table).where(table.c.submission == row.submission), {"attempts": 0, "done": 0})
        _queue(engine, connection, actor, row.submission, f"run again: {reason}")
    return submissions.get(engine, row.submission)


def hide(engine: sa.Engine, actor: Actor, submission: str, reason: str) -> Submission:
    """Take the results of a submission off every board; its bundles stay, and no ingest brings them back.

    Raises:
        AccessError, SubmissionError: if the actor or the state does not allow it.
    """
    require_maintainer(actor, "hide")
    with reporting(engine.url), writing(engine) as connection:
        row = _locked(connection, submission, "hide", submissions.STATES)
        if row.hidden:
            raise SubmissionError(f"submission {row.submission} is hidden already.")
        for run in connection.scalars(_runs_of(row.submission)).all():
            forget(connection, run)
        _set_hidden(connection, row.submission, True)
        audit.write(connection, actor.name, KIND, row.submission, "hidden", reason)
    return submissions.get(engine, row.submission)


def unhide(engine: sa.Engine, actor: Actor, submission: str, reason: str) -> Submission:
    """Let the results of a hidden submission be indexed again; the next ingest brings them back.

    Raises:
        AccessError, SubmissionError: if the actor or the state does not allow it.
    """
    require_maintainer(actor, "show again")
    with reporting(engine.url), writing(engine) as connection:
        row = _locked(connection, submission, "show again", submissions.STATES)
        if not row.hidden:
            raise SubmissionError(f"submission {row.submission} is not hidden.")
        _set_hidden(connection, row.submission, False)
        audit.write(connection, actor.name, KIND, row.submission, "shown again", reason)
    return submissions.get(engine, row.submission)


def _set_hidden(connection: sa.Connection, submission: str, hidden: bool) -> None:
    """Runs of a submission that is not ranked stay withheld when it is shown again."""
    mine = table.c.submission == submission
    connection.execute(sa.update(table).where(mine).values(hidden=hidden))
    state = connection.scalar(sa.select(table.c.state).where(mine))
    own = sa.update(submission_runs).where(submission_runs.c.submission == submission)
    connection.execute(own.values(withheld=hidden or state != RANKED))


def _runs_of(submission: str) -> sa.Select:
    return sa.select(submission_runs.c.run).where(submission_runs.c.submission == submission)


def _locked(connection: sa.Connection, submission: str, verb: str, allowed: Sequence[str]) -> sa.Row:
    found = connection.execute(sa.select(table).where(table.c.submission == submission).with_for_update()).one_or_none()
    if found is None:
        raise SubmissionError(f"no submission {submission!r}. See: fuseboard submissions")
    if found.state not in allowed:
        raise SubmissionError(
            f"submission {submission} is {found.state}; to {verb}, it must be {' or '.join(allowed)}."
        )
    return found


def _queue(engine: sa.Engine, connection: sa.Connection, actor: Actor, submission: str, reason: str) -> None:
    mine = table.c.submission == submission
    now = connection.scalar(sa.select(clock(engine)))
    connection.execute(sa.update(table).where(mine), {"state": QUEUED, "queued": now, "worker": None})
    audit.write(connection, actor.name, KIND, submission, QUEUED, reason)
