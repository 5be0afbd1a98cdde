"""Curves and parameters to MLflow. No page reads it: if it vanished, no number would.

In the end MLflow is told what the bundle says, so a run that could not be told while it ran is told later.
"""

import csv
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from protocols.record import read_jsonl
from protocols.spec import ProtocolSpec
from runners import bundle

log = logging.getLogger(__name__)

EXPERIMENT = "fuseboard"
RUN_TAG = "fuseboard.run"
OWED = ".untracked"  # below the bundle root: one file for each run of which MLflow does not know the end
PAUSE = 60.0  # seconds for which a run leaves a store alone that did not answer
PATIENCE = 120.0  # seconds that `catch_up` waits for a server that is away
BATCH = 1000  # metrics that MLflow takes at once


class NullTracker:
    """Tracking is off."""

    def start(self, told: dict[str, Any]) -> None:
        """A run begins, or goes on; ``told`` is what its manifest will say of it, see ``experiment.describe``."""

    def epoch(self, row: dict[str, float | None]) -> None:
        """One row of the history."""

    def end(self, place: Path) -> None:
        """The run is over, and this is its bundle."""


class MlflowTracker(NullTracker):
    """One MLflow run for each run id: found again after a restart, never made twice.

    Whatever is told twice stands there once.
    """

    def __init__(self, url: str):
        self._client = connect(url)
        self._experiment = self._client.get_experiment_by_name(EXPERIMENT).experiment_id
        self._run: str | None = None

    def start(self, told: dict[str, Any]) -> None:
        from mlflow.entities import Param

        if found := self._runs_of(told["run"]):
            self._run = found[0]
            self._client.update_run(self._run, status="RUNNING")
        else:
            created = self._client.create_run(self._experiment, run_name=_name(told), tags={RUN_TAG: told["run"]})
            self._run = created.info.run_id
        params = {**told["method"]["settings"], **told["protocol"]["budget"]}
        self._client.log_batch(self._run, params=[Param(key, str(value)) for key, value in params.items()])

    def epoch(self, row: dict[str, float | None]) -> None:
        self._log(_points(row))

    def end(self, place: Path) -> None:
        there = {point.step for point in self._client.get_metric_history(self._run, "train_loss")}
        rows = learning_rows(place)
        points = [point for row in rows if int(row["epoch"]) not in there for point in _points(row)]
        known = self._client.get_run(self._run).data.metrics
        manifest = manifest_of(place)
        asked = ProtocolSpec.model_validate(manifest["protocol"]).metrics
        for record in read_jsonl(place / "records.jsonl"):
            name = _accepted(f"test/{record.condition}/{record.metric}")
            if record.metric in asked and name not in known:
                points.append((name, record.value, 0))
        self._log(points)
        self._client.set_terminated(self._run, "FINISHED" if manifest["status"] == "completed" else "FAILED")
        for twin in self._runs_of(manifest["run"]):  # made by a call that the server answered too late to be heard
            if twin != self._run:
                self._client.delete_run(twin)

    def _runs_of(self, run: str) -> list[str]:
        found = self._client.search_runs([self._experiment], f"tags.`{RUN_TAG}` = '{run}'")
        return [one.info.run_id for one in found]

    def _log(self, points: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        metrics = [Metric(name, value, at, step) for name, value, step in points]
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(self._run, metrics=metrics[start : start + BATCH])


class Forgiving(NullTracker):
    """Tells MLflow while it answers. A store that is away costs a warning and moments, never a result.

    From the start of a run until MLflow knows its end a file says so, by which `catch_up` finds the bundle.

    Args:
        root: of bundles.
    """

    def __init__(self, url: str, root: Path):
        self._url, self._root = url, root
        self._tracker: MlflowTracker | None = None
        self._told: dict[str, Any] = {}
        self._silent_until = 0.0
        self._warned = False

    def start(self, told: dict[str, Any]) -> None:
        self._told = told
        protocol = told["protocol"]
        place = f"{protocol['name']}@{protocol['version']}/{told['method']['name']}/{told['run']}"
        self._owed = self._root / OWED / told["run"]
        self._owed.parent.mkdir(parents=True, exist_ok=True)
        self._owed.write_text(place, encoding="utf-8")
        self._try()

    def epoch(self, row: dict[str, float | None]) -> None:
        if time.monotonic() > self._silent_until:
            self._try("epoch", row)

    def end(self, place: Path) -> None:
        if self._try("end", place):
            self._owed.unlink()

    def _try(self, verb: str | None = None, *values) -> bool:
        try:
            if self._tracker is None:
                tracker = MlflowTracker(self._url)
                tracker.start(self._told)
                self._tracker = tracker
            if verb:
                getattr(self._tracker, verb)(*values)
            return True
        except Exception as error:  # whatever a remote store raises, it must not end a training run
            self._silent_until = time.monotonic() + PAUSE
            if not self._warned:
                log.warning("MLflow does not answer (%s); the run goes on, its bundle holds every number.", error)
            self._warned = True
            return False


def tracker(url: str, root: Path) -> NullTracker:
    """The tracker for a tracking URL; "off" tracks nothing.

    Args:
        root: of bundles.
    """
    return NullTracker() if url == "off" else Forgiving(url, root)


def catch_up(url: str, root: Path) -> None:
    """Tell MLflow of the finished runs that it missed, from their bundles.

    A server is waited for, a file is there or is not. What cannot be told now, the next call tells.

    Args:
        root: of bundles.
    """
    if url == "off":
        return
    deadline = time.monotonic() + (0.0 if url.startswith("sqlite:") else PATIENCE)
    for owed in sorted((root / OWED).glob("*")):
        try:
            with bundle.locked(root, owed.name):
                place = root / owed.read_text(encoding="utf-8")
                if (place / "manifest.json").is_file():
                    if not _told(url, place, deadline):
                        return
                    owed.unlink()
        except (bundle.Busy, FileNotFoundError):  # under way in another process, or told by it
            continue


def _told(url: str, place: Path, deadline: float) -> bool:
    """Tell of one bundle; try again until the deadline."""
    pause = 0.5
    while True:
        try:
            tracker = MlflowTracker(url)
            tracker.start(manifest_of(place))
            tracker.end(place)
            return True
        except Exception as error:  # as above
            if time.monotonic() + pause > deadline:
                log.warning("MLflow was not told of every run (%s). The next fuseboard run tells it.", error)
                return False
            if pause == 0.5:
                log.warning("MLflow does not answer (%s); waiting for it, %.0f s at most.", error, PATIENCE)
            time.sleep(pause)
            pause = min(2 * pause, 8.0)


def _name(told: dict[str, Any]) -> str:
    """Of a run, for people."""
    protocol, fold = told["protocol"], told["fold"]
    split = f"test/fold{fold}" if fold else "test"
    return f"{told['method']['name']} {protocol['name']}@{protocol['version']} {split} seed {told['seed']}"


def manifest_of(place: Path) -> dict[str, Any]:
    """What a bundle says of its run."""
    return json.loads((place / "manifest.json").read_text(encoding="utf-8"))


def learning_rows(place: Path) -> list[dict[str, float | None]]:
    """The history of a bundle, one row an epoch; None where a metric was undefined."""
    with open(place / "history.csv", newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    return [{name: float(value) if value else None for name, value in row.items()} for row in written]


def _points(row: dict[str, float | None]) -> list[tuple[str, float, int]]:
    """(name, value, step) of each number of an epoch."""
    step = int(row["epoch"])
    return [(_accepted(name), value, step) for name, value in row.items() if name != "epoch" and value is not None]


def _accepted(name: str) -> str:
    return name.replace("@", "-")  # which MLflow takes in no name


def connect(url: str):
    """An ``MlflowClient`` whose store has its schema and our experiment.

    Called once before workers start, so that they do not create the schema side by side.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # results stand there
    # MLflow's own patience is four minutes a call, and a call repeated blindly may make a second run.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("alembic", "mlflow"):  # after the import, which sets levels of its own
        logging.getLogger(chatty).setLevel(logging.WARNING)
    client = MlflowClient(url)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        try:
            client.create_experiment(EXPERIMENT)
        except MlflowException:
            if client.get_experiment_by_name(EXPERIMENT) is None:  # else another process was first
                raise
    return client
