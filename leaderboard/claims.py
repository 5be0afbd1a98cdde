"""What a worker does with the queue: take, keep alive, tell progress, give back, end.

A row lock hands each submission to one worker. Every later write of that worker holds only while the row still names
it, so a worker that was thought dead and comes back changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from leaderboard import audit
from leaderboard.access import clock
from leaderboard.store import forget, reporting, runs, writing
from leaderboard.submission_tables import submission_runs, submissions
from leaderboard.submissions import FAILED, KIND, QUEUED, RANKED, RUNNING, SCORED, queue_order

ATTEMPTS = 3  # claims that may end in a fault before a submission has failed


class ClaimLost(RuntimeError):
    """The submission is no longer this worker's: it was refused, or the worker was thought dead."""


@dataclass(frozen=True)
class Claim:
    """A submission in the hands of one worker.

    Args:
        spec: YAML of the method.
        protocol_spec: JSON of the protocol.
        attempt: which claim this is, from 1.
    """

    submission: str
    worker: str
    name: str
    spec: str
    protocol_spec: str
    attempt: int


def take(engine: sa.Engine, worker: str) -> Claim | None:
    """The submission that has waited longest, or None where none waits."""
    with reporting(engine.url), writing(engine) as connection:
        columns = [submissions.c[name] for name in ("submission", "name", "spec", "protocol_spec", "attempts")]
        waiting = sa.select(*columns).where(submissions.c.state == QUEUED).order_by(*queue_order()).limit(1)
        row = connection.execute(waiting.with_for_update(skip_locked=True)).one_or_none()
        if row is None:
            return None
        now = connection.scalar(sa.select(clock(engine)))
        taken = {"state": RUNNING, "worker": worker, "heartbeat": now, "attempts": row.attempts + 1, "done": 0}
        connection.execute(sa.update(submissions).where(submissions.c.submission == row.submission), taken)
        audit.write(connection, worker, KIND, row.submission, RUNNING, f"attempt {row.attempts + 1} of {ATTEMPTS}")
        return Claim(row.submission, worker, row.name, row.spec, row.protocol_spec, row.attempts + 1)


def beat(engine: sa.Engine, claim: Claim) -> None:
    """Say that the worker is alive.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        now = connection.scalar(sa.select(clock(engine)))
        _update(connection, claim, heartbeat=now)


def reclaim(engine: sa.Engine, lease: float, actor: str) -> list[str]:
    """Give back what workers hold that were silent for longer than the lease, or end it after `ATTEMPTS`.

    Args:
        lease: seconds.

    Returns:
        The submissions that changed hands.
    """
    held = sa.and_(submissions.c.state.in_((RUNNING, SCORED)), _last_heard(engine) < clock(engine) - lease)
    with reporting(engine.url), writing(engine) as connection:
        columns = [submissions.c[name] for name in ("submission", "worker", "attempts")]
        dead = connection.execute(sa.select(*columns).where(held).with_for_update(skip_locked=True)).all()
        for row in dead:
            said = f"{row.worker} sent no heartbeat for {lease:.0f} s (attempt {row.attempts} of {ATTEMPTS})"
            _release(connection, row.submission, actor, said, None, fault=True, attempts=row.attempts)
        return [row.submission for row in dead]


def _last_heard(engine: sa.Engine) -> sa.ColumnElement[float]:
    """The last heartbeat of a submission. A server that was away heard nobody: silence counts from its start."""
    if engine.dialect.name == "postgresql":
        started = sa.cast(sa.func.extract("epoch", sa.func.pg_postmaster_start_time()), sa.Float)
        return sa.func.greatest(submissions.c.heartbeat, started)
    return submissions.c.heartbeat


def plan(engine: sa.Engine, claim: Claim, planned: Sequence[str], finished: int) -> None:
    """Say which runs there will be. Those that the index does not hold are withheld from it until all are done.

    Args:
        planned: run ids.
        finished: how many of them have a bundle from an earlier attempt.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        _update(connection, claim, planned=len(planned), done=finished)
        mine = submission_runs.c.submission == claim.submission
        known = set(connection.scalars(sa.select(submission_runs.c.run).where(mine)))
        indexed = set(connection.scalars(sa.select(runs.c.run).where(runs.c.run.in_(planned))))
        new = [
            {"run": run, "submission": claim.submission, "withheld": run not in indexed}
            for run in planned
            if run not in known
        ]
        if new:
            connection.execute(sa.insert(submission_runs), new)


def progress(engine: sa.Engine, claim: Claim, done: int, planned: int, said: str, log: str | None = None) -> None:
    """A run has ended well.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        now = connection.scalar(sa.select(clock(engine)))
        _update(connection, claim, done=done, heartbeat=now)
        audit.write(connection, claim.worker, KIND, claim.submission, f"{RUNNING} seed {done}/{planned}", said, log)


def score(engine: sa.Engine, claim: Claim, said: str, log: str) -> None:
    """All runs are there, scored and measured.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        _update(connection, claim, state=SCORED)
        audit.write(connection, claim.worker, KIND, claim.submission, SCORED, said, log)


def rank(engine: sa.Engine, claim: Claim, said: str) -> None:
    """Let the runs be indexed, unless the submission is hidden; nobody holds it any more.

    Both happen at once, so a submission that fails has never been on a board. The next ingest brings the runs in.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        _update(connection, claim, state=RANKED, worker=None, heartbeat=None, queued=None)
        own = sa.select(submission_runs.c.run).where(submission_runs.c.submission == claim.submission)
        hidden = sa.select(submissions.c.submission).where(submissions.c.hidden)
        free = sa.and_(submission_runs.c.run.in_(own), submission_runs.c.submission.not_in(hidden))
        connection.execute(sa.update(submission_runs).where(free).values(withheld=False))
        audit.write(connection, claim.worker, KIND, claim.submission, RANKED, said)


def give_back(engine: sa.Engine, claim: Claim, reason: str, log: str, *, fault: bool) -> None:
    """Let another worker go on from the last checkpoint.

    Args:
        fault: whether this claim counts towards `ATTEMPTS`; a worker that was told to stop is no fault.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        _update(connection, claim, heartbeat=None)
        _release(connection, claim.submission, claim.worker, reason, log, fault=fault, attempts=claim.attempt)


def fail(engine: sa.Engine, claim: Claim, reason: str, log: str) -> None:
    """End a submission for a reason of its own. What it left stays withheld.

    Raises:
        ClaimLost: if the submission is no longer its own.
    """
    with reporting(engine.url), writing(engine) as connection:
        _update(connection, claim, heartbeat=None)
        _fail(connection, claim.submission, claim.worker, reason, log)


def _release(
    connection: sa.Connection, submission: str, actor: str, reason: str, log: str | None, *, fault: bool, attempts: int
) -> None:
    if fault and attempts >= ATTEMPTS:
        _fail(connection, submission, actor, f"{reason}; no attempt is left", log)
        return
    change = {"state": QUEUED, "worker": None, "heartbeat": None, "attempts": attempts if fault else attempts - 1}
    connection.execute(sa.update(submissions).where(submissions.c.submission == submission), change)
    audit.write(connection, actor, KIND, submission, QUEUED, f"given back: {reason}", log)


def _fail(connection: sa.Connection, submission: str, actor: str, reason: str, log: str | None) -> None:
    change = {"state": FAILED, "worker": None, "heartbeat": None, "queued": None}
    connection.execute(sa.update(submissions).where(submissions.c.submission == submission), change)
    audit.write(connection, actor, KIND, submission, FAILED, reason, log)
    own = sa.select(submission_runs.c.run).where(submission_runs.c.submission == submission, submission_runs.c.withheld)
    for run in connection.scalars(own).all():  # an ingest may have seen a bundle before it was withheld
        forget(connection, run)


def _update(connection: sa.Connection, claim: Claim, **change) -> None:
    """Change the row if it is still this worker's."""
    mine = sa.and_(
        submissions.c.submission == claim.submission,
        submissions.c.worker == claim.worker,
        submissions.c.state.in_((RUNNING, SCORED)),
    )
    if connection.execute(sa.update(submissions).where(mine).values(**change)).rowcount == 0:
        raise ClaimLost(f"submission {claim.submission} is no longer held by {claim.worker}.")
