"""Exhibits: examples whose saliency an evaluation kept, read from the bundle of their run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.bundles import read_exhibits

KINDS = ("attention", "gradient")


@dataclass(frozen=True)
class Exhibit:
    """What one model said of one example, and where it looked.

    Args:
        label, predicted: names of classes.
        probability: of ``predicted``.
        step: the one that is predicted, from 0, where every step has a prediction of its own; else None.
        saliency: kind -> modality -> weight of each step, summing to 1; nothing where the model has none.
        share: modality -> share of the prediction by attention rollout; empty without attention.
    """

    id: str
    condition: str
    label: str
    predicted: str
    probability: float
    step: int | None
    saliency: Mapping[str, Mapping[str, list[float]]]
    share: Mapping[str, float]


def read(roots: Sequence[Path], bundle: str) -> list[Exhibit]:
    """Exhibits of a run from the first root that holds any; none where none does.

    Raises:
        BundleError: if the file was altered or cut short.
    """
    found = (read_exhibits(Path(root) / bundle) for root in roots)
    return [_exhibit(told) for told in next(filter(None, found), [])]


def _exhibit(told: dict[str, Any]) -> Exhibit:
    saliency: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    for modality, kinds in told["modalities"].items():
        for kind in KINDS:
            if weights := _shares(kinds.get(kind)):
                saliency[kind][modality] = weights
    return Exhibit(
        id=told["id"],
        condition=told["condition"],
        label=str(told["label"]),
        predicted=str(told["predicted"]),
        probability=told["probability"],
        step=told.get("step"),
        saliency=saliency,
        share=told.get("share") or {},
    )


def _shares(weights: list[float] | None) -> list[float]:
    """Weights that sum to 1; nothing where there are none or all are zero."""
    total = sum(weights or ())
    return [weight / total for weight in weights] if total > 0 else []
