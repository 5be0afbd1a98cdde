"""MLflow hears of every run once: on a file, and on a real server that goes away and comes back."""

import logging
import shutil
import signal
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from mlflow import MlflowClient

from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import tracking, trial
from runners.backends import execute
from runners.experiment import describe
from runners.tracking import EXPERIMENT, OWED, RUN_TAG, MlflowTracker, NullTracker, catch_up, learning_rows, tracker
from tests.servers import MLflow
from zoo.spec import load as load_method


@pytest.fixture
def planned(short, settings):
    """Two runs to do, not tracked yet."""
    return trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=2)[0]


def runs(url):
    client = MlflowClient(url)
    return client, client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def points(url):
    """(run id, metric, step) -> how often it stands there."""
    client, found = runs(url)
    return Counter(
        (run.data.tags[RUN_TAG], name, point.step)
        for run in found
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )


def told_by(place):
    """The same, as the bundle says it."""
    asked = trial.ProtocolSpec.model_validate(tracking.manifest_of(place)["protocol"]).metrics
    rows = learning_rows(place)
    said = [(place.name, name, int(row["epoch"])) for row in rows for name in row if name != "epoch"]
    written = [r for r in read_jsonl(place / "records.jsonl") if r.metric in asked]
    return Counter(said + [(place.name, f"test/{r.condition}/{r.metric}", 0) for r in written])


def test_a_run_found_again_is_not_made_twice_and_misses_nothing(settings, planned):
    url, told = settings.tracking_url, describe(planned[0])
    place = trial.run_trial(planned[0], replace(settings, tracking_url="off"))
    rows = learning_rows(place)
    first = MlflowTracker(url)
    first.start(told)
    first.epoch(rows[0])
    # killed after epoch 2 was trained and before it was logged
    for _ in range(2):  # the second time, nothing is new
        again = MlflowTracker(url)
        again.start(told)
        if points(url)[place.name, "train_loss", 3] == 0:
            again.epoch(rows[2])
        again.end(place)
        assert points(url) == told_by(place)
    _, (run,) = runs(url)
    assert run.info.status == "FINISHED" and run.info.run_name == "audio_only short@1 test seed 0"
    assert run.data.params["batch_size"] == "100" and run.data.params["width"] == "40"
    assert run.data.metrics["train_loss"] == rows[-1]["train_loss"]


def test_a_run_that_was_made_twice_stands_there_once(settings, planned):
    """A server that was frozen makes the run of a call that nobody waits for any more."""
    url, told = settings.tracking_url, describe(planned[0])
    place = trial.run_trial(planned[0], replace(settings, tracking_url="off"))
    one = MlflowTracker(url)
    one.start(told)
    client, (found,) = runs(url)
    client.create_run(found.info.experiment_id, tags={RUN_TAG: told["run"]})
    assert len(runs(url)[1]) == 2
    one.end(place)
    assert [run.info.run_id for run in runs(url)[1]] == [found.info.run_id] and points(url) == told_by(place)


def test_a_failed_run_is_marked(settings, short):
    raw = yaml.safe_load(short.read_text())
    raw["budget"] |= {"learning_rate": 1e30, "clip_norm": 1e30}
    short.write_text(yaml.safe_dump(raw))
    (diverging,), _ = trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=1)
    trial.run_trial(diverging, settings)
    assert runs(settings.tracking_url)[1][0].info.status == "FAILED"


def test_a_store_that_does_not_answer_costs_a_warning_and_hears_of_it_later(
    settings, planned, tmp_path, mlflow_template, caplog
):
    (tmp_path / "file").write_text("not a database")
    away = replace(settings, tracking_url=f"sqlite:///{tmp_path}/file")
    with caplog.at_level(logging.WARNING):
        place = trial.run_trial(planned[0], away)
    assert len([r for r in caplog.records if "MLflow does not answer" in r.message]) == 1
    catch_up(away.tracking_url, away.bundle_root)
    assert [path.name for path in (away.bundle_root / OWED).iterdir()] == [place.name]
    shutil.copy(mlflow_template, tmp_path / "file")
    for _ in range(2):
        catch_up(away.tracking_url, away.bundle_root)
        assert points(away.tracking_url) == told_by(place)
    assert list((away.bundle_root / OWED).iterdir()) == []


def test_off_tracks_nothing(tmp_path):
    assert type(tracker("off", tmp_path)) is NullTracker


@pytest.fixture
def server(tmp_path):
    made = MLflow(tmp_path / "mlflow.db")  # a copy of the template, by the fixture of the settings
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_is_away_and_comes_back_hears_of_every_run_once(settings, planned, server, monkeypatch):
    """Away as a server that is not there, then as one that takes calls and answers none.

    The patience of `catch_up` is longer here only because a loaded machine starts a server slowly.
    """
    pytest.importorskip("mlflow.server", reason="mlflow is not here, only its client")
    monkeypatch.setattr(tracking, "PATIENCE", 400.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    settings = replace(settings, tracking_url=server.url)
    serial = list(
        execute(planned, replace(settings, tracking_url="off", bundle_root=settings.data_root), "serial", skip)
    )

    places = []
    for outcome in execute(planned[:1], settings, "serial", skip):
        assert (settings.bundle_root / OWED / outcome.experiment.run).is_file()  # nobody could be told
        places.append(outcome.place)
        server.start()
    assert points(server.url) == told_by(places[0])

    def freeze(experiment, epoch):
        if epoch == 2:
            server.signal(signal.SIGSTOP)

    for outcome in execute(planned[1:], settings, "serial", freeze):
        places.append(outcome.place)
        server.signal(signal.SIGCONT)
    everything = sum((told_by(place) for place in places), Counter())
    assert points(server.url) == everything
    assert list((settings.bundle_root / OWED).iterdir()) == []
    for place in places:  # told again, as by a driver that died before it could note that all was told
        (settings.bundle_root / OWED / place.name).write_text(str(place.relative_to(settings.bundle_root)))
    catch_up(server.url, settings.bundle_root)
    assert points(server.url) == everything
    found = runs(server.url)[1]
    assert {run.data.tags[RUN_TAG] for run in found} == {e.run for e in planned} and len(found) == 2
    assert {run.info.status for run in found} == {"FINISHED"}
    assert all(run.data.params["batch_size"] == "100" for run in found)
    assert [numbers(o.place) for o in serial] == [numbers(place) for place in places]


def skip(experiment, epoch):
    """Progress that nobody watches."""


def numbers(place):
    return [{**vars(r), "created": ""} for r in read_jsonl(place / "records.jsonl")]
