"""A minute without the database and without MLflow: all that was under way ends, and stands there once.

Both servers go away while two workers share a queue, a command trains, and another one indexes. One minute serves all.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import sqlalchemy as sa
import yaml

from leaderboard import access, audit, moderation, store, submissions
from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import console, trial
from runners.bundle import completed
from runners.indexing import ingest
from runners.settings import Settings
from runners.tracking import EXPERIMENT, RUN_TAG, learning_rows
from tests.servers import MLflow, postgresql
from zoo.drafts import draft
from zoo.spec import check
from zoo.spec import load as load_method

ROOT = Path(__file__).parents[2]
MINUTE = 60.0
LEASE = 15  # seconds, far fewer than the servers are away
EPOCHS = 20
pytestmark = [pytest.mark.outage, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Minute:
    """What is left after it."""

    settings: Settings
    submission: str
    of_worker: list
    of_command: list
    indexed: store.Ingested
    said: dict[str, str]
    codes: dict[str, int]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("outage")


@pytest.fixture(scope="module")
def database():
    pytest.importorskip("psycopg", reason="psycopg is not here")
    with postgresql() as made:
        yield made


@pytest.fixture(scope="module")
def tracking(home, mlflow_template):
    shutil.copy(mlflow_template, home / "mlflow.db")
    made = MLflow(home / "mlflow.db")
    made.start()
    until(lambda: answers(made.url))
    yield made
    made.end()


@pytest.fixture(scope="module")
def protocol(home):
    """The embedded protocol, for runs of some seconds; the path of its file."""
    raw = load_protocol("synthetic@1").model_dump(mode="json") | {"name": "away", "conditions": ["clean"], "seeds": 1}
    raw["budget"] |= {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": 100}
    (home / "away.yaml").write_text(yaml.safe_dump(raw))
    return home / "away.yaml"


@pytest.fixture(scope="module")
def minute(home, database, tracking, protocol):
    """Everything under way, the servers stopped, a minute, the servers started, everything at its end."""
    folders = {name: home / name for name in ("data_root", "cache_root", "bundle_root")}
    settings = Settings.resolve(**folders, database_url=database.url, tracking_url=tracking.url)
    alone, spec = replace(settings, tracking_url="off"), load_protocol(str(protocol))
    of_command, _ = trial.plan([load_method("audio_only")], spec, settings)
    of_worker, _ = trial.plan([check(draft("mine", "text_only"))[0]], spec, settings)
    brief = spec.model_copy(
        update={"name": "there", "seeds": 2, "budget": spec.budget.model_copy(update={"epochs": 1})}
    )
    waiting = replace(alone, bundle_root=home / "waiting")  # for the index
    for run in trial.plan([load_method("text_only")], brief, waiting)[0]:
        trial.run_trial(run, waiting)
    engine = store.connect(database.url)
    mia = access.identify(engine, access.create(engine, None, "mia", "maintainer")[1])
    made = submissions.submit(engine, mia, draft("mine", "text_only"), spec)
    engine.dispose()

    started = {
        "one": begin(home, settings, "worker", "--lease", str(LEASE)),
        "two": begin(home, settings, "worker", "--lease", str(LEASE)),
        "run": begin(home, settings, "run", "audio_only", "--protocol", str(protocol)),
    }
    # Each waits, stopped in the middle of a run, until the servers are away.
    stopped_midway(started["run"], settings, of_command[0])
    moderation.approve(engine, mia, made.submission)
    until(lambda: submissions.get(engine, made.submission).worker)
    holder = int(submissions.get(engine, made.submission).worker.split(":")[2])
    engine.dispose()
    stopped_midway(SimpleNamespace(pid=holder), settings, of_worker[0])
    indexing = Indexing(waiting)
    indexing.start()
    assert indexing.amid.wait(300)

    database.stop()
    tracking.end()
    indexing.away.set()
    for pid in (started["run"].pid, holder):
        os.kill(pid, signal.SIGCONT)
    time.sleep(MINUTE)
    database.start()
    tracking.start()

    indexing.join(300)
    started["run"].wait(300)
    until(lambda: submissions.get(engine, made.submission).standing == "ranked")
    engine.dispose()
    for name in ("one", "two"):
        started[name].send_signal(signal.SIGTERM)
        started[name].wait(60)
    until(lambda: answers(tracking.url))
    again = begin(home, settings, "run", "audio_only", "--protocol", str(protocol))  # whatever MLflow missed
    again.wait(300)
    said = {name: (home / f"{process.pid}.txt").read_text() for name, process in started.items()}
    codes = {name: process.returncode for name, process in (started | {"again": again}).items()}
    return Minute(settings, made.submission, of_worker, of_command, indexing.done, said, codes)


class Indexing(threading.Thread):
    """Indexes two bundles; after the first one it waits for the database to be away."""

    def __init__(self, settings):
        super().__init__(daemon=True)
        self._settings, self.amid, self.away, self.done = settings, threading.Event(), threading.Event(), None

    def run(self):
        @contextmanager
        def counter(description):
            def progress(done, total):
                self.amid.set()
                self.away.wait(300)

            yield progress

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(console, "counter", counter)
            self.done = ingest(self._settings, [self._settings.bundle_root], patience=600.0)


def begin(home, settings, *words):
    """A command in a process of its own, which prints into a file named after it."""
    places = {f"FUSEBOARD_{name.upper()}": str(getattr(settings, name)) for name in settings.origins}
    with open(home / "said.txt", "w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "runners.cli", *words], cwd=ROOT, env=os.environ | places, stdout=said, stderr=said
        )
    (home / "said.txt").rename(home / f"{process.pid}.txt")
    return process


def stopped_midway(process, settings, run):
    until((settings.bundle_root / ".partial" / run.run / "epoch").is_file)
    os.kill(process.pid, signal.SIGSTOP)
    assert not completed(settings.bundle_root, run)


def answers(url):
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def until(what, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def numbers(place):
    return [{**vars(r), "created": ""} for r in read_jsonl(place / "records.jsonl")]


def rows(url, *tables):
    engine = store.connect(url)
    with engine.connect() as connection:
        found = [connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]
    engine.dispose()
    return found


def test_every_run_ends_with_the_records_of_one_that_missed_nothing(minute, home):
    alone = replace(minute.settings, bundle_root=home / "serial", tracking_url="off")
    assert minute.codes == {"one": 0, "two": 0, "run": 0, "again": 0}, minute.said
    for run in (*minute.of_command, *minute.of_worker):
        place = minute.settings.bundle_root / run.folder
        assert numbers(place) == numbers(trial.run_trial(run, alone))
        assert len(learning_rows(place)) == EPOCHS


def test_no_worker_takes_what_another_one_holds(minute):
    """Nobody could hear a heartbeat for longer than the lease."""
    engine = store.connect(minute.settings.database_url)
    told = [entry.event for entry in audit.history(engine, "submission", minute.submission)]
    engine.dispose()
    assert told[told.index("queued") :] == ["queued", "running", "running seed 1/1", "scored", "ranked"]


def test_what_was_indexed_meanwhile_stands_there_once(minute, home):
    assert minute.indexed.failed == () and minute.indexed.runs + minute.indexed.skipped == 2
    never_away = f"sqlite:///{home}/never-away.db"
    for root in (minute.settings.bundle_root, home / "waiting"):
        ingest(replace(minute.settings, database_url=never_away), [root])
    tables = (store.runs, store.records, store.test_openings)
    assert rows(minute.settings.database_url, *tables) == rows(never_away, *tables)
    assert minute.said["run"].count("The database does not answer; trying again") <= 1


def test_mlflow_hears_of_every_run_once(minute):
    from mlflow import MlflowClient

    client = MlflowClient(minute.settings.tracking_url)
    found = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    planned = [run.run for run in (*minute.of_command, *minute.of_worker)]
    assert Counter(run.data.tags[RUN_TAG] for run in found) == Counter(planned)
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in found:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")]
        assert sorted(steps) == list(range(1, EPOCHS + 1))
        (place,) = minute.settings.bundle_root.glob(f"*/*/{run.data.tags[RUN_TAG]}")
        manifest = json.loads((place / "manifest.json").read_text())
        assert run.data.params["batch_size"] == str(manifest["protocol"]["budget"]["batch_size"])
