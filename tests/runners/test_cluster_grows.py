"""A cluster whose nodes with GPUs are still to come: what needs one waits in the open, and goes on when it is there."""

import json
import logging
import time
from pathlib import Path

import pytest

from runners import tasks
from runners.cluster import _grows
from runners.tasks import Tasks
from tests.runners.test_cluster_faults import NODE, started

# Ray's autoscaler itself, over a provider of its tests that adds no node: the test does that in its place.
KIND = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 0}
LISTS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
LISTS += ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude")
CONFIG = dict.fromkeys(LISTS, []) | {
    "cluster_name": "grows",
    "provider": {"type": "fake_multinode"},
    "max_workers": 1,
    "available_node_types": {"head": KIND},
    "head_node_type": "head",
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "rsync_filter": [],
    "auth": {},
    "docker": {},
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
}
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A head with an autoscaler; this process is the driver."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_FAKE_CLUSTER", "1")
    monkeypatch.setenv("AUTOSCALER_UPDATE_INTERVAL_S", "1")
    (tmp_path / "grows.json").write_text(json.dumps(CONFIG))
    head = NODE | {"include_dashboard": False, "autoscaling_config": str(tmp_path / "grows.json")}
    made = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    ray.init(address=made.address, _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_gpu_that_an_autoscaler_may_bring_is_waited_for(growing, settings, caplog, monkeypatch):
    import ray

    deadline = time.monotonic() + 120
    while not _grows():  # its first report
        assert time.monotonic() < deadline, "the autoscaler reports nothing"
        time.sleep(0.2)
    monkeypatch.setattr(tasks, "LOOK", 0.0)
    looked = []

    def bring():
        looked.append(ray.cluster_resources().get("GPU", 0))
        if len(looked) == 2:
            started(lambda: growing.add_node(**NODE, num_gpus=1))

    def share(item, settings):
        import ray

        return None, str(ray.get_runtime_context().get_assigned_resources()["GPU"])

    with caplog.at_level(logging.WARNING):
        said = list(Tasks(ray, share, [Path("a/1"), Path("a/2")], settings, 0.5, bring).ended())
    assert sorted(said) == [(Path("a/1"), (None, "0.5")), (Path("a/2"), (None, "0.5"))]
    assert looked[:2] == [0, 0]
    told = [record.getMessage() for record in caplog.records if record.name.startswith("runners.")]
    assert told[0].startswith("no node of the cluster has a GPU; waiting for its autoscaler to bring one.")
    assert told[1:] == ["the cluster has a node that can work."]
