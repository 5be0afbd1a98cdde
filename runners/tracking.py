"""Curves and parameters to MLflow. No page reads it: if it vanished, no number would."""

import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

EXPERIMENT = "fuseboard"
RUN_TAG = "fuseboard.run"


class NullTracker:
    """Tracking is off."""

    def start(self, run: str, name: str, params: dict[str, Any]) -> None:
        """A run begins, or goes on."""

    def epoch(self, row: dict[str, float]) -> None:
        """One row of the history."""

    def end(self, history: list[dict[str, float]], metrics: dict[str, float], status: str) -> None:
        """The run is over; ``status`` is "completed" or "failed"."""


class MlflowTracker(NullTracker):
    """One MLflow run for each run id: found again after a restart, never made twice.

    A store that does not answer costs a warning, not a result.
    """

    def __init__(self, url: str):
        self._client = connect(url)
        self._experiment = self._client.get_experiment_by_name(EXPERIMENT).experiment_id
        self._run: str | None = None

    def start(self, run: str, name: str, params: dict[str, Any]) -> None:
        found = self._client.search_runs([self._experiment], f"tags.`{RUN_TAG}` = '{run}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        created = self._client.create_run(self._experiment, run_name=name, tags={RUN_TAG: run})
        self._run = created.info.run_id
        from mlflow.entities import Param

        self._client.log_batch(self._run, params=[Param(key, str(value)) for key, value in params.items()])

    def epoch(self, row: dict[str, float]) -> None:
        self._log({name: value for name, value in row.items() if name != "epoch" and value is not None}, int(row["epoch"]))

    def end(self, history: list[dict[str, float]], metrics: dict[str, float], status: str) -> None:
        there = {point.step for point in self._client.get_metric_history(self._run, "train_loss")}
        for row in history:  # what a kill between checkpoint and log left out
            if int(row["epoch"]) not in there:
                self.epoch(row)
        if metrics:
            self._log(metrics, 0)
        self._client.set_terminated(self._run, "FINISHED" if status == "completed" else "FAILED")

    def _log(self, values: dict[str, float], step: int) -> None:
        import time

        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        # MLflow accepts no '@' in names
        points = [Metric(name.replace("@", "-"), value, at, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=points)


class Forgiving(NullTracker):
    """Turns a tracker's faults into one warning and then leaves it alone."""

    def __init__(self, url: str):
        self._tracker = self._try(MlflowTracker, url)

    def start(self, run: str, name: str, params: dict[str, Any]) -> None:
        self._call("start", run, name, params)

    def epoch(self, row: dict[str, float]) -> None:
        self._call("epoch", row)

    def end(self, history: list[dict[str, float]], metrics: dict[str, float], status: str) -> None:
        self._call("end", history, metrics, status)

    def _call(self, verb: str, *values) -> None:
        if self._tracker is not None:
            self._try(getattr(self._tracker, verb), *values)

    def _try(self, call, *values):
        try:
            return call(*values)
        except Exception as error:  # whatever a remote store raises, it must not end a training run
            self._tracker = None
            log.warning("MLflow does not answer (%s); the run goes on, its bundle holds every number.", error)
            return None


def tracker(url: str) -> NullTracker:
    """The tracker for a tracking URL; "off" tracks nothing."""
    return NullTracker() if url == "off" else Forgiving(url)


def connect(url: str):
    """An ``MlflowClient`` whose store has its schema and our experiment.

    Called once before workers start, so that they do not create the schema side by side.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    for chatty in ("alembic", "mlflow"):  # after the import, which sets levels of its own
        logging.getLogger(chatty).setLevel(logging.WARNING)
    client = MlflowClient(url)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT)
    return client
