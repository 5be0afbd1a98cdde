"""MethodSpec: the YAML that a person writes to say which method, with which settings."""

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

import zoo
from zoo import EVIDENCE, MODALITIES, STAGES, Method
from zoo.parts.architecture import at_least
from zoo.remedies.keys import NamedRemedy

SPECS = Path(__file__).parent / "specs"


class SpecError(ValueError):
    """A spec that cannot be used: file, field, what is accepted."""


class Label(BaseModel):
    """What a board says of this spec in place of its method's card.

    Args:
        fusion_stage: one of ``zoo.STAGES``.
        attention: attention family, "none" where there is none.
        evidence: one of ``zoo.EVIDENCE``, where a preset of ours changes what the method's evidence holds for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    summary: str | None = None
    fusion_stage: str | None = None
    attention: str | None = None
    evidence: str | None = None

    @field_validator("fusion_stage", "evidence")
    @classmethod
    def known_word(cls, value: str | None, field: ValidationInfo) -> str | None:
        known = {"fusion_stage": STAGES, "evidence": EVIDENCE}[field.field_name]
        if value is not None and value not in known:
            raise ValueError(f"known are {', '.join(known)}")
        return value


class MethodSpec(BaseModel):
    """One entry of a board: a method and the settings its paper varies.

    A default lives in exactly one place: what a paper varies is here, what defines the method is
    its class, what defines the comparison (optimiser, epochs, batch size) is the protocol.

    Args:
        modalities: which of a protocol's modalities it uses, all of them if not given.
        label: title, and for a composed architecture the taxonomy; moves no number.
        remedy: of modality imbalance, around a method with uni-modal heads; see ``zoo.remedies``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    method: str
    modalities: tuple[str, ...] | None = Field(default=None, min_length=1)
    label: Label | None = None
    settings: dict[str, JsonValue] = {}
    remedy: NamedRemedy | None = None

    @model_serializer(mode="wrap")
    def as_before_remedies(self, dump: SerializerFunctionWrapHandler) -> dict:
        """Nothing is said of a remedy where there is none: older runs are told apart by what they say."""
        dumped = dump(self)
        if dumped.get("remedy") is None:
            dumped.pop("remedy", None)
        return dumped

    @field_validator("method")
    @classmethod
    def known(cls, value: str) -> str:
        if value not in zoo.METHODS:
            near = get_close_matches(value, zoo.METHODS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no method {value!r}{hint} Known: {', '.join(zoo.METHODS)}")
        return value

    @field_validator("modalities")
    @classmethod
    def known_modalities(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value and (unknown := [m for m in value if m not in MODALITIES]):
            raise ValueError(f"no modality {unknown[0]!r}. Known: {', '.join(MODALITIES)}")
        return value

    @property
    def card(self) -> Method:
        """Its method's card, with the label and the modalities of this spec in place."""
        told = self.label.model_dump(exclude_none=True) if self.label else {}
        if self.method == "compose":
            told |= {"at_least": at_least(self.settings)}
        if self.modalities:
            told |= {"modalities": self.modalities, "at_least": len(self.modalities)}
        return replace(zoo.METHODS[self.method], **told)

    def takes(self, available: tuple[str, ...], *, aligned: bool) -> tuple[str, ...]:
        """Modalities it uses of those a protocol gives; see ``zoo.takes``."""
        return zoo.takes(self.card, available, aligned=aligned)


@cache
def entries() -> dict[str, MethodSpec]:
    """Every preset that a board ranks, by name, in the order of ``zoo.METHODS``."""
    return {name: load(name) for card in zoo.METHODS.values() for name in card.presets}


def presets() -> dict[str, MethodSpec]:
    """Every spec that comes with the zoo, by name: the entries of boards first."""
    others = sorted({path.stem for path in SPECS.glob("*.yaml")} - entries().keys())
    return {**entries(), **{name: load(name) for name in others}}


def load(name: str) -> MethodSpec:
    """The spec that a person names: a method, a preset, or a YAML file.

    ``"mult"`` gives the default preset of the method, ``"mult-paper"`` that preset, and
    ``"my/fusion.yaml"`` a file of one's own.

    Raises:
        SpecError: naming file and field, or the nearest known name.
    """
    if name in zoo.METHODS and not zoo.METHODS[name].presets:
        named = re.compile(rf"^method: {name}$", re.M)
        own = [path.stem for path in sorted(SPECS.glob("*.yaml")) if named.search(path.read_text(encoding="utf-8"))]
        raise SpecError(f"{name} has no preset that fits any data; choose one of {', '.join(own)}.")
    if name in zoo.METHODS:
        path = SPECS / f"{zoo.METHODS[name].presets[0]}.yaml"
    elif name.endswith((".yaml", ".yml")):
        path = Path(name)
    else:
        path = SPECS / f"{name}.yaml"
    if not path.is_file():
        known = sorted({*zoo.METHODS, *(p.stem for p in SPECS.glob("*.yaml"))})
        near = get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"No method, preset or file {name!r}.{hint} Known: {', '.join(known)}.")
    try:
        return MethodSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        raise SpecError(f"{path}: {explain(error, MethodSpec)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Pydantic's findings in one line: field, what came, what is accepted, the nearest name."""
    said = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "top level"
        if item["type"] == "extra_forbidden":
            known = list(model.model_fields)
            near = get_close_matches(where, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            said.append(f"unknown key {where!r}.{hint} Known keys: {', '.join(known)}.")
        else:
            said.append(f"{where}: {item['msg']} (got {item.get('input')!r}).")
    return " ".join(said)
