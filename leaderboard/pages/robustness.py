"""How far scores fall under corruption, absence, misalignment and conflict, and how that compares with late fusion."""

from collections.abc import Sequence

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import contributions, queries, robustness, tables
from leaderboard.contents import says
from leaderboard.figures import axis_title, interval_text, metric_title
from leaderboard.interval_charts import dots, looks, points
from leaderboard.remembered import remembered
from leaderboard.score_tables import reasons_table, scores_table
from leaderboard.session import (
    choose,
    choose_protocol,
    choose_several,
    open_store,
    plain,
    require_evaluation,
    require_protocols,
    show_chart,
)
from leaderboard.sweep_charts import (
    MOVED,
    Style,
    corruptions,
    default_sweeps,
    domain_of,
    drawn,
    sweep_chart,
    sweep_title,
)
from leaderboard.tables import DASH
from protocols.spec import ProtocolSpec
from protocols.suite import Suite

BEST = 3  # fusing methods before a person chooses; baselines and late fusion come along
MEANING = {
    "area": "mean height of the curve from clean input to the worst severity, severities counted equally",
    "worst": "lowest score of the sweep, or largest error",
    "retention": "mean share of the clean score that is kept; of an error, clean error over error",
    "corruption_error": f"errors relative to those of {robustness.REFERENCE}; below 100 % errs less",
    "effective": f"what is kept beyond a better clean score, against {robustness.REFERENCE}; above 0 loses less",
}


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, right = st.columns([2, 1])
    spec = choose_protocol(specs, place=left)
    title.title("Robustness")
    title.caption(plain(f"{spec.title}. {says('robustness')}"))
    suite, measured = require_evaluation(engine, spec)
    metric = choose("Metric", spec.metrics, "metric", metric_title, place=right)
    ranked, alone = remembered(contributions.methods)(engine, spec)
    options = [name for name in ranked if name in measured]
    chosen = choose_several("Methods", options, default_methods(options, list(alone)), "methods")
    sweeps = choose_several("Corruptions", corruptions(suite), default_sweeps(suite), "sweeps")
    if not chosen:
        st.info("Choose one method at least.")
        return
    values, found, why = remembered(scored)(engine, spec, suite, metric, sorted({*chosen, robustness.REFERENCE}))
    cells = queries.cells(values[values["method"].isin(chosen)])
    style = Style(looks(chosen), set(alone))
    show_curves(cells, suite, metric, sweeps, style)
    show_scores(queries.cells(found[found["method"].isin(chosen)]), metric, sweeps, chosen)
    show_absence(cells, suite, metric, chosen, style)
    show_moved(cells, suite, metric, style)
    show_every_sweep(found[found["method"].isin(chosen)], suite, metric, chosen)
    show_undefined(why[why["method"].isin(chosen)])


def scored(
    engine: sa.Engine, spec: ProtocolSpec, suite: Suite, metric: str, methods: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Of some methods: the value under every condition, the scores of every sweep, and why some have none."""
    values = robustness.scores(engine, spec, suite, metric, methods)
    return values, *robustness.sweep_scores(engine, spec, suite, metric, values)


def default_methods(options: Sequence[str], alone: Sequence[str]) -> list[str]:
    fusing = [name for name in options if name not in alone and name != robustness.REFERENCE]
    return [name for name in options if name in {*fusing[:BEST], *alone, robustness.REFERENCE}]


def show_curves(cells: pd.DataFrame, suite: Suite, metric: str, sweeps: Sequence[str], style: Style) -> None:
    st.header("With the severity of a corruption")
    if not sweeps:
        st.info("Choose one corruption at least.")
        return
    conditions = [condition.text for name in sweeps for condition in suite.sweep(name)]
    domain = domain_of(cells[cells["condition"].isin(["clean", *conditions])])
    for start in range(0, len(sweeps), 2):
        for place, name in zip(st.columns(2, gap="large"), sweeps[start : start + 2], strict=False):
            with place:
                st.markdown(f"**{plain(sweep_title(name))}**")
                show_chart(sweep_chart(cells, suite.sweep(name), metric, style, domain), f"Scores under {name}")
    st.caption(
        "Mean over runs with the band of the 95% t interval; dashed lines are unimodal baselines. All methods meet the "
        "same draws of noise. Where clean input has no place on a scale, it stands one step left of the mildest "
        "severity."
    )


def show_scores(cells: pd.DataFrame, metric: str, sweeps: Sequence[str], chosen: Sequence[str]) -> None:
    if not sweeps:
        return
    texts = {
        (row["condition"], row["method"], row["metric"].partition("/")[0]): interval_text(row, row["metric"])
        for row in cells.to_dict("records")
    }
    rows = [
        {"Method": method, "Corruption": sweep_title(sweep)}
        | {metric_title(name): texts.get((sweep, method, name), DASH) for name in robustness.SCORES}
        for sweep in sweeps
        for method in chosen
    ]
    tables.show(pd.DataFrame(rows), "Scores of the chosen corruptions")
    st.caption(plain(" ".join(f"{metric_title(name)}: {said}." for name, said in MEANING.items())))
    st.caption(
        plain(
            f"All of the {metric_title(metric).lower()}, mean ± half width of the 95% t interval over runs. Runs are "
            f"compared with the run of {robustness.REFERENCE} that has their seed or fold, with no other method."
        )
    )


def show_absence(cells: pd.DataFrame, suite: Suite, metric: str, chosen: Sequence[str], style: Style) -> None:
    single = [name for name in suite.conditions if name in set(cells["condition"])]
    missing = [name for name in single if name.endswith("/missing")]
    conflict = [name for name in single if name.endswith("/conflict")]
    left, right = st.columns(2, gap="large")
    if missing:
        with left:
            st.header("Without a modality")
            show_conditions(cells, metric, missing, chosen)
            st.caption("An absent modality is its training mean, as in the protocol's own conditions.")
    with right:
        if rates := [name for name in suite.sweeps if name == "all/missing"]:
            st.header("With modalities missing at random")
            conditions = suite.sweep(rates[0])
            domain = domain_of(cells[cells["condition"].isin(["clean", *(c.text for c in conditions)])])
            chart = sweep_chart(cells, conditions, metric, style, domain)
            show_chart(chart, "Scores with modalities missing at random")
            st.caption("Each modality of each sample is absent at this rate; one always stays.")
    if conflict:
        st.header("With a modality that contradicts")
        show_conditions(cells, metric, conflict, chosen)
        st.caption(
            "One stream comes from an example of another class, the label stays. A method that ignores the stream "
            "scores as on clean input; one that follows it alone scores nothing."
        )


def show_conditions(cells: pd.DataFrame, metric: str, conditions: Sequence[str], chosen: Sequence[str]) -> None:
    """Scores under single conditions, below those on clean input."""
    here = cells[cells["condition"].isin(["clean", *conditions])]
    rows = points(here, row="condition", group="method")
    chart = dots(rows, metric, axis_title(metric), ["clean", *conditions], list(chosen))
    show_chart(chart, "Scores under each condition, a row a condition")


def show_moved(cells: pd.DataFrame, suite: Suite, metric: str, style: Style) -> None:
    """One stream later or earlier than the others, both directions on one axis."""
    moved = [name for name in suite.sweeps if name.partition("/")[2] in MOVED]
    modalities = list(dict.fromkeys(name.partition("/")[0] for name in moved))
    if not modalities:
        return
    st.header("With a modality that comes at the wrong time")
    texts = [condition.text for name in moved for condition in suite.sweep(name)]
    domain = domain_of(cells[cells["condition"].isin(["clean", *texts])])
    for place, modality in zip(st.columns(max(2, len(modalities)), gap="large"), modalities, strict=False):
        with place:
            st.markdown(f"**{modality}**")
            places, unit = {"clean": 0.0}, ""
            for name in moved:
                if name.partition("/")[0] == modality:
                    sign = -1 if name.endswith("/advance") else 1
                    places |= {c.text: sign * c.severity for c in suite.sweep(name)}
                    unit = suite.sweep(name)[0].unit
            marks = {at: "clean" if at == 0 else f"{at:+g}" for at in sorted(places.values())}
            title = f"{modality} later than the others ({unit})"
            show_chart(
                drawn(cells, places, metric, title, style, marks, domain), f"Scores with {modality} at the wrong time"
            )
    if any(name.endswith("/advance") for name in moved):
        st.caption("Left of clean the stream comes earlier than the others, right of it later.")


def show_every_sweep(found: pd.DataFrame, suite: Suite, metric: str, chosen: Sequence[str]) -> None:
    st.header("Every sweep")
    score = choose("Score", robustness.SCORES, "score", metric_title)
    own = found[found["metric"] == f"{score}/{metric}"]
    cells = queries.cells(robustness.with_mean(own, suite))
    texts = {(row["condition"], row["method"]): interval_text(row, row["metric"]) for row in cells.to_dict("records")}
    said = [
        (sweep_title(sweep), method, texts.get((sweep, method), DASH))
        for sweep in ("mean", *suite.sweeps)
        for method in chosen
    ]
    tables.show(scores_table(said, chosen).rename_axis("Sweep"), "Every sweep")
    st.caption(plain(f"{metric_title(score)}: {MEANING[score]}. Mean ± half width of the 95% t interval over runs."))


def show_undefined(why: pd.DataFrame) -> None:
    table = reasons_table(why)
    if len(table):
        with st.expander(f"Scores without a value, and why: {len(table)}"):
            tables.show(table, "Scores without a value", cards=True)


main()
