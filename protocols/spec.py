"""ProtocolSpec: one named, versioned comparison. Reading a spec imports no torch."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_serializer, model_validator

from protocols.corruptions import Condition, parse_condition
from protocols.datasets import DATASETS, dataset
from protocols.metrics import OF_TASK
from protocols.tasks import TASKS

SPECS = Path(__file__).parent / "specs"


class SpecError(ValueError):
    """A protocol that cannot be used: file, field, what is accepted."""


class Budget(BaseModel):
    """What every method may spend. Equal for all, so a difference is the method's own.

    Args:
        learning_rate, weight_decay: of AdamW.
        batch_size: examples a step.
        epochs: at most; training stops after ``patience`` epochs without a lower validation loss.
        clip_norm: largest norm of the gradient.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    clip_norm: float = Field(gt=0)


class ProtocolSpec(BaseModel):
    """What a comparison is. The version rises whenever a number could move.

    Args:
        dataset: key of DATASETS, or ``features/<folder>`` for data of one's own.
        inputs: modality -> representation, as the data set's card names it.
        split: ``<folder>/<name>`` of a file in ``protocols/splits`` (a name in the folder's own
            ``splits`` for data of one's own): ``id,part``, or ``id,fold`` where there are folds.
        folds: with folds, fold k is the test part of run k, the next one its validation part.
        task: key of ``protocols.tasks.TASKS``; classification where nothing is said.
        loss: that every method descends, one of the task's; its first where nothing is said.
        metrics: the first is the primary one. Outside classification ``<metric>/<target>`` is that of one target
            alone, ``<metric>`` the mean over all.
        select_on: ``validation``; ``test`` only in a replica.
        replica_of: the paper (key in ``protocols/papers``) whose own recipe and selection rule this repeats, to
            explain a gap. A replica never ranks, and one that selects on test is marked as leaking.
        conditions: test inputs, the first is the primary one.
        training_conditions: each training and validation example meets one of them, drawn anew
            every epoch for training, fixed for validation; the same for every method and seed.
        absence: what stands for a missing modality: ``zeros`` are zeros after standardisation,
            that is, the training mean.
        seeds: how many runs with other initial weights and orders; with folds, one run a fold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: int = Field(ge=1)
    title: str
    description: str
    dataset: str
    target: str
    inputs: Mapping[str, str]
    split: str
    folds: int | None = Field(default=None, ge=3)
    task: str = "classification"
    loss: str | None = None
    metrics: tuple[str, ...] = Field(min_length=1)
    select_on: str
    replica_of: str | None = None
    conditions: tuple[str, ...] = Field(min_length=1)
    training_conditions: tuple[str, ...] = ("clean",)
    absence: str
    seeds: int = Field(ge=1)
    budget: Budget

    @property
    def key(self) -> str:
        """``name@version``, as records carry it."""
        return f"{self.name}@{self.version}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the protocol gives to a method."""
        return tuple(self.inputs)

    @property
    def aligned(self) -> bool:
        """Whether all modalities have the same steps, as the data set's card says."""
        if self.dataset.partition("/")[0] not in DATASETS:  # results of a data set that is gone
            return True
        return dataset(self.dataset.partition("/")[0]).CARD.aligned

    @field_validator("dataset")
    @classmethod
    def known_dataset(cls, value: str) -> str:
        name, _, folder = value.partition("/")
        if name not in DATASETS or bool(folder) != (name == "features"):
            raise ValueError(f"known data sets: {', '.join(n for n in DATASETS if n != 'features')}, features/<folder>")
        return value

    @field_validator("task")
    @classmethod
    def known_task(cls, value: str) -> str:
        if value not in TASKS:
            raise ValueError(f"known tasks: {', '.join(TASKS)}")
        return value

    @model_validator(mode="after")
    def loss_and_metrics_of_the_task(self):
        known = TASKS[self.task].losses
        if self.loss is not None and self.loss not in known:
            raise ValueError(f"loss: {self.loss!r} is none of {self.task}; known: {', '.join(known)}")
        for name in self.metrics:
            base, _, target = name.partition("/")
            if base not in OF_TASK[self.task] or (target and self.task == "classification"):
                raise ValueError(f"metrics: no metric {name!r} of {self.task}. Known: {', '.join(OF_TASK[self.task])}")
        return self

    @property
    def descends(self) -> str:
        """The loss, named by the protocol or by its task."""
        return self.loss or TASKS[self.task].losses[0]

    @field_validator("select_on")
    @classmethod
    def known_selection(cls, value: str) -> str:
        if value not in ("validation", "test"):
            raise ValueError("known are validation, and test in a paper's replica")
        return value

    @field_validator("absence")
    @classmethod
    def known_absence(cls, value: str) -> str:
        if value != "zeros":
            raise ValueError("known absence rules: zeros")
        return value

    @model_validator(mode="after")
    def never_on_test(self):
        if self.select_on == "test" and self.replica_of is None:
            raise ValueError("select_on: choose checkpoints on 'validation'; selection never sees the test split")
        return self

    @model_serializer(mode="wrap")
    def without_what_is_not_said(self, handler):
        """Protocols from before there were replicas, tasks and losses keep their hashes."""
        told = handler(self)
        for name in ("replica_of", "task", "loss"):
            if told.get(name) == ProtocolSpec.model_fields[name].default:
                told.pop(name, None)
        return told

    @property
    def leaks(self) -> bool:
        """True for a replica whose numbers need the test labels."""
        return self.select_on == "test"

    @model_validator(mode="after")
    def conditions_fit_the_inputs(self):
        for text in (*self.conditions, *self.training_conditions):
            condition = parse_condition(text)
            if condition.modality and condition.modality not in self.inputs:
                raise ValueError(f"condition {text!r} needs {condition.modality}; inputs are {', '.join(self.inputs)}")
            if not condition.alone:
                raise ValueError(f"condition {text!r} takes more than one example's rows; it belongs in a suite")
        for text in self.training_conditions:
            if parse_condition(text).corruption == "missing":
                raise ValueError(f"training_conditions: {text!r}; a training condition is clean or a corruption")
        return self

    def parsed_conditions(self) -> tuple[Condition, ...]:
        """The test conditions, primary first."""
        return tuple(parse_condition(text) for text in self.conditions)

    def runs(self, seeds: int | None = None) -> list[tuple[int, int | None]]:
        """(seed, fold) of every run: all folds once, or ``seeds`` seeds, the protocol's own number by default."""
        if self.folds:
            return [(0, fold) for fold in range(1, self.folds + 1)]
        return [(seed, None) for seed in range(seeds or self.seeds)]


def read(path: Path) -> ProtocolSpec:
    """One spec from a file.

    Raises:
        SpecError: naming file and field; unknown keys with the nearest known one.
    """
    try:
        return ProtocolSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        raise SpecError(f"{path}: {_explain(error)}") from None


@cache
def committed() -> dict[str, ProtocolSpec]:
    """Every protocol that the package carries, by key."""
    found = {}
    for path in sorted(SPECS.glob("*.yaml")):
        spec = read(path)
        if path.stem != spec.name:
            raise SpecError(f"{path}: holds protocol {spec.name!r}; file and name must agree.")
        found[spec.key] = spec
    return found


def load(name: str) -> ProtocolSpec:
    """The protocol that a person names: ``grid-digit@1``, or a YAML file of one's own.

    Raises:
        SpecError: naming the nearest known protocol.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise SpecError(f"{name}: no such file. Known protocols: {', '.join(committed())}.")
        return read(Path(name))
    if name not in committed():
        known = committed()
        near = get_close_matches(name, known, n=1) or [key for key in known if key.split("@")[0] == name]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"No protocol {name!r}.{hint} Known: {', '.join(known)}.")
    return committed()[name]


def _explain(error: ValidationError) -> str:
    """Pydantic's findings in one line: field, what came, what is accepted, the nearest name."""
    said = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "top level"
        if item["type"] == "extra_forbidden":
            known = list((Budget if item["loc"][0] == "budget" else ProtocolSpec).model_fields)
            near = get_close_matches(str(item["loc"][-1]), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            said.append(f"unknown key {where!r}.{hint} Known keys: {', '.join(known)}.")
        else:
            said.append(f"{where}: {item['msg']} (got {item.get('input')!r}).")
    return " ".join(said)
