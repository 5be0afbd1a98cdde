"""Two to four methods side by side: what tells them apart, class by class, and under corruption."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import predictions, queries, robustness, tables
from leaderboard.compare import (
    PER_CLASS,
    SCORED,
    Difference,
    class_scores,
    difference_text,
    differences,
    unit,
)
from leaderboard.contents import says
from leaderboard.difference_chart import difference_chart
from leaderboard.figures import axis_title, interval_text, metric_title, ranks_text
from leaderboard.interval_charts import dots, looks, points
from leaderboard.remembered import remembered
from leaderboard.review import p_text
from leaderboard.session import (
    bundle_roots,
    choose,
    choose_protocol,
    choose_several,
    open_store,
    plain,
    require_protocols,
    show_chart,
)
from leaderboard.sweep_charts import (
    Style,
    corruptions,
    default_sweeps,
    domain_of,
    sweep_chart,
    sweep_title,
)
from leaderboard.tables import DASH
from protocols.spec import ProtocolSpec
from protocols.suite import suites

MOST = 4
FEW_CLASSES = 12  # that a chart shows; more are a table


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, middle, right = st.columns([2, 1, 1])
    spec = choose_protocol(specs, place=left)
    title.title("Compare")
    title.caption(plain(f"{spec.title}. {says('compare')}"))
    metrics, conditions = queries.metrics(engine, spec), queries.conditions(engine, spec)
    if not metrics:
        st.info("No run of this protocol has a score yet. Choose another one above.")
        return
    metric = choose("Metric", metrics, "metric", metric_title, place=middle)
    condition = choose("Condition", conditions, "condition", place=right)
    board = remembered(queries.ranking)(engine, spec, metric, condition).table
    options = list(board["method"])
    chosen = choose_several("Methods", options, default_methods(board), "compare", most=MOST)
    if len(chosen) < 2:
        if len(options) > 1:
            st.info("Choose two methods at least, four at most.")
        else:
            st.info("Only one method has this score, so there is nothing to compare it with. Run another, and reload:")
            st.code(f"fuseboard run late_fusion --protocol {spec.key}\nfuseboard ingest", language=None)
        return
    kept = queries.current_runs(engine, spec.key)[0]
    kept = kept[kept["method"].isin(chosen)]
    found, classes, absent = analysed(engine, str(engine.url), queries.stamp(engine), spec, metric, condition, chosen)
    show_scores(board[board["method"].isin(chosen)], metric, condition)
    show_differences(found, spec, metric, absent)
    show_classes(classes, spec, condition, chosen, kept)
    show_robustness(engine, spec, metric, chosen, board)


def default_methods(board: pd.DataFrame) -> list[str]:
    """The best that fuses, late fusion, and the best that takes one modality."""
    names = [*board.loc[~board["unimodal"], "method"][:1], robustness.REFERENCE]
    names += [*board.loc[board["unimodal"], "method"][:1]]
    there = [name for name in dict.fromkeys(names) if name in set(board["method"])]
    return there if len(there) > 1 else list(board["method"][:2])


@st.cache_data(show_spinner="Reading predictions", max_entries=32)
def analysed(
    _engine: sa.Engine, address: str, stamp: tuple, _spec: ProtocolSpec, metric: str, condition: str, chosen: list[str]
) -> tuple[list[Difference], pd.DataFrame | None, list[str]]:
    """Differences, scores of classes (None where nothing is a class), and whose predictions are not stored.

    ``address`` and ``stamp`` make it new when the store or its runs change.
    """
    kept = queries.current_runs(_engine, _spec.key)[0]
    kept = kept[kept["method"].isin(chosen)]
    roots = bundle_roots()
    read = predictions.read(_engine, roots, kept, condition)
    values = queries.seeds(_engine, _spec, metric, condition)
    found = differences(values[values["method"].isin(chosen)], chosen, metric, read.items)
    classes = None
    if "prediction" in read.items:
        names = predictions.class_names(_spec, folders(roots, _engine, _spec))
        classes = class_scores(read.items, names)
    return found, classes, predictions.said(read.absent, kept)


def folders(roots: Sequence[Path], engine: sa.Engine, spec: ProtocolSpec) -> list[Path]:
    """Bundles of some evaluated runs, for the names of the classes."""
    bundles = queries.evaluated_bundles(engine, spec)
    return [path for bundle in bundles for root in roots if (path := Path(root) / bundle).is_dir()]


def show_scores(rows: pd.DataFrame, metric: str, condition: str) -> None:
    told = rows.to_dict("records")
    table = pd.DataFrame(
        {
            "Method": [row["method"] for row in told],
            metric_title(metric): [interval_text(row, metric) for row in told],
            "n": [row["n"] for row in told],
            "Rank": [ranks_text(row) for row in told],
            "Parameters": [f"{row['parameters']:,.0f}" if row["parameters"] else DASH for row in told],
        }
    )
    tables.show(table, "Scores", cards=True)
    st.caption(f"Under {plain(condition)}; n runs. Rank: all that the evidence leaves open, among all of the protocol.")


def show_differences(found: Sequence[Difference], spec: ProtocolSpec, metric: str, absent: Sequence[str]) -> None:
    st.header("What tells them apart")
    show_chart(difference_chart(found, metric), "Difference of each pair with its intervals")
    runs = "folds" if spec.folds else "seeds"
    table = pd.DataFrame(
        [
            {
                "First": d.first,
                "Second": d.second,
                "So": d.says,
                f"Over {runs} ({unit(metric)})": difference_text(d.runs, metric),
                "n": d.runs.n,
                "p (Holm)": p_text(d.p),
                f"Over examples × {runs} ({unit(metric)})": difference_text(d.examples, metric),
            }
            for d in found
        ]
    )
    tables.show(table, "Differences of pairs", cards=True)
    st.caption(
        f"First minus second, with the ends of the 95% interval. Over {runs}: paired t over n shared {runs}; p of that "
        f"test, Holm-corrected over all pairs of this page ({len(found)}); below 0.05 the two are told apart. Over "
        f"examples × {runs}: bootstrap that draws examples (whole recordings) and {runs} anew, the same for both "
        "methods. The first says what other runs might change, the second what another test set might change as well."
    )
    if metric not in SCORED:
        st.caption(f"{metric_title(metric)} is no mean over examples, so that only runs are paired.")
    for line in absent:
        st.warning(f"Left out of everything below runs: {plain(line)}")


def show_classes(
    classes: pd.DataFrame | None, spec: ProtocolSpec, condition: str, chosen: Sequence[str], kept: pd.DataFrame
) -> None:
    st.header("Class by class")
    if classes is None:
        if spec.task == "classification":
            st.info(
                "No run of these methods has its predictions stored here, so nothing is known of single classes. Set "
                "FUSEBOARD_BUNDLE_ROOT to the folder that holds the bundles."
            )
        else:
            st.info(f"The answer is no class: {plain(spec.target)} ({spec.task}).")
        return
    score = choose("Score of a class", list(PER_CLASS), "class_score", str.capitalize)
    own = classes[classes["score"] == score]
    order = list(dict.fromkeys(own.sort_values("number")["class"]))
    drawn = points(own.assign(metric="accuracy"), row="class", group="method")  # drawn as percent
    if len(order) <= FEW_CLASSES:
        title = f"{score} (higher is better)"
        chart = dots(drawn, "accuracy", title, order, list(chosen), domain=(0, 1), family=list(chosen))
        show_chart(chart, f"{score.capitalize()} of each class, a row a class")
    texts = {(row["row"], row["group"]): row["said"] for row in drawn}
    items = dict(zip(own["class"], own["items"], strict=True))
    table = pd.DataFrame(
        [{"Class": c, "Items": items[c]} | {m: texts.get((c, m), DASH) for m in chosen} for c in order]
    )
    tables.show(table, "Scores of classes")
    runs = "folds" if spec.folds else "seeds"
    st.caption(
        f"{score.capitalize()}: {PER_CLASS[score]}. Mean ± half width of the 95% t interval over {runs}, under "
        f"{plain(condition)}, from stored predictions of {kept['run'].nunique()} runs."
    )


def show_robustness(
    engine: sa.Engine, spec: ProtocolSpec, metric: str, chosen: Sequence[str], board: pd.DataFrame
) -> None:
    st.header("Under corruption")
    suite = suites().get(spec.key)
    if suite is None:
        st.info(f"There is no evaluation suite for {plain(spec.key)}. Protocols that have one: {', '.join(suites())}.")
        return
    values = robustness.scores(engine, spec, suite, metric, chosen)
    values = values[values["method"].isin(chosen)]
    # A protocol's own conditions are there without an evaluation.
    measured = set(values.loc[~values["condition"].isin(spec.conditions), "method"])
    if without := [name for name in chosen if name not in measured]:
        st.info("Not evaluated yet, so without curves. Evaluate, and reload this page:")
        st.code("\n".join(f"fuseboard evaluate {name} --protocol {spec.key}" for name in without), language=None)
    if not measured:
        return
    sweeps = choose_several("Corruptions", corruptions(suite), default_sweeps(suite), "sweeps")
    cells = queries.cells(values[values["method"].isin(measured)])
    conditions = [condition.text for name in sweeps for condition in suite.sweep(name)]
    domain = domain_of(cells[cells["condition"].isin(["clean", *conditions])])
    style = Style(looks([name for name in chosen if name in measured]), set(board.loc[board["unimodal"], "method"]))
    for start in range(0, len(sweeps), 2):
        for place, name in zip(st.columns(2, gap="large"), sweeps[start : start + 2], strict=False):
            with place:
                st.markdown(f"**{plain(sweep_title(name))}**")
                show_chart(sweep_chart(cells, suite.sweep(name), metric, style, domain), f"Scores under {name}")
    st.caption(
        f"{axis_title(metric)}; mean over runs with the band of the 95% t interval; dashed lines are unimodal "
        "baselines. All methods meet the same draws of noise."
    )


main()
