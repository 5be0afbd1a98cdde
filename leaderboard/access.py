"""Who may do what: tokens, roles, and the single-user local mode.

Reading is open to all. On a SQLite file the person at the machine is the maintainer; a shared database asks for a
token, which the database holds as a hash only.
"""

import getpass
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from leaderboard import audit
from leaderboard.store import reporting, writing
from leaderboard.submission_tables import audit as audit_table
from leaderboard.submission_tables import tokens

SUBMITTER, MAINTAINER = "submitter", "maintainer"
ROLES = (SUBMITTER, MAINTAINER)
VARIABLE = "FUSEBOARD_TOKEN"
RATE, WINDOW = 20, 3600.0  # submissions of one token in so many seconds
PREFIX = "fsb"
SECRET = re.compile(rf"{PREFIX}_([0-9a-f]{{8}})_[\w-]{{43}}")
OWNER = re.compile(r"[A-Za-z0-9][\w.@+-]{0,63}", re.ASCII)


class AccessError(RuntimeError):
    """Somebody may not do something: who, what, and what would be needed."""


@dataclass(frozen=True)
class Actor:
    """Somebody who is known.

    Args:
        name: as the audit log and submissions carry it.
        role: one of `ROLES`.
        token: the public part of the token that was shown; None in local mode and after a sign-in.
    """

    name: str
    role: str
    token: str | None = None

    @property
    def maintains(self) -> bool:
        return self.role == MAINTAINER


@dataclass(frozen=True)
class Token:
    """A token as a list shows it, without its secret."""

    token: str
    owner: str
    role: str
    created: str
    revoked: str | None


def is_local(engine: sa.Engine) -> bool:
    """Whether the store is a file of one person rather than a shared database."""
    return engine.dialect.name == "sqlite"


def person_at_the_machine() -> Actor:
    """The maintainer of a local store."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in some containers
        user = "user"
    return Actor(f"local:{user}", MAINTAINER)


def identify(engine: sa.Engine, secret: str | None) -> Actor:
    """Who shows this secret; without one, the person at the machine of a local store.

    Raises:
        AccessError: without a token on a shared database, or with one that is wrong or revoked.
    """
    if secret:
        return _holder(engine, secret)
    if is_local(engine):
        return person_at_the_machine()
    raise AccessError(
        f"This database is shared, so a token is needed. Set {VARIABLE} to yours; a maintainer makes one with: "
        "fuseboard token create <owner>"
    )


def require_maintainer(actor: Actor, what: str) -> None:
    """Refuse everybody else.

    Raises:
        AccessError: naming what needs the role.
    """
    if not actor.maintains:
        raise AccessError(f"{actor.name} is a {actor.role}; to {what}, a maintainer is needed.")


def create(engine: sa.Engine, actor: Actor | None, owner: str, role: str) -> tuple[Token, str]:
    """A new token, and its secret, which is told this once.

    Args:
        actor: None only for the first maintainer of a shared database, where nobody could have a token yet.

    Raises:
        AccessError: if the actor may not do it, or the owner or role is not accepted.
    """
    if not OWNER.fullmatch(owner):
        raise AccessError(f"owner {owner!r}: wanted 1 to 64 letters, digits and any of . @ + - _")
    if role not in ROLES:
        raise AccessError(f"role {role!r}: known are {', '.join(ROLES)}.")
    token = secrets.token_hex(4)
    secret = f"{PREFIX}_{token}_{secrets.token_urlsafe(32)}"
    row = {"token": token, "owner": owner, "role": role, "sha256": _digest(secret), "created": audit.now()}
    with reporting(engine.url), writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # two at once could both be the first
            connection.execute(sa.text("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE"))
        if actor is None:
            first = sa.select(tokens.c.token).where(tokens.c.role == MAINTAINER, tokens.c.revoked.is_(None)).limit(1)
            if role != MAINTAINER or connection.scalar(first):
                raise AccessError(
                    f"Only a maintainer makes tokens: set {VARIABLE} to a maintainer's. (A database without any "
                    "maintainer takes its first with --role maintainer.)"
                )
        else:
            require_maintainer(actor, "make tokens")
        connection.execute(sa.insert(tokens), {**row, "window_start": 0.0, "used": 0})
        who = actor.name if actor else "setup"
        audit.write(connection, who, "token", token, "created", f"for {owner}, {role}")
    return Token(token, owner, role, row["created"], None), secret


def revoke(engine: sa.Engine, actor: Actor, token: str) -> None:
    """End a token at once.

    Raises:
        AccessError: if the actor is not a maintainer and it is not the actor's own, or it is not there or was
            revoked before.
    """
    with reporting(engine.url), writing(engine) as connection:
        found = connection.execute(sa.select(tokens).where(tokens.c.token == token).with_for_update()).one_or_none()
        if not actor.maintains and (found is None or found.owner != actor.name):
            raise AccessError(f"{actor.name} is a {actor.role}; to revoke another's token, a maintainer is needed.")
        if found is None:
            raise AccessError(f"no token {token!r}; see: fuseboard token list")
        if found.revoked:
            raise AccessError(f"token {token} was revoked at {found.revoked}.")
        connection.execute(sa.update(tokens).where(tokens.c.token == token).values(revoked=audit.now()))
        audit.write(connection, actor.name, "token", token, "revoked")


def listed(engine: sa.Engine, actor: Actor) -> list[Token]:
    """Every token for a maintainer, the own ones for others; oldest first."""
    query = sa.select(*(tokens.c[name] for name in Token.__dataclass_fields__)).order_by(tokens.c.created)
    if not actor.maintains:
        query = query.where(tokens.c.owner == actor.name)
    with reporting(engine.url), engine.connect() as connection:
        return [Token(*row) for row in connection.execute(query)]


def spend(engine: sa.Engine, actor: Actor) -> None:
    """Count one submission against the rate limit: of the token, or of somebody who signed in.

    Raises:
        AccessError: when the limit is reached; it says when to come again.
    """
    if actor.token is None:
        if actor != person_at_the_machine():
            _within_rate(engine, actor)
        return
    with reporting(engine.url), writing(engine) as connection:
        own = tokens.c.token == actor.token
        row = connection.execute(
            sa.select(tokens.c.window_start, tokens.c.used, clock(engine)).where(own).with_for_update()
        ).one()
        start, used, now = row
        if now - start >= WINDOW:
            start, used = now, 0
        if used >= RATE:
            raise AccessError(_too_many(actor, start + WINDOW - now))
        connection.execute(sa.update(tokens).where(own).values(window_start=start, used=used + 1))


def _within_rate(engine: sa.Engine, actor: Actor) -> None:
    """Without a token, what was taken in within the window counts."""
    since = (datetime.now(UTC) - timedelta(seconds=WINDOW)).isoformat(timespec="seconds")
    recent = sa.select(sa.func.count()).where(
        audit_table.c.actor == actor.name, audit_table.c.event == "received", audit_table.c.at >= since
    )
    with reporting(engine.url), engine.connect() as connection:
        if connection.scalar(recent) >= RATE:
            raise AccessError(_too_many(actor, WINDOW))


def _too_many(actor: Actor, wait: float) -> str:
    return (
        f"{actor.name} has made {RATE} submissions within an hour, the limit. "
        f"Try again in {'at most ' if wait >= WINDOW else ''}{wait / 60:.0f} minutes."
    )


def clock(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's clock, the only one that all processes share."""
    if engine.dialect.name == "postgresql":
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)
    return (sa.func.julianday("now") - sa.literal(2440587.5)) * 86400.0


def _holder(engine: sa.Engine, secret: str) -> Actor:
    named = SECRET.fullmatch(secret.strip())
    query = sa.select(tokens).where(tokens.c.token == (named.group(1) if named else ""))
    with reporting(engine.url), engine.connect() as connection:
        found = connection.execute(query).one_or_none()
    known = found.sha256 if found else _digest("")
    if not hmac.compare_digest(known, _digest(secret.strip())) or found is None:
        raise AccessError(f"The token is not known here. Check {VARIABLE}, or ask a maintainer for a new one.")
    if found.revoked:
        raise AccessError(f"Token {found.token} of {found.owner} was revoked at {found.revoked}.")
    return Actor(found.owner, found.role, found.token)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
