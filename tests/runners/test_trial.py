"""One run from data to bundle, for real: kill it, fill the disk, poison it, run it beside itself."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import bundle, trial
from runners.bundle import RunError
from runners.experiment import COMMON, _closure, describe
from runners.imbalance_log import ImbalanceLog
from zoo import METHODS
from zoo.spec import MethodSpec, SpecError
from zoo.spec import load as load_method

ROOT = Path(__file__).parents[2]


def planned(short, settings, method="early_fusion"):
    experiments, skipped = trial.plan([load_method(method)], load_protocol(str(short)), settings, seeds=1)
    assert not skipped
    return experiments[0]


def same(place, other):
    """Two bundles hold the same records, but for the time."""
    one, two = ([vars(r) | {"created": ""} for r in read_jsonl(p / "records.jsonl")] for p in (place, other))
    assert len(one) > 0
    return one == two


def elsewhere(settings, folder):
    return replace(settings, bundle_root=settings.bundle_root.with_name(folder))


def test_a_bundle_holds_everything(short, settings):
    experiment = planned(short, settings)
    rows = []
    place = trial.run_trial(experiment, settings, rows.append)
    assert place == settings.bundle_root / "short@1" / "early_fusion" / experiment.run
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["status"] == "completed" and manifest["reason"] is None
    assert set(manifest["files"]) == {p.name for p in place.iterdir()} - {"manifest.json"}
    files = {"records.jsonl", "predictions.parquet", "history.csv", "imbalance.csv", "model.safetensors"}
    assert set(manifest["files"]) == files
    assert manifest["data"]["fingerprint"] == experiment.fingerprint
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    history = pd.read_csv(place / "history.csv")
    assert list(history) == ["epoch", "train_loss", "validation_loss", "validation_accuracy", "seconds"]
    assert manifest["best_epoch"] == history["epoch"][history["validation_loss"].idxmin()]
    assert list((settings.bundle_root / ".partial").iterdir()) == []


def test_records_are_what_the_predictions_say(short, settings):
    place = trial.run_trial(planned(short, settings), settings)
    predictions = pd.read_parquet(place / "predictions.parquet")
    right = (predictions["label"] == predictions["prediction"]).groupby(predictions["condition"]).mean()
    records = {r.condition: r for r in read_jsonl(place / "records.jsonl") if r.metric == "accuracy"}
    assert set(records) == set(right.index) == {"clean", "text/missing"}
    for condition, record in records.items():
        assert record.value == pytest.approx(right[condition])
        assert record.n == 600 and record.seed == 0 and record.split == "test" and record.method == "early_fusion"


def test_the_weights_are_the_ones_that_were_scored(short, settings):
    from safetensors.torch import load_file

    import zoo

    experiment = planned(short, settings)
    place = trial.run_trial(experiment, settings)
    model = zoo.build("compose", features={"audio": 8, "video": 6, "text": 5}, outputs=8, **experiment.method.settings)
    model.load_state_dict(load_file(place / "model.safetensors"))
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["parameters"] == sum(p.numel() for p in model.parameters())


def test_each_opening_of_the_test_part_is_in_the_ledger(short, settings):
    experiment = planned(short, settings)
    trial.run_trial(experiment, settings)
    trial.run_trial(experiment, settings)  # is there already: opens nothing
    (entry,) = [json.loads(line) for line in (settings.bundle_root / "ledger.jsonl").read_text().splitlines()]
    assert entry["run"] == experiment.run and entry["protocol"] == "short@1" and entry["method"] == "early_fusion"


def test_one_seed_gives_identical_records(short, settings):
    experiment = planned(short, settings)
    assert same(trial.run_trial(experiment, settings), trial.run_trial(experiment, elsewhere(settings, "again")))


def test_a_run_killed_at_any_moment_ends_with_the_same_records(short, settings):
    whole = trial.run_trial(planned(short, settings), elsewhere(settings, "whole"))
    command = [sys.executable, "-m", "runners.cli", "run", "early_fusion", "--protocol", str(short), "--seeds", "1"]
    variables = {
        f"FUSEBOARD_{n.upper()}": str(getattr(settings, n)) for n in ("data_root", "cache_root", "bundle_root")
    }
    variables |= {"FUSEBOARD_DATABASE_URL": settings.database_url, "FUSEBOARD_TRACKING_URL": "off"}
    experiment = planned(short, settings)
    checkpoint = settings.bundle_root / ".partial" / experiment.run / trial.CHECKPOINT
    killed = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert checkpoint.exists() and not bundle.completed(settings.bundle_root, experiment)
    reached = torch.load(checkpoint, weights_only=True)["state"]["epoch"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place = settings.bundle_root / experiment.folder
    assert same(place, whole)
    assert len(pd.read_csv(place / "history.csv")) == 4 and 1 <= reached < 4
    assert (place / "imbalance.csv").read_bytes() == (whole / "imbalance.csv").read_bytes()


def test_how_modalities_stand_is_logged_without_changing_a_number(short, settings, monkeypatch):
    """Under a remedy whose noise comes from the same random numbers as drop-out; stopped and gone on with, too."""
    experiment = planned(short, settings, "late_fusion-ogm_ge")
    whole = trial.run_trial(experiment, settings)
    logged = pd.read_csv(whole / "imbalance.csv")
    assert list(logged["epoch"]) == [e for e in (1, 2, 3, 4) for _ in range(3)] and set(logged["by"]) == {"heads"}

    def stop(log, epoch):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(ImbalanceLog, "watch", stop)  # after the first checkpoint, before its rows
        with pytest.raises(KeyboardInterrupt):
            trial.run_trial(experiment, elsewhere(settings, "again"))
    again = trial.run_trial(experiment, elsewhere(settings, "again"))
    assert (again / "imbalance.csv").read_bytes() == (whole / "imbalance.csv").read_bytes()
    monkeypatch.setattr(ImbalanceLog, "watch", lambda log, epoch: None)
    blind = trial.run_trial(experiment, elsewhere(settings, "blind"))
    assert not (blind / "imbalance.csv").exists()
    for other in (again, blind):
        assert same(other, whole)
        assert (other / "predictions.parquet").read_bytes() == (whole / "predictions.parquet").read_bytes()
        curves = [pd.read_csv(place / "history.csv").drop(columns="seconds") for place in (whole, other)]
        assert curves[0].equals(curves[1])


def test_a_remedy_is_part_of_the_run(short, settings):
    plain, remedied = (planned(short, settings, name) for name in ("late_fusion", "late_fusion-ogm_ge"))
    assert plain.code != remedied.code and plain.run != remedied.run
    softer = remedied.method.remedy.model_copy(update={"alpha": 0.1})
    changed = replace(remedied, method=remedied.method.model_copy(update={"remedy": softer}))
    assert changed.run != remedied.run
    assert describe(remedied)["method"]["remedy"] == {"name": "ogm_ge", "alpha": 0.3, "noise": True}
    assert "remedy" not in describe(plain)["method"]
    of_plain = _closure(frozenset((*COMMON, METHODS["compose"].target.split(":")[0])))
    assert not [module for module in of_plain if module.startswith("zoo.remedies")]


def test_a_remedy_that_does_not_fit_is_refused_before_the_first_run(short, settings):
    spec = load_protocol(str(short))
    with pytest.raises(SpecError, match="late_fusion-gblend: .*weights for audio, joint, video; wanted .*text"):
        trial.plan([load_method("late_fusion-gblend")], spec, settings, seeds=1)
    mine = load_method("mult").model_copy(update={"remedy": load_method("late_fusion-ogm_ge").remedy})
    with pytest.raises(SpecError, match="mult-paper: ogm_ge needs uni-modal heads.*late_fusion, hybrid_fusion"):
        trial.plan([mine], spec, settings, seeds=1)


def test_a_full_disk_leaves_nothing_half_written_and_loses_nothing(short, settings, monkeypatch):
    experiment = planned(short, settings)
    whole = trial.run_trial(experiment, elsewhere(settings, "whole"))
    small = settings.bundle_root
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(RunError, match="disk full while writing below"):
            trial.run_trial(experiment, settings)
        assert not (small / experiment.folder).exists()
        subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
        assert same(trial.run_trial(experiment, settings), whole)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_diverging_run_is_a_failed_bundle_without_records_and_is_tried_again(short, settings):
    raw = load_protocol(str(short))
    budget = raw.budget.model_copy(update={"learning_rate": 1e30})
    experiments, _ = trial.plan(
        [load_method("early_fusion")], raw.model_copy(update={"budget": budget}), settings, seeds=1
    )
    place = trial.run_trial(experiments[0], settings)
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["status"] == "failed" and "loss is" in manifest["reason"]
    assert (place / "records.jsonl").read_text() == ""
    assert not (settings.bundle_root / "ledger.jsonl").exists()
    assert trial.run_trial(experiments[0], settings) == place
    assert not bundle.completed(settings.bundle_root, experiments[0])


def test_two_processes_do_not_work_on_one_run(short, settings):
    experiment = planned(short, settings)
    with bundle.workplace(settings.bundle_root, experiment):
        with pytest.raises(RunError, match=f"another process is at work on run {experiment.run}"):
            trial.run_trial(experiment, settings)
    assert trial.run_trial(experiment, settings).is_dir()


def test_a_method_that_cannot_take_part_is_skipped_with_a_reason(short, settings):
    spec = load_protocol(str(short)).model_copy(
        update={"inputs": {"audio": "features", "video": "features"}, "conditions": ("clean",)}
    )
    experiments, skipped = trial.plan([load_method("text_only"), load_method("mult")], spec, settings, seeds=1)
    assert [e.method.method for e in experiments] == ["mult"]
    assert skipped == {"text_only": "it needs text; the protocol gives audio, video."}


def test_settings_that_a_method_does_not_know_are_refused_before_the_first_run(short, settings):
    spec = MethodSpec(name="mine", method="mult", settings={"wdith": 8})
    with pytest.raises(SpecError, match="mine: mult: .*wdith"):
        trial.plan([spec], load_protocol(str(short)), settings, seeds=1)


def test_data_of_ones_own_run_without_a_line_of_python(settings, tmp_path):
    """Vectors and sequences in one folder, its YAML, a split and a protocol: what a person brings."""
    home, rng = settings.data_root / "mine", np.random.default_rng(0)
    (home / "splits").mkdir(parents=True)
    labels, lengths = rng.integers(2, size=60), rng.integers(1, 5, size=60)
    audio = rng.standard_normal((lengths.sum(), 3)) + np.repeat(labels, lengths)[:, None]
    np.save(home / "audio.npy", audio.astype(np.float32))
    np.save(home / "video.npy", rng.standard_normal((60, 2)) + 2 * labels[:, None])
    rows = [f"c{i},{('calm', 'angry')[label]},{n}" for i, (label, n) in enumerate(zip(labels, lengths, strict=True))]
    (home / "examples.csv").write_text("\n".join(["id,label,audio_length", *rows]) + "\n")
    parts = ["train"] * 30 + ["validation"] * 10 + ["test"] * 20
    (home / "splits" / "own.csv").write_text("id,part\n" + "".join(f"c{i},{p}\n" for i, p in enumerate(parts)))
    described = {name: name for name in ("name", "title", "licence", "citation", "home")} | {
        "classes": ["calm", "angry"]
    }
    described["modalities"] = {m: {"file": f"{m}.npy"} for m in ("audio", "video")}
    (home / "dataset.yaml").write_text(yaml.safe_dump(described))
    raw = load_protocol("ravdess-actors@1").model_dump(mode="json") | {"name": "mine", "dataset": "features/mine"}
    raw |= {"target": "label", "split": "own", "folds": None, "inputs": {"audio": "features", "video": "features"}}
    raw["budget"] |= {"epochs": 10, "learning_rate": 0.01}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    place = trial.run_trial(planned(tmp_path / "mine.yaml", settings), settings)
    clean = {r.metric: r.value for r in read_jsonl(place / "records.jsonl") if r.condition == "clean"}
    assert clean["accuracy"] > 0.85 > clean["accuracy/majority_class"]
