"""Which methods lead under one protocol, and which of them the runs can tell apart."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from leaderboard import queries
from leaderboard.charts import ranking_chart
from leaderboard.figures import interval_text, metric_title, ranks_text
from leaderboard.session import choose, open_store, plain, require_protocols
from protocols.spec import ProtocolSpec
from protocols.tasks import TASKS


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, middle, right = st.columns([2, 1, 1])
    spec = specs[choose("Protocol", list(specs), "protocol", place=left)]
    title.header(plain(spec.title))
    title.caption(plain(spec.description))
    metrics, conditions = queries.metrics(engine, spec), queries.conditions(engine, spec)
    if not metrics:
        show_absent(queries.ranking(engine, spec, spec.metrics[0], spec.conditions[0]))
        return
    metric = choose("Metric", metrics, "metric", metric_title, place=middle)
    condition = choose("Condition", conditions, "condition", place=right)
    board = queries.ranking(engine, spec, metric, condition)
    if board.table.empty:
        st.info(f"No run has {plain(metric_title(metric))} under this condition. Choose another one above.")
    else:
        show_board(board, spec, metric)
        if len(conditions) > 1:
            show_conditions(queries.cells(queries.seeds(engine, spec, metric)), board, metric, conditions)
    show_absent(board)


def show_board(board: queries.Ranking, spec: ProtocolSpec, metric: str) -> None:
    st.vega_lite_chart(ranking_chart(board.table, metric, board.majority, TASKS[spec.task].trivial_title))
    rows = board.table.to_dict("records")
    score = metric_title(metric)
    table = pd.DataFrame(
        {
            "Rank": board.table["best"],
            "Method": [f"method?{urlencode({'method': row['method'], 'protocol': spec.key})}" for row in rows],
            score: board.table["mean"],
            "n": board.table["n"],
            "Kind": board.table["unimodal"].map({True: "unimodal", False: "fusion"}),
            "Parameters": board.table["parameters"],
            "Training": board.table["fit_seconds"],
            "Failed runs": board.table["failed"],
        }
    )
    if not table["Failed runs"].any():
        table = table.drop(columns="Failed runs")
    # Styled, not formatted: the header still sorts by the number.
    ranks, scores = [ranks_text(row) for row in rows], [interval_text(row, metric) for row in rows]
    styled = table.style.format({"Parameters": "{:,.0f}", "Training": "{:.1f} s"}, na_rep="–")
    for place, (rank, text) in enumerate(zip(ranks, scores, strict=True)):
        styled = styled.format(lambda _, text=rank: text, subset=pd.IndexSlice[[place], ["Rank"]])
        styled = styled.format(lambda _, text=text: text, subset=pd.IndexSlice[[place], [score]])
    method = st.column_config.LinkColumn("Method", display_text=r"method=([^&]*)")
    st.dataframe(
        styled,
        hide_index=True,
        column_config={"Method": method, "Rank": st.column_config.Column(width="small")},
        height=38 + 35 * len(table),
    )
    runs = "folds" if spec.folds else "seeds"
    st.caption(
        f"Mean and 95% t interval over n {runs}. Ranks: a method is above another only where a paired t test over "
        f"shared {runs} separates the two (Holm-corrected over all pairs, 5%); 1–3 means that ranks 1 to 3 are all "
        "possible. Training: mean wall time of a run. Checkpoints are chosen on validation, never on test."
    )
    if board.set_aside:
        st.warning(
            f"Completed runs set aside: {board.set_aside}. Their data, settings or code differ from those shown; "
            "run all seeds with one version to make them comparable."
        )


def show_conditions(cells: pd.DataFrame, board: queries.Ranking, metric: str, conditions: list[str]) -> None:
    st.subheader("Every condition")
    cells = cells.assign(text=[interval_text(row, metric) for row in cells.to_dict("records")])
    table = cells.pivot(index="method", columns="condition", values="text")
    table = table.reindex(index=board.table["method"], columns=conditions).fillna("–")
    table.index.name = "Method"
    st.dataframe(table)
    st.caption(f"{metric_title(metric)}, mean ± half width of the 95% t interval.")


def show_absent(board: queries.Ranking) -> None:
    if len(board.absent):
        with st.expander(f"Not on this board: {len(board.absent)}", expanded=board.table.empty):
            st.dataframe(
                board.absent.rename(columns={"method": "Method", "reason": "Why"}),
                hide_index=True,
                column_config={"Why": st.column_config.TextColumn(width="large")},
            )


main()
