"""One protocol: what is compared, on which parts of which data, under which conditions, and who opened the test."""

from collections.abc import Mapping
from urllib.parse import quote

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import protocol_card, queries, tables
from leaderboard.score_tables import height
from leaderboard.session import bundle_roots, choose, choose_protocol, open_store, plain
from leaderboard.site.render import web_address
from protocols.spec import ProtocolSpec, committed

SHOWN = 1000  # openings, the newest first
EVERY = "all methods"


def main() -> None:
    engine = open_store()
    ran = queries.protocols(engine)
    specs = ran | {key: spec for key, spec in committed().items() if key not in ran}
    left, _ = st.columns([2, 1])
    spec = choose_protocol(specs, left, lambda key: "" if key in ran else " (not on the board)")
    key = spec.key
    st.title(plain(spec.title))
    st.write(plain(spec.description))
    if key in ran:
        st.markdown(f"Its board: [Ranking](./?protocol={quote(key)}) · [Compare](compare?protocol={quote(key)})")
    show_card(spec)
    show_conditions(spec)
    show_parts(engine, spec, key in ran)
    show_leaks(spec)
    show_ledger(engine, spec)


def show_card(spec: ProtocolSpec) -> None:
    told = {"Name and version": spec.key} | protocol_card.facts(spec)
    del told["Scored under"]  # a table of its own
    st.markdown("\n".join(f"- **{term}**: {plain(text)}" for term, text in told.items()))
    address = (protocol_card.home(spec) or "").split(" ")[0]
    if web_address(address):
        st.markdown(f"Home of the data: <{address}>")
    elif protocol_card.home(spec):
        st.markdown(f"Home of the data: {plain(protocol_card.home(spec))}")


def show_conditions(spec: ProtocolSpec) -> None:
    st.header("Conditions")
    table = protocol_card.conditions(spec)
    if not table["Role"].any() or len(table) == 1:
        table = table.drop(columns="Role")
    tables.show(table, "Conditions", cards=True)
    st.caption(
        "What is done to the test inputs; the ranking opens on the primary condition. Every method and seed meets the "
        "same draws. In training: whether examples of the training part meet it, too."
    )


def show_parts(engine: sa.Engine, spec: ProtocolSpec, ran: bool) -> None:
    st.header("Parts of the data")
    table = protocol_card.counts(spec)
    if table is None:
        st.info("The lists of this split come with the data, so how long they are is not known here.")
    else:
        tables.show(table, "Parts of the data")
        told = "Examples by the id lists of the split" if len(table.columns) == 1 else "Examples and their classes"
        each = "Fold k is the test part of run k, the next one its validation part." if spec.folds else ""
        st.caption(f"{told}: {plain(spec.split)}. {each}")
    if rule := protocol_card.rule(spec):
        st.markdown(plain(rule))
    if ran and (table is None or len(table.columns) == 1):
        found = tested(engine, str(engine.url), queries.stamp(engine), spec)
        if found is not None:
            tables.show(found, "What was scored")
            st.caption("What was scored, by the stored predictions of one run a part; the data are not needed for it.")


@st.cache_data(show_spinner=False, max_entries=16)
def tested(_engine: sa.Engine, address: str, stamp: tuple, _spec: ProtocolSpec) -> pd.DataFrame | None:
    return protocol_card.tested(_engine, bundle_roots(), _spec)


def show_leaks(spec: ProtocolSpec) -> None:
    st.header("Known leaks and traps")
    for line in protocol_card.leaks(spec):
        st.warning(plain(line))
    about = protocol_card.card(spec)
    traps = [f"- {plain(trap)}" for trap in (about.traps if about else ())]
    st.markdown("\n".join(traps) or "None is known.")


def show_ledger(engine: sa.Engine, spec: ProtocolSpec) -> None:
    st.header("Ledger: who opened the test part")
    counts = queries.openings(engine, key=spec.key)
    if counts.empty:
        st.info("Nobody opened it yet, as far as this store knows.")
        return
    st.write(f"{counts['openings'].sum():,} openings by {counts['runs'].sum():,} runs of {len(counts)} methods.")
    table = counts.rename(columns={"method": "Method", "openings": "Openings", "runs": "Runs"})
    table = table.drop(columns="protocol").sort_values("Openings", ascending=False, kind="stable")
    table["Openings a run"] = (table["Openings"] / table["Runs"]).map("{:.1f}".format)
    left, right = st.columns([2, 3], gap="large")
    tables.show(table, "Openings by method", place=left)
    left.caption("Openings of the test part by method.")
    with right:
        method = choose("Openings of", [EVERY, *sorted(counts["method"])], "opened_by")
        show_openings(queries.ledger(engine, spec.key, None if method == EVERY else method, SHOWN))
    st.caption(
        "A run opens the test part once, at its end, to be scored; measuring it by the suite of the protocol opens it "
        "again, and so does each repetition. Training and the choice of the epoch cannot reach it. The ledger is "
        "written at each opening, and nothing is ever taken out of it."
    )


def show_openings(found: pd.DataFrame) -> None:
    names: Mapping[str, str] = {
        "opened": "Opened (UTC)",
        "method": "Method",
        "split": "Part",
        "seed": "Seed",
        "run": "Run",
    }
    table = found.rename(columns=names)
    table["Opened (UTC)"] = table["Opened (UTC)"].str.replace("T", " ").str.removesuffix("+00:00")
    st.dataframe(table, hide_index=True, height=height(table, 10))
    st.caption(f"The newest {SHOWN:,}; newest first." if len(found) == SHOWN else "Every opening, newest first.")


main()
