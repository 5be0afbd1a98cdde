"""Search for settings, with one budget for every method: as many trials, and as many epochs in all of them together.

Trial k has the same learning rate, weight decay and batch size whatever the method, and trial 0 is what the protocol
and the spec say. ASHA (Li et al. 2020, MLSys, doi:10.48550/arXiv.1810.05934) ends the trials that fall behind. Trials
see the training and validation parts; the test part stays closed.
"""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols.spec import ProtocolSpec, SpecError
from runners.bundle import RunError
from runners.cluster import check_gpus, joined
from runners.experiment import Experiment
from runners.settings import Settings, SettingsError
from zoo.spec import MethodSpec

# What is searched. A rate of drop-out is set wherever the spec names one.
SPACE: dict[str, Callable[[np.random.Generator], float]] = {
    "learning_rate": lambda rng: _rounded(10 ** rng.uniform(-4, -2)),
    "weight_decay": lambda rng: _rounded(10 ** rng.uniform(-5, -1)),
    "batch_size": lambda rng: int(rng.choice((16, 32, 64, 128))),
    "dropout": lambda rng: _rounded(rng.uniform(0.0, 0.5)),
}
REDUCTION = 3  # of the trials that reach a rung, one in so many goes on; the next rung takes as many times the epochs
RUNGS = 2  # before the last epoch
FOLDER = ".tune"  # below the bundle root: searches under way, and what came of finished ones


@dataclass(frozen=True)
class Search:
    """One search.

    Args:
        experiment: a run with the settings of the spec and of the protocol.
        trials: how many settings are tried.
        epochs: that all trials may take together; what is left when all have ended is not spent.
        seed: of the settings that are drawn, of first weights and of orders.

    Raises:
        SpecError: for a protocol whose search would see a test part.
        SettingsError: if the epochs are too few to begin every trial.
    """

    experiment: Experiment
    trials: int
    epochs: int
    seed: int

    def __post_init__(self):
        protocol = self.experiment.protocol
        if protocol.leaks:
            raise SpecError(f"{protocol.key} selects on the test part. Tune under a protocol that does not.")
        if protocol.folds:
            raise SpecError(
                f"{protocol.key} tests every example in one of its {protocol.folds} folds, so settings chosen on any "
                "fold have seen the test part of another. Tune under a protocol with one split."
            )
        if self.epochs < self.trials * self.grace:
            raise SettingsError(
                f"--budget {self.epochs}: {self.trials} trials of at least {self.grace} epochs each take "
                f"{self.trials * self.grace}."
            )

    @property
    def grace(self) -> int:
        """Epochs that every trial gets."""
        return max(1, self.experiment.protocol.budget.epochs // REDUCTION**RUNGS)

    @property
    def key(self) -> str:
        """What two calls of one search share: 16 hexadecimal digits."""
        drawn = [self.drawn(trial) for trial in range(self.trials)]
        content = [self.experiment.run, self.epochs, self.seed, drawn, REDUCTION, RUNGS]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def drawn(self, trial: int) -> dict[str, float]:
        """What a trial changes; nothing in trial 0."""
        rng = np.random.default_rng((self.seed, trial))
        settings = self.experiment.method.settings
        known = [name for name in SPACE if name != "dropout" or _with_dropout(settings, -1.0) != settings]
        return {name: SPACE[name](rng) for name in known} if trial else {}

    def candidate(self, trial: int) -> Experiment:
        """The run whose training and validation parts a trial sees."""
        drawn = self.drawn(trial)
        method, protocol = self.experiment.method, self.experiment.protocol
        if (rate := drawn.pop("dropout", None)) is not None:
            method = method.model_copy(update={"settings": _with_dropout(method.settings, rate)})
        protocol = protocol.model_copy(update={"budget": protocol.budget.model_copy(update=drawn)})
        return replace(self.experiment, method=method, protocol=protocol, seed=self.seed)


@dataclass(frozen=True)
class Trial:
    """What became of one trial; a row of trials.csv.

    Args:
        dropout: None where the spec's own rates stand.
        epochs: it trained for; a trial that fell behind has fewer than the protocol gives.
        best_epoch: the one with the lowest validation loss, which decides, as in every run.
        metric: the protocol's primary metric on the validation part after that epoch.
        reason: why it has no number, where it has none.
    """

    trial: int
    seed: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    dropout: float | None
    epochs: int
    best_epoch: int | None
    validation_loss: float | None
    metric: float | None
    reason: str | None


def search(wanted: Search, settings: Settings, gpus: float | None, on_epoch: Callable[[], None]) -> list[Trial]:
    """Do the trials, or go on with them; gives them back, the best first. A finished search is not repeated.

    Args:
        gpus: share of a GPU for each trial, if the runs are for GPUs; a whole one by default.
        on_epoch: called after each epoch of a trial.

    Raises:
        RunError: if the cluster does not answer, or a trial breaks.
    """
    folder = settings.bundle_root / FOLDER / wanted.key
    done = folder / "trials.csv"
    if not done.is_file():
        _work(wanted, settings, folder, gpus, on_epoch)
        write(list(_outcomes(wanted, folder)), done)
        for left in folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
    found = _read(done)
    return sorted(found, key=lambda t: float("inf") if t.validation_loss is None else t.validation_loss)


def write(trials: list[Trial], path: Path) -> None:
    """As CSV, one row a trial; there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Trial)])
        writer.writeheader()
        writer.writerows(vars(trial) for trial in trials)
    beside.replace(path)


def specs(wanted: Search, trial: Trial) -> tuple[MethodSpec, ProtocolSpec]:
    """Method and protocol that a run takes to train with the settings of a trial.

    Both have names of their own: what was tuned is never ranked among what was not.
    """
    tuned = wanted.candidate(trial.trial)
    method, protocol = tuned.method, tuned.protocol
    whose = method.name.replace("_", "-").replace(".", "-")
    name = f"{protocol.name}-tuned-{whose}"[:64].rstrip("-")
    title = f"{protocol.title}, tuned for {method.name}"
    method = method.model_copy(update={"name": f"{method.name[:58]}-tuned"})
    return method, protocol.model_copy(update={"name": name, "version": 1, "title": title})


def _work(wanted: Search, settings: Settings, folder: Path, gpus: float | None, on_epoch: Callable[[], None]) -> None:
    """All trials, on the cluster. A lost trial goes on from its checkpoint, and so does a search that was killed."""
    import os

    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1"}
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints to standard output whatever it is told
    share = (gpus or 1.0) if wanted.experiment.device == "cuda" else 0.0
    shutil.rmtree(folder / "ray", ignore_errors=True)  # Tune's own notes; ours are the checkpoints
    with joined(settings.cluster) as ray:
        check_gpus(ray, share)
        from ray import tune

        trainable = tune.with_parameters(_trial, wanted=wanted, settings=settings, folder=folder)
        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1, "gpu": share}),
            param_space={"trial": tune.grid_search(list(range(wanted.trials)))},
            tune_config=tune.TuneConfig(scheduler=_scheduler(wanted, on_epoch), reuse_actors=True),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(folder),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=3),
            ),
        ).fit()
    if results.errors:
        raise RunError(f"a trial broke: {results.errors[0]} The same command goes on with the others' epochs kept.")


class Told:
    """Calls back in this process. Tune writes its scheduler to a file, where what draws a bar cannot go."""

    def __init__(self, call: Callable[[], None]):
        self._call = call

    def __call__(self) -> None:
        self._call()

    def __reduce__(self):
        return Told, (int,)  # read from the file, it tells nobody


def _scheduler(wanted: Search, on_epoch: Callable[[], None]):
    """ASHA that stops where the epochs of all trials together are spent."""
    from ray.tune.schedulers import ASHAScheduler

    told = Told(on_epoch)

    class EqualBudget(ASHAScheduler):
        def __init__(self):
            most = wanted.experiment.protocol.budget.epochs
            rungs = {"grace_period": wanted.grace, "reduction_factor": REDUCTION, "max_t": most}
            super().__init__("epoch", "validation_loss", "min", **rungs)
            self._left = wanted.epochs - wanted.trials * wanted.grace
            self._reached: dict[str, int] = {}

        def on_trial_result(self, tune_controller, trial, result) -> str:
            epoch = result["epoch"]
            if epoch <= self._reached.get(trial.trial_id, 0):
                return self.CONTINUE  # told again by a trial that was lost: it is paid already
            self._reached[trial.trial_id] = epoch
            told()
            action = super().on_trial_result(tune_controller, trial, result)
            if action != self.CONTINUE or epoch < wanted.grace:
                return action
            if not self._left:
                return self.STOP
            self._left -= 1  # for its next epoch
            return action

    return EqualBudget()


def _trial(config: dict[str, Any], wanted: Search, settings: Settings, folder: Path) -> None:
    """Runs in a worker."""
    import torch
    from ray import tune

    from runners.train import Diverged
    from runners.trial import CHECKPOINT, divided, fitted, new_model, used

    torch.set_num_threads(1)
    candidate = wanted.candidate(config["trial"])
    spec = wanted.experiment.protocol  # whose parts are the same, and shared by the trials of one process
    examples, division = divided(spec.model_dump_json(), None, settings.data_root, settings.cache_root)
    features = used(candidate.method, spec, examples, division.features)
    model = new_model(candidate.method, features, examples, candidate.seed)
    place = _place(folder, config["trial"])
    place.mkdir(parents=True, exist_ok=True)
    lowest = float("inf")

    def report(row: dict[str, float]) -> None:
        nonlocal lowest
        lowest = min(lowest, row["validation_loss"])
        tune.report({"epoch": row["epoch"], "validation_loss": lowest})

    for row in _history(place / CHECKPOINT):  # of a trial that was lost: the scheduler hears it again
        report(row)
    try:
        fitted(model, division, tuple(features), candidate, place / CHECKPOINT, report)
    except Diverged as error:
        (place / "reason").write_text(str(error), encoding="utf-8")


def _outcomes(wanted: Search, folder: Path) -> Iterator[Trial]:
    from runners.trial import CHECKPOINT

    for trial in range(wanted.trials):
        place, candidate = _place(folder, trial), wanted.candidate(trial)
        history = _history(place / CHECKPOINT)
        best = min(history, key=lambda row: row["validation_loss"]) if history else {}
        reason = (place / "reason").read_text(encoding="utf-8") if (place / "reason").is_file() else None
        budget = candidate.protocol.budget
        yield Trial(
            trial=trial,
            seed=wanted.seed,
            learning_rate=budget.learning_rate,
            weight_decay=budget.weight_decay,
            batch_size=budget.batch_size,
            dropout=wanted.drawn(trial).get("dropout"),
            epochs=len(history),
            best_epoch=best.get("epoch"),
            validation_loss=best.get("validation_loss"),
            metric=best.get(f"validation_{candidate.protocol.metrics[0]}"),
            reason=reason or (None if history else "it never began"),
        )


def _place(folder: Path, trial: int) -> Path:
    return folder / f"trial{trial}"


def _history(checkpoint: Path) -> list[dict[str, float]]:
    """One row for each epoch that a checkpoint has behind it."""
    import torch

    return torch.load(checkpoint, weights_only=True)["state"]["history"] if checkpoint.is_file() else []


def _read(path: Path) -> list[Trial]:
    whole = {"trial", "seed", "batch_size", "epochs", "best_epoch"}
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Trial(**{k: (v or None) if k == "reason" else _number(v, k in whole) for k, v in row.items()})
            for row in csv.DictReader(file)
        ]


def _number(text: str, whole: bool) -> float | None:
    return (int(text) if whole else float(text)) if text else None


def _rounded(value: float) -> float:
    """To what a person can read and pass on."""
    return float(f"{value:.3g}")


def _with_dropout(settings: Any, rate: float) -> Any:
    """The same settings with one rate wherever they name a drop-out."""
    if isinstance(settings, dict):
        return {
            key: rate if key.endswith("dropout") and isinstance(value, int | float) else _with_dropout(value, rate)
            for key, value in settings.items()
        }
    return [_with_dropout(value, rate) for value in settings] if isinstance(settings, list) else settings
