"""Runs on clips that a person brings: lists of the data set part them, sequences for all methods, frames for some."""

import json
import shutil
from dataclasses import asdict

import pytest
import torch
import yaml

import zoo
from protocols.datasets import kinetics_sounds
from protocols.datasets.clips import by_hash
from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import trial
from runners.settings import Settings
from runners.shaped import Shaped, shaped
from tests.protocols.datasets.brought_clips import write_clip
from tests.runners.measured import cut, measured
from zoo.spec import MethodSpec
from zoo.spec import load as load_method

NAMES = [f"video{k:02}_0_10" for k in range(99)]
VALIDATION = [name for name in NAMES if by_hash(name)][:2]
TRAIN = [name for name in NAMES if not by_hash(name)][:6]
TEST = ("tested_1", "tested_2")
SMALL_MBT = {
    "width": 16,
    "heads": 2,
    "hidden": 16,
    "layers": 2,
    "fusion_layer": 1,
    "patches": {"audio": {"steps": 800, "size": [100, 64]}, "video": {"steps": 8, "size": [2, 112, 112]}},
}
SMALL_S_CMRL = {
    "width": 16,
    "heads": 2,
    "hidden": 16,
    "patches": {m: {"side": 16, "size": 8} for m in ("audio", "video")},
}


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """A data root with ten clips of Kinetics-Sounds in two classes, low and high tones."""
    root = tmp_path_factory.mktemp("brought")
    folder = root / "kinetics_sounds"
    made = [write_clip(root / f"{pitch}.mp4", pitch_hz=pitch) for pitch in (300.0, 3000.0)]
    (folder / "clips").mkdir(parents=True)
    for file, names in (("my_train.txt", [*VALIDATION, *TRAIN]), ("my_test.txt", TEST)):
        for place, name in enumerate(names):
            shutil.copy(made[place % 2], folder / "clips" / f"{name}.mp4")
        (folder / file).write_text("".join(f"{name},10,{place % 2}\n" for place, name in enumerate(names)))
    return root


@pytest.fixture
def found(brought, tmp_path, monkeypatch):
    """Settings of one test; the made lists are shorter than the published ones."""
    monkeypatch.setitem(kinetics_sounds.CARD.counts, "clips", 10)
    counts = kinetics_sounds.CARD.splits["lists"].counts
    monkeypatch.setitem(counts, "train", 8)
    monkeypatch.setitem(counts, "test", 2)
    folders = {"cache_root": tmp_path / "cache", "bundle_root": tmp_path / "bundles"}
    return Settings.resolve(data_root=brought, tracking_url="off", **folders)


def one_epoch(tmp_path, **changes):
    """kinetics-sounds@1 with one epoch and clean input, as a protocol of one's own."""
    raw = load_protocol("kinetics-sounds@1").model_dump(mode="json")
    raw |= {"name": "made", "conditions": ["clean"], "seeds": 1} | changes
    raw["budget"] |= {"epochs": 1, "patience": 1, "batch_size": 4}
    path = tmp_path / "made.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_protocol(str(path))


@pytest.mark.timeout(300)
def test_a_method_with_a_remedy_runs_on_the_lists(found, tmp_path, monkeypatch):
    (experiment,), skipped = trial.plan([load_method("late_fusion-ogm_ge")], one_epoch(tmp_path), found)
    place = trial.run_trial(experiment, found)
    manifest = json.loads((place / "manifest.json").read_text())
    assert not skipped and manifest["status"] == "completed" and manifest["data"]["dataset"] == "kinetics_sounds"
    cut(monkeypatch, "kinetics-sounds@1", "made@1")
    told = measured(place, found)
    assert {"audio/babble/-10dB", "video/blur/4px", "audio/shift/2000ms", "video/conflict"} <= {c for c, _ in told}
    assert all(row["value"] is not None for (_, name), row in told.items() if name == "accuracy")
    scored = {record.metric: record.n for record in read_jsonl(place / "records.jsonl")}
    assert scored["accuracy"] == len(TEST) and "macro_f1" in scored
    parts = (found.cache_root / "splits" / "kinetics_sounds" / "lists.csv").read_text()
    assert all(f"{name},validation" in parts for name in VALIDATION) and parts.count("train") == len(TRAIN)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("preset", "small", "seen", "reason"),
    [
        ("mbt-paper", SMALL_MBT, "video<-video", "a map of audio has 17 cells"),  # 16 patches and a class token
        ("s_cmrl-small", SMALL_S_CMRL, None, "a map of audio has 4 cells"),
    ],
)
def test_a_method_that_cuts_patches_runs_on_frames_and_spectrogram(
    preset, small, seen, reason, found, tmp_path, monkeypatch
):
    preset = load_method(preset)
    raw = preset.model_dump() | {"name": "tiny", "settings": {**preset.settings, **small}}
    spec = one_epoch(tmp_path, inputs={"audio": "spectrogram", "video": "frames"})
    (experiment,), skipped = trial.plan([MethodSpec.model_validate(raw)], spec, found)
    place = trial.run_trial(experiment, found)
    manifest = json.loads((place / "manifest.json").read_text())
    assert not skipped and manifest["status"] == "completed", manifest["reason"]
    assert {stream["query"] for stream in manifest["attention"]} >= {"audio", "video"}
    held = records_of(place)
    monkeypatch.setattr("protocols.batches.HELD_BYTES", 1)  # as if no clip fitted into memory
    trial.divided.cache_clear()
    shutil.rmtree(place)
    assert records_of(trial.run_trial(experiment, found)) == held
    cut(monkeypatch, "vggsound-frames@1", "made@1")
    monkeypatch.setattr("protocols.presentation.KEPT_BYTES", 1)
    told = measured(place, found)
    assert told["video/blur/16px", "accuracy"]["value"] is not None
    cells = {metric: row for (_, metric), row in told.items() if metric.startswith("attention_cells/")}
    assert cells and all(row["value"] or "padding is not known" in row["reason"] for row in cells.values())
    if seen:
        assert 0 < cells[f"attention_cells/{seen}"]["value"] <= 17
    else:
        assert not any(row["value"] for row in cells.values())
    assert reason in told["clean", "attention_share/video"]["reason"]


def records_of(place):
    return [asdict(record) | {"created": ""} for record in read_jsonl(place / "records.jsonl")]


def test_rows_become_the_pictures_that_they_are():
    features = {"audio": 12, "video": (4, 6, 3)}
    settings = {**load_method("mbt-paper").settings, **SMALL_MBT}
    settings["patches"] = {"audio": {"steps": 8, "size": [4, 6]}, "video": {"steps": 2, "size": [1, 2, 3]}}
    torch.manual_seed(0)
    model = zoo.build("mbt", features=features, outputs=5, **settings).eval()
    torch.nn.init.normal_(model.head.weight)
    wrapped = shaped(model, features)
    pictures = {"audio": torch.randn(3, 8, 12), "video": torch.randn(3, 2, 4, 6, 3)}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in pictures.items()}
    rows = pictures | {"video": pictures["video"].flatten(2)}
    assert isinstance(wrapped, Shaped) and torch.equal(wrapped(rows, masks), model(pictures, masks))
    assert shaped(model, {"audio": 12, "video": 72}) is model
