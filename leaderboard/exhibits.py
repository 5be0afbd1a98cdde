"""Exhibits: examples whose saliency an evaluation kept, read from the bundle of their run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from leaderboard import queries
from leaderboard.bundles import BundleError, read_exhibits
from leaderboard.charts import run_name
from protocols.spec import ProtocolSpec

KINDS = ("attention", "gradient")


@dataclass(frozen=True)
class Exhibit:
    """What one model said of one example, and where it looked.

    Args:
        label, predicted: a class, the labels present, or numbers with their names.
        probability: of ``predicted``; None of numbers.
        step: the one that is predicted, from 0, where every step has a prediction of its own; else None.
        saliency: kind -> modality -> weight of each step, summing to 1; nothing where the model has none.
        share: modality -> share of the prediction by attention rollout; empty without attention.
    """

    id: str
    condition: str
    label: str
    predicted: str
    probability: float | None
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


def read_one(roots: Sequence[Path], bundle: str, example: str, condition: str) -> Exhibit:
    """One exhibit of a run that kept it.

    Raises:
        BundleError: if the file was altered, cut short, or no longer holds it.
    """
    for exhibit in read(roots, bundle):
        if (exhibit.id, exhibit.condition) == (example, condition):
            return exhibit
    raise BundleError(f"exhibits.json holds nothing of {example} under {condition}. Read the results in again.")


@dataclass(frozen=True)
class Place:
    """Where an exhibit is.

    Args:
        bundle: folder below a root. run: as a person reads it. label: true class of the example.
    """

    bundle: str
    run: str
    label: str


def kept(
    engine: sa.Engine, spec: ProtocolSpec, roots: Sequence[Path]
) -> tuple[dict[str, dict[str, dict[str, Place]]], list[str]]:
    """Method -> condition -> example -> the first run that kept it; and what is wrong with files that are left out."""
    found: dict[str, dict[str, dict[str, Place]]] = {}
    complaints = []
    current = queries.current_runs(engine, spec.key)[0]
    measured = queries.evaluated(engine, spec)[["run", "bundle"]].merge(current, on="run")
    for run in measured.sort_values(["method", "split", "seed"]).to_dict("records"):
        try:
            own = read(roots, run["bundle"])
        except BundleError as error:
            complaints.append(f"{run['bundle']}: {error}")
            continue
        for exhibit in own:
            here = found.setdefault(run["method"], {}).setdefault(exhibit.condition, {})
            here.setdefault(exhibit.id, Place(run["bundle"], run_name(run["split"], run["seed"]), exhibit.label))
    return found, complaints


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
