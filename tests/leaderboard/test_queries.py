import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import zoo.spec
from leaderboard import queries, store
from protocols.spec import ProtocolSpec
from zoo import Method
from zoo.spec import MethodSpec

CLEAR, MIDDLE, LOW = [0.90, 0.91, 0.92, 0.90, 0.91], [0.70, 0.75, 0.72, 0.68, 0.74], [0.20, 0.22, 0.21, 0.19, 0.24]


def card(name: str, modalities: tuple[str, ...], at_least: int) -> Method:
    return Method(
        name=name,
        target=f"zoo.{name}:X",
        title=name.title(),
        paper="a test",
        summary="",
        modalities=modalities,
        at_least=at_least,
        fusion_stage="late",
        attention="none",
        equations="",
        code="",
        differs=(),
        evidence="generic",
        presets=(name,),
    )


@pytest.fixture(autouse=True)
def cards(monkeypatch):
    table = [card("late", ("audio", "video", "text"), 2), card("audio", ("audio",), 1), card("text", ("text",), 1)]
    monkeypatch.setattr(zoo, "METHODS", {m.name: m for m in table})
    monkeypatch.setattr(zoo.spec, "entries", lambda: {m.name: MethodSpec(name=m.name, method=m.name) for m in table})


def fill(engine, bundles, **methods):
    for method, accuracies in methods.items():
        for seed, accuracy in enumerate(accuracies):
            bundles.add(method, seed, accuracy)
    store.ingest(engine, bundles.root)


def test_ranking_by_hand(engine, bundles, spec):
    fill(engine, bundles, clear=CLEAR, middle=MIDDLE, low=LOW)
    board = queries.ranking(engine, spec, "accuracy", "clean")
    table = board.table.set_index("method")
    assert list(table.index) == ["clear", "middle", "low"]
    assert list(zip(table["best"], table["worst"], strict=True)) == [(1, 1), (2, 2), (3, 3)]
    assert table.loc["middle", "mean"] == pytest.approx(np.mean(MIDDLE))
    low, high = stats.t.interval(0.95, 4, np.mean(MIDDLE), stats.sem(MIDDLE))
    assert (table.loc["middle", "low"], table.loc["middle", "high"]) == (pytest.approx(low), pytest.approx(high))
    assert list(table["n"]) == [5, 5, 5]
    assert (table.loc["low", "parameters"], table.loc["low", "fit_seconds"]) == (1234, 2.5)
    assert (board.majority, board.set_aside) == (0.25, 0)


def test_the_condition_and_the_metric_choose_the_numbers(engine, bundles, spec):
    fill(engine, bundles, clear=[0.5])
    table = queries.ranking(engine, spec, "accuracy", "audio/missing").table
    assert table["mean"].item() == pytest.approx(0.45)
    assert queries.ranking(engine, spec, "macro_f1", "clean").table["mean"].item() == pytest.approx(0.4)
    assert queries.metrics(engine, spec) == ["accuracy", "macro_f1"]
    assert queries.conditions(engine, spec) == ["clean", "audio/missing", "video/missing"]


def test_one_seed_has_no_interval(engine, bundles, spec):
    fill(engine, bundles, clear=[0.5], other=[0.4])
    table = queries.ranking(engine, spec, "accuracy", "clean").table
    assert table[["low", "high"]].isna().all(axis=None)
    assert list(zip(table["best"], table["worst"], strict=True)) == [(1, 2), (1, 2)]


def test_folds_are_the_runs_that_count(engine, bundles, spec):
    folded = spec.model_copy(update={"folds": 3})
    for fold, accuracy in ((1, 0.5), (2, 0.6), (3, 0.7)):
        bundles.add(fold=fold, accuracy=accuracy, spec=folded)
    bundles.add(fold=3, seed=1, accuracy=0.9, spec=folded)
    store.ingest(engine, bundles.root)
    row = queries.ranking(engine, folded, "accuracy", "clean").table.iloc[0]
    assert row["n"] == 3
    assert row["mean"] == pytest.approx((0.5 + 0.6 + 0.8) / 3)


def test_failed_runs_are_counted_and_never_ranked(engine, bundles, spec):
    fill(engine, bundles, clear=[0.5])
    bundles.add("clear", 1, status="failed", reason="loss is not finite")
    bundles.add("hopeless", 0, status="failed", reason="out of memory")
    store.ingest(engine, bundles.root)
    board = queries.ranking(engine, spec, "accuracy", "clean")
    assert list(board.table["method"]) == ["clear"]
    assert board.table["failed"].item() == 1
    reasons = dict(board.absent.to_numpy().tolist())
    assert reasons["hopeless"] == "all 1 runs failed; the last: out of memory"


def test_who_is_absent_and_why(engine, bundles, spec):
    fill(engine, bundles, late=[0.5])
    reasons = dict(queries.ranking(engine, spec, "accuracy", "clean").absent.to_numpy().tolist())
    assert reasons == {
        "audio": "not run yet: fuseboard run audio --protocol unit-test@1",
        "text": "it needs text; the protocol gives audio, video.",
    }


def test_unimodal_baselines_are_marked(engine, bundles, spec):
    bundles.add("audio", base="audio")
    bundles.add("clear")
    store.ingest(engine, bundles.root)
    table = queries.ranking(engine, spec, "accuracy", "clean").table.set_index("method")
    assert table["unimodal"].to_dict() == {"audio": True, "clear": False}
    assert table.loc["audio", "title"] == "Audio"


def test_a_replica_that_selects_on_test_is_on_no_board(engine, bundles, spec):
    leaking = ProtocolSpec.model_validate(
        spec.model_dump(mode="json") | {"name": "replica", "select_on": "test", "replica_of": "a-paper"}
    )
    bundles.add("late-test", 0, 0.9, spec=leaking)
    bundles.add("late-test", 0, 0.5, spec=spec)
    store.ingest(engine, bundles.root)
    assert list(queries.protocols(engine)) == [spec.key]


def test_labels_and_fields_of_a_later_version_part_no_runs(engine, bundles, spec):
    """A spec that says the same is the same, whichever version of the zoo wrote its manifest."""
    for seed, later in ((0, {}), (1, {"remedy": None, "label": {"title": "Late", "evidence": None}})):
        folder = bundles.add("late-test", seed, 0.5, spec=spec)
        told = json.loads((folder / "manifest.json").read_text())
        told["method"] |= later
        (folder / "manifest.json").write_text(json.dumps(told))
    store.ingest(engine, bundles.root)
    kept, set_aside = queries.current_runs(engine, spec.key)
    assert (len(kept), set_aside) == (2, 0)


def test_other_data_are_never_on_one_board(engine, bundles, spec):
    fill(engine, bundles, clear=CLEAR)
    bundles.add("stranger", 0, 0.99, fingerprint="other data")
    store.ingest(engine, bundles.root)
    board = queries.ranking(engine, spec, "accuracy", "clean")
    assert list(board.table["method"]) == ["clear"]
    assert board.set_aside == 1
    assert dict(board.absent.to_numpy().tolist()).keys() == {"late", "audio", "text"}


def test_other_code_has_no_common_mean(engine, bundles, spec):
    fill(engine, bundles, clear=[0.5, 0.6])
    bundles.add("clear", 0, 0.9, code="new", created="2026-05-01T00:00:00+00:00")
    store.ingest(engine, bundles.root)
    board = queries.ranking(engine, spec, "accuracy", "clean")
    assert (board.table["mean"].item(), board.set_aside) == (pytest.approx(0.55), 1)
    bundles.add("clear", 1, 0.7, code="new", created="2026-05-01T00:00:01+00:00")
    store.ingest(engine, bundles.root)
    board = queries.ranking(engine, spec, "accuracy", "clean")
    assert (board.table["mean"].item(), board.set_aside) == (pytest.approx(0.8), 2)


def test_openings_are_counted(engine, bundles):
    for run, at in (("a", "1"), ("a", "2"), ("b", "3")):
        bundles.opened(run, at=at)
    bundles.add()
    store.ingest(engine, bundles.root)
    found = queries.openings(engine, key="unit-test@1", method="late-test").iloc[0]
    assert (found["openings"], found["runs"]) == (3, 2)
    assert queries.openings(engine, method="nobody").empty


def test_history_comes_from_the_first_root_that_has_it(engine, bundles, tmp_path):
    bundles.add()
    store.ingest(engine, bundles.root)
    (run,) = queries.runs_of(engine, "late-test", "unit-test@1")
    curve = queries.history([tmp_path / "absent", bundles.root], run["bundle"])
    assert list(curve["epoch"]) == [1, 2, 3]
    assert queries.history([tmp_path], run["bundle"]) is None
    assert run["manifest"]["hardware"]["cores"] == 2


def test_an_uncommitted_protocol_is_known_from_its_manifest(engine, bundles, spec):
    bundles.add()
    store.ingest(engine, bundles.root)
    (found,) = queries.protocols(engine).values()
    assert (found.key, found.title) == (spec.key, spec.title)
    assert tuple(found.modalities) == ("audio", "video")


def test_an_empty_store_gives_empty_tables(engine, spec):
    assert queries.protocols(engine) == {}
    board = queries.ranking(engine, spec, "accuracy", "clean")
    assert board.table.empty
    assert board.majority is None
    assert "not run yet" in dict(board.absent.to_numpy().tolist())["late"]
    assert queries.stamp(engine) == (0, None, 0, None)


def test_queries_agree_on_both_databases(postgres_url, engine, bundles, spec):
    fill(engine, bundles, clear=CLEAR, middle=MIDDLE)
    other = store.connect(postgres_url)
    store.ingest(other, bundles.root)
    first, second = (queries.ranking(e, spec, "accuracy", "clean").table for e in (engine, other))
    pd.testing.assert_frame_equal(first, second)
    other.dispose()
