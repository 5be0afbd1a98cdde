"""Faults on a real cluster of two nodes in one machine: whatever dies, all runs end as in a serial run, each once."""

import csv
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from leaderboard import audit, moderation, store, submissions
from leaderboard.access import person_at_the_machine
from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import bundle, trial
from runners.backends import execute
from runners.cluster import check_gpus
from runners.settings import Settings
from runners.tasks import Tasks
from runners.tracking import EXPERIMENT, RUN_TAG, learning_rows
from zoo.drafts import draft
from zoo.spec import check
from zoo.spec import load as load_method

ROOT = Path(__file__).parents[2]
EPOCHS = 40
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster():
    """A head, to which each test adds its second node; this process is the driver."""
    import ray
    from ray.cluster_utils import Cluster

    made = started(lambda: Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False}))
    ray.init(address=made.address, _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def started(make):
    """What starts a node of Ray, which gives itself 15 s for it: too little where others keep all cores."""
    for left in (2, 1, 0):
        try:
            return make()
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


@pytest.fixture
def node(cluster):
    """Adds a node; it is gone afterwards."""
    added = []

    def add(**more):
        added.append(started(lambda: cluster.add_node(**NODE | more)))
        return added[-1]

    yield add
    for one in added:
        cluster.remove_node(one, allow_graceful=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data root with features so small that what takes time is writing checkpoints, and a protocol on them."""
    root = tmp_path_factory.mktemp("data")
    folder, rng = root / "tiny", np.random.default_rng(0)
    (folder / "splits").mkdir(parents=True)
    labels = rng.permutation(np.arange(30) % 2)
    np.save(folder / "audio.npy", rng.standard_normal((30, 4)) + labels[:, None])
    parts = ["train"] * 16 + ["validation"] * 6 + ["test"] * 8
    (folder / "examples.csv").write_text("id,label\n" + "".join(f"e{i},{label}\n" for i, label in enumerate(labels)))
    (folder / "splits/one.csv").write_text("id,part\n" + "".join(f"e{i},{part}\n" for i, part in enumerate(parts)))
    said = {"name": "tiny", "title": "Tiny", "licence": "MIT", "citation": "none", "home": "none"}
    said |= {"classes": ["low", "high"], "modalities": {"audio": {"file": "audio.npy"}}}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(said))
    raw = load_protocol("synthetic@1").model_dump(mode="json")
    raw |= {"name": "caught", "dataset": "features/tiny", "target": "label", "inputs": {"audio": "features"}}
    raw |= {"split": "one", "conditions": ["clean"]}
    raw["budget"] |= {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": 16}
    (root / "caught.yaml").write_text(yaml.safe_dump(raw))
    return root


@pytest.fixture
def settings(data, settings):
    """Folders of one test, over the data of all."""
    return replace(settings, data_root=data)


@pytest.fixture(scope="module")
def planned(data, tmp_path_factory):
    """Three runs, and what they give when nothing goes wrong: run id -> records."""
    folder = tmp_path_factory.mktemp("serial")
    places = {name: folder / name for name in ("cache_root", "bundle_root")}
    settings = Settings.resolve(**places, data_root=data, tracking_url="off")
    runs, _ = trial.plan([load_method("audio_only")], load_protocol(str(data / "caught.yaml")), settings, seeds=3)
    return runs, {o.experiment.run: numbers(o.place) for o in execute(runs, settings, "serial", unwatched)}


def unwatched(experiment, epoch):
    """Progress that nobody looks at."""


def numbers(place):
    return sorted(str({**vars(r), "created": ""}) for r in read_jsonl(place / "records.jsonl"))


def until(what, seconds=600):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def at_work(*nodes):
    """Run id -> process that holds its lock, of the runs that are under way on some nodes."""
    found = {}
    for node in nodes:
        for pid in started_by(node):
            try:
                held = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
            except OSError:  # it has ended
                continue
            found |= {Path(place).stem: pid for place in held if place.endswith(".lock") and "/.partial/" in place}
    return found


def started_by(node):
    raylet = node.all_processes["raylet"][0].process.pid
    return [int(pid) for pid in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()]


def stopped_midway(settings, *nodes):
    """Stops the processes of the runs that are under way; thaw() lets them go on.

    Returns:
        Process -> folder of its run, of those that have told an epoch and are not at their end; nothing where none is.
    """
    runs = at_work(*nodes)
    signal_all(runs.values(), signal.SIGSTOP)
    places = {pid: settings.bundle_root / ".partial" / run for run, pid in runs.items()}
    caught = {pid: p for pid, p in places.items() if (p / "epoch").is_file() and epochs(p) < EPOCHS}
    if not caught:
        signal_all(runs.values(), signal.SIGCONT)
    return caught


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def epochs(folder):
    """How many a run has in its checkpoint."""
    return len(history(folder / "checkpoint.pt"))


def history(checkpoint):
    import torch

    return torch.load(checkpoint, weights_only=True)["state"]["history"] if checkpoint.is_file() else []


def kept(folders):
    """Run id -> the rows of the history in its checkpoint."""
    return {folder.name: history(folder / "checkpoint.pt") for folder in folders}


def killed(node):
    """A node that loses power: its raylet and all that the raylet has started."""
    signal_all([node.all_processes["raylet"][0].process.pid, *started_by(node)], signal.SIGKILL)


def command(cluster, settings, *words):
    """A command of fuseboard in a process of its own, as a terminal starts it."""
    places = {f"FUSEBOARD_{name.upper()}": str(getattr(settings, name)) for name in settings.origins}
    return subprocess.Popen(
        [sys.executable, "-m", "runners.cli", *words, "--cluster", cluster.address],
        cwd=ROOT,
        env=os.environ | places,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def called(*arguments):
    """What a command has printed, once it is done."""
    with command(*arguments) as done:
        said = done.communicate(timeout=600)[0]
    assert done.returncode == 0, said
    return said


def run_all(cluster, settings):
    protocol = str(settings.data_root / "caught.yaml")
    words = ("run", "audio_only", "--protocol", protocol, "--seeds", "3", "--backend", "ray", "--no-evaluate")
    return cluster, settings, *words


def as_if_nothing_had_happened(outcomes, planned, settings, went_on=None):
    """Every run ended with the records of a serial run, and stands once in the store and in MLflow."""
    runs, serial = planned
    assert {o.experiment.run: o.error for o in outcomes} == {e.run: None for e in runs}
    assert {o.experiment.run: numbers(o.place) for o in outcomes} == serial
    each_stands_once(serial, settings, went_on or {})


def each_stands_once(serial, settings, went_on):
    """In the store and in MLflow; those of which rows are given went on from them."""
    for run, rows in went_on.items():  # the seconds of an epoch tell one life of a run from another
        (place,) = settings.bundle_root.glob(f"*/*/{run}")
        seconds = [row["seconds"] for row in learning_rows(place)]
        assert seconds[: len(rows)] == [row["seconds"] for row in rows]
    engine = store.connect(settings.database_url)
    for _ in range(2):
        assert store.ingest(engine, settings.bundle_root).failed == ()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(store.runs)) == len(serial)
        there = connection.scalar(sa.select(sa.func.count()).select_from(store.records))
    engine.dispose()
    assert there == sum(map(len, serial.values()))
    from mlflow import MlflowClient

    client = MlflowClient(settings.tracking_url)
    tracked = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert Counter(run.data.tags[RUN_TAG] for run in tracked) == Counter(list(serial))
    assert {run.info.status for run in tracked} == {"FINISHED"}
    for run in tracked:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")]
        assert sorted(steps) == list(range(1, EPOCHS + 1))


def test_a_node_is_killed(cluster, node, planned, settings, caplog):
    second, went_on = node(), {}

    def kill():
        went_on.update(kept(until(lambda: stopped_midway(settings, second)).values()))
        killed(second)

    killer = threading.Thread(target=kill)
    killer.start()
    with caplog.at_level(logging.WARNING):
        outcomes = list(execute(planned[0], settings, "ray", unwatched))
    killer.join()
    assert len(went_on) == 1
    as_if_nothing_had_happened(outcomes, planned, settings, went_on)
    lost = [r.getMessage() for r in caplog.records if r.name == "runners.tasks"]
    # More than one line where Ray sends the task to the node again before it knows that the node is gone.
    assert lost and all(
        line.endswith(f"attempt {n} of 4 goes on from its checkpoint.") for n, line in enumerate(lost, 2)
    )


def test_the_driver_is_killed_and_the_command_called_again(cluster, node, planned, settings):
    second = node()
    driver = command(*run_all(cluster, settings))
    went_on = kept(until(lambda: stopped_midway(settings, cluster.head_node, second)).values())
    driver.kill()
    driver.communicate()
    until(lambda: not at_work(cluster.head_node, second))  # the cluster outlives it, its tasks do not
    assert not any((settings.bundle_root / planned[0][0].folder.parent / run).exists() for run in went_on)
    said = called(*run_all(cluster, settings))
    assert f"{len(went_on)} to go on with from a checkpoint." in said
    outcomes = list(execute(planned[0], settings, "ray", unwatched))  # all are there
    as_if_nothing_had_happened(outcomes, planned, settings, went_on)


def test_a_person_cancels_and_calls_the_command_again(cluster, node, planned, settings):
    second = node()
    driver = command(*run_all(cluster, settings))
    went_on = kept(until(lambda: stopped_midway(settings, cluster.head_node, second)).values())
    os.killpg(driver.pid, signal.SIGINT)
    signal_all(at_work(cluster.head_node, second).values(), signal.SIGCONT)
    said = driver.communicate(timeout=120)[0].splitlines()
    assert (driver.returncode, said[-1]) == (
        130,
        f"Interrupted. {len(ended(settings))} of 3 runs have ended; those under way keep the epochs that they "
        "finished. The same command goes on from there.",
    )
    assert not [line for line in said if "Traceback" in line or "Exception" in line]
    until(lambda: not at_work(cluster.head_node, second))  # no task is left on a cluster that lives on
    outcomes = list(execute(planned[0], settings, "ray", unwatched))
    as_if_nothing_had_happened(outcomes, planned, settings, went_on)


def ended(settings):
    return list(settings.bundle_root.glob("*/*/*/manifest.json"))


def test_a_search_is_cancelled_and_called_again(cluster, settings):
    budget = 30
    words = ("tune", "audio_only", "--protocol", str(settings.data_root / "caught.yaml"), "--trials", "3")
    words += ("--budget", str(budget), "--out", str(settings.bundle_root / "found"))
    driver = command(cluster, settings, *words)
    until(lambda: list(settings.bundle_root.glob(".tune/*/trial*/checkpoint.pt")))
    os.killpg(driver.pid, signal.SIGINT)
    said = driver.communicate(timeout=120)[0].splitlines()
    assert driver.returncode == 130 and not [line for line in said if "Traceback" in line]
    assert said[-1].startswith("Interrupted. ") and said[-1].endswith("kept. The same command goes on from there.")
    kept = {path.parent.name: history(path) for path in settings.bundle_root.glob(".tune/*/trial*/checkpoint.pt")}
    assert 0 < sum(map(len, kept.values())) <= budget
    said = called(cluster, settings, *words)
    with open(settings.bundle_root / "found/caught@1/audio_only/trials.csv", newline="") as file:
        epochs = {f"trial{row['trial']}": int(row["epochs"]) for row in csv.DictReader(file)}
    assert len(epochs) == 3 and sum(epochs.values()) <= budget
    assert all(len(rows) <= epochs[trial] for trial, rows in kept.items())
    assert f"{sum(epochs.values())} of {budget} epochs were taken. The test part was not opened." in said


def test_a_submission_outlives_its_workers(cluster, node, settings, tmp_path):
    """From the form to the rank, on two nodes: one worker is killed, one told to stop, one ends it as a serial run."""
    second, me, spec = node(), person_at_the_machine(), draft("mine", "audio_only")
    protocol = load_protocol(str(settings.data_root / "caught.yaml")).model_copy(update={"seeds": 3})
    alone = replace(settings, bundle_root=tmp_path / "serial", tracking_url="off")
    runs, _ = trial.plan([check(spec)[0]], protocol, alone)
    serial = {o.experiment.run: numbers(o.place) for o in execute(runs, alone, "serial", unwatched)}
    engine = store.connect(settings.database_url)
    made = submissions.submit(engine, me, spec, protocol)
    moderation.approve(engine, me, made.submission)

    words = ("worker", "--backend", "ray", "--lease", "10")
    first = command(cluster, settings, *words)
    went_on = kept(until(lambda: stopped_midway(settings, cluster.head_node, second)).values())
    first.kill()
    first.communicate()
    other = command(cluster, settings, *words)
    until(lambda: f":{other.pid}:" in (submissions.get(engine, made.submission).worker or ""))  # it hears signals now
    went_on |= kept(until(lambda: stopped_midway(settings, cluster.head_node, second)).values())
    other.send_signal(signal.SIGTERM)
    signal_all(at_work(cluster.head_node, second).values(), signal.SIGCONT)
    said = other.communicate(timeout=120)[0]
    assert other.returncode == 0 and "has stopped; nothing is half-done." in said, said
    assert submissions.get(engine, made.submission).state == "queued"
    until(lambda: not at_work(cluster.head_node, second))
    called(cluster, settings, *words, "--drain")

    told = [(entry.event, entry.reason or "") for entry in audit.history(engine, "submission", made.submission)]
    assert [event for event, _ in told].count("running") == 3 and told[-1][0] == "ranked"
    given_back = [reason for event, reason in told if event == "queued"][1:]
    assert "sent no heartbeat for 10 s" in given_back[0] and "the worker was told to stop" in given_back[1]
    with engine.connect() as connection:  # indexed by the worker
        assert connection.scalar(sa.select(sa.func.count()).select_from(store.runs)) == len(runs)
    engine.dispose()
    assert {e.run: numbers(settings.bundle_root / e.folder) for e in runs} == serial
    each_stands_once(serial, settings, went_on)


def test_a_node_whose_memory_runs_out_is_avoided(cluster, node, planned, settings, caplog, monkeypatch):
    """Ray's own monitor kills the tasks of the second node, whose limit is lower than what is in use at any time."""
    with monkeypatch.context() as small:
        small.setenv("RAY_memory_usage_threshold", "0.001")
        node()
    with caplog.at_level(logging.WARNING):
        outcomes = list(execute(planned[0], settings, "ray", unwatched))
    as_if_nothing_had_happened(outcomes, planned, settings)
    lost = [r.getMessage() for r in caplog.records if r.name == "runners.tasks"]
    assert lost and all("the memory of its node ran out; attempt 2 of 4" in line for line in lost)


def test_tasks_share_a_gpu_where_there_is_one(cluster, node, settings):
    import ray

    with pytest.raises(bundle.RunError, match="asks for 0.25 of a GPU, and the cluster has none"):
        check_gpus(ray, 0.25)
    node(num_cpus=2, num_gpus=1)

    def share(item, settings):
        import ray

        return None, str(ray.get_runtime_context().get_assigned_resources()["GPU"])

    said = list(Tasks(ray, share, [Path("a/1"), Path("a/2")], settings, 0.25).ended())
    assert sorted(said) == [(Path("a/1"), (None, "0.25")), (Path("a/2"), (None, "0.25"))]


def test_the_only_node_with_a_gpu_is_not_avoided(cluster, node, settings):
    """A task that needs a GPU would wait for ever on the others."""
    import ray

    full = frozenset({node(num_cpus=2, num_gpus=1).node_id})
    assert Tasks(ray, print, [], settings, 0.0)._elsewhere(full) == {"ray.io/node-id": f"!in({','.join(full)})"}
    assert Tasks(ray, print, [], settings, 0.25)._elsewhere(full) == {}


def test_a_task_that_is_always_lost_is_given_up(cluster, settings, caplog, monkeypatch):
    import ray

    monkeypatch.setattr("runners.tasks.PAUSES", (0.0, 0.0))

    def die(item, settings):
        import os

        os._exit(1)

    ((item, (place, error)),) = Tasks(ray, die, [Path("a/1")], settings, 0.0).ended()
    assert place is None and error.startswith("its worker died") and "in attempt 3, the last one" in error
