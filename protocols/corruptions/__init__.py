"""CORRUPTIONS: what can happen to a stream, and the grammar that protocols and suites name it by.

A condition is one of

==========================================  =============================================================
``clean``                                   nothing happens
``<modality>/<corruption>/<number><unit>``  ``audio/white_noise/-5dB``: one of CORRUPTIONS, in a physical unit
``<modality>/missing``                      absent in every example; ``audio+video/missing``: both
``all/missing/<number>pct``                 every modality of every sample absent at this rate, never all of them
``<modality>/conflict``                     the stream belongs to an example of another class
==========================================  =============================================================

Severities are physical units, never "level 3". What each means stands at the top of the file of its corruption.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

import numpy as np

MODALITIES = ("audio", "video", "text")


@dataclass(frozen=True)
class Corruption:
    """A function ``(raw, severity, rng) -> raw``, same length, and what it is defined for.

    Args:
        target: ``"module:function"``.
        kinds: kinds of ``Stream`` whose raw rows it understands.
        units: that a severity may be given in.
        bounds: smallest and largest severity.
        whole: True where only whole numbers have a meaning.
        needs: what the function takes besides, by keyword: ``rate_hz`` of the stream, ``unit`` of the severity,
            ``others``, the raw rows of all other examples. A protocol's own conditions need nothing.
        inputs: representations that it is defined for; empty for all.
        steps: rows that the longest example must have at least for anything to happen.
    """

    name: str
    target: str
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    bounds: tuple[float, float]
    whole: bool = False
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    steps: int = 1


DECIBELS, SHARE = (-120.0, 120.0), (0.0, 100.0)
ACOUSTICS, CAMERA = "protocols.corruptions.acoustics", "protocols.corruptions.camera"
ALIGNMENT, COLUMNS = "protocols.corruptions.alignment", "protocols.corruptions.columns"
SOUND, PICTURE, ROWS = ("waveform",), ("frames",), ("features",)
GREY = ("mouth", "face", "movement")
CORRUPTIONS = {
    c.name: c
    for c in (
        Corruption("white_noise", "protocols.corruptions.audio:white_noise", SOUND, ("dB",), DECIBELS),
        Corruption("feature_noise", "protocols.corruptions.features:feature_noise", ROWS, ("dB",), DECIBELS),
        Corruption("sensor_noise", "protocols.corruptions.video:sensor_noise", PICTURE, ("dB",), DECIBELS),
        Corruption("babble", "protocols.corruptions.babble:babble", SOUND, ("dB",), DECIBELS, needs=("others",)),
        Corruption("reverberation", f"{ACOUSTICS}:reverberation", SOUND, ("ms",), (1.0, 2e4), needs=("rate_hz",)),
        Corruption("clipping", f"{ACOUSTICS}:clipping", SOUND, ("pct",), SHARE),
        Corruption("band_limit", f"{ACOUSTICS}:band_limit", SOUND, ("Hz",), (1.0, 1e6), needs=("rate_hz",)),
        Corruption("drop_out", f"{ACOUSTICS}:drop_out", SOUND, ("pct",), SHARE, needs=("rate_hz",)),
        Corruption("blur", f"{CAMERA}:blur", PICTURE, ("px",), (0.0, 1e3)),
        Corruption("mouth_occlusion", f"{CAMERA}:mouth_occlusion", PICTURE, ("pct",), SHARE, inputs=("mouth",)),
        Corruption("face_occlusion", f"{CAMERA}:face_occlusion", PICTURE, ("pct",), SHARE),
        Corruption("low_light", f"{CAMERA}:low_light", PICTURE, ("pct",), SHARE),
        Corruption("frame_drop", f"{CAMERA}:frame_drop", PICTURE, ("pct",), SHARE, steps=2),
        Corruption("jpeg", f"{CAMERA}:jpeg", PICTURE, ("quality",), (1.0, 100.0), whole=True, inputs=GREY),
        Corruption("feature_drop_out", f"{COLUMNS}:feature_drop_out", ROWS, ("pct",), SHARE),
        Corruption("feature_scaling", f"{COLUMNS}:feature_scaling", ROWS, ("pct",), (0.0, 1e4)),
        *(
            Corruption(
                name,
                f"{ALIGNMENT}:{name}",
                SOUND + PICTURE + ROWS,
                ("ms", "steps"),
                (1.0, 1e5),
                whole=True,
                needs=("unit", "rate_hz"),
                steps=2,
            )
            for name in ("shift", "advance")
        ),
    )
}


@dataclass(frozen=True)
class Condition:
    """How examples are presented; ``modality`` is None for clean input."""

    text: str
    modality: str | None = None  # one of MODALITIES, several joined by "+", or "all"
    corruption: str | None = None  # key of CORRUPTIONS, "missing" or "conflict"
    severity: float | None = None

    @property
    def unit(self) -> str:
        """Of the severity; empty without one."""
        return re.sub(r".*/(-?[\d.]+)?", "", self.text) if self.severity is not None else ""

    @property
    def alone(self) -> bool:
        """True where one example's rows are all that is needed, as in the conditions of a protocol."""
        if self.corruption in CORRUPTIONS:
            return not CORRUPTIONS[self.corruption].needs
        return self.modality is None or (self.corruption == "missing" and self.modality in MODALITIES)

    def touches(self, modality: str) -> bool:
        """Whether the stream of a modality may differ from its clean one."""
        return self.modality == "all" or modality in (self.modality or "").split("+")

    def apply(self, raw: np.ndarray, rng: np.random.Generator, **needed) -> np.ndarray:
        """The corrupted raw rows of one example, same length.

        Args:
            needed: what the corruption ``needs``, by name.
        """
        module, name = CORRUPTIONS[self.corruption].target.split(":")
        return getattr(import_module(module), name)(raw, self.severity, rng, **needed)


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: naming what is wrong, the nearest condition, and the accepted forms.
    """
    if text == "clean":
        return Condition(text)
    where, _, what = text.partition("/")
    if what == "missing" and where in _subsets():
        return Condition(text, where, "missing")
    if what == "conflict" and where in MODALITIES:
        return Condition(text, where, "conflict")
    if match := re.fullmatch(r"all/missing/(\d+(?:\.\d+)?)pct", text):
        if float(match[1]) < 100:
            return Condition(text, "all", "missing", float(match[1]))
        raise _refusal(text, "A rate is below 100 pct: at least one modality stays.")
    match = re.fullmatch(rf"({'|'.join(MODALITIES)})/([a-z_]+)/(-?\d+(?:\.\d+)?)([A-Za-z]+)", text)
    if match and match[2] in CORRUPTIONS and match[4] in CORRUPTIONS[match[2]].units:
        severity, corruption = float(match[3]), CORRUPTIONS[match[2]]
        (low, high), whole = corruption.bounds, corruption.whole
        if low <= severity <= high and (not whole or severity.is_integer()):
            return Condition(text, match[1], match[2], severity)
        numbers = f"{'whole numbers ' if whole else ''}from {low:g} to {high:g} {' or '.join(corruption.units)}"
        raise _refusal(text, f"Severities of {corruption.name} are {numbers}.")
    raise _refusal(text, _nearest(text))


def _subsets() -> list[str]:
    """``audio``, ``audio+video`` ...: every subset that a data set can lack, in the order of MODALITIES."""
    pairs = [f"{one}+{other}" for i, one in enumerate(MODALITIES) for other in MODALITIES[i + 1 :]]
    return [*MODALITIES, *pairs]


def _refusal(text: str, hint: str) -> ValueError:
    forms = [f"<modality>/{c.name}/<number>{'|'.join(c.units)}" for c in CORRUPTIONS.values()]
    known = ["clean", "<modality>/missing", "<modality>+<modality>/missing", "all/missing/<number>pct"]
    accepted = ", ".join([*known, "<modality>/conflict", *forms])
    said = f"condition {text!r} is not understood. {hint}".rstrip()
    return ValueError(f"{said} Accepted: {accepted}. Modalities: {', '.join(MODALITIES)}.")


def _nearest(text: str) -> str:
    """``Did you mean ...?``, or nothing where no accepted form comes near."""
    where, what, severity = (text.split("/") + ["", ""])[:3]
    names = get_close_matches(what, [*CORRUPTIONS, "missing", "conflict"], n=1)
    if not names:
        return "Did you mean 'clean'?" if get_close_matches(text, ["clean"]) else ""
    modality = (get_close_matches(where, [*MODALITIES, "all"], n=1) or ["<modality>"])[0]
    if names[0] == "missing" and "+" in where:
        modality = "+".join(m for m in MODALITIES if m in where.split("+")) or modality
    if names[0] not in CORRUPTIONS:
        rate = "/<number>pct" if modality == "all" else ""
        return f"Did you mean '{modality}/{names[0]}{rate}'?"
    number, unit = re.fullmatch(r"(-?\d+(?:\.\d+)?)?(.*)", severity).groups()
    units = get_close_matches(unit, CORRUPTIONS[names[0]].units, n=1) or CORRUPTIONS[names[0]].units
    return f"Did you mean '{modality}/{names[0]}/{number or '<number>'}{units[0]}'?"
