import logging

import pytest
from mlflow import MlflowClient

from runners.tracking import EXPERIMENT, RUN_TAG, MlflowTracker, NullTracker, tracker

ROWS = [{"epoch": e, "train_loss": 1 / e, "validation_loss": 2 / e, "seconds": 0.1} for e in (1, 2, 3)]


def runs(url):
    client = MlflowClient(url)
    return client, client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def test_a_run_found_again_is_not_made_twice_and_misses_nothing(settings):
    url = settings.tracking_url
    first = MlflowTracker(url)
    first.start("abc", "mult synthetic@1", {"width": 40})
    first.epoch(ROWS[0])
    # killed after epoch 2 was trained and before it was logged
    second = MlflowTracker(url)
    second.start("abc", "mult synthetic@1", {"width": 40})
    second.epoch(ROWS[2])
    second.end(ROWS, {"test/clean/accuracy": 0.5}, "completed")
    client, (run,) = runs(url)
    assert run.data.tags[RUN_TAG] == "abc" and run.data.params == {"width": "40"} and run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "train_loss")
    assert {p.step: p.value for p in points} == {1: 1.0, 2: 0.5, 3: pytest.approx(1 / 3)}
    assert run.data.metrics["test/clean/accuracy"] == 0.5


def test_a_failed_run_is_marked(settings):
    made = MlflowTracker(settings.tracking_url)
    made.start("abc", "x", {})
    made.end([], {}, "failed")
    assert runs(settings.tracking_url)[1][0].info.status == "FAILED"


def test_a_store_that_does_not_answer_costs_a_warning_not_a_result(tmp_path, caplog):
    (tmp_path / "file").write_text("not a database")
    with caplog.at_level(logging.WARNING):
        made = tracker(f"sqlite:///{tmp_path}/file")
        made.start("abc", "x", {})
        made.epoch(ROWS[0])
        made.end(ROWS, {}, "completed")
    assert len([r for r in caplog.records if "MLflow does not answer" in r.message]) == 1


def test_off_tracks_nothing():
    assert type(tracker("off")) is NullTracker
