"""One run: data, model, training, test, bundle."""

import csv
import hashlib
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import zoo
from protocols.batches import Division, Part
from protocols.datasets import Progress, dataset
from protocols.datasets.own_splits import write_split
from protocols.evaluation import evaluate, score_items, score_of
from protocols.examples import DataError, Examples
from protocols.metrics import Undefined, metric
from protocols.record import Record, to_jsonl
from protocols.spec import ProtocolSpec
from protocols.split import SPLITS, read_split
from protocols.tasks import TASKS
from runners import bundle
from runners.criteria import CRITERIA
from runners.device import on_device
from runners.experiment import Experiment, describe, numeric_code
from runners.imbalance_log import ImbalanceLog
from runners.replica import BestEpoch
from runners.settings import Settings
from runners.shaped import shaped
from runners.tracking import tracker
from runners.train import Diverged, State, fit, initialised
from zoo.remedies import remedied
from zoo.spec import MethodSpec, SpecError
from zoo.streams import attended

CHECKPOINT = "checkpoint.pt"
# Beside the metrics of a replica, whose own numbers the test part chose: the same training, read at other epochs.
BY_LOSS, BY_METRIC = "validation_selected", "validation_metric_selected"
Features = dict[str, int | tuple[int, ...]]


def silent(items, description: str):
    """Progress that nobody watches."""
    return items


def load_examples(spec: ProtocolSpec, data_root: Path, cache_root: Path, progress: Progress = silent) -> Examples:
    """The data of a protocol; decoded first where that was not done yet.

    Raises:
        DataError: if they are not what they should be, or carry labels of another task.
    """
    name, _, folder = spec.dataset.partition("/")
    brought = {"folder": folder} if folder else {}
    examples = dataset(name).load(data_root, cache_root, spec.target, dict(spec.inputs), progress, **brought)
    if examples.task != spec.task:
        raise DataError(
            f"{spec.key}: its task is {spec.task} ({TASKS[spec.task].labels}), but target {spec.target!r} of "
            f"{spec.dataset} is {examples.task} ({TASKS[examples.task].labels}). Say task: {examples.task}."
        )
    for name in spec.metrics:
        score_of(name, examples.classes)  # refuse a target that the data do not have before the first run
    return examples


def split_path(spec: ProtocolSpec, data_root: Path, cache_root: Path, ids: tuple[str, ...]) -> Path:
    """The split file: ours, the one that came with data of one's own, or what the data set's own lists say.

    Args:
        ids: of the examples, for lists that are written here as a file in the cache.

    Raises:
        DataError: if the data set's own lists are not what they should be.
    """
    name, _, folder = spec.dataset.partition("/")
    root = data_root / folder / "splits" if folder else SPLITS
    path = root / f"{spec.split}.csv"
    if not folder and not path.is_file() and hasattr(dataset(name), "split"):
        parts = dataset(name).split(data_root, spec.split.rpartition("/")[2], ids)
        return write_split(cache_root / "splits" / f"{spec.split}.csv", parts, folds=spec.folds is not None)
    return path


def plan(
    methods: list[MethodSpec],
    spec: ProtocolSpec,
    settings: Settings,
    *,
    seeds: int | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> tuple[list[Experiment], dict[str, str]]:
    """The runs of some methods under a protocol, and the methods that cannot take part, with the reason.

    Args:
        device: "cpu" or "cuda"; what this machine has if not given.

    Raises:
        DataError: if the data or the split are not what they should be.
    """
    taking, skipped = _taking(methods, spec, spec.aligned)
    if not taking:
        return [], skipped
    examples = load_examples(spec, settings.data_root, settings.cache_root, progress)
    taking, unaligned = _taking(taking, spec, examples.aligned)  # data of one's own tell only when read
    skipped |= unaligned
    path = split_path(spec, settings.data_root, settings.cache_root, examples.ids)
    runs = spec.runs(seeds)
    read_split(path, examples.ids, folds=spec.folds, fold=runs[0][1])  # refuse a bad split before the first run
    shared = {
        "protocol": spec,
        "fingerprint": examples.fingerprint,
        "division": hashlib.sha256(path.read_bytes()).hexdigest(),
        "device": device or ("cuda" if torch.cuda.is_available() else "cpu"),
    }
    widths, sizes = {m: stream.width for m, stream in examples.streams.items()}, {}
    for method in taking:
        try:  # a setting that the method does not take is refused before the first run
            sizes[method.name] = _parameters(new_model(method, used(method, spec, examples, widths), examples, seed=0))
        except ValueError as error:
            raise SpecError(f"{method.name}: {error}") from None
    taking.sort(key=lambda method: -sizes[method.name])  # the longest first, so that parallel workers end together
    features = feature_modules(examples)
    experiments = [
        Experiment(method=method, seed=seed, fold=fold, code=numeric_code(method, spec, features), **shared)
        for method in taking
        for seed, fold in runs
    ]
    return experiments, skipped


def feature_modules(examples: Examples) -> set[str]:
    """Where the functions stand that turn raw rows into features."""
    return {stream.features.__module__ for stream in examples.streams.values()}


def _taking(methods: list[MethodSpec], spec: ProtocolSpec, aligned: bool) -> tuple[list[MethodSpec], dict[str, str]]:
    """The methods that can take part, and the reason for each of the others."""
    taking, skipped = [], {}
    for method in methods:
        try:
            method.takes(spec.modalities, aligned=aligned)
            taking.append(method)
        except ValueError as reason:
            skipped[method.name] = str(reason)
    return taking, skipped


def used(method: MethodSpec, spec: ProtocolSpec, examples: Examples, widths: dict[str, int]) -> Features:
    """D of each modality that the method takes of those the protocol gives; the shape of a step that it cuts itself."""
    cut = method.settings.get("patches") or {}
    taken = method.takes(spec.modalities, aligned=examples.aligned)
    return {m: (examples.streams[m].shape if m in cut else None) or widths[m] for m in taken}


def new_model(method: MethodSpec, features: Features, examples: Examples, seed: int) -> torch.nn.Module:
    """The method as the data shape it, with the first weights of a seed.

    Args:
        features: D of each modality that it takes, or the shape of a step that it cuts itself.

    Raises:
        ValueError: for a setting that the method does not take, or a remedy that does not fit it.
    """

    if method.remedy and method.remedy.name == "ogm_ge" and examples.task != "classification":
        raise ValueError(f"ogm_ge compares probabilities of the true class, and the task is {examples.task}.")

    def build() -> torch.nn.Module:
        data = {"features": features, "outputs": len(examples.classes), "per_step": examples.per_step}
        return remedied(shaped(zoo.build(method.method, **data, **method.settings), features), method.remedy)

    return initialised(seed, build)


def _parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@lru_cache(maxsize=1)
def divided(spec_json: str, fold: int | None, data_root: Path, cache_root: Path) -> tuple[Examples, Division]:
    """Shared by the runs of one process that follow each other on the same data."""
    spec = ProtocolSpec.model_validate_json(spec_json)
    examples = load_examples(spec, data_root, cache_root)
    path = split_path(spec, data_root, cache_root, examples.ids)
    parts = read_split(path, examples.ids, folds=spec.folds, fold=fold)
    return examples, Division(spec, examples, parts)


def run_trial(experiment: Experiment, settings: Settings, on_epoch: Callable[[dict], None] = lambda row: None) -> Path:
    """Do one run, or go on with it, and write its bundle.

    A run whose loss diverges leaves a bundle with status ``failed`` and the reason, and no records.

    Args:
        on_epoch: called with each new row of the history.

    Returns:
        The bundle's folder.

    Raises:
        RunError: if the disk is full, or another process is at work on the same run.
    """
    root = settings.bundle_root
    if bundle.completed(root, experiment):
        return root / experiment.folder
    torch.set_num_threads(1)  # two threads on busy cores are slower than one; workers share the machine
    spec = experiment.protocol
    with bundle.workplace(root, experiment) as folder:
        seconds, started = {}, time.perf_counter()
        examples, division = divided(spec.model_dump_json(), experiment.fold, settings.data_root, settings.cache_root)
        features = used(experiment.method, spec, examples, division.features)
        modalities = tuple(features)
        model = new_model(experiment.method, features, examples, experiment.seed)
        parameters = _parameters(model)
        seconds["load"] = time.perf_counter() - started

        tracking = tracker(settings.tracking_url, root)
        tracking.start(describe(experiment))

        watched = _chosen_by_score(model, division, modalities, experiment, root, folder) if spec.leaks else {}

        imbalance = ImbalanceLog(
            folder,
            folder / CHECKPOINT,
            model,
            division,
            modalities,
            size=spec.budget.batch_size,
            device=torch.device(experiment.device),
        )

        def after_epoch(row: dict) -> None:
            imbalance.watch(row["epoch"])
            tracking.epoch(row)
            on_epoch(row)
            for best in watched.values():
                best.watch(row)

        ready = folder / "bundle"
        shutil.rmtree(ready, ignore_errors=True)  # of a run that was killed while it wrote
        ready.mkdir()
        records: list[Record] = []
        undefined: list[dict[str, str]] = []
        reason, state, streams = None, State(), []
        started = time.perf_counter()
        try:
            state = fitted(model, division, modalities, experiment, folder / CHECKPOINT, after_epoch)
            seconds["fit"] = sum(row["seconds"] for row in state.history)
            started = time.perf_counter()
            test = division.open_test(lambda: bundle.write_opening(root, experiment))
            readings = [(BY_LOSS if watched else "", _evaluate(model, test, modalities, experiment, ready))]
            for name, best in watched.items():
                best.restore()
                readings.append((name, _evaluate(model, test, modalities, experiment, ready)))
            records, undefined = _told(readings, spec)
            streams = _streams(model, division.validation, modalities)
            seconds["evaluate"] = time.perf_counter() - started
            _write_weights(model, ready / "model.safetensors")
        except Diverged as error:
            reason = str(error)
            seconds["fit"] = time.perf_counter() - started
        _write_history(state, ready / "history.csv")
        imbalance.copy_to(ready)
        (ready / "records.jsonl").write_text(to_jsonl(records), encoding="utf-8")
        manifest = {
            "status": "failed" if reason else "completed",
            "reason": reason,
            **describe(experiment),
            **circumstances(experiment),
            "parameters": parameters,
            "undefined": undefined,
            "attention": streams,
            "epochs": state.epoch,
            "best_epoch": watched[""].best_epoch if watched else state.best_epoch,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "created": bundle.now(),
        }
        place = bundle.publish(ready, root, experiment, manifest)
        tracking.end(place)
        shutil.rmtree(folder)
        return place


def fitted(model, division: Division, modalities, experiment: Experiment, checkpoint: Path, on_epoch) -> State:
    """fit() with the batches of this run: the order comes from (seed, epoch), the noise from the epoch alone."""
    spec, size = experiment.protocol, experiment.protocol.budget.batch_size
    primary = spec.metrics[0]
    return fit(
        model,
        lambda epoch: division.training.batches(
            modalities, size, draw=f"epoch {epoch}", order=(experiment.seed, epoch)
        ),
        lambda: division.validation.batches(modalities, size, draw="validation"),
        spec.budget,
        criterion=CRITERIA[spec.descends],
        seed=experiment.seed,
        device=torch.device(experiment.device),
        metric=(primary, score_of(primary, division.training.examples.classes)),
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )


def _chosen_by_score(
    model, division: Division, modalities, experiment: Experiment, root: Path, folder: Path
) -> dict[str, BestEpoch]:
    """What a replica watches beside the loss: the best validation score, and its own rule, the best test score.

    The test part is open, and in the ledger, from the first epoch on.
    """
    spec = experiment.protocol
    test = division.open_test(lambda: bundle.write_opening(root, experiment))
    name, condition = spec.metrics[0], spec.parsed_conditions()[0]
    primary = score_of(name, test.examples.classes)
    sign = -1.0 if metric(name).higher_is_better is False else 1.0
    device = torch.device(experiment.device)

    def validation(row: dict) -> float | None:
        value = row[f"validation_{name}"]
        return None if value is None else sign * value

    def on_test(row: dict) -> float | None:
        model.to(device).eval()
        scores = score_items(
            on_device(model, device),
            test,
            modalities,
            spec.budget.batch_size,
            condition=condition,
            draw="test",
        )
        try:
            return sign * primary(scores, test.labels)
        except Undefined:
            return None

    return {
        BY_METRIC: BestEpoch(folder / "validation-selected.pt", folder / CHECKPOINT, model, validation),
        "": BestEpoch(folder / "test-selected.pt", folder / CHECKPOINT, model, on_test),
    }


def _told(
    readings: list[tuple[str, tuple[list[Record], list[dict[str, str]]]]], spec: ProtocolSpec
) -> tuple[list[Record], list[dict[str, str]]]:
    """Records and reasons of every reading of a run; the metrics of one that has a name end in it."""
    records, undefined = [], []
    for name, (found, blank) in readings:
        if name:
            found = [replace(r, metric=f"{r.metric}/{name}") for r in found if r.metric in spec.metrics]
            blank = [{**u, "metric": f"{u['metric']}/{name}"} for u in blank if u["metric"] in spec.metrics]
        records, undefined = records + found, undefined + blank
    return records, undefined


def _evaluate(
    model, test: Part, modalities, experiment: Experiment, ready: Path
) -> tuple[list[Record], list[dict[str, str]]]:
    """Records of the test part, and the reason for each metric without one; writes the predictions."""
    import pyarrow as pa
    from pyarrow import parquet

    model.eval()
    identity = {
        "method": experiment.method.name,
        "protocol": experiment.protocol.key,
        "split": experiment.split,
        "seed": experiment.seed,
        "origin": "measured",
        "source": f"fuseboard {version('fuseboard')}, code {experiment.code}",
        "run": experiment.run,
        "created": bundle.now(),
    }

    placed = on_device(model, torch.device(experiment.device))

    def predict(inputs: dict[str, torch.Tensor], masks: dict[str, torch.Tensor]) -> torch.Tensor:
        scores = placed(inputs, masks)
        if not torch.isfinite(scores).all():
            raise Diverged("a test score is not finite.")
        return scores

    records, undefined, predictions = evaluate(
        predict,
        test,
        modalities,
        identity=identity,
    )
    parquet.write_table(pa.table(predictions), ready / "predictions.parquet", compression="zstd")
    return records, undefined


def _streams(model: torch.nn.Module, part: Part, modalities: tuple[str, ...]) -> list[dict]:
    """Who attends to whom in this model, for the board's diagram."""
    device = next(model.parameters()).device
    batch = next(part.batches(modalities, 1, draw="validation")).to(device)
    return [asdict(stream) for stream in attended(model, batch.inputs, batch.masks)]


def _write_weights(model, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, path)


def _write_history(state: State, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        if state.history:
            writer = csv.DictWriter(file, fieldnames=state.history[0])
            writer.writeheader()
            writer.writerows(state.history)


def circumstances(experiment: Experiment) -> dict:
    """Versions and hardware: what may explain a difference in the last digits."""
    return {
        "fuseboard": version("fuseboard"),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "hardware": {"cpu": _cpu(), "cores": os.cpu_count(), "device": _device(experiment.device)},
    }


def _device(kind: str) -> str:
    return torch.cuda.get_device_name() if kind == "cuda" else "cpu"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@lru_cache
def _commit() -> str | None:
    """The commit of a checkout; None for an installed package."""
    import subprocess

    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else None
