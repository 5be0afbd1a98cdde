"""Task metrics: whole-split arrays in, one float out.

``scores`` is (N, K) log-probabilities or logits, ``labels`` (N,) int64 classes; N counts scored items
(examples, or steps where every step is labelled), pooled over the whole split, never averaged per batch.
"""

import numpy as np


def _checked(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Predicted class of each item, after refusing arrays that do not belong together."""
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise ValueError(f"wanted scores (N, K) and labels (N,), got {scores.shape} and {labels.shape}.")
    return scores.argmax(1)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of items whose highest score is at the label; the first of equal scores counts."""
    return float(np.mean(_checked(scores, labels) == labels))


def _f1(predicted: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """F1 and number of true items of each class; F1 is 0 where a class is neither predicted nor true."""
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    support = np.bincount(labels, minlength=classes)
    called = np.bincount(predicted, minlength=classes)
    return 2 * hits / np.maximum(support + called, 1), support


def macro_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Unweighted mean over classes of 2 TP / (2 TP + FP + FN), over classes that occur in label or prediction."""
    predicted = _checked(scores, labels)
    f1, support = _f1(predicted, labels, scores.shape[1])
    occurs = (support + np.bincount(predicted, minlength=scores.shape[1])) > 0
    return float(f1[occurs].mean())


def weighted_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the classes' F1, weighted by how often each class is true."""
    f1, support = _f1(_checked(scores, labels), labels, scores.shape[1])
    return float(np.average(f1, weights=support))
