"""Word-level files that a person brings, from the pickle to the reproduced table."""

import csv
import json
import pickle

import numpy as np
import pytest
from typer.testing import CliRunner

from protocols.datasets import dataset
from protocols.record import read_jsonl
from protocols.spec import committed
from runners import trial
from runners.cli import app
from runners.settings import Settings
from tests.runners.measured import cut, measured
from zoo.spec import load as load_method

TINY = {"width": 8, "heads": 2, "layers": 1}


def write(root, name, steps):
    """A file with the official counts, whose labels can be heard in every modality.

    Args:
        steps: of text, audio and video, padded on the left.
    """
    data, rng, content = dataset(name), np.random.default_rng(0), {}
    for part, count in data.counts.items():
        if data.task == "multilabel":
            truth = rng.integers(0, 2, (count, 4))
            told = {"labels": np.stack([1 - truth, truth], -1)}
        else:
            truth = np.round(rng.uniform(-3, 3, (count, 1)), 1)
            told = {"labels": truth[..., None]}
        for field, width, most in zip(("text", "audio", "vision"), data.widths.values(), steps, strict=True):
            x = rng.standard_normal((count, most, width)).astype(np.float32)
            x[..., : truth.shape[1]] += truth[:, None]
            told[field] = x * (np.arange(most) >= most - rng.integers(1, most + 1, (count, 1)))[..., None]
        content[part] = told
    path = root / data.CARD.folder / data.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def shortened(monkeypatch, key, **budget):
    """The committed protocol with a budget for tests."""
    spec = committed()[key]
    short = spec.model_copy(
        update={"budget": spec.budget.model_copy(update=budget), "conditions": ("clean", "text/missing"), "seeds": 1}
    )
    monkeypatch.setitem(committed(), key, short)
    return short


def test_table_1_of_mult_runs_the_rows_whose_file_is_there(monkeypatch, tmp_path):
    write(tmp_path / "data", "mult_mosi_unaligned", (2, 3, 4))
    shortened(monkeypatch, "mosi-words-unaligned@1", epochs=1, patience=1, batch_size=256)
    places = {"data": tmp_path / "data", "cache": tmp_path / "cache", "bundle": tmp_path / "bundles"}
    arguments = [word for name, path in places.items() for word in (f"--{name}-root", str(path))]
    done = CliRunner().invoke(
        app,
        ["reproduce", "mult2019", "--table", "1", "--seeds", "1", "--out", str(tmp_path / "reports")]
        + [*arguments, "--tracking-url", "off"],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    with open(tmp_path / "reports" / "mult2019" / "table-1" / "table.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["mean"]]
    told = {(row["row"], row["column"]): float(row["mean"]) for row in rows}
    columns = ("Acc-7", "Acc-2, non-zero", "F1, non-zero", "MAE", "Corr")
    assert list(told) == [("unaligned: MulT", column) for column in columns]
    assert {row["verdict"] for row in rows} == {"inconclusive"}
    assert 0 < told["unaligned: MulT", "MAE"] < 3 and 0 <= told["unaligned: MulT", "Acc-7"] <= 100


@pytest.mark.timeout(300)
def test_a_method_finds_each_emotion_that_was_planted(monkeypatch, tmp_path):
    write(tmp_path / "data", "mult_iemocap", (2, 2, 2))
    spec = shortened(monkeypatch, "iemocap-words-aligned@1", epochs=2, patience=2, batch_size=128, learning_rate=0.02)
    places = {f"{name}_root": tmp_path / name for name in ("data", "cache", "bundle")}
    settings = Settings.resolve(**places, tracking_url="off")
    method = load_method("mult-code")
    method = method.model_copy(update={"settings": method.settings | TINY})
    [experiment], _ = trial.plan([method], spec, settings)
    place = trial.run_trial(experiment, settings)
    told = {r.metric: r.value for r in read_jsonl(place / "records.jsonl") if r.condition == "clean"}
    assert set(told) == {*spec.metrics, *(f"{metric}/always_absent" for metric in spec.metrics)}
    for emotion in ("happy", "sad", "angry", "neutral"):
        found, absent = (told[f"binary_accuracy/{emotion}{what}"] for what in ("", "/always_absent"))
        assert found > 0.65 > absent
    assert not (place / "imbalance.csv").exists()
    cut(monkeypatch, spec.key, spec.key)
    found = measured(place, settings)
    alone = found["audio+video/missing", "binary_accuracy"]["value"]
    assert found["clean", "inside/text"]["value"] == pytest.approx(alone, abs=1e-9)
    assert found["clean", "mm_shap/text"]["value"] is not None and found["clean", "deletion_auc/gradient"]["value"] > 0
    for name in ("perceptual/audio/within", "pid/redundant/audio+video", "entropy_gap/absent"):
        assert found["clean", name]["reason"] == "it is of classes, and the task is multilabel"
    with open(place / "evaluation" / "exhibits.json", encoding="utf-8") as file:
        shown = json.load(file)[0]
    assert set(shown["predicted"].split(", ")) <= {"happy", "sad", "angry", "neutral", "none"}


@pytest.mark.timeout(300)
def test_a_predicted_number_is_measured_or_says_why_not(monkeypatch, tmp_path):
    write(tmp_path / "data", "mult_mosi", (6, 6, 6))
    spec = shortened(monkeypatch, "mosi-words-aligned@1", epochs=2, patience=2, batch_size=64, learning_rate=0.01)
    settings = Settings.resolve(
        **{f"{name}_root": tmp_path / name for name in ("data", "cache", "bundle")}, tracking_url="off"
    )
    method = load_method("mult-code")
    [experiment], _ = trial.plan([method.model_copy(update={"settings": method.settings | TINY})], spec, settings)
    place = trial.run_trial(experiment, settings)
    cut(monkeypatch, spec.key, spec.key)
    found = measured(place, settings)
    clean = {r.metric: r.value for r in read_jsonl(place / "records.jsonl") if r.condition == "clean"}
    noisy = found["text/feature_noise/-10dB", "mae"]["value"]
    assert noisy > clean["mae"]
    assert found["text/feature_noise/-10dB", "retention/mae"]["value"] == pytest.approx(clean["mae"] / noisy, abs=1e-6)
    assert found["text/feature_noise", "worst/mae"]["value"] == noisy
    gone = 1 - found["audio+video/missing", "mae"]["value"] / clean["mae/mean_target"]  # by text alone
    assert found["clean", "inside/text"]["value"] == pytest.approx(gone, abs=1e-6)
    assert found["clean", "shapley/text"]["value"] is not None
    assert found["clean", "comprehensiveness"]["reason"].startswith("a predicted number has no probability")
    assert found["clean", "gradient_tau"]["value"] is not None
