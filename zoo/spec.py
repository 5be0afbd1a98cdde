"""MethodSpec: the YAML that a person writes to say which method, with which settings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

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
from zoo.guarded_yaml import Document, Place, YamlError, parse, read_text, shown
from zoo.parts.architecture import at_least
from zoo.parts.architecture import read as read_architecture
from zoo.remedies.keys import NamedRemedy
from zoo.signatures import settings_of

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

    @field_validator("remedy", mode="before")
    @classmethod
    def remedy_has_a_name(cls, value: object) -> object:
        if isinstance(value, dict) and not isinstance(value.get("name"), str):
            raise ValueError("wanted its keys with name: one word")
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
        text = read_text(path)
    except YamlError as error:
        raise SpecError(str(Problem("", error.message, error.line).at(path))) from None
    spec, problems = read(text)
    if spec is None:
        raise SpecError("\n".join(str(problem.at(path)) for problem in problems))
    return spec


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec.

    Args:
        field: dotted path, such as ``settings.heads``; empty for the whole.
        message: what came, what is accepted, the nearest name.
        line: from 1; None where the fault is of the whole file.
        file: as the person named it, where there is one.
    """

    field: str
    message: str
    line: int | None
    file: str = ""

    def at(self, path: Path | str) -> "Problem":
        """The same, in a file."""
        return replace(self, file=str(path))

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part)
        return ": ".join(part for part in (place, self.field, self.message) if part)


def read(text: str) -> tuple[MethodSpec | None, list[Problem]]:
    """A spec from YAML, or what is wrong with it; settings are left to `check`."""
    try:
        document = parse(text)
    except YamlError as error:
        return None, [Problem(_dotted(error.path), error.message, error.line)]
    try:
        return MethodSpec.model_validate(document.data), []
    except ValidationError as error:
        return None, list(_explained(error, document))


def check(text: str) -> tuple[MethodSpec | None, list[Problem]]:
    """A spec that can be submitted, or all that is wrong with it: `read`, and the settings of its method.

    What only the built model can tell (sizes that do not fit each other) is left to the first run. Costs no torch.
    """
    spec, problems = read(text)
    if spec is None:
        return None, problems
    document = parse(text)
    problems = list(
        _wrong_architecture(spec, document) if spec.method == "compose" else _wrong_settings(spec, document)
    )
    return (None, problems) if problems else (spec, [])


def _wrong_settings(spec: MethodSpec, document: Document) -> Iterator[Problem]:
    """Names and types, as the signature of the class tells them."""
    known = settings_of(spec.method)
    for name, value in spec.settings.items():
        line = document.line(("settings", name))
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            said = f"{spec.method} has no setting {name!r}.{hint} Known settings: {', '.join(known) or 'none'}."
            yield Problem("settings", said, line)
            continue
        try:
            known[name].adapter.validate_python(value, strict=True)
        except ValidationError as error:
            wanted = f"wanted {known[name].annotation} (got {shown(value)})"
            yield Problem(f"settings.{name}", f"{wanted}: {_first(error, value, known[name].choices)}", line)
    if missing := [name for name, setting in known.items() if setting.required and name not in spec.settings]:
        said = f"missing {', '.join(missing)}. No setting has a default; the presets of {spec.method} name them all."
        yield Problem("settings", said, document.line(("settings",)))
    width, heads = spec.settings.get("width"), spec.settings.get("heads")
    if isinstance(width, int) and isinstance(heads, int) and (heads < 1 or width % heads):
        said = f"heads ({shown(heads)}) must divide width ({shown(width)})."
        yield Problem("settings.heads", said, document.line(("settings", "heads")))


def _wrong_architecture(spec: MethodSpec, document: Document) -> Iterator[Problem]:
    """What the parts of a composed spec refuse, one at a time: each says what may stand beside it."""
    chains = spec.settings.get("encoders")
    named = tuple(m for m in MODALITIES if m in chains) if isinstance(chains, dict) else ()
    modalities = spec.modalities or named or MODALITIES[: at_least(spec.settings)]
    try:
        read_architecture(spec.settings, modalities, per_step=False)
    except ValueError as error:
        path, _, said = str(error).partition(": ")
        parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
        place = ("settings", *(parts[1:] if parts[:1] == ["settings"] else parts))
        yield Problem(_dotted(place), said, document.line(place))


def _explained(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Pydantic's findings: field, what came, what is accepted, the nearest name."""
    for item in error.errors(include_url=False):
        place, line = item["loc"], document.line(item["loc"])
        if item["type"] == "extra_forbidden":
            *parents, key = place
            known = list((Label if parents == ["label"] else MethodSpec).model_fields)
            near = get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            where = f"{_dotted(tuple(parents))}: " if parents else ""
            yield Problem("", f"{where}unknown key {str(key)!r}.{hint} Known keys: {', '.join(known)}.", line)
        elif item["type"] == "missing":
            yield Problem(_dotted(place), "Field required.", line)
        else:
            said = item["msg"].removeprefix("Value error, ")
            yield Problem(_dotted(place) or "top level", f"{said} (got {shown(item.get('input'))}).", line)


def _first(error: ValidationError, value: object, choices: tuple[str, ...]) -> str:
    """The first finding about a setting, with what helps most."""
    said = f"{error.errors(include_url=False)[0]['msg']}."
    if isinstance(value, str) and "number" in said and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value):
        return f"{said} YAML reads {value} as text; write {value.replace('e', '.0e')}."
    near = get_close_matches(str(value), choices, n=1)
    return f"{said} Did you mean {near[0]!r}?" if near else said


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)
