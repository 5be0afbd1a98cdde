"""Metrics of labels that may occur together: whole-split arrays in, one float out.

``scores`` are (N, K) logits, above 0 where a label is said to be present; ``labels`` (N, K), 1 where it is present and
0 where it is absent. Items are pooled over the whole split; a value is the mean over the K labels.
"""

import numpy as np

from protocols.metrics import Undefined
from protocols.metrics.regression import weighted_f1


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels as bool, after refusing arrays that do not belong together."""
    if scores.ndim != 2 or labels.shape != scores.shape or not len(labels):
        raise ValueError(f"wanted scores and labels (N, K), got {scores.shape} and {labels.shape}.")
    return scores, labels > 0.5


def binary_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of (item, label) pairs that are rightly called present or absent."""
    logits, present = _checked(scores, labels)
    return float(((logits > 0) == present).mean())


def binary_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """For each label the F1 of present and of absent, weighted by how often each is true."""
    logits, present = _checked(scores, labels)
    return float(np.mean([weighted_f1(p, t) for p, t in zip((logits > 0).T, present.T, strict=True)]))


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over labels of the average precision: the sum over thresholds of precision times the gain in recall.

    Items of one score pass a threshold together. Labels that no item has take no part.

    Raises:
        Undefined: where no item has any label.
    """
    logits, present = _checked(scores, labels)
    found = [_average_precision(s, t) for s, t in zip(logits.T, present.T, strict=True) if t.any()]
    if not found:
        raise Undefined("no item has any of the labels")
    return float(np.mean(found))


def _average_precision(scores: np.ndarray, present: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last item of each score
    hits = np.cumsum(present[order])[ends]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / hits[-1])
