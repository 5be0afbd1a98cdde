"""Valence and arousal from brought files to a bundle: folds by a data set's own rule, a paper's row on own features."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from leaderboard import queries, store
from protocols.datasets import afew_va
from protocols.paper import STATES
from protocols.papers import paper
from protocols.record import read_jsonl
from protocols.spec import committed
from protocols.spec import load as load_protocol
from runners import trial
from runners.papers_cli import refusal
from runners.reproduce import prepare, recompute
from runners.settings import Settings
from tests.runners.measured import cut, measured
from zoo.spec import load as load_method

ROOT = Path(__file__).parents[2]
TARGETS = ["valence", "arousal"]
LANDMARKS = [[i % 9, i // 9] for i in range(68)]


@pytest.fixture
def settings(tmp_path):
    """Folders of one test, and no tracking."""
    roots = {f"{name}_root": tmp_path / name for name in ("data", "cache", "bundle")}
    return Settings.resolve(**roots, database_url=f"sqlite:///{tmp_path}/board.db", tracking_url="off")


@pytest.fixture
def films(settings, monkeypatch):
    """Ten clips of ten actors in AFEW-VA's layout; the mouth opens with arousal."""
    monkeypatch.setitem(afew_va.CARD.counts, "clips", 10)
    rng = np.random.default_rng(0)
    for number in range(10):
        home = settings.data_root / "afew_va" / f"{number:03d}"
        home.mkdir(parents=True)
        frames = {}
        for frame, (valence, arousal) in enumerate(rng.integers(-10, 11, (4, 2)).tolist()):
            points = np.array(LANDMARKS, dtype=float)
            points[48:, 1] += arousal / 5
            frames[f"{frame:05d}"] = {"landmarks": points.tolist(), "valence": valence, "arousal": arousal}
        said = {"video_id": home.name, "actor": f"actor {number}", "frames": frames}
        (home / f"{home.name}.json").write_text(json.dumps(said))
    return settings


def test_a_brought_data_set_runs_with_its_own_folds(films, tmp_path, monkeypatch):
    raw = load_protocol("afew-va-actors@1").model_dump(mode="json")
    raw["budget"] |= {"epochs": 1}
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(raw | {"name": "short"}))
    spec = load_protocol(str(path))
    experiments, skipped = trial.plan([load_method("video_only")], spec, films)
    assert len(experiments) == 5 and not skipped
    written = (films.cache_root / "splits" / "afew_va" / "actors.csv").read_text().splitlines()
    assert written[0] == "id,fold" and sorted(line[-1] for line in written[1:]) == sorted("12345" * 2)
    place = trial.run_trial(experiments[0], films)
    scores = {(r.condition, r.metric): r for r in read_jsonl(place / "records.jsonl")}
    assert scores["clean", "ccc/arousal"].n == 8  # two clips of four frames
    assert scores["clean", "ccc"].value == pytest.approx(
        (scores["clean", "ccc/valence"].value + scores["clean", "ccc/arousal"].value) / 2
    )
    cut(monkeypatch, "afew-va-actors@1", "short@1")
    found = measured(place, films)
    assert found["clean", "shapley/video"]["value"] is not None
    assert "the model uses video only" in found["clean", "intershap"]["reason"]
    told = pd.read_parquet(place / "predictions.parquet")
    assert {"label_0", "label_1", "score_0", "score_1"} <= set(told.columns)


@pytest.fixture
def sequences(settings):
    """Forty sequences of 8 sub-clips in the layout that the rows of JCA with I3D read; features follow the labels."""
    folder = settings.data_root / "affwild2-i3d"
    (folder / "splits").mkdir(parents=True)
    said = {"name": "affwild2-i3d", "title": "Sequences", "licence": "CC0", "citation": "none", "home": "here"}
    said |= {"targets": TARGETS, "per_step": True}
    said |= {"modalities": {m: {"file": f"{m}.npy"} for m in ("audio", "video")}}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(said))
    rng = np.random.default_rng(1)
    labels = rng.uniform(-1, 1, (40 * 8, 2))
    for modality, width in (("audio", 6), ("video", 9)):
        rows = labels @ rng.standard_normal((2, width)) + 0.3 * rng.standard_normal((len(labels), width))
        np.save(folder / f"{modality}.npy", rows.astype(np.float32))
    ids = [f"clip{number:02d}" for number in range(40)]
    (folder / "examples.csv").write_text("id,audio_length,video_length\n" + "".join(f"{name},8,8\n" for name in ids))
    steps = [f"{ids[row // 8]},{row % 8},{v:.4f},{a:.4f}\n" for row, (v, a) in enumerate(labels)]
    (folder / "steps.csv").write_text("id,step,valence,arousal\n" + "".join(steps))
    parts = ["train"] * 24 + ["validation"] * 8 + ["test"] * 8
    rows = [f"{name},{part}\n" for name, part in zip(ids, parts, strict=True)]
    (folder / "splits" / "abaw3.csv").write_text("id,part\n" + "".join(rows))
    return settings


def test_the_rows_of_one_backbone_run_once_its_features_are_there(sequences, monkeypatch):
    spec = committed()["affwild2-i3d@1"]
    budget = spec.budget.model_copy(update={"epochs": 2})
    monkeypatch.setitem(committed(), spec.key, spec.model_copy(update={"budget": budget}))
    told = paper("jca2022")
    (table,) = told.chosen("ablation")
    found = prepare(told, table, sequences, seeds=1)
    assert {o.cell.row.title for o in found.runnable} == {"cross-attention (I3D)", "joint cross-attention (I3D)"}
    assert {experiment.protocol.key for experiment in found.experiments} == {"affwild2-i3d@1"}
    found = prepare(told, table, sequences, seeds=1, rows=["joint cross-attention"])
    ((_, place, finished),) = recompute(found, sequences, "serial", lambda *_: None)
    cut(monkeypatch, spec.key, spec.key)
    told = measured(place, sequences)
    under = told["video/feature_noise/-10dB", "ccc/arousal"]
    assert under["n"] == 64 and under["value"] != told["video/feature_noise/-10dB", "ccc/valence"]["value"]
    assert told["clean", "mm_shap/video"]["value"] is not None
    assert told["video/feature_noise/-10dB", "drift/audio/gradient"]["value"] is not None
    assert len(finished) == 2 and all(outcome.main is not None for outcome in finished)
    assert {outcome.cell.column.metric for outcome in finished} == {"ccc/valence", "ccc/arousal"}
    assert all(0 < abs(value) < 1 for outcome in finished for value in outcome.reruns[0].numbers().values())
    assert all(outcome.trivial == {"mean_target": 0.0} for outcome in finished)


def test_a_target_that_never_varies_gives_reasons_in_place_of_numbers(sequences, monkeypatch, tmp_path):
    steps = sequences.data_root / "affwild2-i3d" / "steps.csv"
    frame = pd.read_csv(steps)
    frame.assign(arousal=0.5).to_csv(steps, index=False)
    spec = committed()["affwild2-i3d@1"]
    budget = spec.budget.model_copy(update={"epochs": 2})
    monkeypatch.setitem(committed(), spec.key, spec.model_copy(update={"budget": budget}))
    told = paper("jca2022")
    (table,) = told.chosen("ablation")
    found = prepare(told, table, sequences, seeds=1, rows=["joint cross-attention"])
    ((_, place, finished),) = recompute(found, sequences, "serial", lambda *_: None)
    cells = {outcome.cell.column.metric: outcome for outcome in finished}
    assert cells["ccc/valence"].main is not None
    assert cells["ccc/arousal"].main is None
    assert "ccc/arousal is undefined with seed 0: every label is 0.5" in cells["ccc/arousal"].reason
    assert (pd.read_csv(place / "history.csv").filter(like="validation_ccc").isna()).all(axis=None)
    engine = store.connect(f"sqlite:///{tmp_path}/board.db")
    assert store.ingest(engine, sequences.bundle_root).failed == ()
    why = queries.undefined(engine, committed()[spec.key], "ccc/arousal")
    assert set(why["reason"]) == {"every label is 0.5, and a concordance wants them to vary"}
    engine.dispose()


@pytest.mark.parametrize("key", ["jca2022", "rjcma2024", "cafg2021"])
def test_waiting_rows_name_a_protocol_that_their_methods_take(key):
    cells = [cell for table in paper(key).tables for cell in table.cells if cell.state == "data"]
    assert cells and paper(key).coverage()["data"] == len(cells) and set(paper(key).coverage()) == set(STATES)
    for cell in cells:
        assert cell.run.protocol and cell.column.metric in load_protocol(cell.run.protocol).metrics
        for name in (cell.run.method, *cell.run.also):
            settings = cell.run.settings if name == cell.run.method else {}
            assert refusal(name, settings, cell.modalities, cell.run.protocol) is None


def test_without_data_the_command_says_what_to_bring_and_where(tmp_path):
    command = [sys.executable, "-m", "runners.cli", "reproduce", "rjcma2024", "--table", "abstract"]
    done = subprocess.run([*command, "--data-root", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2
    assert "affwild2-rjcma/ below the data root, for affwild2-rjcma@1" in said and "exactly 300 frames" in said
    assert "signed licence agreement" in said and "examples.csv" in said
