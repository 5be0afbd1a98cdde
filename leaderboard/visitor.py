"""Who looks at a page: somebody signed in, somebody with a token, or the person at the machine.

A page that is reached from elsewhere never takes a visitor for the person at the machine, whatever the database is.
"""

import sqlalchemy as sa
import streamlit as st

from leaderboard import access
from leaderboard.access import MAINTAINER, SUBMITTER, AccessError, Actor
from leaderboard.session import plain

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


def visitor(engine: sa.Engine) -> Actor | None:
    """Who it is, with a place to say so where it is not known; None for a reader."""
    if _sign_in_configured():
        if actor := _signed_in():
            return actor
    elif access.is_local(engine) and _at_the_machine():
        return access.person_at_the_machine()
    return _by_token(engine)


def _at_the_machine() -> bool:
    """Whether the server listens on this machine alone and no proxy stands before it."""
    headers = st.context.headers
    host = headers.get("Host", "")
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    return (
        st.get_option("server.address") in LOOPBACK
        and name.strip("[]") in LOOPBACK
        and st.context.ip_address in (None, *LOOPBACK)
        and not any(headers.get(name) for name in FORWARDED)
    )


def _sign_in_configured() -> bool:
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def _signed_in() -> Actor | None:
    """Through OpenID Connect; the lists of the secrets say what an address may do."""
    if not st.user.is_logged_in:
        st.button("Sign in", on_click=st.login)
        return None
    email = str(st.user.get("email") or "")
    st.button(f"Sign out {plain(email)}", on_click=st.logout)
    lists = st.secrets.get("fuseboard", {})
    if st.user.get("email_verified") is not False and email:
        for role, key in ((MAINTAINER, "maintainers"), (SUBMITTER, "submitters")):
            if email in lists.get(key, ()):
                return Actor(email, role)
    st.info("You are signed in, but may only read here. Ask a maintainer to add your address.")
    return None


def _by_token(engine: sa.Engine) -> Actor | None:
    secret = st.text_input(
        "Token",
        type="password",
        key="token",
        help="Made by a maintainer with: fuseboard token create. Reading needs none.",
        autocomplete="off",
    )
    if not secret:
        return None
    try:
        actor = access.identify(engine, secret)
    except AccessError as error:
        st.error(plain(str(error)))
        return None
    st.caption(plain(f"{actor.name}, {actor.role}"))
    return actor
