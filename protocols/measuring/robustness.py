"""Robustness of a trained model: its score under every condition of the suite, and what the sweeps come to.

Findings, for every metric of the protocol (``accuracy`` stands for each):

======================  =================  ==================================================================
metric                  condition          value
======================  =================  ==================================================================
``accuracy``            a condition        the score; not for conditions of the protocol, whose runs have it
``retention/accuracy``  a condition        score / clean score; of an error clean error / error
``retention/accuracy``  a sweep            its mean over the severities
``area/accuracy``       a sweep            area under clean and all severities, by rank
``worst/accuracy``      a sweep            the lowest score, or the largest error
======================  =================  ==================================================================

A sweep is named by what its conditions share: ``audio/white_noise``. Corruption error and effective robustness
need late fusion's curves as well; they are computed from records, by the functions of ``protocols.metrics``.
"""

from collections.abc import Callable, Iterator

import numpy as np

from protocols.corruptions import Condition, parse_condition
from protocols.evaluation import score_of
from protocols.measuring import Finding, Subject
from protocols.metrics import Undefined, metric
from protocols.metrics.robustness import area, error_retention, largest, retention, worst
from protocols.presentation import Presenter
from protocols.suite import Suite

Score = float | Undefined  # a number, or the reason why there is none


def measure(
    subject: Subject, presenter: Presenter, suite: Suite, keep: dict[str, np.ndarray] | None = None
) -> Iterator[Finding]:
    """Every finding of the table above; one forward pass over the part for each condition.

    Args:
        keep: condition -> (items, K) float32 scores. What is in it already is not computed again; what is
            computed is put into it.
    """
    keep = {} if keep is None else keep
    part = presenter.part
    labels, own = part.labels, set(part.spec.conditions)
    reasons: dict[str, Undefined] = {}
    for text in suite.all_conditions():
        try:
            if text not in keep:
                keep[text] = _scores(subject, presenter, parse_condition(text), keep.get("clean"))
        except Undefined as reason:
            reasons[text] = reason

    def finding(condition: str, name: str, function: Callable[..., float], *given: Score | list[Score]) -> Finding:
        try:
            return Finding(condition, name, function(*map(_known, given)), len(labels))
        except Undefined as reason:
            return Finding(condition, name, None, len(labels), str(reason))

    for name in part.spec.metrics:
        score, error = score_of(name, part.examples.classes), metric(name).higher_is_better is False
        kept, lowest = (error_retention, largest) if error else (retention, worst)
        points = {text: reasons.get(text) or _scored(score, keep[text], labels) for text in suite.all_conditions()}
        for text, point in points.items():
            if text not in own:
                yield finding(text, name, float, point)
            if text != "clean":
                yield finding(text, f"retention/{name}", kept, point, points["clean"])
        for sweep in suite.sweeps:
            curve = [points[condition.text] for condition in suite.sweep(sweep)]
            yield finding(sweep, f"area/{name}", area, curve, points["clean"])
            yield finding(sweep, f"worst/{name}", lowest, curve)
            yield finding(sweep, f"retention/{name}", kept, curve, points["clean"])


def _scored(score: Callable[..., float], scores: np.ndarray, labels: np.ndarray) -> Score:
    try:
        return score(scores, labels)
    except Undefined as reason:
        return reason


def _scores(subject: Subject, presenter: Presenter, condition: Condition, clean: np.ndarray | None) -> np.ndarray:
    """(items, K) float32.

    Raises:
        Undefined: where the condition has no meaning here, or the model's scores are not finite.
    """
    streams = presenter.streams(subject.modalities, condition)
    if clean is not None and not any(condition.touches(m) for m in subject.modalities):
        return clean  # the model does not see what happens
    scores = subject.scores(streams)
    if bad := int((~np.isfinite(scores)).any(1).sum()):
        raise Undefined(f"the model's scores of {bad} of {len(scores)} items are not finite")
    return scores


def _known(given: Score | list[Score]) -> float | np.ndarray:
    """The number, or the array of numbers; the first reason is raised."""
    if isinstance(given, Undefined):
        raise given
    return np.array([_known(point) for point in given]) if isinstance(given, list) else given
