"""Faults on a real cluster of two nodes in one machine: whatever dies, all runs end as in a serial run, each once."""

import logging
import os
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from leaderboard import store
from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import bundle, trial
from runners.cluster import _Tasks, check_gpus, execute
from runners.settings import Settings
from runners.tracking import EXPERIMENT, RUN_TAG, learning_rows
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

    made = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    ray.init(address=made.address, _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def node(cluster):
    """Adds a node; it is gone afterwards."""
    added = []

    def add(**more):
        added.append(cluster.add_node(**NODE | more))
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


def under_way(settings, count):
    """The folders of that many runs that have a checkpoint, or nothing."""
    found = [path.parent for path in settings.bundle_root.glob(".partial/*/checkpoint.pt")]
    return found if len(found) == count else None


def kept(folders, to):
    """Copies of checkpoints: run id -> the rows of its history."""
    import torch

    rows = {}
    for folder in folders:
        copy = Path(shutil.copy(folder / "checkpoint.pt", to / folder.name))
        rows[folder.name] = torch.load(copy, weights_only=True)["state"]["history"]
    return rows


def killed(node):
    """A node that loses power: its raylet and all that the raylet has started."""
    raylet = node.all_processes["raylet"][0].process.pid
    started = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    for pid in (raylet, *map(int, started)):
        os.kill(pid, signal.SIGKILL)


def as_if_nothing_had_happened(outcomes, planned, settings, went_on=None):
    """Every run ended with the records of a serial run, and stands once in the store and in MLflow."""
    runs, serial = planned
    assert {o.experiment.run: o.error for o in outcomes} == {e.run: None for e in runs}
    assert {o.experiment.run: numbers(o.place) for o in outcomes} == serial
    for run, rows in (went_on or {}).items():  # the seconds of an epoch tell one life of a run from another
        (place,) = settings.bundle_root.glob(f"*/*/{run}")
        seconds = [row["seconds"] for row in learning_rows(place)]
        assert seconds[: len(rows)] == [row["seconds"] for row in rows]
    engine = store.connect(settings.database_url)
    for _ in range(2):
        assert store.ingest(engine, settings.bundle_root).failed == ()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(store.runs)) == len(runs)
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


def test_a_node_is_killed(cluster, node, planned, settings, tmp_path, caplog):
    second, went_on = node(), {}

    def kill():
        went_on.update(kept(until(lambda: under_way(settings, 2)), tmp_path))
        killed(second)

    killer = threading.Thread(target=kill)
    killer.start()
    with caplog.at_level(logging.WARNING):
        outcomes = list(execute(planned[0], settings, "ray", unwatched))
    killer.join()
    assert len(went_on) == 2
    as_if_nothing_had_happened(outcomes, planned, settings, went_on)
    lost = [r.getMessage() for r in caplog.records if r.name == "runners.cluster"]
    # More than one line where Ray sends the task to the node again before it knows that the node is gone.
    assert lost and all(
        line.endswith(f"attempt {n} of 4 goes on from its checkpoint.") for n, line in enumerate(lost, 2)
    )


def test_what_is_cancelled_stops_and_goes_on_later(cluster, planned, settings, tmp_path):
    def interrupt(experiment, epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(execute(planned[0], settings, "ray", interrupt))
    (folder,) = under_way(settings, 1)
    until(lambda: free(settings.bundle_root, folder.name))
    went_on = kept([folder], tmp_path)
    assert 0 < len(went_on[folder.name]) < EPOCHS
    as_if_nothing_had_happened(list(execute(planned[0], settings, "ray", unwatched)), planned, settings, went_on)


def free(root, run):
    try:
        with bundle.locked(root, run):
            return True
    except bundle.Busy:
        return False


def test_a_node_whose_memory_runs_out_is_avoided(cluster, node, planned, settings, caplog, monkeypatch):
    """Ray's own monitor kills the tasks of the second node, whose limit is lower than what is in use at any time."""
    with monkeypatch.context() as small:
        small.setenv("RAY_memory_usage_threshold", "0.001")
        node()
    with caplog.at_level(logging.WARNING):
        outcomes = list(execute(planned[0], settings, "ray", unwatched))
    as_if_nothing_had_happened(outcomes, planned, settings)
    lost = [r.getMessage() for r in caplog.records if r.name == "runners.cluster"]
    assert lost and all("the memory of its node ran out; attempt 2 of 4" in line for line in lost)


def test_tasks_share_a_gpu_where_there_is_one(cluster, node, settings):
    import ray

    with pytest.raises(bundle.RunError, match="asks for 0.25 of a GPU, and the cluster has none"):
        check_gpus(ray, 0.25)
    node(num_cpus=2, num_gpus=1)

    def share(item, settings):
        import ray

        return None, str(ray.get_runtime_context().get_assigned_resources()["GPU"])

    said = list(_Tasks(ray, share, [Path("a/1"), Path("a/2")], settings, 0.25).ended())
    assert sorted(said) == [(Path("a/1"), (None, "0.25")), (Path("a/2"), (None, "0.25"))]


def test_a_task_that_is_always_lost_is_given_up(cluster, settings, caplog, monkeypatch):
    import ray

    monkeypatch.setattr("runners.cluster.PAUSES", (0.0, 0.0))

    def die(item, settings):
        import os

        os._exit(1)

    ((item, (place, error)),) = _Tasks(ray, die, [Path("a/1")], settings, 0.0).ended()
    assert place is None and error.startswith("its worker died") and "in attempt 3, the last one" in error
