"""``dataset.yaml``: how a person describes features of their own."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from protocols.datasets.checks import is_pointer, pointer_sentence
from protocols.examples import DataError

LAYOUT = (
    "<folder>/dataset.yaml; <folder>/<modality>.npy, float (sum of lengths, D) or (N, D); "
    "<folder>/examples.csv: id,label[,<modality>_length...]; <folder>/steps.csv: id,step,label (per_step only); "
    "the names of targets in place of label where numbers are predicted; "
    "<folder>/splits/<name>.csv: id,part or id,fold. Described in protocols/datasets/features.py."
)
OBTAIN = "Make a folder there with dataset.yaml, examples.csv, one .npy for each modality and splits/<name>.csv."


# Names a column of a table.
Target = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Modality(BaseModel):
    """One array of a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.npy$")
    rate_hz: float | None = Field(default=None, gt=0)
    width: int | None = Field(default=None, ge=1)
    known_constant: frozenset[int] = frozenset()


class Description(BaseModel):
    """``dataset.yaml``: one of ``classes`` and ``targets``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str
    licence: str
    citation: str
    home: str
    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    targets: tuple[Target, ...] | None = Field(default=None, min_length=1)
    per_step: bool = False
    modalities: dict[Literal["audio", "video", "text"], Modality] = Field(min_length=1)

    @field_validator("classes", "targets")
    @classmethod
    def different(cls, value: tuple[str, ...] | None, told: ValidationInfo) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError(f"a {'class' if told.field_name == 'classes' else 'target'} is named twice")
        return value

    @field_validator("targets")
    @classmethod
    def no_other_column(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name in ("id", "step", "label") or name.endswith("_length"):
                raise ValueError(f"{name!r} is another column of the tables; name the target otherwise")
        return value

    @model_validator(mode="after")
    def one_task(self):
        if (self.classes is None) == (self.targets is None):
            raise ValueError("wanted classes, of which an item has one, or targets, of which each is a number")
        return self

    @property
    def task(self) -> str:
        """Key of ``protocols.tasks.TASKS``."""
        return "regression" if self.targets else "classification"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or the targets."""
        return self.targets or self.classes

    @property
    def columns(self) -> list[str]:
        """The label columns of a table."""
        return list(self.targets) if self.targets else ["label"]


def read_description(root: Path, folder: str) -> Description:
    """``dataset.yaml`` of a folder.

    Raises:
        DataError: where the folder or the file is missing or empty, or for a key or value that is not accepted.
    """
    home = root / folder
    if not home.is_dir() or not any(home.iterdir()):
        state = "is empty" if home.is_dir() else "does not exist"
        raise DataError(f"the folder {home} {state}. {OBTAIN} Layout: {LAYOUT}")
    path = present(home / "dataset.yaml")
    try:
        return Description.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {_explain(error)}") from None


def present(path: Path) -> Path:
    """The path itself, if a file with content lies there."""
    if not path.is_file():
        raise DataError(f"{path} is missing. {OBTAIN} Layout: {LAYOUT}")
    if is_pointer(path):
        raise DataError(pointer_sentence(path))
    return path


def _explain(error: ValidationError) -> str:
    """Pydantic's findings in one line: key, what came, what is accepted, the nearest name."""
    said = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"] if part != "[key]") or "top level"
        nested = item["loc"][0] == "modalities" if item["loc"] else False
        known = list((Modality if nested else Description).model_fields)
        if item["type"] == "literal_error":
            known = ["audio", "video", "text"]
        if item["type"] in ("extra_forbidden", "literal_error"):
            near = get_close_matches(where.rpartition(".")[2], known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            said.append(f"unknown key {where!r}.{hint} Known keys: {', '.join(known)}.")
        elif item["type"] == "missing":
            said.append(f"key {where!r} is missing.")
        else:
            said.append(f"{where}: {item['msg']} (got {item.get('input')!r}).")
    return " ".join(said)
