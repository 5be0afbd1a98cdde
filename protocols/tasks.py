"""TASKS: what a protocol may ask of a method, with which loss, and the answer without a model. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One kind of answer.

    Args:
        labels: what ``Examples.labels`` hold of one item.
        losses: that a protocol may name, keys of ``runners.criteria.CRITERIA``; the first is the one if it names none.
        metrics: module of the metrics that a protocol may name.
        trivial: key of ``protocols.paper.TRIVIAL``, the answer without a model that stands beside every score.
        trivial_title: the same, as a board says it.
    """

    labels: str
    losses: tuple[str, ...]
    metrics: str
    trivial: str
    trivial_title: str


TASKS = {
    "classification": Task(
        labels="one of K classes, int64 from 0",
        losses=("cross_entropy",),
        metrics="protocols.metrics.task",
        trivial="majority_class",
        trivial_title="majority class",
    ),
    "regression": Task(
        labels="K numbers, float32",
        losses=("l1", "mse", "ccc"),
        metrics="protocols.metrics.regression",
        trivial="mean_target",
        trivial_title="mean of the targets",
    ),
    "multilabel": Task(
        labels="K labels, float32, 1 where present and 0 where absent",
        losses=("binary_cross_entropy",),
        metrics="protocols.metrics.multilabel",
        trivial="always_absent",
        trivial_title="nothing is ever present",
    ),
}
