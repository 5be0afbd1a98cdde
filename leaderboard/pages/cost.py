"""What a score costs: parameters, operations, time, memory and energy, and which methods nobody beats in both."""

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import cost, queries, tables
from leaderboard.charts import pareto_chart
from leaderboard.contents import says
from leaderboard.figures import interval_text, metric_title
from leaderboard.remembered import remembered
from leaderboard.session import (
    choose,
    choose_protocol,
    open_store,
    plain,
    require_evaluation,
    require_protocols,
    show_chart,
)
from leaderboard.tables import DASH
from protocols.metrics import metric as metric_card
from protocols.spec import ProtocolSpec


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, second, third, right = st.columns([3, 2, 3, 3])
    spec = choose_protocol(specs, place=left)
    title.title("Cost")
    title.caption(plain(f"{spec.title}. {says('cost')}"))
    require_evaluation(engine, spec)
    metrics, conditions = (remembered(f)(engine, spec) for f in (queries.metrics, queries.conditions))
    metric = choose("Metric", metrics, "metric", metric_title, place=second)
    condition = choose("Condition", conditions, "condition", place=third)
    board = remembered(queries.ranking)(engine, spec, metric, condition).table
    costs = remembered(cost.cells)(engine, spec)
    measured = [name for name in cost_names(costs) if name not in cost.ESTIMATED]
    chosen = choose("Cost", measured, "cost", cost.title, place=right)
    if board.empty:
        st.info(f"No run has {plain(metric_title(metric))} under this condition. Choose another one above.")
        return
    show_front(board, costs[costs["cost"] == chosen], metric, chosen)
    show_table(board, costs, metric)
    show_undefined(engine, spec)
    show_hardware(engine, spec)


def cost_names(costs: pd.DataFrame) -> list[str]:
    """What was measured, in the order of COSTS."""
    order = list(cost.COSTS)
    return sorted(set(costs["cost"]), key=lambda name: (order.index(name.partition("/")[0]), name))


def show_front(board: pd.DataFrame, costs: pd.DataFrame, metric: str, chosen: str) -> None:
    prices = {row["method"]: row for row in costs.to_dict("records") if row["mean"] > 0}  # an axis of logarithms
    rows = board[board["method"].isin(prices)].reset_index(drop=True)
    if rows.empty:
        st.info("No method has both this score and this cost.")
        return
    less = cost.of(chosen).less_is_better
    table = pd.DataFrame({"mean": rows["mean"], "cost": [prices[name]["mean"] for name in rows["method"]]})
    front = cost.front(table, less, metric_card(metric).higher_is_better is not False)
    order = sorted(rows.loc[front, "method"], key=lambda name: prices[name]["mean"])
    places = {name: str(place) for place, name in enumerate(order, start=1)}
    drawn = [
        {
            "method": row["method"],
            "kind": "unimodal baseline" if row["unimodal"] else "fusion",
            "cost": prices[row["method"]]["mean"],
            **{end: None if pd.isna(row[end]) else row[end] for end in ("mean", "low", "high")},
            "front": bool(on),
            "place": places.get(row["method"]),
            "score": interval_text(row, metric),
            "price": cost.text(prices[row["method"]]),
            "n": row["n"],
        }
        for row, on in zip(rows.to_dict("records"), front, strict=True)
    ]
    show_chart(pareto_chart(drawn, metric, cost.title(chosen), less), "Score against cost, a point a method")
    names = ", ".join(f"**{place}** {plain(name)}" for name, place in places.items())
    st.markdown(f"On the front, from the left: {names}.")
    st.caption(
        f"Better is {'left' if less else 'right'} and up. The front is filled and joined by the dashed line: no method "
        "is at least as good as one of these in both score and cost, and better in one. Vertical lines are 95% t "
        "intervals over runs. The front is one of means: where intervals overlap, other runs might move it."
    )


def show_table(board: pd.DataFrame, costs: pd.DataFrame, metric: str) -> None:
    texts = {(row["method"], row["cost"]): cost.text(row) for row in costs.to_dict("records")}
    names = cost_names(costs)
    rows = [
        {"Method": row["method"], metric_title(metric): interval_text(row, metric)}
        | {cost.short(name): texts.get((row["method"], name), DASH) for name in names}
        for row in board.to_dict("records")
    ]
    tables.show(pd.DataFrame(rows), "Costs of every method")
    st.caption(
        "Mean ± half width of the 95% t interval over runs. FLOPs: of one example of median length, two for a "
        "multiply-add. p50 and p95: latency of that example in a batch of 1. Examples/s: in batches of the protocol's "
        "size. Both on one CPU thread, from features in memory to scores. Memory: alive at once in a pass of such a "
        "batch, beside weights and inputs. Training: wall time of a whole run."
    )
    if any(name.partition("/")[0] in cost.ESTIMATED for name in names):
        st.caption("Spiking energy is an estimate from counted operations and never compared with measured energy.")


def show_undefined(engine: sa.Engine, spec: ProtocolSpec) -> None:
    """Why a cost was not measured, the same reason of many methods in one line."""
    why = remembered(queries.undefined)(engine, spec, cost.MEASURED)
    if why.empty:
        return
    st.header("Not measured")
    rows = [
        {"Cost": cost.title(metric), "Why": reason, "Methods": len(set(group["method"]))}
        for (metric, reason), group in why.groupby(["metric", "reason"])
    ]
    tables.show(pd.DataFrame(rows), "Costs that were not measured", cards=True)


def show_hardware(engine: sa.Engine, spec: ProtocolSpec) -> None:
    st.header("Where it was measured")
    st.write("\n".join(f"- {plain(line)}" for line in remembered(machines)(engine, spec)))
    st.caption("Times of different machines are not comparable; parameters and FLOPs are the same everywhere.")


def machines(engine: sa.Engine, spec: ProtocolSpec) -> list[str]:
    """On what the costs were measured."""
    return cost.hardware(queries.evaluated(engine, spec))


main()
