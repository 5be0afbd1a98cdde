"""METRICS: name -> direction, bounds and the function that computes it. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Metric:
    """A number and how to read it.

    Args:
        target: ``"module:function"``; the function takes whole-split arrays and returns one float.
        higher_is_better: None for a size that is neither good nor bad.
        bounds: of the value, in its own unit.
        unit: ``"fraction"`` is drawn as percent; anything else is drawn as is.
    """

    name: str
    title: str
    target: str
    higher_is_better: bool | None
    bounds: tuple[float, float]
    unit: str = "fraction"

    def score(self) -> Callable:
        """The function, imported on first use."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)


METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", "Accuracy", "protocols.metrics.task:accuracy", True, (0.0, 1.0)),
        Metric("macro_f1", "Macro F1", "protocols.metrics.task:macro_f1", True, (0.0, 1.0)),
        Metric("weighted_f1", "Weighted F1", "protocols.metrics.task:weighted_f1", True, (0.0, 1.0)),
    )
}


def metric(name: str) -> Metric:
    """The metric of a record; what follows a slash only qualifies it.

    Raises:
        KeyError: listing what is known.
    """
    base = name.split("/")[0]
    if base not in METRICS:
        raise KeyError(f"No metric {base!r}. Known: {', '.join(METRICS)}.")
    return METRICS[base]
