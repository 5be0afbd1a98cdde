"""What every page of the board starts with: the store, the bundles, and choices that stand in the address."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import streamlit as st

from leaderboard import queries, store
from leaderboard.remembered import remembered
from protocols.spec import ProtocolSpec
from protocols.suite import Suite, suites

SOFT = "#555555"  # on white a contrast of 7 : 1
CHART_TEXT = {
    "axis": {"labelColor": SOFT, "titleColor": SOFT},
    "legend": {"labelColor": "#101010"},
    "text": {"color": "#101010"},
}
LINKED = re.compile(r"://|www(?=\.)|@(?=[-\w]+\.)")  # what follows makes a link, unless a word joiner stands between
RUN_FIRST = "fuseboard run all --protocol synthetic@1\nfuseboard ingest"


def open_store() -> sa.Engine:
    """The store that FUSEBOARD_DATABASE_URL names; without one the page says what to do and ends."""
    url = os.environ.get("FUSEBOARD_DATABASE_URL")
    if not url:
        st.error("FUSEBOARD_DATABASE_URL is not set, so the board does not know its database. Start it with:")
        st.code("fuseboard serve", language=None)
        st.stop()
    try:
        return connect(url)
    except store.StoreError as error:
        st.error(plain(str(error)))
        st.stop()


@st.cache_resource(show_spinner=False)
def connect(url: str) -> sa.Engine:
    return store.connect(url)


def bundle_roots() -> list[Path]:
    """Where learning curves are looked for: the user's bundles, then those of the package."""
    own = os.environ.get("FUSEBOARD_BUNDLE_ROOT")
    return [*([Path(own)] if own else []), store.records_root()]


def require_protocols(engine: sa.Engine) -> dict[str, ProtocolSpec]:
    """Protocols with a run; where there is none the page names the next command and ends."""
    found = queries.protocols(engine)
    if not found:
        st.info("No results yet. Run a method, bring its results in, and reload this page:")
        st.code(RUN_FIRST, language=None)
        st.stop()
    return found


def choose(
    label: str, options: Sequence[str], key: str, format_func: Callable[[str], Any] = str, place: Any = st
) -> str:
    """A select box whose choice stands in the address, so that a view can be shared, and outlives a change of page."""
    kept = st.session_state.setdefault("kept", {})
    asked = st.query_params.get(key)
    if st.session_state.get(key) not in options:
        wanted = [choice for choice in (asked, kept.get(key)) if choice in options]
        if asked is not None and asked not in options and key not in st.session_state:
            st.warning(f"The address asks for a {label.lower()} that is not here; this is another one.")
        st.session_state[key] = wanted[0] if wanted else options[0]
    chosen = place.selectbox(label, options, key=key, format_func=format_func)
    st.query_params[key] = kept[key] = chosen
    return chosen


def choose_protocol(
    specs: Mapping[str, ProtocolSpec], place: Any = st, note: Callable[[str], str] = lambda key: ""
) -> ProtocolSpec:
    """A protocol, by its title and its key, and what is to be noted of it."""
    label = "Protocol"
    return specs[choose(label, list(specs), "protocol", lambda key: f"{specs[key].title} · {key}{note(key)}", place)]


def choose_several(
    label: str,
    options: Sequence[str],
    default: Sequence[str],
    key: str,
    place: Any = st,
    most: int | None = None,
    **shown: Any,
) -> list[str]:
    """Like `choose`, for any number of options; in the order of the options, whatever the order of the clicks.

    Args:
        most: how many can be chosen; an address that asks for more gets the first of them.
        shown: what else the box says, as ``st.multiselect`` takes it.
    """
    kept = st.session_state.setdefault("kept", {})
    held = st.session_state.get(key)
    if held is None or not set(held) <= set(options):
        asked = [held or (), st.query_params.get_all(key), kept.get(key) or ()]
        wanted = [[choice for choice in options if choice in some][:most] for some in asked]
        st.session_state[key] = next((some for some in wanted if some), list(default))
    chosen = place.multiselect(label, options, key=key, max_selections=most, **shown)
    st.query_params[key] = kept[key] = [choice for choice in options if choice in chosen]
    return kept[key]


def require_evaluation(engine: sa.Engine, spec: ProtocolSpec) -> tuple[Suite, list[str]]:
    """The suite of a protocol and the methods measured by it; without either the page says what to do and ends."""
    if spec.key not in suites():
        st.info(f"There is no evaluation suite for {plain(spec.key)}. Protocols that have one: {', '.join(suites())}.")
        st.stop()
    measured = remembered(queries.evaluated_methods)(engine, spec)
    if not measured:
        st.info("No run of this protocol was evaluated yet. Evaluate a method that was run, and reload this page:")
        st.code(f"fuseboard evaluate <method> --protocol {spec.key}", language=None)
        st.stop()
    return suites()[spec.key], measured


def show_chart(spec: Mapping[str, Any], says: str, place: Any = st) -> None:
    """A Vega-Lite spec, with text dark enough to read.

    Args:
        says: what it shows, for those who do not see it.
    """
    place.vega_lite_chart({**spec, "description": says, "config": CHART_TEXT})


def plain(text: str) -> str:
    """Text for a place that reads Markdown, shown as it is written; addresses in it do not become links."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", LINKED.sub("\\g<0>\u2060", text))
