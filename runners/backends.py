"""Backends: the same work, one piece after the other or as Ray tasks, with equal records."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runners import bundle
from runners.cluster import joined
from runners.experiment import Experiment, numeric_code
from runners.settings import Settings, SettingsError
from runners.tasks import Result, Tasks

log = logging.getLogger(__name__)

BACKENDS = ("serial", "ray")
LEAVING = 60.0  # seconds that a run waits for another process to leave it: a dead worker's, or one it was taken from
OnEpoch = Callable[[Experiment, int], None]


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
            with closing(Tasks(ray, _evaluate, folders, settings, share).ended()) as ended:
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
        with closing(Tasks(ray, _run, experiments, settings, gpus, reached).ended()) as ended:
            for experiment, (place, error) in ended:
                if place is not None and not (place / "manifest.json").is_file():
                    place, error = None, f"its bundle is not in {root} here: every node must see one bundle root."
                yield Outcome(experiment, place, error)


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
