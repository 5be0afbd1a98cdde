"""The committed results: whole, made by the runner, and what their own predictions say."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from leaderboard.bundles import find_bundles, read_bundle
from leaderboard.store import records_root
from protocols.metrics import metric
from protocols.record import read_jsonl
from protocols.spec import ProtocolSpec, committed
from protocols.suite import suites
from runners.experiment import Experiment
from zoo.spec import MethodSpec, entries

ROOT = records_root()
BUNDLES = find_bundles(ROOT)
PROTOCOLS = ("grid-digit-noisy@1", "grid-letter@1", "mosi-utterance@1", "ravdess-actors@1")
# Harder words, to see whether the order of four families holds: only these run under it.
ONLY = {"grid-letter@1": {"mult-paper", "mbt-small", "jca-length-free", "hfusion"}}
EVALUATED = [folder for folder in BUNDLES if folder.parts[-3] in suites()]


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("key", PROTOCOLS)
@pytest.mark.parametrize("name", entries())
def test_every_seed_or_fold_is_there(name, key):
    spec = committed()[key]
    folder = ROOT / key / name
    try:
        entries()[name].takes(spec.modalities, aligned=spec.aligned)
    except ValueError:
        assert not folder.exists()
        return
    if name not in ONLY.get(key, entries()):
        assert not folder.exists()
        return
    manifests = [manifest(place) for place in folder.iterdir()]
    assert sorted((m["seed"], m["fold"]) for m in manifests if m["status"] == "completed") == spec.runs()
    assert {m["code"] for m in manifests} == {manifests[0]["code"]}
    assert all(MethodSpec.model_validate(m["method"]).settings == entries()[name].settings for m in manifests)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_bundle_is_whole_and_its_numbers_follow_from_its_predictions(folder):
    told = manifest(folder)
    assert read_bundle(folder).row["run"] == told["run"]
    spec = ProtocolSpec.model_validate(told["protocol"])
    assert spec == committed()[spec.key]
    same = Experiment(
        method=MethodSpec.model_validate(told["method"]),
        protocol=spec,
        seed=told["seed"],
        fold=told["fold"],
        fingerprint=told["data"]["fingerprint"],
        division=told["data"]["division"],
        code=told["code"],
        device="cpu" if told["hardware"]["device"] == "cpu" else "cuda",
    )
    assert same.run == told["run"] == folder.name
    predictions = pd.read_parquet(folder / "predictions.parquet")
    scores = [c for c in predictions.columns if c.startswith("score_")]
    records = [r for r in read_jsonl(folder / "records.jsonl") if "/" not in r.metric]
    assert {(r.condition, r.metric) for r in records} == {(c, m) for c in spec.conditions for m in spec.metrics}
    for record in records:
        rows = predictions[predictions["condition"] == record.condition]
        again = metric(record.metric).score()(rows[scores].to_numpy(), rows["label"].to_numpy())
        assert record.value == pytest.approx(again, abs=1e-12) and record.n == len(rows)


@pytest.mark.parametrize("folder", EVALUATED, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_an_evaluation_is_whole_and_starts_from_what_the_run_said(folder):
    told = json.loads((folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    key = folder.relative_to(ROOT).parts[0]
    assert told["run"] == folder.name and told["suite"] == suites()[key].key
    for name, digest in told["files"].items():
        assert hashlib.sha256((folder / "evaluation" / name).read_bytes()).hexdigest() == digest
    findings = pd.read_parquet(folder / "evaluation" / "findings.parquet")
    assert (findings["value"].isna() == findings["reason"].notna()).all()
    assert not findings.duplicated(["condition", "metric"]).any()
    assert all(metric(name) for name in findings["metric"].unique())
    primary = committed()[key].metrics[0]
    clean = next(r.value for r in read_jsonl(folder / "records.jsonl") if (r.condition, r.metric) == ("clean", primary))
    kept = findings[findings["metric"] == f"retention/{primary}"].set_index("condition")["value"].dropna()
    for record in read_jsonl(folder / "records.jsonl"):
        if record.metric == primary and record.condition in kept and clean > 0:
            assert kept[record.condition] == pytest.approx(record.value / clean, abs=1e-6)


def test_every_run_opened_its_test_part_through_the_ledger():
    lines = (ROOT / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert {folder.name for folder in BUNDLES} <= {json.loads(line)["run"] for line in lines}
    assert len(BUNDLES) > 100
