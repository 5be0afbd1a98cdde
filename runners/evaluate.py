"""A finished run measured again, without training: everything that the suite of its protocol asks for."""

import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from protocols.corruptions import CORRUPTIONS, parse_condition
from protocols.evaluation import score_of
from protocols.measuring import FAMILIES, Finding, Subject
from protocols.metrics import Undefined, metric
from protocols.metrics.imbalance import ogr
from protocols.presentation import Presenter
from protocols.spec import ProtocolSpec
from protocols.suite import Suite, suite_of
from runners import bundle
from runners.device import on_device
from runners.experiment import Experiment, code_of
from runners.settings import Settings
from runners.trial import circumstances, divided, new_model, used
from zoo.layers import record_attention
from zoo.remedies.heads import head_scores
from zoo.spec import MethodSpec

FOLDER = "evaluation"  # in the bundle of the run
SCORES = "scores.npz"  # what the model said under every condition; new metrics are computed from it
SHORTEST = 4  # digits of a run id that a person must give
SAME = 1e-4  # largest difference of a score from the run's own, relative to the largest score


class EvaluationError(ValueError):
    """A run that cannot be measured again: which, why, and what to do."""


@lru_cache(maxsize=1)
def evaluation_code() -> str:
    """Hash of all code that takes the measurements; the model's own is in the run id."""
    roots = [*FAMILIES.values(), *(c.target for c in CORRUPTIONS.values()), "protocols.presentation"]
    return code_of(root.partition(":")[0] for root in roots)


def evaluated(folder: Path, suite: Suite) -> bool:
    """True if a run's measurements are there, taken by this suite and this code."""
    found = folder / FOLDER / "evaluation.json"
    if not found.is_file():
        return False
    told = json.loads(found.read_text(encoding="utf-8"))
    return (told["suite"], told["code"]) == (suite.key, evaluation_code())


def find_runs(root: Path, names: list[str], protocol: str | None) -> list[Path]:
    """Folders of completed runs: by run id (its first digits are enough), by method or preset, or ``all``.

    Args:
        protocol: ``name@version``; None for every protocol.

    Raises:
        EvaluationError: for a name that fits no finished run, or the beginning of several run ids.
    """
    there = [p.parent for p in sorted(root.glob(f"{protocol or '*'}/*/*/manifest.json"))]
    there = [p for p in there if not p.relative_to(root).parts[0].startswith(".")]
    found: list[Path] = []
    for name in names:
        fitting = [p for p in there if name in ("all", p.parent.name)]
        if not fitting and len(name) >= SHORTEST:
            fitting = [p for p in there if p.name.startswith(name)]
            if len(fitting) > 1:
                raise EvaluationError(f"{name!r} begins several run ids: {', '.join(p.name for p in fitting)}.")
        if not fitting:
            known = sorted({p.parent.name for p in there})
            said = f"Methods with finished runs: {', '.join(known)}." if known else "There is no finished run."
            raise EvaluationError(
                f"{root}: no run {name!r}{f' under {protocol}' if protocol else ''}. {said} Run a method first: "
                "fuseboard run <method> --protocol <name@version>"
            )
        found += fitting
    completed = [p for p in dict.fromkeys(found) if _manifest(p)["status"] == "completed"]
    if not completed:
        raise EvaluationError(f"{root}: the runs of {', '.join(names)} failed; there is nothing to measure.")
    return completed


def evaluate_run(folder: Path, settings: Settings) -> Path:
    """Measure one finished run and write what was found beside its bundle's files, whole or not at all.

    Args:
        folder: of a completed bundle, with its weights.

    Raises:
        EvaluationError: if the weights are not there, or the model, the data or the code no longer give
            the scores that the run wrote down.
    """
    torch.set_num_threads(1)
    manifest = _manifest(folder)
    spec = ProtocolSpec.model_validate(manifest["protocol"])
    suite = suite_of(spec)
    place = folder / FOLDER
    if evaluated(folder, suite):
        return place
    experiment, subject, presenter = _opened(folder, manifest, spec, settings)
    findings, seconds, keep = [], {}, _kept(place, suite)
    _same_scores(folder, spec, subject, presenter)
    for name, target in FAMILIES.items():
        started = time.process_time()
        findings += _measure(name, target, subject, presenter, suite, keep)
        seconds[name] = round(time.process_time() - started, 3)
    findings.append(_ogr(folder, len(presenter.part.labels)))
    started = time.process_time()
    exhibits = import_module("protocols.measuring.faithfulness").exhibits(subject, presenter, suite)
    seconds["exhibits"] = round(time.process_time() - started, 3)
    _write(folder, suite, experiment, findings, exhibits, keep, seconds)
    return place


def scores_under(folder: Path, names: tuple[str, ...], settings: Settings) -> list[dict]:
    """What a finished run scores under some conditions of its suite; nothing is written.

    Raises:
        SpecError: for a condition that the suite does not have, with the nearest name.
    """
    torch.set_num_threads(1)
    manifest = _manifest(folder)
    spec = ProtocolSpec.model_validate(manifest["protocol"])
    conditions = suite_of(spec).chosen(names)
    _, subject, presenter = _opened(folder, manifest, spec, settings)
    rows = []
    for text in conditions:
        row = {"method": manifest["method"]["name"], "run": manifest["run"], "condition": text}
        try:
            scores = subject.scores(presenter.streams(subject.modalities, parse_condition(text)))
        except Undefined as reason:
            rows.append(row | {name: None for name in spec.metrics} | {"reason": str(reason)})
            continue
        labels = presenter.part.labels
        rows.append(row | _scores_or_reasons(spec, presenter.part.examples.classes, scores, labels))
    return rows


def _scores_or_reasons(spec: ProtocolSpec, targets: tuple[str, ...], scores: np.ndarray, labels: np.ndarray) -> dict:
    """Metric -> value, None where it is undefined; and the first reason for that."""
    told, reasons = {}, []
    for name in spec.metrics:
        try:
            told[name] = score_of(name, targets)(scores, labels)
        except Undefined as reason:
            told[name] = None
            reasons.append(f"{name}: {reason}")
    return told | {"reason": reasons[0] if reasons else None}


def _opened(
    folder: Path, manifest: dict, spec: ProtocolSpec, settings: Settings
) -> tuple[Experiment, Subject, Presenter]:
    """The run's experiment, its trained model, and its test part."""
    weights = folder / "model.safetensors"
    method = MethodSpec.model_validate(manifest["method"])
    if not weights.is_file():
        raise EvaluationError(
            f"{folder}: the weights of this run are not here (results that come with the package have none). Make them "
            f"again: fuseboard run {method.name} --protocol {spec.key}"
        )
    examples, division = divided(spec.model_dump_json(), manifest["fold"], settings.data_root, settings.cache_root)
    if examples.fingerprint != manifest["data"]["fingerprint"]:
        raise EvaluationError(
            f"{folder}: the data have fingerprint {examples.fingerprint[:12]}..., the run saw "
            f"{manifest['data']['fingerprint'][:12]}.... Bring the same data, or run the method again on these."
        )
    experiment = Experiment(
        method=method,
        protocol=spec,
        seed=manifest["seed"],
        fold=manifest["fold"],
        fingerprint=examples.fingerprint,
        division=manifest["data"]["division"],
        code=manifest["code"],
        device="cpu" if manifest["hardware"]["device"] == "cpu" else "cuda",
    )
    features = used(method, spec, examples, division.features)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def subject(trained: bool) -> Subject:
        model = new_model(method, features, examples, experiment.seed).to(device).eval()
        if trained:
            model.load_state_dict(load_file(weights, device=str(device)))
        for parameter in model.parameters():
            parameter.requires_grad_(False)  # gradients are only asked of inputs

        heads = head_scores(model)
        return Subject(
            predict=on_device(model, device),
            model=model,
            heads=on_device(heads, device) if heads else None,
            recorder=record_attention,
            untrained=lambda: subject(trained=False),
            modalities=tuple(features),
            size=spec.budget.batch_size,
        )

    test = division.open_test(lambda: bundle.write_opening(settings.bundle_root, experiment))
    return experiment, subject(trained=True), _presenter(test)


@lru_cache(maxsize=1)
def _presenter(part) -> Presenter:
    """Shared by the runs of one process: their corrupted inputs are the same."""
    return Presenter(part)


def _same_scores(folder: Path, spec: ProtocolSpec, subject: Subject, presenter: Presenter) -> None:
    """Refuse a model that no longer says what the run wrote down: its numbers would be another model's."""
    from pyarrow import parquet

    primary = spec.conditions[0]
    told = parquet.read_table(folder / "predictions.parquet", filters=[("condition", "=", primary)])
    wrote = np.stack([told[name] for name in told.column_names if name.startswith("score_")], 1)
    now = subject.scores(presenter.streams(subject.modalities, parse_condition(primary)))
    if now.shape != wrote.shape or np.abs(now - wrote).max() > SAME * max(1.0, np.abs(wrote).max()):
        raise EvaluationError(
            f"{folder}: under {primary} the model no longer gives the scores that its run wrote down. Its code has "
            f"changed since: fuseboard run {folder.parent.name} --protocol {spec.key}"
        )


def _measure(name, target, subject, presenter, suite, keep) -> Iterator[Finding]:
    module, _, function = target.partition(":")
    measure = getattr(import_module(module), function)
    takes = {"keep": keep} if name in ("robustness", "contribution") else {}
    for finding in measure(subject, presenter, suite, **takes):
        if finding.value is not None and not np.isfinite(finding.value):
            raise ValueError(
                f"{name}: {finding.metric} under {finding.condition} is {finding.value}, without a reason."
            )
        metric(finding.metric)  # a name that nobody can look up
        yield finding


def _ogr(folder: Path, n: int) -> Finding:
    """From the learning curves that the run wrote."""
    try:
        return Finding("clean", "ogr", ogr(*learning_curves(folder)), n)
    except Undefined as reason:
        return Finding("clean", "ogr", None, n, str(reason))


def learning_curves(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation loss of each epoch of a run, (epochs,) each."""
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    training, validation = (np.array([float(row[f"{p}_loss"]) for row in history]) for p in ("train", "validation"))
    return training, validation


def _kept(place: Path, suite: Suite) -> dict[str, np.ndarray]:
    """Scores of an earlier measurement, if what was shown to the model has not changed since."""
    told = place / "evaluation.json"
    if not (place / SCORES).is_file() or not told.is_file():
        return {}
    if json.loads(told.read_text(encoding="utf-8")).get("presentation") != presentation_code():
        return {}
    with np.load(place / SCORES) as stored:
        return dict(stored)


@lru_cache(maxsize=1)
def presentation_code() -> str:
    """Hash of the code that decides what a model is shown."""
    roots = ["protocols.presentation", "protocols.batches", *(c.target for c in CORRUPTIONS.values())]
    return code_of(root.partition(":")[0] for root in roots)


def _write(folder: Path, suite: Suite, experiment, findings, exhibits, keep, seconds) -> None:
    """Write beside, flush, rename."""
    import pyarrow as pa
    from pyarrow import parquet

    beside = folder.parent / f".{folder.name}.{FOLDER}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    columns = {name: [getattr(f, name) for f in findings] for name in ("condition", "metric", "value", "n", "reason")}
    table = pa.table(columns).cast(
        pa.schema([("condition", "string"), ("metric", "string"), ("value", "float64"), ("n", "int64")]).append(
            pa.field("reason", "string")
        )
    )
    parquet.write_table(table, beside / "findings.parquet", compression="zstd")
    (beside / "exhibits.json").write_text(json.dumps(exhibits) + "\n", encoding="utf-8")
    told = {
        "schema_version": 1,
        "run": experiment.run,
        "suite": suite.key,
        "code": evaluation_code(),
        "presentation": presentation_code(),
        **circumstances(experiment),
        "created": bundle.now(),
        "seconds": seconds,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(beside.iterdir())},
    }
    np.savez_compressed(beside / SCORES, **keep)
    (beside / "evaluation.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for path in beside.iterdir():
        bundle.flush(path)
    place = folder / FOLDER
    old = folder.parent / f".{folder.name}.{FOLDER}.replaced"
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.rename(place, old)
    os.rename(beside, place)
    shutil.rmtree(old, ignore_errors=True)
    bundle.flush(folder)


def _manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
