"""Comparisons by hand: pairs of runs, examples drawn as recordings, scores of classes, and what is not there."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leaderboard import compare, predictions, queries, store
from leaderboard.difference_chart import difference_chart
from protocols.statistics import holm
from tests.leaderboard.answered import CLASSES, answers, with_predictions

METHODS = {"first": (0.80, 0.85, 0.83, 0.81), "second": (0.70, 0.72, 0.76, 0.71), "third": (0.69, 0.74, 0.75, 0.70)}


@pytest.fixture
def compared(engine, bundles):
    for method, scores in METHODS.items():
        for seed, score in enumerate(scores):
            folder = bundles.add(method, seed, score)
            with_predictions(folder, answers(seed, score))
    store.ingest(engine, bundles.root)
    return engine


@pytest.fixture
def kept(compared, spec):
    return queries.current_runs(compared, spec.key)[0]


def test_pairs_are_paired_over_runs_and_corrected(compared, spec):
    values = queries.seeds(compared, spec, "accuracy", "clean")
    found = compare.differences(values, list(METHODS), "accuracy")
    gaps = [np.subtract(METHODS[d.first], METHODS[d.second]) for d in found]
    assert [(d.first, d.second) for d in found] == [("first", "second"), ("first", "third"), ("second", "third")]
    for difference, gap in zip(found, gaps, strict=True):
        wanted = stats.t.interval(0.95, 3, gap.mean(), stats.sem(gap))
        assert (difference.runs.low, difference.runs.high) == pytest.approx(wanted)
        assert (difference.runs.mean, difference.runs.n) == (pytest.approx(gap.mean()), 4)
    p = holm([stats.ttest_rel(METHODS[d.first], METHODS[d.second]).pvalue for d in found])
    assert [d.p for d in found] == pytest.approx(list(p))
    assert [d.says for d in found] == ["first is better", "first is better", "not told apart"]
    assert {d.examples for d in found} == {"no predictions are stored"}


def test_less_is_better_where_the_metric_says_so(compared, spec):
    values = queries.seeds(compared, spec, "accuracy", "clean").assign(metric="mae")
    assert compare.differences(values, ["first", "second"], "mae")[0].says == "second is better"


def test_two_runs_say_nothing(compared, spec):
    values = queries.seeds(compared, spec, "accuracy", "clean")
    (found,) = compare.differences(values[values["seed"] < 2], ["first", "second"], "accuracy")
    assert (found.p, found.better) == (1.0, None)
    assert found.says == "2 shared runs say nothing; 3 are needed"


def test_examples_give_the_difference_of_the_scores_and_draw_whole_recordings(compared, spec, bundles, kept):
    items = predictions.read(compared, [bundles.root], kept, "clean").items
    found = compare.over_examples(items, "first", "second", "accuracy")
    hits = items.assign(hit=items["label"] == items["prediction"]).groupby("method")["hit"].mean()
    assert found.mean == pytest.approx(hits["first"] - hits["second"])
    assert found.low < found.mean < found.high
    assert found.n == 60  # recordings
    # Steps that agree within a recording tell less than as many independent ones.
    same = items.assign(prediction=items["label"])
    one = same["id"].isin([f"clip{i:02}" for i in range(30)]) & (same["method"] == "second")
    same.loc[one, "prediction"] = (same.loc[one, "label"] + 1) % CLASSES
    together = compare.over_examples(same, "first", "second", "accuracy")
    apart = same.assign(id=same["id"] + same["step"].astype(str))
    independent = compare.over_examples(apart, "first", "second", "accuracy")
    assert together.mean == pytest.approx(independent.mean)
    assert together.high - together.low > 1.4 * (independent.high - independent.low)


def test_examples_need_a_mean_over_examples_and_the_same_ones(compared, spec, bundles, kept):
    items = predictions.read(compared, [bundles.root], kept, "clean").items
    with pytest.raises(compare.NoExamples, match="not a mean over examples; defined for accuracy"):
        compare.over_examples(items, "first", "second", "macro_f1")
    less = items[(items["method"] == "first") | (items["id"] != "clip00")]
    with pytest.raises(compare.NoExamples, match="not scored on the same examples"):
        compare.over_examples(less, "first", "second", "accuracy")
    other = items.assign(seed=items["seed"] + 10 * (items["method"] == "first"))
    with pytest.raises(compare.NoExamples, match="no run of the same seed"):
        compare.over_examples(other, "first", "second", "accuracy")


def test_folds_stand_side_by_side(engine, bundles, spec):
    folded = spec.model_copy(update={"folds": 3, "seeds": 1})
    for method, right in {"first": 0.9, "second": 0.6}.items():
        for fold in (1, 2, 3):
            folder = bundles.add(method, 0, right, spec=folded, fold=fold)
            frame = answers(fold, right, 20)
            with_predictions(folder, frame.assign(id=f"fold{fold}-" + frame["id"]))
    store.ingest(engine, bundles.root)
    kept = queries.current_runs(engine, folded.key)[0]
    items = predictions.read(engine, [bundles.root], kept, "clean").items
    found = compare.over_examples(items, "first", "second", "accuracy")
    assert found.n == 60 and 0 < found.low
    classes = compare.class_scores(items, ("a", "b", "c"))
    assert set(classes["n"]) == {3} and set(classes["class"]) == {"a", "b", "c"}
    assert classes.loc[classes["score"] == "recall", "items"].sum() == 2 * 3 * 63  # two methods


def test_class_scores_by_hand():
    items = pd.DataFrame(
        {"run": "r", "method": "m", "split": "test", "seed": 0, "id": list("abcdef"), "step": 0}
        | {"label": [0, 0, 0, 1, 1, 2], "prediction": [0, 0, 1, 1, 0, 0]}
    )
    found = compare.class_scores(items, None).set_index(["score", "class"])["mean"]
    assert found["recall", "class 0"] == pytest.approx(2 / 3)
    assert found["precision", "class 0"] == pytest.approx(2 / 4)
    assert found["f1", "class 0"] == pytest.approx(4 / 7)
    assert found["recall", "class 2"] == found["f1", "class 2"] == 0
    assert ("precision", "class 2") not in found  # nothing was called so


def test_what_is_not_stored_is_told_and_never_used(compared, bundles, spec, kept):
    first, second = sorted(bundles.root.glob(f"{spec.key}/first/*/predictions.parquet"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes() + b"x")
    read = predictions.read(compared, [bundles.root], kept, "clean")
    assert len(read.items["run"].unique()) == 10
    assert set(read.absent) == {first.parent.name, second.parent.name}
    assert sorted(predictions.said(read.absent, kept)) == [
        "first: 1 of 4 runs: no predictions are stored here",
        "first: 1 of 4 runs: predictions.parquet is not the file that the manifest names: it was altered or cut short",
    ]
    none = predictions.read(compared, [bundles.root], kept, "audio/missing")
    assert set(none.absent) == set(kept["run"]) and none.items.empty


def test_the_chart_draws_each_interval_in_points_with_direction_and_unit(compared, spec, bundles, kept):
    values = queries.seeds(compared, spec, "accuracy", "clean")
    items = predictions.read(compared, [bundles.root], kept, "clean").items
    found = compare.differences(values, ["first", "second"], "accuracy", items)
    chart = difference_chart(found, "accuracy")
    kinds = [row["kind"] for row in chart["data"]["values"]]
    assert kinds == ["name", "over runs", "over examples and runs"]
    assert chart["data"]["values"][1]["mean"] == pytest.approx(10.0)
    title = chart["layer"][1]["encoding"]["x"]["title"]
    assert title == ["difference of accuracy (percent points)", "right of 0 the first is better"]
    assert compare.difference_text(found[0].runs, "accuracy").startswith("+10.0 [+")
