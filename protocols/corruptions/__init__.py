"""CORRUPTIONS: what can happen to a stream, and the grammar that protocols name it by.

A condition is ``clean``, ``<modality>/missing`` or ``<modality>/<corruption>/<severity><unit>``,
for example ``audio/white_noise/-5dB``. Severities are physical units, never "level 3".
"""

import re
from dataclasses import dataclass
from importlib import import_module

import numpy as np


@dataclass(frozen=True)
class Corruption:
    """A function ``(raw, severity, rng) -> raw`` and what it is defined for.

    Args:
        target: ``"module:function"``.
        kinds: kinds of ``Stream`` whose raw rows it understands.
        unit: of the severity.
    """

    name: str
    target: str
    kinds: tuple[str, ...]
    unit: str


CORRUPTIONS = {
    c.name: c
    for c in (
        Corruption("white_noise", "protocols.corruptions.audio:white_noise", ("waveform",), "dB"),
        Corruption("feature_noise", "protocols.corruptions.features:feature_noise", ("features",), "dB"),
        Corruption("sensor_noise", "protocols.corruptions.video:sensor_noise", ("frames",), "dB"),
    )
}


@dataclass(frozen=True)
class Condition:
    """How examples are presented; ``modality`` is None for clean input."""

    text: str
    modality: str | None = None
    corruption: str | None = None  # key of CORRUPTIONS, or "missing"
    severity: float | None = None

    def apply(self, raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The corrupted raw rows of one example, same length."""
        module, name = CORRUPTIONS[self.corruption].target.split(":")
        return getattr(import_module(module), name)(raw, self.severity, rng)


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: naming the accepted forms.
    """
    if text == "clean":
        return Condition(text)
    if match := re.fullmatch(r"(audio|video|text)/missing", text):
        return Condition(text, match[1], "missing")
    match = re.fullmatch(r"(audio|video|text)/([a-z_]+)/(-?\d+(?:\.\d+)?)([A-Za-z]+)", text)
    if match and match[2] in CORRUPTIONS and match[4] == CORRUPTIONS[match[2]].unit:
        return Condition(text, match[1], match[2], float(match[3]))
    known = ", ".join(f"<modality>/{c.name}/<number>{c.unit}" for c in CORRUPTIONS.values())
    raise ValueError(f"condition {text!r} is not understood. Accepted: clean, <modality>/missing, {known}.")
