"""Backends: the same work, one piece after the other or as Ray tasks, with equal records."""

import json
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners import bundle
from runners.experiment import Experiment, numeric_code
from runners.output import say
from runners.settings import Settings, SettingsError

log = logging.getLogger(__name__)

BACKENDS = ("serial", "ray")
PAUSES = (1.0, 5.0, 20.0)  # seconds before a lost task is sent out again; after the last one it is given up
LOOK = 30.0  # seconds between two looks at whether the cluster has a node left that can work
STARTS = 3  # attempts to start Ray on this machine
LEAVING = 60.0  # seconds that a run waits for another process to leave it: a dead worker's, or one it was taken from
OnEpoch = Callable[[Experiment, int], None]
Result = tuple[Path | None, str | None]  # what was written, or the error that prevented it
Work = Callable[[Any, Settings], Result]


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its bundle's folder, or the error that kept it from getting one."""

    experiment: Experiment
    place: Path | None
    error: str | None = None


def device(backend: str, gpus: float | None) -> str:
    """Where runs will be trained, "cpu" or "cuda"; the run id holds it.

    Args:
        gpus: share of a GPU that each Ray task gets; None leaves it to this machine, a whole one where it has some.

    Raises:
        SettingsError: for a share without Ray.
    """
    if gpus is None:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    if backend != "ray":
        raise SettingsError("--gpus is the share of each Ray task; it needs --backend ray.")
    return "cuda" if gpus else "cpu"


def execute(
    experiments: list[Experiment], settings: Settings, backend: str, on_epoch: OnEpoch, gpus: float | None = None
) -> Iterator[Outcome]:
    """Do every run that has no bundle yet; yield each as it ends, those that were there first.

    Args:
        backend: "serial" or "ray".
        on_epoch: called with a run and the epoch that it finished.
        gpus: share of a GPU for each Ray task, if the runs are for GPUs; a whole one by default.

    Raises:
        ValueError: for an unknown backend.
        RunError: if the cluster does not answer, or has no GPU and will get none.
    """
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}; known: {', '.join(BACKENDS)}.")
    from runners.tracking import catch_up

    waiting = []
    for experiment in experiments:
        if bundle.completed(settings.bundle_root, experiment):
            yield Outcome(experiment, settings.bundle_root / experiment.folder)
        else:
            waiting.append(experiment)
    if backend == "serial":
        yield from _serial(waiting, settings, on_epoch)
    elif waiting:
        share = (gpus or 1.0) if waiting[0].device == "cuda" else 0.0
        yield from _remote(waiting, settings, on_epoch, share)
    catch_up(settings.tracking_url, settings.bundle_root)


def measure(
    folders: list[Path], settings: Settings, backend: str, gpus: float | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Evaluate finished runs; yield each bundle's folder as it ends, with the reason if it could not be.

    Args:
        backend: "serial" or "ray".
        gpus: share of a GPU for each Ray task.
    """
    if backend == "serial":
        for folder in folders:
            yield folder, _evaluate(folder, settings)[1]
    elif folders:
        share = float(device(backend, gpus) == "cuda") if gpus is None else gpus
        with joined(settings.cluster) as ray:
            with closing(_Tasks(ray, _evaluate, folders, settings, share).ended()) as ended:
                for folder, (_, error) in ended:
                    yield folder, error


def _serial(experiments: list[Experiment], settings: Settings, on_epoch: OnEpoch) -> Iterator[Outcome]:
    for experiment in experiments:
        try:
            place = _trained(experiment, settings, on_epoch)
        except bundle.RunError as error:
            yield Outcome(experiment, None, str(error))
        else:
            yield Outcome(experiment, place)


def _remote(experiments: list[Experiment], settings: Settings, on_epoch: OnEpoch, gpus: float) -> Iterator[Outcome]:
    """One task a run. The bundle root tells how far each is, and whether its bundle has come back."""
    root = settings.bundle_root

    def reached() -> None:
        for experiment in experiments:
            if epoch := epoch_reached(root, experiment):
                on_epoch(experiment, epoch)

    with joined(settings.cluster, settings.tracking_url) as ray:
        with closing(_Tasks(ray, _run, experiments, settings, gpus, reached).ended()) as ended:
            for experiment, (place, error) in ended:
                if place is not None and not (place / "manifest.json").is_file():
                    place, error = None, f"its bundle is not in {root} here: every node must see one bundle root."
                yield Outcome(experiment, place, error)


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
    if not gpus or _can_work(ray, gpus):
        return
    if not _grows():
        raise bundle.RunError(
            f"Each run asks for {gpus:g} of a GPU, and the cluster has none. Say --gpus 0, or join a node that has one."
        )
    log.warning(
        "no node of the cluster has a GPU; waiting for its autoscaler to bring one. 'ray status' on one of its nodes "
        "tells what it does, Ctrl-C ends the waiting."
    )


def _can_work(ray, gpus: float) -> bool:
    """Whether a task fits on some node, busy or not."""
    there = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return any(has.get("CPU", 0) >= 1 and has.get("GPU", 0) >= gpus for has in there)


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


@dataclass(frozen=True)
class _Try:
    """One attempt at an item; ``avoid`` are ids of nodes whose memory ran out under it."""

    item: Any
    number: int = 1
    avoid: frozenset[str] = frozenset()


@contextmanager
def _as_raised() -> Iterator[None]:
    """What the handler of a signal raised while Ray's compiled code ran, which Python hands on as a SystemError."""
    try:
        yield
    except SystemError as error:
        raise error.__cause__ or error from None


class _Tasks:
    """One remote task for each item. One whose worker or node is lost is sent out again, and the log says so.

    Ray would do that by itself, but without a word, and for ever where memory runs out.

    Args:
        gpus: share of a GPU for each.
        meanwhile: called about once a second.
    """

    def __init__(
        self,
        ray,
        work: Work,
        items: list,
        settings: Settings,
        gpus: float,
        meanwhile: Callable[[], None] = lambda: None,
    ):
        check_gpus(ray, gpus)
        self._ray, self._settings, self._gpus, self._meanwhile = ray, settings, gpus, meanwhile
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(work)
        self._running: dict[Any, _Try] = {}
        self._due: list[tuple[float, _Try]] = [(0.0, _Try(item)) for item in items]
        self._look, self._works = 0.0, not gpus or _can_work(ray, gpus)  # else it has been said

    def ended(self) -> Iterator[tuple[Any, Result]]:
        """Each item with what became of it, as it ends. Leaving early cancels what runs; checkpoints stay."""
        try:
            with _as_raised():
                while self._running or self._due:
                    self._send()
                    for reference in self._done():
                        attempt = self._running.pop(reference)
                        if result := self._result(reference, attempt):
                            yield attempt.item, result
                    self._meanwhile()
        finally:
            for reference in self._running:
                self._ray.cancel(reference, force=True)

    def _done(self) -> list:
        """What has ended within the next second, in which something always may."""
        if self._running:
            return self._ray.wait(list(self._running), timeout=1.0)[0]
        time.sleep(0.5)  # until a lost task is sent out again
        return []

    def _send(self) -> None:
        now = time.monotonic()
        for due, attempt in self._due:
            if due <= now:
                options = {"label_selector": elsewhere} if (elsewhere := self._elsewhere(attempt.avoid)) else {}
                self._running[self._task.options(**options).remote(attempt.item, self._settings)] = attempt
        self._due = [(due, attempt) for due, attempt in self._due if due > now]
        if now > self._look:
            self._look = now + LOOK
            works = _can_work(self._ray, self._gpus)
            if self._works and not works:
                log.warning("the cluster has no node that can work; waiting for one.")
            elif works and not self._works:
                log.warning("the cluster has a node that can work.")
            self._works = works

    def _elsewhere(self, avoid: frozenset[str]) -> dict[str, str]:
        """Any other node, if there is one that can work."""
        others = [n for n in self._ray.nodes() if n["Alive"] and n["Resources"].get("CPU") and n["NodeID"] not in avoid]
        return {"ray.io/node-id": f"!in({','.join(sorted(avoid))})"} if avoid and others else {}

    def _result(self, reference, attempt: _Try) -> Result | None:
        """None if the task was lost and will be sent out again."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.OutOfMemoryError as error:
            named = re.search(r"\bID: ([0-9a-f]{40,})", str(error))
            full = attempt.avoid | ({named.group(1)} if named else set())
            return self._lost(attempt, "the memory of its node ran out", full)
        except errors.NodeDiedError:
            return self._lost(attempt, "its node was lost", attempt.avoid)
        except errors.WorkerCrashedError:
            return self._lost(attempt, "its worker died, of a crash or for want of memory", attempt.avoid)
        except errors.RayError as error:
            return None, f"{type(error).__name__}: {error}"

    def _lost(self, attempt: _Try, why: str, avoid: frozenset[str]) -> Result | None:
        if attempt.number > len(PAUSES):
            return None, f"{why} in attempt {attempt.number}, the last one. Its checkpoint stays."
        pause = PAUSES[attempt.number - 1]
        self._due.append((time.monotonic() + pause, _Try(attempt.item, attempt.number + 1, avoid)))
        log.warning(
            "%s: %s; attempt %d of %d goes on from its checkpoint.",
            *(_named(attempt.item), why, attempt.number + 1, len(PAUSES) + 1),
        )
        return None


def _named(item: Experiment | Path) -> str:
    if isinstance(item, Experiment):
        return f"{item.method.name} {item.split} seed {item.seed}"
    return f"{item.parent.name} {item.name}"


def _make_tables(url: str) -> None:
    if url == "off":
        return
    from runners.tracking import connect

    try:
        connect(url)
    except Exception as error:  # the trackers of the runs meet the same fault, and say so without losing a result
        log.warning("MLflow does not answer (%s).", error)


def _run(experiment: Experiment, settings: Settings) -> Result:
    """Runs in a worker."""
    from protocols.examples import DataError

    try:
        if other := _other_than_planned(experiment, settings):
            return None, other
        return _trained(experiment, settings), None
    except (bundle.RunError, DataError) as error:
        return None, str(error)


def _trained(experiment: Experiment, settings: Settings, on_epoch: OnEpoch = lambda experiment, epoch: None) -> Path:
    """One run in this process, which leaves word of each epoch for others.

    Another process that is at work on the run may be about to leave: dead, or told to stop.

    Raises:
        RunError: as `runners.trial.run_trial` does; `Busy` if the other is still there after `LEAVING`.
    """
    from runners.trial import run_trial

    def after(row: dict) -> None:
        epoch = int(row["epoch"])
        _reached_file(settings.bundle_root, experiment).write_text(str(epoch))
        on_epoch(experiment, epoch)

    deadline, said = time.monotonic() + LEAVING, False
    while True:
        try:
            return run_trial(experiment, settings, after)
        except bundle.Busy as error:
            if time.monotonic() > deadline:
                raise
            if not said:
                log.warning("%s Looking again for %.0f s.", error, LEAVING)
                said = True
            time.sleep(1)


def _other_than_planned(experiment: Experiment, settings: Settings) -> str | None:
    """Why this node cannot do a run: the run id was made of other data or other code than it has."""
    from runners.trial import divided, feature_modules

    spec = experiment.protocol
    examples, _ = divided(spec.model_dump_json(), experiment.fold, settings.data_root, settings.cache_root)
    if examples.fingerprint != experiment.fingerprint:
        return (
            f"node {socket.gethostname()} has other data of {spec.dataset} in {settings.data_root} than the machine "
            "that planned the run. Bring the same files to every node, or share one folder."
        )
    if numeric_code(experiment.method, spec, feature_modules(examples)) != experiment.code:
        return (
            f"node {socket.gethostname()} has other code than the machine that planned the run. Install the same "
            "version on every node, and call the command again if the code was edited meanwhile."
        )
    return None


def _evaluate(folder: Path, settings: Settings) -> Result:
    """May run in a worker."""
    from protocols.examples import DataError
    from runners.evaluate import EvaluationError, evaluate_run

    try:
        return evaluate_run(folder, settings), None
    except (EvaluationError, DataError) as error:
        return None, str(error)


def _reached_file(root: Path, experiment: Experiment) -> Path:
    return root / ".partial" / experiment.run / "epoch"


def epoch_reached(root: Path, experiment: Experiment) -> int:
    """How far a run is that has no bundle yet.

    Args:
        root: of bundles.
    """
    try:
        return int(_reached_file(root, experiment).read_text())
    except (OSError, ValueError):  # not begun, or caught between two writes
        return 0
