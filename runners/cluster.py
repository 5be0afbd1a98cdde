"""The Ray cluster: joined or started on this machine, and left again."""

import json
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from runners import bundle
from runners.output import say

log = logging.getLogger(__name__)

STARTS = 3  # attempts to start Ray on this machine


@contextmanager
def joined(cluster: str, tracking_url: str = "off") -> Iterator[Any]:
    """Ray, joined or started, and left at the end unless it was there before.

    Args:
        cluster: "local", "auto" or an address.
        tracking_url: of an MLflow store whose tables are made meanwhile; which takes as long as starting Ray does, and
            workers must not do it side by side.

    Raises:
        RunError: if no cluster answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if cluster == "local":  # loopback only, so nothing needs a token
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # else Ray listens to the outside
    import ray

    started = not ray.is_initialized()
    answer = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as beside:
        tables = beside.submit(_make_tables, tracking_url)
        if started:
            _connect(cluster)
            if callable(answer):
                _answer_sigterm(answer)
        tables.result()
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()
            _answer_sigterm(answer)


def _make_tables(url: str) -> None:
    if url == "off":
        return
    from runners.tracking import connect

    try:
        connect(url)
    except Exception as error:  # the trackers of the runs meet the same fault, and say so without losing a result
        log.warning("MLflow does not answer (%s).", error)


def _answer_sigterm(answer) -> None:
    """Put an answer back: Ray brings one of its own when it starts, and leaves none that works when it ends."""
    if answer is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, answer)


def _connect(cluster: str) -> None:
    """Join a cluster, or start one on this machine that only this machine reaches."""
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if cluster == "local":
        say(f"Ray starts on this machine, on {os.cpu_count()} cores.")
        _start(quiet)
        return
    try:
        if named := re.fullmatch(r"([\w.-]+):(\d+)", cluster):  # where nobody listens, Ray itself tries for minutes
            socket.create_connection((named.group(1), int(named.group(2))), timeout=10).close()
        ray.init(address=cluster, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise bundle.RunError(
            f"No Ray cluster answers at {cluster!r}: {' '.join(str(error).split())} Start one with 'ray start --head', "
            "join it with 'ray start --address=...' on this machine, too, and say --cluster auto; or leave --cluster "
            "out for one on this machine alone. Every node and driver needs the same RAY_AUTH_MODE and RAY_AUTH_TOKEN."
        ) from None
    there = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    say(f"Ray at {cluster}: nodes {nodes}, cores {there.get('CPU', 0):g}, GPUs {there.get('GPU', 0):g}.")


def _start(quiet: dict[str, Any]) -> None:
    """Start Ray on this machine. It gives itself 15 s that nothing lengthens, too few where others keep all cores."""
    import ray

    only_here = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    for left in reversed(range(STARTS)):
        try:  # "local" also where another Ray runs on this machine, which init() alone would join.
            ray.init("local", num_cpus=os.cpu_count(), object_store_memory=100 * 2**20, **only_here, **quiet)
            return
        except Exception as error:  # Ray has no class of its own for it
            ray.shutdown()
            said = " ".join(str(error).split())
            if not left:
                raise bundle.RunError(
                    f"Ray does not start on this machine: {said} Call the command again when the machine has less to "
                    "do, or do without Ray: --backend serial gives the same records."
                ) from None
            log.warning("Ray did not start (%s); trying again.", said)


def check_gpus(ray, gpus: float) -> None:
    """Refuse to wait for a GPU that never comes; say so where one may come.

    Raises:
        RunError: if GPUs are asked for, the cluster has none, and nothing adds nodes to it.
    """
    if not gpus or able(ray, gpus):
        return
    if not _grows():
        raise bundle.RunError(
            f"Each run asks for {gpus:g} of a GPU, and the cluster has none. Say --gpus 0, or join a node that has one."
        )
    log.warning(
        "no node of the cluster has a GPU; waiting for its autoscaler to bring one. 'ray status' on one of its nodes "
        "tells what it does, Ctrl-C ends the waiting."
    )


def able(ray, gpus: float) -> set[str]:
    """Ids of the nodes on which a task fits, busy or not."""
    there = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return {name for name, has in there.items() if has.get("CPU", 0) >= 1 and has.get("GPU", 0) >= gpus}


def _grows() -> bool:
    """Whether the cluster that was joined has an autoscaler, which may add nodes with GPUs.

    Ray has no public call for it. Its first autoscaler leaves the report that ``ray status`` prints; where nothing adds
    nodes, each node stands there as a type of its own, named after its id. Its second one is there only where somebody
    turned it on. Neither tells what types of nodes it has, so one that has no GPUs to give is waited for, in the open.
    """
    from ray.autoscaler.v2.utils import is_autoscaler_v2
    from ray.experimental.internal_kv import _internal_kv_get

    if is_autoscaler_v2():
        return True
    status = json.loads(_internal_kv_get("__autoscaling_status") or "{}")
    types = (status.get("autoscaler_report") or {}).get("node_type_mapping") or {}
    return any(kind != f"node_{node}" for node, kind in types.items())
