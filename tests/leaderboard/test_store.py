import hashlib
import json
import multiprocessing
import socket

import pytest
import sqlalchemy as sa

from leaderboard import store
from protocols.record import FIELDS, KEY


def rows(engine, table):
    with engine.connect() as connection:
        return sorted(map(tuple, connection.execute(sa.select(table))), key=repr)


def everything(engine):
    return [rows(engine, table) for table in (store.runs, store.records, store.test_openings)]


@pytest.fixture
def either(database_url):
    engine = store.connect(database_url)
    yield engine
    engine.dispose()


def test_twice_is_as_good_as_once(either, bundles):
    for seed in range(3):
        folder = bundles.add(seed=seed)
        bundles.opened(folder.name, seed=seed)
    first = store.ingest(either, bundles.root)
    assert first == store.Ingested(runs=3, records=27)
    before = everything(either)
    assert store.ingest(either, bundles.root) == store.Ingested(skipped=3)
    assert everything(either) == before
    assert len(before[2]) == 3


def test_rebuild_gives_the_same_rows(either, bundles, tmp_path):
    bundles.add(seed=0)
    bundles.add(seed=1, status="failed", reason="loss is not finite")
    store.ingest(either, bundles.root)
    before = everything(either)
    assert store.rebuild(either, [tmp_path / "absent", bundles.root]).runs == 2
    assert everything(either) == before


def test_rebuild_without_any_root_keeps_the_index(engine, bundles, tmp_path):
    bundles.add()
    store.ingest(engine, bundles.root)
    with pytest.raises(store.StoreError, match="FUSEBOARD_BUNDLE_ROOT"):
        store.rebuild(engine, [tmp_path / "absent"])
    assert len(rows(engine, store.runs)) == 1


def test_values_survive_exactly(either, bundles):
    bundles.add(values={("clean", "accuracy"): 0.1 + 0.2, ("clean", "macro_f1"): 1e-17})
    store.ingest(either, bundles.root)
    with either.connect() as connection:
        found = connection.execute(sa.select(store.records.c.metric, store.records.c.value)).all()
    assert dict(map(tuple, found)) == {"accuracy": 0.1 + 0.2, "macro_f1": 1e-17}


def test_a_remade_bundle_replaces_its_rows(either, bundles):
    bundles.add(accuracy=0.5, run="r")
    store.ingest(either, bundles.root)
    bundles.add(run="r", created="2026-02-01T00:00:00+00:00", values={("clean", "accuracy"): 0.75})
    assert store.ingest(either, bundles.root) == store.Ingested(runs=1, records=1)
    (record,) = rows(either, store.records)
    assert record[FIELDS.index("value")] == 0.75
    assert len(rows(either, store.runs)) == 1


def test_a_failed_run_never_hides_a_completed_one(engine, bundles, bundles_at, tmp_path):
    bundles.add(run="r")
    store.ingest(engine, bundles.root)
    elsewhere = bundles_at(tmp_path / "other")
    elsewhere.add(run="r", status="failed", reason="disk full", created="2027-01-01T00:00:00+00:00")
    assert store.ingest(engine, elsewhere.root).skipped == 1
    assert rows(engine, store.runs)[0][1] == "completed"
    assert len(rows(engine, store.records)) == 9


def test_a_failed_run_has_a_row_and_no_records(engine, bundles):
    bundles.add(status="failed", reason="loss is not finite")
    assert store.ingest(engine, bundles.root) == store.Ingested(runs=1)
    with engine.connect() as connection:
        run = connection.execute(sa.select(store.runs)).one()
    assert (run.status, run.reason) == ("failed", "loss is not finite")
    assert rows(engine, store.records) == []


def test_an_altered_bundle_is_refused_and_the_others_go_on(engine, bundles):
    bad = bundles.add(seed=0)
    bundles.add(seed=1)
    with open(bad / "records.jsonl", "a") as file:
        file.write("\n")
    found = store.ingest(engine, bundles.root)
    assert (found.runs, found.records) == (1, 9)
    ((where, why),) = found.failed
    assert where == f"unit-test@1/late-test/{bad.name}"
    assert "altered" in why
    assert {run[0] for run in rows(engine, store.runs)} != {bad.name}


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text('{"schema_version": 1'), "cannot be read"),
        (lambda f: (f / "manifest.json").write_text('{"schema_version": 99}'), "Update fuseboard"),
        (lambda f: (f / "manifest.json").write_text('{"schema_version": 1}'), "lacks 'protocol'"),
        (lambda f: (f / "records.jsonl").unlink(), "records.jsonl is missing"),
        (lambda f: f.rename(f.with_name("another")), "Move the folder back"),
    ],
)
def test_a_broken_bundle_says_what_is_wrong(engine, bundles, break_it, why):
    break_it(bundles.add())
    found = store.ingest(engine, bundles.root)
    assert found.runs == 0
    assert why in found.failed[0][1]


def test_a_record_of_another_run_is_refused(engine, bundles):
    folder = bundles.add()
    text = (folder / "records.jsonl").read_text().replace(folder.name, "stranger")
    (folder / "records.jsonl").write_text(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["records.jsonl"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    ((_, why),) = store.ingest(engine, bundles.root).failed
    assert "'stranger'" in why


def test_work_in_progress_is_ignored(engine, bundles):
    folder = bundles.add()
    folder.rename(folder.with_name(".partial"))
    assert store.ingest(engine, bundles.root) == store.Ingested()


def test_a_ledger_line_being_written_waits_and_a_broken_one_is_reported(engine, bundles):
    bundles.add()
    bundles.opened("r")
    with open(bundles.root / "ledger.jsonl", "a") as ledger:
        ledger.write('{"run": "r"}\n{"run": "half')
    found = store.ingest(engine, bundles.root)
    assert [where for where, _ in found.failed] == ["ledger.jsonl:2"]
    assert len(rows(engine, store.test_openings)) == 1


def _ingest(url, root, barrier, answers):
    barrier.wait()
    try:
        engine = store.connect(url)
        answers.put(store.ingest(engine, root))
    except BaseException as error:
        answers.put(repr(error))


def test_processes_that_ingest_at_once_agree(database_url, bundles):
    """The first connections create the tables at the same moment, too."""
    for seed in range(20):
        folder = bundles.add(seed=seed)
        bundles.opened(folder.name, seed=seed)
        bundles.measure(folder, {("clean", "intershap"): 0.5, ("clean", "pid/redundant"): "three modalities"})
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_ingest, args=(database_url, bundles.root, barrier, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=30)
    assert all(isinstance(answer, store.Ingested) for answer in found), found
    assert sum(answer.runs for answer in found) == 20
    assert sum(answer.records for answer in found) == 180 + 20
    assert sum(answer.evaluations for answer in found) == 20
    engine = store.connect(database_url)
    assert [len(table) for table in everything(engine)] == [20, 200, 20]
    assert [len(rows(engine, table)) for table in (store.evaluations, store.undefined)] == [20, 20]
    engine.dispose()


def test_the_tables_are_those_of_the_migrations(either):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with either.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), store.metadata) == []
    migrations = store.records_root().parent / "migrations"
    assert ScriptDirectory(str(migrations)).get_current_head() == store.HEAD


def test_the_schema_follows_the_record():
    assert tuple(store.records.c.keys()) == FIELDS
    (constraint,) = [c for c in store.records.constraints if isinstance(c, sa.UniqueConstraint)]
    assert tuple(c.name for c in constraint.columns) == KEY


def test_a_database_that_is_down_says_so_without_the_password():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(store.StoreError, match="Nothing is lost") as error:
        store.connect(f"postgresql://ann:s3cret@127.0.0.1:{port}/board?sslpassword=s3cret")
    assert f"127.0.0.1:{port}/board" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_database_that_dies_between_calls_loses_nothing(postgres_url, bundles):
    engine = store.connect(postgres_url)
    bundles.add(seed=0)
    store.ingest(engine, bundles.root)
    with engine.connect() as connection:
        me = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    admin = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg", database="postgres"))
    with admin.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": me})
    admin.dispose()
    bundles.add(seed=1)
    assert store.ingest(engine, bundles.root).runs == 1
    engine.dispose()


@pytest.mark.parametrize("url", ["no address", "mysql://host/name"])
def test_a_wrong_address_names_the_accepted_ones(url):
    with pytest.raises(store.StoreError, match=r"Accepted: sqlite:///"):
        store.connect(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.db").write_text("this is no database, it is long enough to be read as one" * 50)
    with pytest.raises(store.StoreError, match="not a database"):
        store.connect(f"sqlite:///{tmp_path}/notes.db")


def test_a_newer_schema_is_not_touched(tmp_path):
    url = f"sqlite:///{tmp_path}/board.db"
    engine = store.connect(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(store.StoreError, match="9999.*Update fuseboard"):
        store.connect(url)
