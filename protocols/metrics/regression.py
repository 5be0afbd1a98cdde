"""Metrics of regression: whole-split arrays in, one float out.

``scores`` and ``labels`` are (N, K): K targets of N scored items (examples, or steps where every step is labelled), in
one unit, pooled over the whole split, never averaged per batch or per video. With several targets a value is the mean
over them. The sentiment metrics are those of the word-level CMU-MOSI and CMU-MOSEI tables: labels from -3 to 3.

Source   yaohungt/Multimodal-Transformer at a670936: src/eval_metrics.py; thuiar/MMSA at a94e65d0: utils/metricsTop.py;
         for CCC praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c: EvaluationMetrics/cccmetric.py.
"""

from collections.abc import Callable

import numpy as np

from protocols.metrics import Undefined


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, after refusing arrays that do not belong together."""
    if scores.ndim != 2 or labels.shape != scores.shape or not len(labels):
        raise ValueError(f"wanted scores and labels (N, K), got {scores.shape} and {labels.shape}.")
    return scores.astype(np.float64), labels.astype(np.float64)


def _mean(of_one: Callable[[np.ndarray, np.ndarray], float], scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean over targets of a function of (N,) predictions and (N,) truths."""
    predictions, truths = _checked(scores, labels)
    return float(np.mean([of_one(p, t) for p, t in zip(predictions.T, truths.T, strict=True)]))


def mae(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean absolute error, in the unit of the labels."""
    predictions, truths = _checked(scores, labels)
    return float(np.abs(predictions - truths).mean())


def pearson(scores: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's correlation.

    Raises:
        Undefined: where predictions or labels never vary.
    """

    def of_one(p: np.ndarray, t: np.ndarray) -> float:
        for what, values in (("prediction", p), ("label", t)):
            if _constant(values):
                raise Undefined(f"every {what} is {values[0]:.4g}, and a correlation wants both to vary")
        return _covariance(p, t) / (p.std() * t.std())

    return _mean(of_one, scores, labels)


def ccc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Concordance correlation, 2 cov / (var_p + var_t + (mean_p - mean_t)^2), moments of 1/n.

    A constant prediction has 0, as the formula and the field's convention say; the released code divides 0 by 0.

    Raises:
        Undefined: where the labels never vary, so that nothing can agree with how they do.
    """

    def of_one(p: np.ndarray, t: np.ndarray) -> float:
        if _constant(t):
            raise Undefined(f"every label is {t[0]:.4g}, and a concordance wants them to vary")
        return 2 * _covariance(p, t) / (p.var() + t.var() + (p.mean() - t.mean()) ** 2)

    return _mean(of_one, scores, labels)


def _constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())  # a standard deviation of equal numbers need not round to 0


def _covariance(p: np.ndarray, t: np.ndarray) -> float:
    return float(((p - p.mean()) * (t - t.mean())).mean())


def _rounded_accuracy(scores: np.ndarray, labels: np.ndarray, most: float) -> float:
    """Fraction of items whose prediction and label, cut at -most and most, round to one whole number.

    Halves round to the even neighbour, as numpy's do: 0.5 to 0, 1.5 to 2. Neutral items count.
    """
    predictions, truths = (np.round(np.clip(x, -most, most)) for x in _checked(scores, labels))
    return float((predictions == truths).mean())


def acc7(scores: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy over the seven whole numbers from -3 to 3."""
    return _rounded_accuracy(scores, labels, 3)


def acc5(scores: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy over the five whole numbers from -2 to 2."""
    return _rounded_accuracy(scores, labels, 2)


def _without_zero(scores: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(predicted, true) for each target: above 0 or not, over items whose label is not exactly 0.

    Raises:
        Undefined: where every label is 0.
    """
    found = []
    for p, t in zip(*(x.T for x in _checked(scores, labels)), strict=True):
        kept = t != 0
        if not kept.any():
            raise Undefined("every label is 0, so no item is positive or negative")
        found.append((p[kept] > 0, t[kept] > 0))
    return found


def _with_zero(scores: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(predicted, true) for each target: below 0 or not, over all items."""
    return [(p >= 0, t >= 0) for p, t in zip(*(x.T for x in _checked(scores, labels)), strict=True)]


def acc2_nonzero(scores: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of positive against negative; items whose label is exactly 0 take no part."""
    return float(np.mean([(p == t).mean() for p, t in _without_zero(scores, labels)]))


def acc2_with_zero(scores: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of negative against not negative, over all items."""
    return float(np.mean([(p == t).mean() for p, t in _with_zero(scores, labels)]))


def f1_nonzero(scores: np.ndarray, labels: np.ndarray) -> float:
    """F1 of both classes of ``acc2_nonzero``, weighted by how often each is true."""
    return float(np.mean([weighted_f1(p, t) for p, t in _without_zero(scores, labels)]))


def f1_nonzero_by_prediction(scores: np.ndarray, labels: np.ndarray) -> float:
    """``f1_nonzero`` weighted by how often each class is predicted: MulT's released code swaps the two arguments."""
    return float(np.mean([weighted_f1(t, p) for p, t in _without_zero(scores, labels)]))


def f1_with_zero(scores: np.ndarray, labels: np.ndarray) -> float:
    """F1 of both classes of ``acc2_with_zero``, weighted by how often each is true."""
    return float(np.mean([weighted_f1(p, t) for p, t in _with_zero(scores, labels)]))


def weighted_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean of both classes' F1, weighted by their share of ``true``: (N,) bool and (N,) bool."""
    value = 0.0
    for p, t in ((predicted, true), (~predicted, ~true)):
        value += t.mean() * 2 * (p & t).sum() / max(p.sum() + t.sum(), 1)
    return float(value)
