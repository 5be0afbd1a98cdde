"""A method of one's own: written, checked while it is typed, held against its parent, and handed in."""

import difflib

import sqlalchemy as sa
import streamlit as st
import yaml

from leaderboard import queries, submissions
from leaderboard.access import AccessError, Actor
from leaderboard.estimate import duration, estimate
from leaderboard.live_editor import live_editor
from leaderboard.session import choose, choose_protocol, open_store, plain
from leaderboard.submissions import SubmissionError
from leaderboard.visitor import visitor
from protocols.spec import ProtocolSpec, committed
from zoo.drafts import draft
from zoo.spec import MethodSpec, Problem, check, entries, presets

NAME = "my_fusion"


def main() -> None:
    engine = open_store()
    st.title("Submit a method")
    st.write(
        "A spec is data: it names a method of the zoo, or its parts, and their settings. Nothing in it is code. Change "
        "what you see, watch the checks beside it, and hand it in. A maintainer approves it, a worker runs it, and its "
        "results join the board once all of them are there."
    )
    left, right = st.columns(2)
    parents = list(entries())
    base = choose("Begin from", parents, "from", place=left)
    known = queries.protocols(engine)
    ranked = {key: spec for key, spec in committed().items() if not spec.replica_of}
    ranked = dict(sorted(ranked.items(), key=lambda item: item[0] not in known))  # those with results first
    protocol = choose_protocol(ranked, place=right)
    editor, answers = st.columns([3, 2])
    with editor:
        text = live_editor(draft(NAME, base), base)
    with answers:
        spec, problems = check(text)
        show_problems(problems)
        if spec is not None:
            show_parent(spec)
            show_cost(engine, spec, protocol)
    actor = visitor(engine)
    if spec is not None and actor is not None:
        hand_in(engine, actor, text, protocol)
    elif actor is None:
        st.info("Reading and checking is open to all; handing in needs a token.")


def show_problems(problems: list[Problem]) -> None:
    """Line, field, and what is accepted."""
    if not problems:
        st.success("The spec is valid.")
        return
    st.error(f"Problems: {len(problems)}")
    for problem in problems:
        place = f"Line {problem.line}" if problem.line else "The whole"
        field = f", {problem.field}" if problem.field else ""
        st.write(f"**{plain(place + field)}**: {plain(problem.message)}")


def show_parent(spec: MethodSpec) -> None:
    """What differs from the preset of the same method that it is nearest to."""
    own = _lines(spec)
    others = {name: _lines(preset) for name, preset in presets().items() if preset.method == spec.method}
    if not others:
        return
    parent = min(others, key=lambda name: len(_difference(others[name], own)))
    lines = _difference(others[parent], own)
    st.header("Against its parent")
    if not lines:
        st.write(f"The same settings as {plain(parent)}.")
        return
    st.caption(plain(f"What differs from {parent}, the nearest preset of {spec.method}."))
    st.code("\n".join(lines), language=None)


def _lines(spec: MethodSpec) -> list[str]:
    told = spec.model_dump(mode="json", exclude={"name", "label"}, exclude_none=True)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True).splitlines()


def _difference(before: list[str], after: list[str]) -> list[str]:
    return list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]


def show_cost(engine: sa.Engine, spec: MethodSpec, protocol: ProtocolSpec) -> None:
    """Training time, from runs that are known."""
    st.header("Cost")
    expected = estimate(engine, spec, protocol)
    if expected is None:
        st.write(f"No run of {plain(protocol.key)} is known, so its cost is not.")
        return
    st.write(
        plain(
            f"About {duration(expected.seconds)} of training for {expected.runs} runs, "
            f"{duration(expected.low)} to {duration(expected.high)}."
        )
    )
    st.caption(plain(expected.basis.capitalize() + ". Sizes differ: fuseboard try FILE measures this spec itself."))


def hand_in(engine: sa.Engine, actor: Actor, text: str, protocol: ProtocolSpec) -> None:
    """The button, once nothing stands in the way."""
    problems = submissions.examine(engine, actor, text, protocol)[1]
    for problem in problems:
        st.warning(plain(str(problem)))
    if not st.button("Submit", type="primary", disabled=bool(problems)):
        return
    try:
        made = submissions.submit(engine, actor, text, protocol)
    except (SubmissionError, AccessError) as error:
        st.error(plain(str(error)))
        return
    st.success(plain(f"Submission {made.submission} is {made.state}. A maintainer approves it next."))
    st.write(f"[What happens to it](submissions?submission={made.submission})")


main()
