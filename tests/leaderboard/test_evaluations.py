"""Evaluations of finished runs: what is stored, replaced and refused, and what the pages ask for."""

import json
import os

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from leaderboard import queries, store
from leaderboard.bundles import BundleError, read_exhibits

SHARES = {
    ("clean", "shapley/audio"): 0.3,
    ("clean", "shapley/video"): 0.1,
    ("clean", "shapley_share/audio"): 0.75,
    ("audio/noise/0dB", "shapley/audio"): 0.05,
    ("clean", "pid/redundant"): "PID is defined for two modalities; the model uses three.",
}
TABLES = (store.runs, store.records, store.evaluations, store.undefined, store.test_openings)


@pytest.fixture
def either(database_url):
    engine = store.connect(database_url)
    yield engine
    engine.dispose()


def rows(engine, table):
    with engine.connect() as connection:
        return sorted(map(tuple, connection.execute(sa.select(table))), key=repr)


def everything(engine):
    return [rows(engine, table) for table in TABLES]


def values(engine):
    with engine.connect() as connection:
        found = connection.execute(sa.select(store.records)).mappings().all()
    return {(row["condition"], row["metric"]): row["value"] for row in found}


def test_findings_become_records_and_reasons(either, bundles):
    folder = bundles.add(seed=3)
    bundles.measure(folder, SHARES, n=50)
    assert store.ingest(either, bundles.root) == store.Ingested(runs=1, records=9 + 4, evaluations=1)
    with either.connect() as connection:
        record = connection.execute(sa.select(store.records).where(store.records.c.metric == "shapley/audio")).first()
    assert (record.method, record.split, record.seed, record.n) == ("late-test", "test", 3, 50)
    assert (record.source, record.origin) == ("fuseboard 0.1.0, code e7a1", "measured")
    assert record.created == "2026-03-04T05:06:07+00:00"
    (reason,) = rows(either, store.undefined)
    assert reason[-3:] == ("clean", "pid/redundant", "PID is defined for two modalities; the model uses three.")


def test_twice_is_as_good_as_once_and_rebuild_gives_the_same_rows(either, bundles):
    for seed in range(3):
        bundles.measure(bundles.add(seed=seed), SHARES)
    store.ingest(either, bundles.root)
    before = everything(either)
    assert store.ingest(either, bundles.root) == store.Ingested(skipped=3)
    assert everything(either) == before
    store.rebuild(either, [bundles.root])
    assert everything(either) == before


def test_an_evaluation_that_comes_later_is_noticed(either, bundles):
    folder = bundles.add()
    store.ingest(either, bundles.root)
    stamp = queries.stamp(either)
    bundles.measure(folder, SHARES)
    assert store.ingest(either, bundles.root) == store.Ingested(skipped=1, records=4, evaluations=1)
    assert queries.stamp(either) != stamp


def test_measured_again_replaces_what_was_measured_before(either, bundles):
    folder = bundles.add(values={("clean", "accuracy"): 0.5})
    bundles.measure(folder, SHARES)
    store.ingest(either, bundles.root)
    bundles.measure(folder, {("clean", "intershap"): 0.25}, created="2026-03-05T00:00:00+00:00")
    assert store.ingest(either, bundles.root) == store.Ingested(skipped=1, records=1, evaluations=1)
    assert values(either) == {("clean", "accuracy"): 0.5, ("clean", "intershap"): 0.25}
    assert rows(either, store.undefined) == []
    after = everything(either)
    store.rebuild(either, [bundles.root])
    assert everything(either) == after


def test_of_two_evaluations_of_one_bundle_the_newer_counts(either, bundles, bundles_at, tmp_path):
    other = bundles_at(tmp_path / "other")
    bundles.measure(bundles.add(values={}), {("clean", "intershap"): 0.5}, created="2026-04-02T00:00:00+00:00")
    other.measure(other.add(values={}), {("clean", "intershap"): 0.25}, created="2026-04-01T00:00:00+00:00")
    for roots in ((bundles.root, other.root), (other.root, bundles.root)):
        store.rebuild(either, roots)
        assert values(either) == {("clean", "intershap"): 0.5}


def test_what_was_measured_of_another_model_goes_with_it(either, bundles, bundles_at, tmp_path):
    """The same run was trained again: the older bundle's evaluation is of weights that no longer count."""
    bundles.measure(bundles.add(run="r", values={}), SHARES)
    newer = bundles_at(tmp_path / "newer")
    newer.add(run="r", values={("clean", "accuracy"): 0.75}, created="2026-09-01T00:00:00+00:00")
    for roots in ((bundles.root, newer.root), (newer.root, bundles.root)):
        store.rebuild(either, roots)
        assert values(either) == {("clean", "accuracy"): 0.75}
        assert rows(either, store.evaluations) == rows(either, store.undefined) == []


def test_a_score_of_the_run_itself_is_not_overwritten(either, bundles):
    folder = bundles.add(values={("clean", "accuracy"): 0.5})
    bundles.measure(folder, {("clean", "accuracy"): 0.4999, ("audio/noise/0dB", "accuracy"): 0.25})
    store.ingest(either, bundles.root)
    assert values(either) == {("clean", "accuracy"): 0.5, ("audio/noise/0dB", "accuracy"): 0.25}


def cut(place):
    os.truncate(place / "findings.parquet", 100)


def disagree(place):
    table = pa.table({"condition": ["clean"], "metric": ["intershap"], "value": [0.5], "n": [9], "reason": ["both"]})
    rewrite(place, table)


def twice(place):
    table = parquet.read_table(place / "findings.parquet")
    rewrite(place, pa.concat_tables([table, table]))


def infinite(place):
    reason = pa.array([None], pa.string())
    rewrite(
        place, pa.table({"condition": ["a"], "metric": ["ogr"], "value": [float("inf")], "n": [9], "reason": reason})
    )


def rewrite(place, table):
    import hashlib

    parquet.write_table(table, place / "findings.parquet")
    told = json.loads((place / "evaluation.json").read_text())
    told["files"]["findings.parquet"] = hashlib.sha256((place / "findings.parquet").read_bytes()).hexdigest()
    (place / "evaluation.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (cut, "altered or cut short. Restore it, or measure the run again: fuseboard evaluate"),
        (lambda p: (p / "findings.parquet").unlink(), "findings.parquet is missing"),
        (lambda p: (p / "evaluation.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "evaluation.json").write_text('{"schema_version": 9}'), "Update fuseboard"),
        (lambda p: (p / "evaluation.json").write_text('{"schema_version": 1}'), "lacks 'suite'"),
        (disagree, "either a value or a reason"),
        (twice, "stands there twice"),
        (infinite, "wanted a finite number"),
        (lambda p: rewrite(p, pa.table({"value": [1.0]})), "findings.parquet has columns"),
    ],
)
def test_a_broken_evaluation_is_refused_and_the_run_stays(engine, bundles, break_it, why):
    folder = bundles.add()
    break_it(bundles.measure(folder, SHARES))
    found = store.ingest(engine, bundles.root)
    assert (found.runs, found.records, found.evaluations) == (1, 9, 0)
    ((where, said),) = found.failed
    assert where == f"unit-test@1/late-test/{folder.name}/evaluation"
    assert why in said
    assert len(rows(engine, store.records)) == 9
    assert len(store.ingest(engine, bundles.root).failed) == 1  # said again until it is mended


def test_an_evaluation_of_another_run_is_refused(engine, bundles):
    bundles.measure(bundles.add(), SHARES, run="stranger")
    bundles.measure(bundles.add(seed=1), SHARES, suite="other@1/suite1")
    found = store.ingest(engine, bundles.root)
    assert sorted("stranger" in why for _, why in found.failed) == [False, True]
    assert found.evaluations == 0


def test_a_broken_new_evaluation_leaves_the_old_rows(engine, bundles):
    folder = bundles.add()
    bundles.measure(folder, SHARES)
    store.ingest(engine, bundles.root)
    before = everything(engine)
    cut(bundles.measure(folder, {("clean", "intershap"): 0.5}, created="2027-01-01T00:00:00+00:00"))
    assert len(store.ingest(engine, bundles.root).failed) == 1
    assert everything(engine) == before


def test_exhibits_are_checked_when_they_are_read(bundles):
    folder = bundles.add()
    assert read_exhibits(folder) == []
    shown = [{"id": "bbaf2n", "condition": "clean", "label": 2}]
    place = bundles.measure(folder, SHARES, exhibits=shown)
    assert read_exhibits(folder) == shown
    (place / "exhibits.json").write_text("[]")
    with pytest.raises(BundleError, match="exhibits.json has SHA-256"):
        read_exhibits(folder)


def test_a_prefix_ends_at_a_slash(either, bundles, spec):
    bundles.measure(bundles.add("one"), SHARES)
    bundles.measure(bundles.add("two"), SHARES)
    store.ingest(either, bundles.root)
    found = queries.measured(either, spec, "shapley")
    assert list(found.columns) == ["run", "method", "split", "condition", "metric", "seed", "value", "n"]
    assert set(found["metric"]) == {"shapley/audio", "shapley/video"}
    assert set(found["condition"]) == {"clean", "audio/noise/0dB"}
    assert set(found["method"]) == {"one", "two"}
    assert queries.measured(either, spec, "shapley/audio", "clean", "one")["value"].tolist() == [0.3]
    assert queries.measured(either, spec, "shap").empty
    assert queries.measured(either, spec, "accuracy", "clean")["metric"].unique().tolist() == [
        "accuracy",
        "accuracy/majority_class",
    ]


def test_reasons_are_counted_over_current_runs(either, bundles, spec):
    for seed in range(2):
        bundles.measure(bundles.add("one", seed), SHARES)
    bundles.measure(bundles.add("one", 0, fingerprint="other data"), SHARES)
    store.ingest(either, bundles.root)
    (row,) = queries.undefined(either, spec, "pid").to_dict("records")
    assert row == {
        "method": "one",
        "condition": "clean",
        "metric": "pid/redundant",
        "reason": "PID is defined for two modalities; the model uses three.",
        "runs": 2,
    }
    assert list(queries.undefined(either, spec, "shapley").columns) == list(row)


def test_two_versions_of_a_suite_have_no_common_mean(engine, bundles, spec):
    for seed in range(2):
        bundles.measure(bundles.add("one", seed), {("clean", "intershap"): 0.5})
    bundles.measure(bundles.add("one", 2), {("clean", "intershap"): 0.75}, suite="unit-test@1/suite2")
    store.ingest(engine, bundles.root)
    assert queries.measured(engine, spec, "intershap")["value"].tolist() == [0.5, 0.5]
    assert set(queries.evaluated(engine, spec)["suite"]) == {"unit-test@1/suite1"}
    assert len(queries.seeds(engine, spec, "accuracy", "clean")) == 3


def test_the_ranking_keeps_to_the_protocol(engine, bundles, spec):
    bundles.measure(bundles.add("one"), {**SHARES, ("audio/noise/0dB", "accuracy"): 0.2})
    store.ingest(engine, bundles.root)
    assert queries.metrics(engine, spec) == ["accuracy", "macro_f1"]
    assert queries.conditions(engine, spec) == ["clean", "audio/missing", "video/missing"]
    assert "audio/noise/0dB" not in set(queries.seeds(engine, spec, "accuracy")["condition"])
    assert "audio/noise/0dB" in set(queries.measured(engine, spec, "accuracy")["condition"])


def test_both_databases_answer_alike(postgres_url, engine, bundles, spec):
    for seed in range(3):
        bundles.measure(bundles.add("one", seed), {key: v for key, v in SHARES.items() if not isinstance(v, str)})
    other = store.connect(postgres_url)
    for each in (engine, other):
        store.ingest(each, bundles.root)
    first, second = (queries.measured(e, spec, "shapley") for e in (engine, other))
    pd.testing.assert_frame_equal(first, second)
    other.dispose()


def test_the_schema_goes_up_and_down(database_url, bundles):
    from alembic import command
    from alembic.config import Config

    bundles.measure(bundles.add(), SHARES)
    engine = store.connect(database_url)
    store.ingest(engine, bundles.root)
    before = everything(engine)
    config = Config()
    config.set_main_option("script_location", str(store.records_root().parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert set(sa.inspect(engine).get_table_names()) == {"alembic_version", "records", "runs", "test_openings"}
    assert len(rows(engine, store.records)) == 13  # the numbers stay
    engine.dispose()
    engine = store.connect(database_url)  # brings the tables up again
    assert store.ingest(engine, bundles.root).evaluations == 1
    assert everything(engine) == before
    engine.dispose()
