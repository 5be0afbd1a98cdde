"""The database goes away while results are indexed, and comes back: nothing is lost, nothing stands there twice."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from leaderboard import store
from protocols.spec import load as load_protocol
from runners import console, indexing, trial
from runners.indexing import ingest
from tests.servers import postgresql
from zoo.spec import load as load_method


@pytest.fixture
def finished(short, settings):
    """Two bundles, not indexed yet."""
    alone = replace(settings, tracking_url="off")
    runs, _ = trial.plan([load_method("text_only")], load_protocol(str(short)), alone, seeds=2)
    return [trial.run_trial(run, alone) for run in runs]


def rows(url):
    engine = store.connect(url)
    with engine.connect() as connection:
        found = [connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (store.runs, store.records)]
    engine.dispose()
    return found


@pytest.fixture
def server():
    pytest.importorskip("psycopg", reason="psycopg is not here")
    with postgresql() as made:
        yield made


@pytest.mark.timeout(900)
def test_a_server_stops_between_two_bundles_and_comes_back(finished, settings, server, monkeypatch, capsys):
    settings = replace(settings, database_url=server.url)
    back = threading.Timer(2.0, server.start)

    @contextmanager
    def counter(description):
        def progress(done, total):
            if not back.is_alive() and not back.finished.is_set():  # after the first bundle, once
                server.stop()
                back.start()

        yield progress

    monkeypatch.setattr(console, "counter", counter)
    done = ingest(settings, [settings.bundle_root], patience=200.0)
    back.join()
    assert done.failed == () and done.runs + done.skipped == 2
    said = capsys.readouterr().err
    assert said.count("The database does not answer; trying again") == 1
    assert ingest(settings, [settings.bundle_root]).runs == 0
    serial = replace(settings, database_url=f"sqlite:///{settings.bundle_root}/never-away.db")
    ingest(serial, [settings.bundle_root])
    assert rows(server.url) == rows(serial.database_url)


def test_a_locked_file_is_waited_for(finished, settings, monkeypatch, capsys):
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.1)
    store.connect(settings.database_url).dispose()
    writer = sa.create_engine(settings.database_url, isolation_level="AUTOCOMMIT").connect()
    writer.exec_driver_sql("BEGIN EXCLUSIVE")
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        writer.exec_driver_sql("ROLLBACK")

    monkeypatch.setattr(indexing.time, "sleep", pause)
    assert ingest(settings, [settings.bundle_root], patience=60.0).runs == 2
    writer.close()
    writer.engine.dispose()
    assert pauses == [0.5] and "database is locked" in capsys.readouterr().err


def test_what_no_waiting_mends_is_told_at_once(settings, finished, monkeypatch):
    monkeypatch.setattr(indexing.time, "sleep", lambda seconds: pytest.fail("waited"))
    with pytest.raises(store.StoreError, match="address is not understood"):
        ingest(replace(settings, database_url="mysql://x/y"), [settings.bundle_root], patience=60.0)
