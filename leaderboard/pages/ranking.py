"""Which methods lead under one protocol, and which of them the runs can tell apart."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import published, queries, ranking_table, tables
from leaderboard.contents import SAYS
from leaderboard.figures import decimals, interval_text, metric_title
from leaderboard.remembered import remembered
from leaderboard.separation import ALPHA, POWER, Detectable, detectable, tie_groups
from leaderboard.session import choose, choose_protocol, choose_several, open_store, plain, require_protocols
from protocols.metrics import metric as metric_card
from protocols.spec import ProtocolSpec

FILTERS = {"Fusion stage": "stage", "Attention": "attention", "Modalities": "modalities"}  # -> column and address
PUBLISHED = "“ published"
ranking = remembered(queries.ranking)


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    st.write(SAYS)
    title = st.container()
    left, middle, right, last = st.columns([4, 2, 3, 2])
    spec = choose_protocol(specs, place=left)
    title.title(plain(spec.title))
    title.caption(plain(spec.description))
    metrics, conditions = (remembered(f)(engine, spec) for f in (queries.metrics, queries.conditions))
    if not metrics:
        show_absent(ranking(engine, spec, spec.metrics[0], spec.conditions[0]))
        return
    metric = choose("Metric", metrics, "metric", metric_title, place=middle)
    condition = choose("Condition", conditions, "condition", place=right)
    by = choose("Sort by", list(ranking_table.SORTS), "sort", str.capitalize, place=last)
    board = ranking(engine, spec, metric, condition)
    if board.table.empty:
        st.info(f"No run has {plain(metric_title(metric))} under this condition. Choose another one above.")
        show_absent(board)
        return
    rows = filtered(board.table.assign(group=tie_groups(board.table.to_dict("records"))))
    if rows.empty:
        st.info("No method is of this kind. Take a filter away.")
    else:
        show_board(board, rows, spec, metric, by)
        show_detectable(remembered(separable)(engine, spec, metric, condition), spec, metric)
        if len(conditions) > 1:
            show_conditions(remembered(under_each)(engine, spec, metric), rows, metric, conditions)
    show_published(spec, metric)
    show_absent(board)


def filtered(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the kinds that are chosen; ranks and groups stay those of the whole board."""
    with st.expander("Filter by kind of method", expanded=any(map(st.query_params.get_all, FILTERS.values()))):
        kinds = {column: sorted(set(table[column])) for column in FILTERS.values()}
        places = st.columns(len(FILTERS))
        for (label, column), place in zip(FILTERS.items(), places, strict=True):
            if chosen := choose_several(label, kinds[column], (), column, place, placeholder="all"):
                table = table[table[column].isin(chosen)]
        st.caption("The address holds the choice, so that a view can be shared. Ranks stay those of the whole board.")
    return table.reset_index(drop=True)


def show_board(board: queries.Ranking, shown: pd.DataFrame, spec: ProtocolSpec, metric: str, by: str) -> None:
    if len(shown) < len(board.table):
        st.caption(f"Shown: {len(shown)} of {len(board.table)} methods.")
    st.html(ranking_table.of_board(board, shown, spec, metric, by))
    show_legend(spec)
    if board.set_aside:
        st.warning(
            f"Completed runs set aside: {board.set_aside}. Their data, settings or code differ from those shown; "
            "run all seeds with one version to make them comparable."
        )


def show_legend(spec: ProtocolSpec) -> None:
    runs = "folds" if spec.folds else "seeds"
    address = quote(spec.key)
    st.caption(
        f"Mean and 95% t interval over n {runs}, with as many digits as the interval supports. Ranks: a method is above"
        f" another only where a paired t test over shared {runs} separates the two (Holm over all pairs, 5%); "
        "1–3 means that ranks 1 to 3 are all possible. A tie group begins where every method above is certainly "
        "better. Training: mean wall time of a run. Checkpoints are chosen on validation, never on test."
    )
    st.caption(
        f"{ranking_table.VERIFIED}: all {len(spec.runs())} runs that the protocol asks for are there, run with one "
        "code and one setting, and their records had the checksums of their manifests when they were read in. "
        f"Otherwise it says how many are there. {PUBLISHED}: a number from a paper, not ours; it never ranks, and "
        "stands below."
    )
    st.markdown(f"[What this protocol is](protocol?protocol={address}) · [Compare methods](compare?protocol={address})")


def separable(engine: sa.Engine, spec: ProtocolSpec, metric: str, condition: str) -> Detectable | None:
    """The smallest difference that the board's runs would find."""
    return detectable(queries.by_unit(queries.seeds(engine, spec, metric, condition)))


def under_each(engine: sa.Engine, spec: ProtocolSpec, metric: str) -> pd.DataFrame:
    """Means with intervals under each condition."""
    return queries.cells(queries.seeds(engine, spec, metric))


def show_detectable(found: Detectable | None, spec: ProtocolSpec, metric: str) -> None:
    runs = "folds" if spec.folds else "seeds"
    if found is None:
        st.caption(f"Smallest detectable difference: not known, for no two methods share three {runs}.")
        return
    st.markdown(
        f"**Smallest detectable difference: {points_text(found.one, metric)}** between two methods named beforehand, "
        f"{points_text(found.all, metric)} among all {found.pairs} pairs of this board."
    )
    st.caption(
        f"A paired t test over {found.n} {runs} finds a true difference of this size with probability {POWER:.0%} at "
        f"{ALPHA:.0%}, for methods whose runs scatter as those of the middle pair do. What is closer needs more {runs}."
    )


def points_text(value: float, metric: str) -> str:
    """In percent points where the metric is a fraction."""
    percent = metric_card(metric).unit == "fraction"
    shown = 100 * value if percent else value
    return f"{shown:.{decimals(shown)}f} " + ("percent points" if percent else metric_card(metric).unit)


def show_conditions(cells: pd.DataFrame, shown: pd.DataFrame, metric: str, conditions: list[str]) -> None:
    st.header("Every condition")
    cells = cells.assign(text=[interval_text(row, metric) for row in cells.to_dict("records")])
    table = cells.pivot(index="method", columns="condition", values="text")
    table = table.reindex(index=shown["method"], columns=conditions).fillna("–")
    table.index.name = "Method"
    tables.show(table, "Every condition")
    st.caption(f"{metric_title(metric)}, mean ± half width of the 95% t interval.")


def show_published(spec: ProtocolSpec, metric: str) -> None:
    """Numbers of papers that are re-run on these data: a table of their own, never a column beside ours."""
    rows = published_rows(spec.key, metric)
    if not rows:
        return
    with st.expander(f"Published numbers on these data, which do not rank: {len(rows)}"):
        table = pd.DataFrame(rows)
        links = {"Paper": list(table.pop("address"))}
        tables.show(table, "Published numbers", cards=True, links=links)
        st.caption(
            f"{PUBLISHED}: as printed, by the paper's own rule for the epoch and its own settings, so not comparable "
            "with the ranking. The verdict says whether re-running the paper's recipe gives its number again."
        )


@st.cache_data(show_spinner=False)
def published_rows(protocol: str, metric: str) -> Sequence[dict[str, str]]:
    return [
        {
            "Paper": paper.key,
            "address": f"paper?{urlencode({'paper': paper.key, 'table': table.id})}",
            "Table": table.printed,
            "Row": number.cell.row.heading,
            "Column": published.column_title(number.cell.column),
            "Printed": number.printed,
            "Badge": PUBLISHED,
            "Ours, by its recipe": number.ours or "–",
            "Verdict": number.verdict or "not recomputed yet",
        }
        for paper, table, numbers in published.on_protocol(protocol)
        for number in numbers
        if number.cell.column.metric == metric
    ]


def show_absent(board: queries.Ranking) -> None:
    if len(board.absent):
        with st.expander(f"Why not listed: {len(board.absent)} methods", expanded=board.table.empty):
            tables.show(board.absent.rename(columns={"method": "Method", "reason": "Why"}), "Not listed", cards=True)


main()
