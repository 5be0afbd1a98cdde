"""Submissions: a spec arrives, is checked, and waits for a maintainer. Specs are data; nothing of them runs here."""

import hashlib
import json
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from leaderboard import access, audit
from leaderboard.access import Actor
from leaderboard.estimate import Estimate, duration, estimate
from leaderboard.store import reporting, writing
from leaderboard.submission_tables import submissions
from protocols.spec import ProtocolSpec, committed
from zoo.spec import MethodSpec, Problem, check, presets

RECEIVED, VALIDATED, APPROVED, QUEUED = "received", "validated", "approved", "queued"
RUNNING, SCORED, RANKED, REFUSED, FAILED = "running", "scored", "ranked", "refused", "failed"
STATES = (RECEIVED, VALIDATED, APPROVED, QUEUED, RUNNING, SCORED, RANKED, REFUSED, FAILED)
ENDED = (RANKED, REFUSED, FAILED)
KIND = "submission"  # in the audit log


class SubmissionError(ValueError):
    """A submission that is refused, or a step that its state does not allow."""


@dataclass(frozen=True)
class Submission:
    """One row, as lists show it.

    Args:
        done, planned: runs finished, and in all.
        attempts: claims by workers that ended in a fault or are under way.
        estimate: seconds of training for all runs, None if nothing to go by was known.
        worker: who holds it now.
    """

    submission: str
    name: str
    method: str
    protocol: str
    owner: str
    state: str
    done: int
    planned: int
    attempts: int
    hidden: bool
    estimate: float | None
    created: str
    worker: str | None

    @property
    def standing(self) -> str:
        """The state with its progress: ``running seed 2/5``."""
        progress = f" {self.done}/{self.planned}" if self.state == RUNNING else ""
        return f"{self.state}{progress}{', hidden' if self.hidden else ''}"


COLUMNS = [submissions.c[name] for name in Submission.__dataclass_fields__]


def submit(engine: sa.Engine, actor: Actor, text: str, protocol: ProtocolSpec) -> Submission:
    """Take a spec in: it is received and validated, and waits for a maintainer's approval.

    Args:
        text: YAML of the spec.

    Raises:
        SubmissionError: with everything that is wrong; nothing is kept then.
        AccessError: if the rate limit of the token is reached.
    """
    access.spend(engine, actor)
    spec, problems = examine(engine, actor, text, protocol)
    if spec is None or problems:
        raise SubmissionError("\n".join(map(str, problems)))
    expected = estimate(engine, spec, protocol)
    row = {
        "submission": secrets.token_hex(6),
        "name": spec.name,
        "method": spec.method,
        "protocol": protocol.key,
        "protocol_spec": protocol.model_dump_json(),
        "spec": text,
        "content": content_of(spec),
        "owner": actor.name,
        "state": VALIDATED,
        "done": 0,
        "planned": len(protocol.runs()),
        "attempts": 0,
        "hidden": False,
        "estimate": expected.seconds if expected else None,
        "created": audit.now(),
    }
    with reporting(engine.url), writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # two of one name at once
            connection.execute(sa.text("LOCK TABLE submissions IN SHARE ROW EXCLUSIVE MODE"))
        if clash := _clash(connection, actor, spec, protocol):
            raise SubmissionError(str(clash))
        connection.execute(sa.insert(submissions), row)
        audit.write(connection, actor.name, KIND, row["submission"], RECEIVED, f"{len(text)} characters of YAML")
        audit.write(connection, actor.name, KIND, row["submission"], VALIDATED, _costs(expected))
    return get(engine, row["submission"])


def examine(
    engine: sa.Engine, actor: Actor, text: str, protocol: ProtocolSpec
) -> tuple[MethodSpec | None, list[Problem]]:
    """The spec, and everything that keeps it from being submitted; writes nothing."""
    spec, problems = check(text)
    if spec is None:
        return None, problems
    if spec.name in presets():
        problems.append(Problem("name", f"{spec.name!r} is a preset of the zoo. Choose another name.", None))
    if protocol.replica_of:
        problems.append(Problem("", f"{protocol.key} is a paper's replica, which never ranks.", None))
    if not actor.maintains and committed().get(protocol.key) != protocol:
        said = f"{protocol.key} does not come with the package; only a maintainer submits to it."
        problems.append(Problem("", said, None))
    try:
        spec.takes(protocol.modalities, aligned=protocol.aligned)
    except ValueError as error:
        problems.append(Problem("", f"{spec.name} cannot take part in {protocol.key}: {error}", None))
    with reporting(engine.url), engine.connect() as connection:
        if clash := _clash(connection, actor, spec, protocol):
            problems.append(clash)
    return spec, problems


def _clash(connection: sa.Connection, actor: Actor, spec: MethodSpec, protocol: ProtocolSpec) -> Problem | None:
    """A name stands for one spec of one person: no later one can take its place on a board, or hide it."""
    columns = [submissions.c[name] for name in ("submission", "owner", "protocol", "content", "state")]
    query = sa.select(*columns).where(submissions.c.name == spec.name, submissions.c.state.not_in((REFUSED, FAILED)))
    for row in connection.execute(query):
        if row.owner != actor.name:
            return Problem("name", f"{spec.name!r} belongs to another's submission. Choose another name.", None)
        if row.content != content_of(spec):
            said = f"submission {row.submission} ({row.state}) has this name and another content. Choose another name."
            return Problem("name", said, None)
        if row.protocol == protocol.key:
            return Problem("", f"the same spec is there already: submission {row.submission}, {row.state}.", None)
    return None


def content_of(spec: MethodSpec) -> str:
    """SHA-256 of what can move a number of a spec."""
    told = spec.model_dump(mode="json", exclude={"label"}, exclude_none=True)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _costs(expected: Estimate | None) -> str:
    if expected is None:
        return "no run of this protocol is known, so its cost is not"
    return f"about {duration(expected.seconds)} of training for {expected.runs} runs ({expected.basis})"


def every(engine: sa.Engine, owner: str | None = None) -> list[Submission]:
    """All submissions, the newest first; those of one owner if one is named."""
    query = sa.select(*COLUMNS).order_by(submissions.c.created.desc(), submissions.c.submission)
    if owner is not None:
        query = query.where(submissions.c.owner == owner)
    with reporting(engine.url), engine.connect() as connection:
        return [Submission(*row) for row in connection.execute(query)]


def get(engine: sa.Engine, submission: str) -> Submission:
    """One submission, by its id or the beginning of it.

    Raises:
        SubmissionError: if none, or more than one, is meant.
    """
    query = sa.select(*COLUMNS).where(submissions.c.submission.startswith(submission, autoescape=True)).limit(2)
    with reporting(engine.url), engine.connect() as connection:
        found = connection.execute(query).all()
    if len(found) != 1 or not submission:
        what = "more than one submission begins with" if found and submission else "no submission"
        raise SubmissionError(f"{what} {submission!r}. See: fuseboard submissions")
    return Submission(*found[0])


def text_of(engine: sa.Engine, submission: str) -> str:
    """The YAML as it came."""
    query = sa.select(submissions.c.spec).where(submissions.c.submission == submission)
    with reporting(engine.url), engine.connect() as connection:
        return connection.scalar(query)


def position(engine: sa.Engine, submission: str) -> int | None:
    """Place in the queue, from 1; None for one that does not wait."""
    query = sa.select(submissions.c.submission).where(submissions.c.state == QUEUED).order_by(*queue_order())
    with reporting(engine.url), engine.connect() as connection:
        waiting = list(connection.scalars(query))
    return waiting.index(submission) + 1 if submission in waiting else None


def queue_order() -> tuple[sa.ColumnElement, ...]:
    """First come, first served; one that was given back has kept its place."""
    return submissions.c.queued, submissions.c.submission
