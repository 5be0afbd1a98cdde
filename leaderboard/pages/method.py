"""One method: what it is, how far it follows its paper, and everything measured of it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st
import yaml

from leaderboard import queries, tables
from leaderboard.charts import curves_chart, run_name, seeds_chart, streams_graph
from leaderboard.figures import interval_text, metric_title
from leaderboard.session import bundle_roots, choose, choose_protocol, open_store, plain, show_chart
from protocols.spec import ProtocolSpec
from zoo import Method
from zoo.spec import entries

EVIDENCE = {
    "parity": "parity: outputs equal those of the authors' code with their weights",
    "code-read": "code-read: written against the authors' code",
    "paper-read": "paper-read: written from the paper",
    "derived-from-abstract": "derived from an abstract: not a reproduction",
    "generic": "generic: an architecture without one paper",
}


def main() -> None:
    engine = open_store()
    ran = dict(queries.methods(engine).to_numpy().tolist())
    options = list(ran) + [name for name in entries() if name not in ran]
    if not options:
        st.info("There is no method yet.")
        return
    place, beside = st.columns([1, 1])
    name = choose("Method", options, "method", place=place)
    newest = queries.newest_manifest(engine, name)
    card = queries.card_of(newest) if newest else entries()[name].card
    if card is None:
        st.title(plain(name))
        st.warning(f"This version of the zoo has no method {plain(ran[name])}; its results stay.")
    else:
        show_card(card)
    if newest:
        show_streams(newest.get("attention"))
    specs = queries.protocols(engine) if name in ran else {}
    specs = {key: spec for key, spec in specs.items() if queries.runs_of(engine, name, key)}
    if not specs:
        st.info("This method was not run yet. Run it, bring its results in, and reload this page:")
        st.code(f"fuseboard run {name} --protocol synthetic@1\nfuseboard ingest", language=None)
        return
    spec = choose_protocol(specs, place=beside)
    runs = queries.runs_of(engine, name, spec.key)
    st.header(f"Results under {plain(spec.key)}")
    show_results(engine, name, spec)
    show_curves(runs)
    show_runs(engine, name, spec, runs)


def show_card(card: Method) -> None:
    st.title(plain(card.title))
    st.write(plain(card.summary))
    facts = {
        "Paper": card.paper,
        "Takes": card.inputs,
        "Fusion": card.fusion_stage,
        "Attention": card.attention,
        "Evidence": EVIDENCE.get(card.evidence, card.evidence),
        "Equations": card.equations,
        "Code": card.code,
    }
    st.write("\n".join(f"- **{term}**: {plain(text)}" for term, text in facts.items() if text))
    with st.expander(f"Known differences from the paper and its code: {len(card.differs)}"):
        st.write("\n".join(f"- {plain(line)}" for line in card.differs) or "None known.")
    if card.sizes:
        with st.expander(f"Parameter counts that the tests hold it to: {len(card.sizes)}"):
            st.write("\n".join(f"- {plain(str(size))}" for size in card.sizes))


def show_streams(streams: list[dict[str, Any]] | None) -> None:
    """Draws who attends to whom, as the newest run recorded it."""
    if streams is None:
        return
    st.header("Who attends to whom")
    if not streams:
        st.write("Nobody: it has no attention.")
        return
    st.graphviz_chart(streams_graph(streams), width="content")
    st.caption(
        "An arrow runs from the stream that gives keys and values to the stream that queries, with layers × heads "
        "per forward pass; dashed where they weigh features or modalities instead of steps. Read off the trained model."
    )


def show_results(engine: sa.Engine, name: str, spec: ProtocolSpec) -> None:
    metrics = queries.metrics(engine, spec)
    if not metrics:
        return
    metric = choose("Metric", metrics, "metric", metric_title)
    values = queries.seeds(engine, spec, metric)
    values = values[values["method"] == name]
    if values.empty:
        st.info("No current run of this method has this metric.")
        return
    cells = queries.cells(values)
    conditions = [c for c in queries.conditions(engine, spec) if c in set(cells["condition"])]
    cells = cells.set_index("condition").loc[conditions].reset_index()
    texts = [interval_text(row, metric) for row in cells.to_dict("records")]
    left, right = st.columns([2, 3])
    results = pd.DataFrame({"Condition": cells["condition"], metric_title(metric): texts, "n": cells["n"]})
    tables.show(results, "Results", place=left)
    show_chart(seeds_chart(values, metric, conditions), "Score of every run under each condition", right)
    st.caption("Mean and 95% t interval over n runs; each point is one run.")


def show_curves(runs: Sequence[dict[str, Any]]) -> None:
    curves = {}
    for run in sorted(runs, key=lambda run: (run["split"], run["seed"])):
        curve = queries.history(bundle_roots(), run["bundle"])
        if curve is not None and len(curve):
            curves[f"{run_name(run['split'], run['seed'])} ({run['run'][:6]})"] = curve
    if not curves:
        return
    st.header("Learning curves")
    columns = [c for c in next(iter(curves.values())).columns if c not in ("epoch", "seconds")]
    for place, column in zip(st.columns(len(columns)), columns, strict=True):
        with_it = {name: curve for name, curve in curves.items() if column in curve}
        show_chart(curves_chart(with_it, column), f"{column} over epochs, a line a run", place)
    st.caption("One line for each run; point at a line to see which. Checkpoints are chosen on validation loss.")


def show_runs(engine: sa.Engine, name: str, spec: ProtocolSpec, runs: Sequence[dict[str, Any]]) -> None:
    st.header("Runs")
    opened = queries.openings(engine, key=spec.key, method=name)
    times, by = (int(opened[c].sum()) for c in ("openings", "runs"))
    st.write(f"Test splits were opened {times} times by {by} runs of this method under this protocol.")
    current = set(queries.current_runs(engine, spec.key)[0]["run"])
    table = [
        {
            "Run": run["run"],
            "Split": run["split"],
            "Seed": run["seed"],
            "Status": run["status"] if run["run"] in current or run["status"] == "failed" else "set aside",
            "Reason": run["reason"] or "",
            "Epochs": run["manifest"].get("epochs"),
            "Training": f"{run['fit_seconds']:.1f} s" if run["fit_seconds"] is not None else None,
            "Parameters": run["parameters"],
            "Peak memory": f"{run['peak_memory_bytes'] / 2**20:,.0f} MiB" if run["peak_memory_bytes"] else None,
            "Device": (run["manifest"].get("hardware") or {}).get("device"),
            "Code": run["source"],
            "Ended (UTC)": run["created"][:16].replace("T", " "),
        }
        for run in runs
    ]
    runs_table = pd.DataFrame(table)
    if not runs_table["Reason"].any():
        runs_table = runs_table.drop(columns="Reason")
    tables.show(runs_table, "Runs", cards=True)
    st.header("Settings")
    st.code(yaml.safe_dump(runs[0]["manifest"]["method"], sort_keys=False), language=None)
    st.caption("As the newest run had them. Optimiser, epochs and batch size belong to the protocol, equal for all.")


main()
