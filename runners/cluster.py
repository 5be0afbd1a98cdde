"""Backends: the same work, one piece after the other or as Ray tasks, with equal records."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners import bundle
from runners.experiment import Experiment
from runners.settings import Settings

log = logging.getLogger(__name__)

BACKENDS = ("serial", "ray")
OnEpoch = Callable[[Experiment, int], None]
Result = tuple[Path | None, str | None]  # what was written, or the error that prevented it
Work = Callable[[Any, Settings], Result]


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its bundle's folder, or the error that kept it from getting one."""

    experiment: Experiment
    place: Path | None
    error: str | None = None


def execute(experiments: list[Experiment], settings: Settings, backend: str, on_epoch: OnEpoch) -> Iterator[Outcome]:
    """Do every run that has no bundle yet; yield each as it ends, those that were there first.

    Args:
        backend: "serial" or "ray".
        on_epoch: called with a run and the epoch that it finished.

    Raises:
        ValueError: for an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}; known: {', '.join(BACKENDS)}.")
    waiting = []
    for experiment in experiments:
        if bundle.completed(settings.bundle_root, experiment):
            yield Outcome(experiment, settings.bundle_root / experiment.folder)
        else:
            waiting.append(experiment)
    if not waiting:
        return
    if backend == "serial":
        yield from _serial(waiting, settings, on_epoch)
        return

    def reached() -> None:
        for experiment in waiting:
            if epoch := _epoch_reached(settings.bundle_root, experiment):
                on_epoch(experiment, epoch)

    for experiment, (place, error) in _ray(_run, waiting, settings, reached):
        yield Outcome(experiment, place, error)


def measure(folders: list[Path], settings: Settings, backend: str) -> Iterator[tuple[Path, str | None]]:
    """Evaluate finished runs; yield each bundle's folder as it ends, with the reason if it could not be.

    Args:
        backend: "serial" or "ray".
    """
    if backend == "serial":
        for folder in folders:
            yield folder, _evaluate(folder, settings)[1]
    elif folders:
        for folder, (_, error) in _ray(_evaluate, folders, settings, lambda: None):
            yield folder, error


def _serial(experiments: list[Experiment], settings: Settings, on_epoch: OnEpoch) -> Iterator[Outcome]:
    from runners.trial import run_trial

    for experiment in experiments:
        try:
            place = run_trial(experiment, settings, lambda row, e=experiment: on_epoch(e, int(row["epoch"])))
            yield Outcome(experiment, place)
        except bundle.RunError as error:
            yield Outcome(experiment, None, str(error))


def _ray(work: Work, items: list, settings: Settings, meanwhile: Callable[[], None]) -> Iterator[tuple[Any, Result]]:
    """One remote task for each item; a lost worker costs the work since the last checkpoint.

    Args:
        meanwhile: called about once a second.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.cluster == "local":  # loopback only, so nothing needs a token
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    started = not ray.is_initialized()
    # Workers must not make MLflow's tables side by side; making them takes as long as starting Ray does.
    with ThreadPoolExecutor(1) as beside:
        tables = beside.submit(_make_tables, settings.tracking_url)
        if started:
            _connect(settings.cluster)
        tables.result()
    try:
        task = ray.remote(num_cpus=1, max_retries=3)(work)
        running = {task.remote(item, settings): item for item in items}
        while running:
            done, _ = ray.wait(list(running), timeout=1.0)
            for reference in done:
                item = running.pop(reference)
                try:
                    yield item, ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield item, (None, f"{type(error).__name__}: {error}")
            meanwhile()
    finally:
        if started:
            ray.shutdown()


def _connect(cluster: str) -> None:
    """Join a cluster, or start one on this machine that only this machine reaches."""
    import ray

    if cluster != "local":
        ray.init(address=cluster, log_to_driver=False, logging_level="ERROR")
        return
    ray.init(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100 * 2**20,
        _node_ip_address="127.0.0.1",
    )


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
    from runners.trial import run_trial

    reached = _reached_file(settings.bundle_root, experiment)
    deadline = time.monotonic() + 60
    while True:
        try:
            return run_trial(experiment, settings, lambda row: reached.write_text(str(int(row["epoch"])))), None
        except bundle.RunError as error:
            # After a retry the lost worker may hold the lock for a moment longer.
            if "another process" not in str(error) or time.monotonic() > deadline:
                return None, str(error)
            time.sleep(2)


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


def _epoch_reached(root: Path, experiment: Experiment) -> int:
    try:
        return int(_reached_file(root, experiment).read_text())
    except (OSError, ValueError):  # not begun, or caught between two writes
        return 0
