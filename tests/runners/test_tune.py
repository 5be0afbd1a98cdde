"""Search: the same settings and the same epochs for every method, on the validation part only."""

import csv
from dataclasses import replace

import pytest
import yaml

from protocols.spec import SpecError
from protocols.spec import load as load_protocol
from runners import trial, tune
from runners.bundle import LEDGER
from runners.settings import SettingsError
from runners.tune import SPACE, Search, Trial, search, specs, write
from zoo.spec import load as load_method
from zoo.spec import read


def wanted(method, protocol, settings, **changes):
    (experiment,), _ = trial.plan([load_method(method)], load_protocol(protocol), settings, seeds=1)
    return Search(**{"experiment": experiment, "trials": 3, "epochs": 8, "seed": 7} | changes)


def test_every_method_meets_the_same_settings(short, settings):
    mult, early = (wanted(name, str(short), settings) for name in ("mult", "early_fusion"))
    assert mult.drawn(0) == early.drawn(0) == {}
    for number in (1, 2):
        drawn = mult.drawn(number)
        assert list(drawn) == list(SPACE) and drawn == early.drawn(number) != mult.drawn(3 - number)
        tuned = mult.candidate(number)
        rates = [value for name, value in tuned.method.settings.items() if name.endswith("dropout")]
        assert rates and set(rates) == {drawn["dropout"]}
        assert (tuned.protocol.budget.batch_size, tuned.seed) == (drawn["batch_size"], 7)
    parts = early.candidate(1).method.settings["fusion"]["early"]["encoders"]
    assert {part[name]["dropout"] for part in parts for name in part} == {early.drawn(1)["dropout"]}


def test_what_would_see_a_test_part_or_begin_too_little_is_refused(short, settings):
    good = wanted("audio_only", str(short), settings)
    folds = good.experiment.protocol.model_copy(update={"folds": 5})
    replica = good.experiment.protocol.model_copy(update={"select_on": "test"})
    with pytest.raises(SpecError, match="settings chosen on any fold have seen the test part of another"):
        replace(good, experiment=replace(good.experiment, protocol=folds))
    with pytest.raises(SpecError, match="selects on the test part"):
        replace(good, experiment=replace(good.experiment, protocol=replica))
    with pytest.raises(SettingsError, match="--budget 2: 3 trials of at least 1 epochs each take 3"):
        replace(good, epochs=2)


def test_trials_are_read_back_as_they_were_written(tmp_path):
    trials = [
        Trial(0, 7, 1e-3, 0.0, 16, None, 4, 3, 0.25, 0.5, None),
        Trial(1, 7, 1e-2, 0.1, 64, 0.3, 0, None, None, None, "training loss is nan in epoch 1, step 2."),
    ]
    write(trials, tmp_path / "trials.csv")
    assert tune._read(tmp_path / "trials.csv") == trials


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_spends_its_budget_and_no_more_and_is_not_repeated(short, settings):
    asked, epochs = wanted("audio_only", str(short), settings), []
    tried = search(asked, settings, None, lambda: epochs.append(1))
    assert len(epochs) == sum(trial.epochs for trial in tried) <= asked.epochs
    assert sorted(trial.trial for trial in tried) == [0, 1, 2] and min(trial.epochs for trial in tried) >= 1
    assert [trial.validation_loss for trial in tried] == sorted(trial.validation_loss for trial in tried)
    assert not (settings.bundle_root / LEDGER).exists()  # the test part was not opened
    assert search(asked, settings, None, lambda: pytest.fail("trained again")) == tried
    with open(settings.bundle_root / tune.FOLDER / asked.key / "trials.csv", newline="") as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["7", "7", "7"]
    method, protocol = specs(asked, tried[0])
    assert (method.name, protocol.key) == ("audio_only-tuned", "short-tuned-audio-only@1")
    text = yaml.safe_dump(method.model_dump(mode="json", exclude_none=True))
    assert read(text)[0] == method and protocol.budget.learning_rate == tried[0].learning_rate
