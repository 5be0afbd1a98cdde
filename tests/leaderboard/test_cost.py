"""What methods cost: units, intervals, the front that nobody beats, and the machine that measured."""

import json

import pandas as pd
import pytest

from leaderboard import cost, queries, store
from protocols.metrics import METRICS


def table(**points):
    return pd.DataFrame([{"mean": s, "cost": c} for s, c in points.values()], index=list(points))


def test_the_front_by_hand():
    methods = table(cheap=(0.5, 1), good=(0.9, 10), worse=(0.8, 10), dear=(0.9, 11), middle=(0.7, 5))
    assert cost.front(methods, True, True).to_dict() == {
        "cheap": True,
        "good": True,
        "worse": False,
        "dear": False,
        "middle": True,
    }
    fast = table(fast=(0.5, 100), slow=(0.9, 1), lost=(0.4, 50))
    assert cost.front(fast, less_is_better=False, higher_score_is_better=True).tolist() == [True, True, False]
    errors = table(low=(0.1, 5), high=(0.3, 5))
    assert cost.front(errors, True, higher_score_is_better=False).tolist() == [True, False]


def test_equals_do_not_beat_each_other():
    assert cost.front(table(one=(0.5, 1), other=(0.5, 1)), True, True).all()


def test_costs_are_in_display_units(engine, bundles, spec):
    for seed in range(2):
        folder = bundles.add("one", seed, parameters=98_820)
        found = {("clean", "latency_p50"): 0.002 + 0.001 * seed, ("clean", "peak_memory"): 3 * 2**20}
        bundles.measure(folder, found | {("clean", "throughput/batch=32"): 500.0})
    store.ingest(engine, bundles.root)
    cells = cost.cells(engine, spec).set_index("cost")
    assert cells.loc["latency_p50", "mean"] == pytest.approx(2.5)
    assert cells.loc["latency_p50", "high"] - cells.loc["latency_p50", "mean"] == pytest.approx(12.706 * 0.5, rel=1e-3)
    assert cells.loc["peak_memory", "mean"] == pytest.approx(3)
    assert cells.loc["throughput/batch=32", "mean"] == 500
    assert cells.loc["parameters", "mean"] == 98_820
    assert cells.loc["training", ["mean", "n"]].tolist() == [2.5, 2]


def test_without_runs_there_are_no_costs(engine, spec):
    assert cost.cells(engine, spec).empty


def test_every_cost_metric_is_shown():
    measured = {m.name for m in METRICS.values() if m.target.partition(":")[0].endswith(".cost")}
    assert measured == set(cost.COSTS) - {cost.TRAINING}
    for name in set(cost.COSTS) & set(METRICS):
        assert cost.COSTS[name].less_is_better is (METRICS[name].higher_is_better is not True)


@pytest.mark.parametrize(
    ("mean", "half", "wanted"),
    [
        (98_820, 0, "98,820"),
        (12.3456, 0, "12.3"),
        (4.1234, 0.25, "4.12 ± 0.25"),
        (12_533.3, 1950.2, "12,533 ± 1,950"),
        (2.5, float("nan"), "2.5"),
    ],
)
def test_texts(mean, half, wanted):
    assert cost.text({"mean": mean, "low": mean - half, "high": mean + half}) == wanted


def test_titles_name_unit_and_qualifier():
    assert cost.title("throughput/batch=32") == "Throughput, batch=32 (examples/s)"
    assert cost.short("latency_p95") == "p95 (ms)"
    assert cost.title("parameters") == "Parameters"


def test_the_machine_of_the_evaluation_counts(engine, bundles, spec):
    bundles.measure(bundles.add("one", 0), {("clean", "flops"): 1.0})
    other = {"cpu": "ARM", "cores": 8, "device": "cpu"}
    bundles.measure(bundles.add("one", 1), {("clean", "flops"): 1.0}, hardware=other)
    store.ingest(engine, bundles.root)
    evaluated = queries.evaluated(engine, spec)
    assert sorted(cost.hardware(evaluated)) == [
        "ARM, 8 cores, device cpu, torch 2: 1 run",
        "test, 2 cores, device cpu, torch 2: 1 run",
    ]
    assert json.loads(evaluated["evaluation"].iloc[0])["suite"] == "unit-test@1/suite1"
