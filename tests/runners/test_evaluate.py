"""A finished run measured again: everything of its suite, from its own weights, and never from another model's."""

import json
import shutil

import numpy as np
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file, save_file

from protocols.measuring import FAMILIES
from protocols.metrics import metric
from protocols.record import read_jsonl
from protocols.spec import SpecError, load
from protocols.suite import suites
from runners.evaluate import EvaluationError, evaluate_run, evaluated, find_runs, scores_under
from runners.settings import Settings
from runners.trial import plan, run_trial
from zoo.spec import load as method

TIMED = ("latency", "throughput", "peak_memory", "energy")  # differ from call to call


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Settings, and the bundle of one run of early fusion on the embedded data, evaluated."""
    home = tmp_path_factory.mktemp("evaluate")
    settings = Settings.resolve(
        data_root=home / "data",
        cache_root=home / "cache",
        bundle_root=home / "bundles",
        database_url=f"sqlite:///{home}/board.db",
        tracking_url="off",
    )
    [experiment], _ = plan([method("early_fusion")], load("synthetic@1"), settings, seeds=1)
    folder = run_trial(experiment, settings)
    evaluate_run(folder, settings)
    return settings, folder


def findings(folder):
    rows = parquet.read_table(folder / "evaluation" / "findings.parquet").to_pylist()
    return {(row["condition"], row["metric"]): row for row in rows}


@pytest.mark.timeout(300)
def test_every_family_is_there_and_every_finding_is_a_number_or_a_reason(finished):
    _, folder = finished
    rows = findings(folder)
    told = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    assert set(FAMILIES) <= set(told["seconds"])
    assert told["suite"] == suites()["synthetic@1"].key
    for row in rows.values():
        metric(row["metric"])
        assert (row["value"] is None) == bool(row["reason"])
        assert row["value"] is None or np.isfinite(row["value"])
    bases = {name.split("/")[0] for _, name in rows}
    assert {"accuracy", "area", "shapley", "mm_shap", "inside", "attention_entropy", "comprehensiveness"} <= bases
    assert {"flops", "ogr", "emap_gap", "drift"} <= bases


def test_what_was_planted_is_found_in_a_trained_model(finished):
    """Text alone knows one bit, and one that all know: nothing else carries as much."""
    _, folder = finished
    rows = findings(folder)
    shares = {m: rows["clean", f"shapley/{m}"]["value"] for m in ("audio", "video", "text")}
    assert shares["text"] > shares["audio"] and shares["text"] > shares["video"]
    clean = next(
        r.value for r in read_jsonl(folder / "records.jsonl") if (r.condition, r.metric) == ("clean", "accuracy")
    )
    assert rows["audio/feature_noise/-10dB", "accuracy"]["value"] < clean


def test_the_same_measurement_twice_is_the_same(finished, tmp_path):
    settings, folder = finished
    assert evaluated(folder, suites()["synthetic@1"])
    before = findings(folder)
    stamp = (folder / "evaluation" / "evaluation.json").stat().st_mtime_ns
    evaluate_run(folder, settings)
    assert (folder / "evaluation" / "evaluation.json").stat().st_mtime_ns == stamp
    kept = tmp_path / "evaluation"
    shutil.move(folder / "evaluation", kept)
    evaluate_run(folder, settings)
    after = findings(folder)
    assert before.keys() == after.keys()
    for key, row in before.items():
        if not key[1].startswith(TIMED) and row["value"] is not None:
            assert after[key]["value"] == pytest.approx(row["value"], abs=1e-6), key


def test_stored_scores_are_enough_for_what_needs_no_model(finished, monkeypatch):
    """New metrics of robustness and contribution come from what the model said before."""
    settings, folder = finished
    before = findings(folder)
    told = folder / "evaluation" / "evaluation.json"
    told.write_text(told.read_text().replace('"code": "', '"code": "old'))
    from protocols.measuring import Subject

    asked = []
    scores = Subject.scores
    monkeypatch.setattr(Subject, "scores", lambda self, streams: asked.append(1) or scores(self, streams))
    monkeypatch.setattr("runners.evaluate.FAMILIES", {k: FAMILIES[k] for k in ("robustness", "contribution")})
    evaluate_run(folder, settings)
    assert len(asked) == 1  # the check that the model is still the run's
    after = findings(folder)
    assert all(after[key]["value"] == before[key]["value"] for key in after if key in before)


def test_a_run_without_weights_says_how_to_get_them(finished, tmp_path):
    settings, folder = finished
    bare = tmp_path / "synthetic@1" / folder.parent.name / folder.name
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("model.safetensors", "evaluation"))
    with pytest.raises(EvaluationError, match="fuseboard run early_fusion --protocol synthetic@1"):
        evaluate_run(bare, settings)


def test_another_models_weights_are_refused(finished, tmp_path):
    settings, folder = finished
    other = tmp_path / "synthetic@1" / folder.parent.name / folder.name
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("evaluation"))
    weights = load_file(other / "model.safetensors")
    save_file({name: value * 1.5 for name, value in weights.items()}, other / "model.safetensors")
    with pytest.raises(EvaluationError, match="no longer gives the scores"):
        evaluate_run(other, settings)
    assert not (other / "evaluation").exists()


def test_a_condition_outside_the_suite_is_refused_with_the_nearest_name(finished):
    settings, folder = finished
    with pytest.raises(SpecError, match="Did you mean 'audio/feature_noise/0dB'"):
        scores_under(folder, ("audio/feature_nois/0dB",), settings)
    [row] = scores_under(folder, ("text/missing",), settings)
    wrote = {(r.condition, r.metric): r.value for r in read_jsonl(folder / "records.jsonl")}
    assert row["accuracy"] == wrote["text/missing", "accuracy"]


def test_runs_are_found_by_name_and_by_the_first_digits_of_their_id(finished):
    settings, folder = finished
    assert find_runs(settings.bundle_root, ["early_fusion"], "synthetic@1") == [folder]
    assert find_runs(settings.bundle_root, [folder.name[:6]], None) == [folder]
    assert find_runs(settings.bundle_root, ["all"], None) == [folder]
    with pytest.raises(EvaluationError, match="no run 'late_fusion'.*early_fusion"):
        find_runs(settings.bundle_root, ["late_fusion"], None)
