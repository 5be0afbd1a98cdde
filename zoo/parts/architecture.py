"""What a composed spec may say, checked as one tree. Reading it imports no torch.

A part is written as its name alone (``mean``) or as its name and keys (``conv: {layers: 2, kernel: 5, ...}``); the
parts and their keys are in ``zoo/parts/keys.py``. Every refusal names the place in the tree, such as
``fusion.cross_attention.heads``, and what is accepted there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from pydantic import ValidationError

from zoo import MODALITIES
from zoo.parts.keys import (
    ENCODERS,
    FUSIONS,
    HEADS,
    INTERACTIONS,
    POOLINGS,
    BiLSTM,
    Chain,
    Conv,
    Early,
    Hybrid,
    Part,
    Recurrent,
    Transformer,
)

SETTINGS = ("width", "encoders", "fusion", "pooling", "head")


@dataclass(frozen=True)
class Architecture:
    """A checked tree.

    Args:
        width: D of every stream that reaches the fusion, and of every stream that leaves it.
        encoders: the chain of each modality.
    """

    width: int
    encoders: Mapping[str, Chain]
    fusion: Part
    pooling: Part
    head: Part


@dataclass(frozen=True)
class _Place:
    """Where in the tree we are, and what holds in all of it."""

    path: str
    width: int
    per_step: bool

    def at(self, path: str) -> "_Place":
        return replace(self, path=path)

    def key(self, key: str) -> "_Place":
        return self.at(f"{self.path}.{key}")

    def wrong(self, said: str) -> ValueError:
        return ValueError(f"{self.path}: {said}")


def read(settings: Mapping, modalities: Iterable[str], *, per_step: bool) -> Architecture:
    """Check the settings of a composed spec.

    Args:
        settings: as YAML gives them: ``width``, ``encoders``, ``fusion``, ``pooling``, ``head``.
        modalities: that it is built for. A chain for one that is absent is checked, and left out.
        per_step: whether every step gets scores of its own.

    Raises:
        ValueError: with the path in the tree, what came, what is accepted.
    """
    top = _Place("settings", 0, per_step)
    _known(settings, SETTINGS, top)
    width = settings["width"]
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise top.at("width").wrong(f"wanted a whole number of 1 or more (got {width!r}).")
    place = _Place("", width, per_step)
    fusion = _part(settings["fusion"], FUSIONS, place.at("fusion"))
    encoders = _encoders(settings["encoders"], tuple(modalities), fusion, place.at("encoders"))
    pooling = _part(settings["pooling"], POOLINGS, place.at("pooling"))
    head = _part(settings["head"], HEADS, place.at("head"))
    _together(fusion, pooling, len(encoders), place)
    return Architecture(width, encoders, fusion, pooling, head)


def at_least(settings: Mapping) -> int:
    """The fewest modalities that the fusion of a composed spec takes."""
    fusion = settings.get("fusion")
    return 1 if fusion == "none" or (isinstance(fusion, dict) and "none" in fusion) else 2


def _together(fusion: Part, pooling: Part, modalities: int, place: _Place) -> None:
    """What no part can know alone."""
    if fusion.kind == "none" and modalities > 1:
        raise place.at("fusion.none").wrong(
            f"takes one modality, got {modalities}. Name one under `modalities`, or choose of: "
            f"{', '.join(k for k in FUSIONS if k != 'none')}."
        )
    if fusion.kind != "none" and modalities < 2:
        raise place.at(f"fusion.{fusion.kind}").wrong("fuses two modalities or more, got 1. For one alone: none.")
    inner = fusion.interaction.kind if isinstance(fusion, Hybrid) else fusion.kind
    if inner == "self_attention" and pooling.kind == "last" and not place.per_step:
        raise place.at("pooling.last").wrong(
            "the joint tokens of self_attention have no last step. Accepted are mean, max, attention."
        )


def _encoders(value, modalities: tuple[str, ...], fusion: Part, place: _Place) -> dict[str, Chain]:
    raw = fusion.kind == "early"  # streams are laid side by side before its own chain, however wide they are
    if isinstance(value, list):
        chain = _chain(value, place, raw=raw)
        return dict.fromkeys(modalities, chain)
    if not isinstance(value, dict):
        raise place.wrong(f"wanted a list of parts, or one list for each modality (got {value!r}).")
    for m in value:
        if m not in MODALITIES:
            raise place.wrong(f"unknown modality {m!r}.{_near(m, MODALITIES)} Known: {', '.join(MODALITIES)}.")
    chains = {m: _chain(parts, place.key(m), raw=raw) for m, parts in value.items()}
    if missing := [m for m in modalities if m not in chains]:
        raise place.wrong(
            f"no chain for {missing[0]}; there are chains for {', '.join(chains)}. Add one, or name the "
            "others under `modalities`."
        )
    return {m: chains[m] for m in modalities}


def _chain(value, place: _Place, *, raw: bool = False) -> Chain:
    """A list of encoders: each takes what the one before it gives; the last one gives ``width``.

    Args:
        raw: whether the stream may leave at any width.
    """
    if not isinstance(value, list):
        raise place.wrong(f"wanted a list of encoders (got {value!r}). Known: {', '.join(ENCODERS)}.")
    chain, now = [], None  # `now` is the stream's width; None: the features'
    for i, entry in enumerate(value):
        here = place.at(f"{place.path}[{i}]")
        part = _part(entry, ENCODERS, here)
        here = here.key(part.kind)
        if isinstance(part, Transformer) and now != place.width:
            came = "features as they are" if now is None else f"a stream {now} wide"
            raise here.wrong(f"takes a stream {place.width} wide (width), got {came}. Put embed or conv before it.")
        now = _gives(part, place.width)
        chain.append(part)
    if now != place.width and not raw:
        came = "features as they are" if now is None else f"a stream {now} wide"
        raise place.wrong(f"its last part must give a stream {place.width} wide (width), but leaves {came}.")
    return tuple(chain)


def _gives(part: Part, width: int) -> int:
    """Width of the stream that leaves an encoder."""
    if isinstance(part, Recurrent):
        return part.hidden * (2 if isinstance(part, BiLSTM) else 1)
    return width


def _part(value, known: Mapping[str, type[Part]], place: _Place) -> Part:
    """One part: its name alone, or a mapping of its name to its keys."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, keys),) = value.items()
    else:
        name, keys = value, None
    if not isinstance(name, str):
        raise place.wrong(f"wanted the name of one part, alone or with its keys (got {value!r}). {_all(known)}")
    if name not in known:
        raise place.wrong(f"unknown part {name!r}.{_near(name, known)} {_all(known)}")
    kind, here = known[name], place.key(name)
    keys = {} if keys is None else keys
    if not isinstance(keys, dict):
        raise here.wrong(f"wanted its keys {{{', '.join(kind.model_fields)}}} (got {keys!r}).")
    _known(keys, tuple(kind.model_fields), here)
    keys = _nested(kind, keys, here)
    try:
        part = kind.model_validate(keys)
    except ValidationError as error:
        item = error.errors()[0]
        raise here.key(str(item["loc"][0])).wrong(f"{item['msg']} (got {item['input']!r}).") from None
    _sound(part, here)
    return part


def _nested(kind: type[Part], keys: dict, place: _Place) -> dict:
    """Parts inside a part, read in their turn."""
    if kind is Early:
        return {**keys, "encoders": _chain(keys["encoders"], place.key("encoders"))}
    if kind is Hybrid:
        return {**keys, "interaction": _part(keys["interaction"], INTERACTIONS, place.key("interaction"))}
    return keys


def _sound(part: Part, place: _Place) -> None:
    """What a part's keys must be beside each one's own range."""
    heads = getattr(part, "heads", 1)
    if place.width % heads:
        raise place.key("heads").wrong(f"heads ({heads}) must divide width ({place.width}).")
    if isinstance(part, Conv) and part.kernel % 2 == 0:
        raise place.key("kernel").wrong(f"{part.kernel} has no middle step. Wanted an odd number.")
    if isinstance(part, Conv) and part.stride > 1 and place.per_step:
        raise place.key("stride").wrong(
            f"{part.stride} shortens the stream, and per_step output has a row for every step. Wanted 1."
        )


def _known(keys: Mapping, accepted: tuple[str, ...], place: _Place) -> None:
    listed = ", ".join(accepted) or "none"
    for key in keys:
        if key not in accepted:
            raise place.wrong(f"unknown key {key!r}.{_near(key, accepted)} Known keys: {listed}.")
    for key in accepted:
        if key not in keys:
            raise place.wrong(f"{key} is missing. Wanted keys: {listed}. No key has a default.")


def _near(name, known: Iterable[str]) -> str:
    near = get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _all(known: Iterable[str]) -> str:
    return f"Known: {', '.join(known)}."
