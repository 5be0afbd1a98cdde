"""Every submission and all that happened to it; what maintainers decide."""

from collections.abc import Callable

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import audit, moderation, submissions, tables
from leaderboard.access import AccessError, Actor
from leaderboard.contents import says
from leaderboard.estimate import duration
from leaderboard.session import choose, open_store, plain
from leaderboard.submissions import KIND, Submission, SubmissionError
from leaderboard.visitor import visitor

REFRESH = 5  # seconds between two looks at one that is under way


def main() -> None:
    engine = open_store()
    st.title("Submissions")
    st.caption(says("submissions"))
    found = submissions.every(engine)
    if not found:
        st.info("No submission yet. Hand one in on the page Submit, or begin with:")
        st.code("fuseboard new my_fusion --from mbt", language=None)
        return
    tables.show(table(found), "Submissions", cards=True)
    names = {made.submission: made.name for made in found}
    chosen = choose("Submission", list(names), "submission", lambda one: f"{one}, {names.get(one, '')}")
    made = submissions.get(engine, chosen)
    st.fragment(show, run_every=None if made.state in submissions.ENDED else REFRESH)(engine, chosen)
    st.header("Spec")
    st.code(submissions.text_of(engine, chosen), language=None)
    st.header("Maintainers")
    actor = visitor(engine)
    if actor is None or not actor.maintains:
        st.write("Approving, refusing, hiding and running again are for maintainers.")
    else:
        decide(engine, actor, made)


def table(found: list[Submission]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Submission": [made.submission for made in found],
            "Name": [made.name for made in found],
            "Protocol": [made.protocol for made in found],
            "State": [made.standing for made in found],
            "Attempts": [made.attempts for made in found],
            "By": [made.owner for made in found],
            "Estimate": [duration(made.estimate) if made.estimate is not None else "unknown" for made in found],
            "Received": [made.created for made in found],
        }
    )


def show(engine: sa.Engine, submission: str) -> None:
    """Where it stands, every state so far, and the end of the newest log."""
    made = submissions.get(engine, submission)
    st.header(f"{plain(made.name)} under {plain(made.protocol)}: {plain(made.standing)}")
    if place := submissions.position(engine, submission):
        st.write(f"Place {place} in the queue.")
    if made.planned and made.state == submissions.RUNNING:
        st.progress(made.done / made.planned, f"{made.done} of {made.planned} runs are done")
    told = audit.history(engine, KIND, submission)
    rows = [{"Time": e.at, "State": e.event, "By": e.actor, "Reason": e.reason or ""} for e in told]
    tables.show(pd.DataFrame(rows), "What happened to it", cards=True)
    if log := next((entry.log for entry in reversed(told) if entry.log), None):
        with st.expander("End of the log", expanded=made.state == submissions.FAILED):
            st.code(log, language=None, wrap_lines=True)


def decide(engine: sa.Engine, actor: Actor, made: Submission) -> None:
    """One button for each decision that the state allows."""
    if made.state == submissions.VALIDATED:
        beyond = made.estimate is not None and made.estimate > moderation.COST_CAP
        sure = st.checkbox(f"Although it is expected to train {duration(made.estimate)}") if beyond else False
        act("Approve", lambda: moderation.approve(engine, actor, made.submission, over_cap=sure), True)
    reason = st.text_input("Reason, which stands in the audit log", max_chars=500).strip()
    options: dict[str, Callable] = {}
    if made.state in (submissions.VALIDATED, submissions.QUEUED, submissions.RUNNING):
        options["Refuse"] = moderation.refuse
    if made.state in submissions.ENDED:
        options["Run again"] = moderation.rerun
    options["Show again" if made.hidden else "Hide"] = moderation.unhide if made.hidden else moderation.hide
    for label, verb in options.items():
        act(label, lambda verb=verb: verb(engine, actor, made.submission, reason), bool(reason))


def act(label: str, decision: Callable[[], Submission], ready: bool) -> None:
    if st.button(label, disabled=not ready):
        try:
            decision()
        except (AccessError, SubmissionError) as error:
            st.error(plain(str(error)))
            return
        st.rerun()


main()
