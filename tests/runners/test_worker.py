"""Real workers over one queue: a claim is one worker's, a dead one's goes to another, a signal ends it cleanly."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from leaderboard import audit, claims, moderation, queries, store, submissions
from leaderboard.access import person_at_the_machine
from protocols.spec import ProtocolSpec, load
from runners.settings import Settings
from runners.trial import plan, run_trial
from runners.worker import Options, work
from zoo.drafts import draft
from zoo.spec import check

ROOT = Path(__file__).parents[2]
SPEC = draft("mine", "text_only")
ONCE = Options(backend="serial", drain=True, lease=60)


def protocol(**budget) -> ProtocolSpec:
    raw = load("synthetic@1").model_dump(mode="json")
    budget = raw["budget"] | {"epochs": 2, "batch_size": 200} | budget
    return ProtocolSpec.model_validate(raw | {"name": "brief", "seeds": 1, "conditions": ["clean"], "budget": budget})


@pytest.fixture
def alone(tmp_path):
    """Settings of one test, without MLflow."""
    folders = {name: tmp_path / name for name in ("data_root", "cache_root", "bundle_root")}
    return Settings.resolve(**folders, database_url=f"sqlite:///{tmp_path}/board.db", tracking_url="off")


@pytest.fixture
def engine(alone):
    engine = store.connect(alone.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def queued(engine):
    """Submits and approves; gives back the submission."""
    me = person_at_the_machine()

    def submit(text=SPEC, under=None):
        made = submissions.submit(engine, me, text, under or protocol())
        return moderation.approve(engine, me, made.submission)

    return submit


@pytest.fixture
def worker(alone, tmp_path):
    """Starts worker processes, and ends those that are left."""
    started = []

    def start(*arguments):
        names = ("data_root", "cache_root", "bundle_root", "database_url", "tracking_url")
        places = {f"FUSEBOARD_{name.upper()}": str(getattr(alone, name)) for name in names}
        said = open(tmp_path / f"worker{len(started)}.txt", "w")
        command = [sys.executable, "-m", "runners.cli", "worker", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | places, stdout=said, stderr=said)
        said.close()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def history(engine, made):
    return audit.history(engine, "submission", made.submission)


def until(what, seconds=240):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def numbers(bundle: Path) -> list[tuple]:
    rows = [json.loads(line) for line in (bundle / "records.jsonl").read_text().splitlines()]
    return [(row["condition"], row["metric"], row["value"]) for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_dies_one_is_stopped_one_finishes(engine, alone, queued, worker, tmp_path):
    """One submission: its worker is killed, the other one stopped, a third resumes; records are those of one run."""
    brief = protocol(epochs=14, patience=14)
    processes = {process.pid: process for process in (worker("--lease", "6"), worker("--lease", "6"))}
    made = queued(under=brief)

    def holder():
        name = submissions.get(engine, made.submission).worker
        return processes.get(int(name.split(":")[2])) if name else None

    def epochs():  # of the run under way
        found = list(alone.bundle_root.glob(".partial/*/checkpoint.pt"))
        return found[0].stat().st_mtime_ns if found else 0

    first = until(holder)
    until(epochs)
    assert [entry.event for entry in history(engine, made)].count("running") == 1  # two asked, one has it
    first.kill()
    first.wait()
    second = until(lambda: (now := holder()) and now is not first and now)
    before = epochs()
    until(lambda: epochs() > before)  # it went on
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    assert submissions.get(engine, made.submission).state == "queued"
    assert epochs() > before  # the checkpoint stays
    work(alone, ONCE)
    reasons = [entry.reason or "" for entry in history(engine, made)]
    assert sum("sent no heartbeat for 6 s" in reason for reason in reasons) == 1
    assert sum("the worker was told to stop" in reason for reason in reasons) == 1
    assert submissions.get(engine, made.submission).standing == "ranked"
    board = queries.current_runs(engine, "brief@1")[0]
    assert list(board["method"]) == ["mine"]

    serial = replace(alone, bundle_root=tmp_path / "serial")
    (experiment,), _ = plan([check(SPEC)[0]], brief, serial)
    (bundle,) = alone.bundle_root.glob("brief@1/mine/*")
    assert bundle.name == experiment.run
    assert numbers(bundle) == numbers(run_trial(experiment, serial))


def test_every_step_is_told(engine, alone, queued):
    made = queued()
    work(alone, ONCE)
    told = history(engine, made)
    assert [entry.event for entry in told][3:] == ["queued", "running", "running seed 1/1", "scored", "ranked"]
    assert "epoch 2 of 2" in told[5].log and told[5].reason.startswith("test seed 0: 2 epochs")
    assert submissions.get(engine, made.submission).worker is None


def test_what_is_its_own_fault_fails_at_once_and_never_ranks(engine, alone, queued):
    diverging = queued(under=protocol(learning_rate=1e30, clip_norm=1e30))
    unbuildable = queued(draft("odd", "jca-length-free").replace("parts: ", "parts: 0 # "))
    work(alone, ONCE)
    for made, said in ((diverging, "loss is nan"), (unbuildable, "0 steps")):
        last = history(engine, made)[-1]
        assert last.event == "failed" and said in last.reason
        assert submissions.get(engine, made.submission).attempts == 1
    store.ingest(engine, alone.bundle_root)
    assert queries.protocols(engine) == {}


def test_a_machine_that_cannot_is_asked_thrice(engine, alone, queued):
    made = queued(draft("seen", "audio_only"), load("grid-digit@1"))  # whose data are not here
    work(alone, ONCE)
    told = history(engine, made)
    assert [entry.event for entry in told].count("running") == 3
    assert told[-1].event == "failed" and "no attempt is left" in told[-1].reason
    assert "DataError" in told[-1].log
    everything = " ".join(f"{entry.reason} {entry.log}" for entry in told)
    assert "<data_root>" in everything and str(alone.data_root) not in everything and str(ROOT) not in everything


def test_a_refused_submission_is_taken_from_its_worker(engine, alone, queued, monkeypatch):
    """The maintainer refuses while the run is under way; the next heartbeat ends it."""
    made = queued(under=protocol(epochs=5000, patience=5000))
    real = claims.beat

    def beat(engine, claim):
        if list(alone.bundle_root.glob(".partial/*/checkpoint.pt")):
            state = submissions.get(engine, made.submission).state
            if state == "running":
                moderation.refuse(engine, person_at_the_machine(), made.submission, "too slow")
        real(engine, claim)

    monkeypatch.setattr(claims, "beat", beat)
    work(alone, replace(ONCE, lease=1.0))
    assert submissions.get(engine, made.submission).state == "refused"
    assert history(engine, made)[-1].event == "refused"


def test_a_protocol_of_ones_own_is_kept_with_the_submission(engine, queued):
    made = queued()
    claim = claims.take(engine, "w")
    assert claim.submission == made.submission
    assert ProtocolSpec.model_validate_json(claim.protocol_spec) == protocol()
    assert yaml.safe_load(claim.spec)["name"] == "mine"
