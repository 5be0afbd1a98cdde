"""Robustness scores of one model: a score under corruption against its own clean score and a reference model's.

A curve is (S,) scores under the S severities of a sweep, from mild to severe, in the unit of their metric; higher is
better (accuracy, F1, concordance) unless the function is one for errors. The axis of a curve is the rank of the
severity: clean input is rank 0, the mildest severity rank 1. A physical axis would have no place for clean input, which
is infinitely many decibels away, and no common unit with other corruptions; so severities count equally, however the
sweep spaces them, and a value belongs to the sweep of its suite. Nothing here depends on which other methods were
measured.
"""

import numpy as np

from protocols.metrics import Undefined


def area(curve: np.ndarray, clean: float) -> float:
    """Area under the robustness curve over the ranks 0 (clean) to S, divided by S: trapezoids.

    Relative robustness of MultiBench (Liang et al. 2021) divided by its range, without the scaling by other
    methods' values: clean / 2S + the mean of the curve, its last score counted half.

    Args:
        curve: (S,) scores, S at least 1.

    Returns:
        In the unit of the scores; the clean score for a model that nothing harms.
    """
    points = np.concatenate([[clean], _curve(curve)])
    return float(np.mean((points[1:] + points[:-1]) / 2))


def worst(curve: np.ndarray) -> float:
    """The lowest of the (S,) scores; usually, but not by definition, that of the last severity."""
    return float(_curve(curve).min())


def largest(errors: np.ndarray) -> float:
    """``worst`` of (S,) errors: the largest."""
    return float(_curve(errors).max())


def retention(score: np.ndarray | float, clean: float) -> float:
    """Score / clean score; for a curve the mean over its severities. Above 1 where the corruption helps.

    Raises:
        Undefined: if the clean score is 0 or less, as a correlation can be.
    """
    if clean <= 0:
        raise Undefined(f"the clean score is {clean:.3g}, so no share of it can be kept")
    return float(_curve(np.atleast_1d(score)).mean() / clean)


def error_retention(error: np.ndarray | float, clean: float) -> float:
    """``retention`` of an error: clean error / error; for a curve the mean over its severities.

    Raises:
        Undefined: if there is no error to divide by.
    """
    errors = _curve(np.atleast_1d(error))
    if not errors.all():
        raise Undefined("there is no error, so the clean error is no share of it")
    return float((clean / errors).mean())


def corruption_error(curve: np.ndarray, reference: np.ndarray) -> float:
    """Sum of errors over the severities / the reference model's sum (Hendrycks and Dietterich 2019, CE).

    Errors are 1 - score. The mean over several sweeps is their mCE. Our reference is late fusion, not AlexNet.

    Args:
        curve, reference: (S,) scores under the same severities.

    Returns:
        Below 1 for a model that errs less than the reference.

    Raises:
        Undefined: if the reference makes no error.
    """
    curve, reference = _pair(curve, reference)
    if not (errors := (1 - reference).sum()):
        raise Undefined("the reference makes no error under these severities")
    return float((1 - curve).sum() / errors)


def effective_robustness(curve: np.ndarray, clean: float, reference: np.ndarray, reference_clean: float) -> float:
    """Mean over the severities of f - (LF + f(0) - LF(0)): what is kept beyond a better clean score.

    Effective robustness of MultiBench (Liang et al. 2021) per severity, where theirs is the sum, raw, without the
    scaling by other methods' values: positive where a model loses less than the reference does.

    Args:
        curve, reference: (S,) scores of the model and of late fusion under the same severities.
        clean, reference_clean: their clean scores, f(0) and LF(0).
    """
    curve, reference = _pair(curve, reference)
    return float(np.mean(curve - reference) - (clean - reference_clean))


def _curve(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"wanted (S,) finite scores of at least one severity, got {scores!r}.")
    return scores


def _pair(curve: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve, reference = _curve(curve), _curve(reference)
    if len(curve) != len(reference):
        raise ValueError(f"{len(curve)} scores against {len(reference)} of the reference; wanted the same severities.")
    return curve, reference
