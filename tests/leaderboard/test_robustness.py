"""Robustness as tables: by hand, against late fusion run by run, and with reasons where there is no number."""

import numpy as np
import pandas as pd
import pytest

from leaderboard import queries, robustness, store
from protocols.spec import committed
from protocols.suite import suites

KEY = "grid-digit-noisy@1"
NOISE = [f"audio/white_noise/{level}dB" for level in (20, 10, 0, -5, -10, -15)]


@pytest.fixture
def suite():
    return suites()[KEY]


@pytest.fixture
def grid():
    return committed()[KEY]


def add(bundles, grid, suite, method, seed, clean, curve, **more):
    """A run with one sweep; curve is None where the model's scores are undefined."""
    folder = bundles.add(method, seed, spec=grid, base="compose", values={("clean", "accuracy"): clean}, **more)
    found = dict.fromkeys([(name, "accuracy") for name in NOISE], "the scores are not finite")
    if curve is not None:
        found = {(name, "accuracy"): score for name, score in zip(NOISE, curve, strict=True)}
        found["audio/white_noise", "area/accuracy"] = float(np.mean(curve))
    else:
        found["audio/white_noise", "area/accuracy"] = "the scores are not finite"
    bundles.measure(folder, found, suite=suite.key)


def sweep_scores(engine, grid, suite):
    values = robustness.scores(engine, grid, suite, "accuracy")
    return robustness.sweep_scores(engine, grid, suite, "accuracy", values)


def test_scores_against_late_fusion_by_hand(engine, bundles, grid, suite):
    add(bundles, grid, suite, "late_fusion", 0, 0.9, [0.8] * 6)
    add(bundles, grid, suite, "late_fusion", 1, 0.8, [0.6] * 6)
    add(bundles, grid, suite, "mult-paper", 0, 0.9, [0.9] * 6)
    add(bundles, grid, suite, "mult-paper", 1, 0.9, [0.8] * 6)
    store.ingest(engine, bundles.root)
    found, why = sweep_scores(engine, grid, suite)
    assert why.empty
    own = found[found["method"] == "mult-paper"].set_index(["metric", "seed"])["value"]
    assert own["corruption_error/accuracy", 0] == pytest.approx(0.1 / 0.2)
    assert own["corruption_error/accuracy", 1] == pytest.approx(0.2 / 0.4)
    assert own["effective/accuracy", 0] == pytest.approx(0.1)
    assert own["effective/accuracy", 1] == pytest.approx(0.2 - 0.1)
    cells = queries.cells(found).set_index(["method", "metric"])
    assert cells.loc[("mult-paper", "corruption_error/accuracy"), "mean"] == pytest.approx(0.5)
    assert cells.loc[("mult-paper", "corruption_error/accuracy"), "n"] == 2
    assert cells.loc[("late_fusion", "effective/accuracy"), "mean"] == pytest.approx(0)
    assert set(found["condition"]) == {"audio/white_noise"}


def test_pairs_are_of_one_seed_or_fold(engine, bundles, suite, grid):
    """Unpaired, the means would differ by the luck of a seed that only one of the two was run with."""
    add(bundles, grid, suite, "late_fusion", 0, 0.9, [0.8] * 6)
    add(bundles, grid, suite, "mult-paper", 0, 0.9, [0.8] * 6)
    add(bundles, grid, suite, "mult-paper", 1, 0.5, [0.1] * 6)
    store.ingest(engine, bundles.root)
    found, why = sweep_scores(engine, grid, suite)
    own = found[(found["method"] == "mult-paper") & (found["metric"] == "effective/accuracy")]
    assert own["value"].tolist() == [0.0]
    (reason,) = set(why["reason"])
    assert "late_fusion" in reason
    assert set(why["runs"]) == {1}


def test_without_late_fusion_there_are_reasons(engine, bundles, grid, suite):
    add(bundles, grid, suite, "mult-paper", 0, 0.9, [0.8] * 6)
    store.ingest(engine, bundles.root)
    found, why = sweep_scores(engine, grid, suite)
    assert set(found["metric"]) == {"area/accuracy"}
    assert set(why["metric"]) == {"corruption_error/accuracy", "effective/accuracy"}


def test_a_reference_without_errors_leaves_no_corruption_error(engine, bundles, grid, suite):
    add(bundles, grid, suite, "late_fusion", 0, 1.0, [1.0] * 6)
    add(bundles, grid, suite, "mult-paper", 0, 0.9, [0.8] * 6)
    store.ingest(engine, bundles.root)
    found, why = sweep_scores(engine, grid, suite)
    assert "corruption_error/accuracy" not in set(found["metric"])
    assert set(why["reason"]) == {"the reference makes no error under these severities"}


def test_what_is_undefined_keeps_its_own_reason(engine, bundles, grid, suite):
    add(bundles, grid, suite, "late_fusion", 0, 0.9, [0.8] * 6)
    add(bundles, grid, suite, "mult-paper", 0, 0.9, None)
    store.ingest(engine, bundles.root)
    found, why = sweep_scores(engine, grid, suite)
    assert set(found["method"]) == {"late_fusion"}
    assert set(why["reason"]) == {"the scores are not finite"}
    assert "area/accuracy" in set(why["metric"])


def test_the_mean_needs_every_sweep(engine, bundles, evaluate, suite, grid):
    evaluate(bundles, KEY, runs=2)
    add(bundles, grid, suite, "film", 0, 0.9, [0.8] * 6)
    store.ingest(engine, bundles.root)
    found, _ = sweep_scores(engine, grid, suite)
    whole = robustness.with_mean(found[found["metric"] == "area/accuracy"], suite)
    mean = whole[whole["condition"] == "mean"]
    assert "film" not in set(mean["method"])
    one = (whole["method"] == "late_fusion") & (whole["seed"] == 0)
    parts = whole[one & (whole["condition"] != "mean")]["value"]
    assert len(parts) == len(suite.sweeps)
    assert mean[(mean["method"] == "late_fusion") & (mean["seed"] == 0)]["value"].item() == pytest.approx(parts.mean())


def test_a_measured_constant_is_seen(engine, bundles, grid, suite, monkeypatch):
    """A corruption error that forgets the reference would give each method its own errors."""
    monkeypatch.setattr(robustness, "corruption_error", lambda curve, reference: float((1 - curve).mean()))
    with pytest.raises(AssertionError):
        test_scores_against_late_fusion_by_hand(engine, bundles, grid, suite)


def test_errors_are_compared_as_errors(suite):
    """Half of the reference's errors; 0.1 more than on clean input, where the reference has 0.3 more."""
    rows = []
    for method, clean, noisy in (("late_fusion", 0.5, 0.8), ("mult-paper", 0.3, 0.4)):
        told = dict.fromkeys(NOISE, noisy) | {"clean": clean}
        rows += [
            {"run": method, "method": method, "split": "test", "seed": 0, "condition": c, "value": v}
            for c, v in told.items()
        ]
    found = pd.DataFrame(robustness._compared(pd.DataFrame(rows), suite, "mae")).set_index(["method", "metric"])
    assert found.loc[("mult-paper", "corruption_error/mae"), "value"] == pytest.approx(0.5)
    assert found.loc[("mult-paper", "effective/mae"), "value"] == pytest.approx(0.2)  # loses less
