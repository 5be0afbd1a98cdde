"""The review that the zoo follows: its map, its tables recomputed, its studies, its slips, and what the runs say."""

from urllib.parse import urlencode

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import queries, tables
from leaderboard import review as found
from leaderboard.forest_chart import DIFFERENCE, forest_chart, overview_rows, rows
from leaderboard.rank_chart import rank_chart
from leaderboard.remembered import remembered
from leaderboard.review_document import FOREST, slip_text
from leaderboard.session import choose, choose_protocol, open_store, plain, show_chart
from protocols.review import AXES, Node, Review, Table, review
from protocols.spec import ProtocolSpec

PARTS = {
    "answers": "What the runs say",
    "map": "The map of the field",
    "table2": "Table 2: fusion types",
    "table3": "Table 3: architectures",
    "table4": "Table 4: data sets and metrics",
    "studies": "The studies",
    "reports": "Published numbers, recomputed",
    "slips": "Slips",
}


def main() -> None:
    engine = open_store()
    told = review()
    st.title("The review, recomputed")
    st.caption(plain(f"{', '.join(told.authors)}: {told.title}."))
    ran = remembered(found.runs_of_entries)(engine)
    show_coverage(told, ran)
    part = choose("Show", list(PARTS), "part", PARTS.get)
    if part == "answers":
        show_answers(engine, told)
    elif part == "map":
        show_map(told, ran)
    elif part == "studies":
        show_studies(told, ran)
    elif part == "reports":
        show_reports()
    elif part == "slips":
        show_slips(told)
    else:
        show_table(engine, told, told.table(part.removeprefix("table")))


def show_coverage(told: Review, ran: found.Ran) -> None:
    with st.expander("What is covered", expanded=False):
        tables.show(pd.DataFrame(found.coverage(told, ran), columns=["What", "How many"]), "What is covered")


def show_answers(engine: sa.Engine, told: Review) -> None:
    answers = remembered(found.answers)(engine, told)
    st.header("Every question, pooled over data sets")
    pooled = overview_rows(answers)
    if pooled:
        show_chart(forest_chart(pooled, DIFFERENCE), "Pooled difference of every question with its interval")
        st.caption(plain(FOREST) + " n counts data sets. An interval that reaches the edge goes on.")
    else:
        st.info("No question can be pooled yet: each takes runs under two protocols. Run more methods:")
        st.code(f"fuseboard run all --protocol {told.asked.protocols[0]}", language=None)
    tables.show(found.answers_table(answers), "Answers", cards=True)
    st.header("One question")
    by_key = {answer.question.key: answer for answer in answers}
    answer = by_key[choose("Question", list(by_key), "question", lambda key: by_key[key].question.asks)]
    drawn = rows(answer)
    if drawn:
        show_chart(forest_chart(drawn, DIFFERENCE), "Difference under each protocol, and pooled")
        st.caption("n counts runs that share seed or fold; of the pooled effect, data sets.")
    st.markdown(f"**{plain(answer.says)}**")
    if answer.pooled:
        st.caption(
            f"{answer.pooled.n} protocols; τ {100 * answer.pooled.tau2**0.5:.1f} points, I² {answer.pooled.i2:.0%}, "
            f"p of Q {found.p_text(answer.pooled.q_p)}, p of the pooled difference {found.p_text(answer.p)} after Holm."
        )
    tables.show(found.effects_table([answer]).drop(columns="Question"), "Effects of one question", cards=True)
    show_ranks(engine, told)


def show_ranks(engine: sa.Engine, told: Review) -> None:
    st.header("Ranks over data sets")
    ranks = remembered(found.ranked)(engine, told)
    if ranks.found:
        show_chart(rank_chart(ranks.found), "Mean rank of every entry")
        st.caption("The line on top is the critical difference. An upright bar joins entries that are not told apart.")
    st.markdown(plain(found.ranks_text(ranks)))
    if ranks.found:
        with st.expander("The same as a table"):
            tables.show(found.ranks_table(ranks), "Mean ranks")


def show_map(told: Review, ran: found.Ran) -> None:
    axis = choose("Axis", list(AXES), "axis", AXES.get)
    left, right = st.columns([3, 2])
    left.graphviz_chart(map_graph(told, axis, ran), width="stretch")
    left.caption("Solid: named by the review. Dashed: added here. Grey: nothing of that kind is in the zoo.")
    nodes = {node.key: node for node in told.nodes(axis)}
    with right:
        show_node(told, nodes[choose("Kind", list(nodes), "kind", lambda key: nodes[key].title)], ran)
    with st.expander("All kinds as a table"):
        tables.show(found.taxonomy(told, ran, axis), "Kinds", cards=True)


def map_graph(told: Review, axis: str, ran: found.Ran) -> str:
    """The kinds of an axis as a Graphviz tree, each with its entries and runs."""
    lines = [
        "digraph {",
        'rankdir=LR; bgcolor="transparent"; nodesep=0.12;',
        'node [shape=box, style="rounded,filled", fillcolor="#F0F4F8", color="#0072B2", fontname="sans-serif"];',
        'edge [color="#777777", arrowhead=none];',
        f'root [label="{AXES[axis]}"];',
    ]
    for node in told.nodes(axis):
        entries = found.entries_of(told, node) if axis != "challenge" else ()
        count = sum(sum(ran.get(entry, {}).values()) for entry in entries)
        below = f"{len(node.metrics)} metrics" if axis == "challenge" else f"{len(entries)} entries, {count} runs"
        style = "rounded,filled" if node.by == "review" else "rounded,filled,dashed"
        fill = "#F0F4F8" if entries or node.metrics else "#DDDDDD"
        name = f'"{node.key}"'
        lines.append(f'{name} [label="{node.title}\\n{below}", style="{style}", fillcolor="{fill}"];')
        lines.append(f"{chr(34) + node.under + chr(34) if node.under else 'root'} -> {name};")
    return "\n".join([*lines, "}"])


def show_node(told: Review, node: Node, ran: found.Ran) -> None:
    st.markdown(f"**{plain(node.title)}.** {plain(node.meaning)}")
    if node.missing:
        st.info(plain(node.missing))
    if node.axis == "challenge":
        st.markdown(", ".join(plain(found.metric_title(metric)) for metric in node.metrics))
        return
    entries = found.entries_of(told, node)
    said = [f"{link(entry)} ({plain(found.counted(ran.get(entry, {})) or 'not run')})" for entry in entries]
    studies = [study.short for study in told.studies if node.key in study.attention]
    st.markdown("\n".join(f"- {line}" for line in said) or "No entry of the zoo is of this kind.")
    if studies:
        st.markdown(f"Studies of the review: {plain(', '.join(studies))}.")


def link(entry: str) -> str:
    return f"[{plain(entry)}](method?{urlencode({'method': entry})})"


def show_table(engine: sa.Engine, told: Review, table: Table) -> None:
    st.header(plain(f"Table {table.id}: {table.title}"))
    tables.show(found.printed(table), "The table as printed", cards=True)
    show_slips_of(table)
    st.header("Recomputed")
    specs = {key: spec for key, spec in queries.protocols(engine).items() if not spec.leaks}
    if not specs:
        st.info("No results yet. Run a method, bring its results in, and reload this page:")
        st.code("fuseboard run all --protocol synthetic@1\nfuseboard ingest", language=None)
    elif table.id == "3":
        tables.show(found.architectures(engine, table), "Architectures, measured", cards=True)
        st.caption("Score under each protocol's primary metric and condition, mean ± half width of the 95% t interval.")
    elif table.id == "2":
        spec = choose_protocol(specs)
        tables.show(found.claims_checked(engine, spec, table), "Claims, measured", cards=True)
        st.caption("What the table claims of one kind, measured for all three, whose encoders and budget are the same.")
    else:
        show_measures(engine, told, specs)


def show_slips_of(table: Table) -> None:
    slips = [("", slip) for slip in table.slips] + [(row.name, slip) for row in table.rows for slip in row.slips]
    with st.expander(f"Slips of this table: {len(slips)}", expanded=True):
        st.markdown("\n".join(f"- {plain(slip_text(where, slip))}" for where, slip in slips) or "None found.")


def show_measures(engine: sa.Engine, told: Review, specs: dict[str, ProtocolSpec]) -> None:
    measured = {key: remembered(found.measures)(engine, spec) for key, spec in specs.items()}
    tables.show(found.table4(told, measured), "Data sets and metrics, measured", cards=True)
    st.caption("How sure it is that a study stands behind its row is in brackets.")
    st.header("What every method's modality and saliency metrics are")
    key = choose_protocol(specs).key
    tables.show(measured[key], "Modality and saliency metrics")
    if not found.any_measured(measured[key]):
        st.info("No run of this protocol was evaluated yet. Evaluate a method that was run, and reload this page:")
        st.code(f"fuseboard evaluate <method> --protocol {key}", language=None)
    st.caption("Means over runs ± half width of the 95% t interval; a reason stands where a metric has no value.")


def show_studies(told: Review, ran: found.Ran) -> None:
    table = found.study_paths(told, ran)
    tables.show(table, "Studies", cards=True)
    st.caption("From a study to its entry in the zoo, its published numbers, our runs, and verdicts on those numbers.")
    by_key = told.by_key
    study = by_key[choose("Study", list(by_key), "study", lambda key: by_key[key].short)]
    st.header(plain(study.title))
    facts = {
        "By": f"{', '.join(study.authors)}, {study.venue} {study.year}",
        "Architecture": study.architecture,
        "Metrics": ", ".join(study.metrics),
        "Data sets": ", ".join(study.datasets),
        "Strengths": "; ".join(study.strengths),
        "Limitations": "; ".join(study.limitations),
        "Published tables": ", ".join(f"fuseboard papers {key}" for key in study.papers),
        "Note": study.note,
    }
    st.markdown("\n".join(f"- **{term}**: {plain(text)}" for term, text in facts.items() if text))
    if study.entries:
        st.markdown("In the zoo: " + ", ".join(map(link, study.entries)))
    for slip in study.slips:
        st.warning(plain(slip_text("", slip)))


def show_reports() -> None:
    places = found.reports()
    if not places:
        st.info("No report is published yet. Make one:")
        st.code("fuseboard reproduce mmmuba2018 --table 1", language=None)
        return
    tables.show(found.reports_table(places), "Reports", cards=True)
    name = choose("Report", list(places), "report")
    st.header(plain(name))
    tables.show(found.report_cells(places[name]), "Cells of the report", cards=True)
    st.caption(
        "Mean ± half width of the 95% t interval (runs), in the unit of the paper's table. The verdict is that of the "
        "epoch chosen on validation; choosing it on the test part needs the test labels and only explains a distance."
    )
    left, right = st.columns(2)
    page, table = ((places[name] / file).read_bytes() for file in ("report.html", "table.csv"))
    stem = name.replace(", table ", "-")
    left.download_button("The whole report (HTML)", page, f"{stem}.html", "text/html")
    right.download_button("Its cells (CSV)", table, f"{stem}.csv", "text/csv")


def show_slips(told: Review) -> None:
    tables.show(found.slips_table(told), "Slips", cards=True)
    st.caption("Certain: seen at its source. Likely: inferred. Open: could not be settled.")


main()
