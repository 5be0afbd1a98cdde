"""The leaking rule of a replica, beside the honest one, in one training."""

import json

import pytest
import torch
import yaml

from protocols.record import read_jsonl
from protocols.spec import SpecError, load
from runners.replica import BestEpoch
from runners.trial import plan, run_trial
from zoo.spec import load as method


@pytest.fixture
def replica(tmp_path):
    """The embedded protocol, three epochs, the epoch chosen on test."""
    raw = load("synthetic@1").model_dump(mode="json")
    raw |= {"name": "replica", "select_on": "test", "replica_of": "a-paper", "conditions": ["clean"]}
    raw["budget"] |= {"epochs": 3, "batch_size": 100}
    path = tmp_path / "replica.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def scores(place):
    return {r.metric: r.value for r in read_jsonl(place / "records.jsonl")}


def test_only_a_replica_may_select_on_test(replica):
    raw = yaml.safe_load(replica.read_text())
    del raw["replica_of"]
    replica.write_text(yaml.safe_dump(raw))
    with pytest.raises(SpecError, match="never sees the test split"):
        load(str(replica))


@pytest.mark.timeout(120)
def test_one_training_gives_all_numbers_and_the_leaking_one_is_never_lower(replica, settings):
    [experiment], _ = plan([method("text_only")], load(str(replica)), settings, seeds=1)
    place = run_trial(experiment, settings)
    found = scores(place)
    assert found["accuracy"] >= max(found["accuracy/validation_selected"], found["accuracy/validation_metric_selected"])
    assert found["accuracy/majority_class"] and "accuracy/majority_class/validation_selected" not in found
    honest = load(str(replica)).model_copy(update={"select_on": "validation", "replica_of": None})
    [same], _ = plan([method("text_only")], honest, settings, seeds=1)
    assert scores(run_trial(same, settings))["accuracy"] == found["accuracy/validation_selected"]
    assert json.loads((place / "manifest.json").read_text())["protocol"]["replica_of"] == "a-paper"


@pytest.mark.timeout(120)
def test_a_killed_replica_ends_with_the_same_numbers(replica, settings, monkeypatch):
    [experiment], _ = plan([method("text_only")], load(str(replica)), settings, seeds=1)
    watch, seen = BestEpoch.watch, []

    def killed(self, row):
        if row["epoch"] == 2 and not seen:
            seen.append(row)
            raise KeyboardInterrupt  # after the checkpoint, before the look at the test part
        return watch(self, row)

    monkeypatch.setattr(BestEpoch, "watch", killed)
    with pytest.raises(KeyboardInterrupt):
        run_trial(experiment, settings)
    broken = scores(run_trial(experiment, settings))
    other = settings.bundle_root.with_name("unbroken")
    unbroken = type(settings).resolve(
        data_root=settings.data_root,
        cache_root=settings.cache_root,
        bundle_root=other,
        database_url=settings.database_url,
        tracking_url="off",
    )
    assert broken == scores(run_trial(experiment, unbroken))


def test_the_best_epoch_is_the_first_of_the_highest_defined_score(tmp_path):
    model, scores = torch.nn.Linear(1, 1), [None, 0.5, 0.7, 0.7, None]
    best = BestEpoch(tmp_path / "best.pt", tmp_path / "none.pt", model, lambda row: scores[row["epoch"] - 1])
    for epoch in range(1, 6):
        with torch.no_grad():
            model.weight.fill_(epoch)
        best.watch({"epoch": epoch})
    again = BestEpoch(tmp_path / "best.pt", tmp_path / "none.pt", model, lambda row: 1.0)
    again.restore()
    assert best.best_epoch == again.best_epoch == model.weight.item() == 3
