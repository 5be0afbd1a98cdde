"""Modality imbalance of a trained model, on the clean part.

Findings, for each modality m that the model uses:

- ``discrepancy/<m>``: OGM-GE discrepancy ratio of the model's own uni-modal heads; a reason where it has none.
- ``discrepancy/<m>/absent``: the same ratio of the scores that the whole model gives with all other modalities
  absent (rule ``mean``). Every model has these, so they compare between methods.
- ``inside/<m>``: accuracy with all other modalities absent; outside classification the worth of
  ``protocols.measuring.answers``, and the other findings have a reason.
- ``entropy_gap`` of the heads, and ``entropy_gap/absent``.

A model of one modality has reasons instead. The gap between ``inside/<m>`` and a model that was trained on m alone
takes two runs, so it is a query of the board.
"""

from collections.abc import Collection, Iterator

import numpy as np
import torch

from protocols.corruptions import parse_condition
from protocols.measuring import Finding, Heads, Subject
from protocols.measuring.answers import CLASSIFICATION, NO_CLASSES, Worth
from protocols.metrics import Undefined
from protocols.metrics.imbalance import ONE, discrepancy_ratio, entropy_gap
from protocols.presentation import Presenter, Streams, score
from protocols.suite import Suite

CONDITION = "clean"
NO_HEADS = "the model has no uni-modal heads; what carries the suffix /absent takes the other modalities away instead."
Scores = dict[str, np.ndarray]


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """All findings, from one pass for each modality and one for the heads."""
    labels, modalities = presenter.part.labels, subject.modalities
    if len(modalities) < 2:
        for name in (*(f"inside/{m}" for m in modalities), *_names(modalities, "/absent"), *_names(modalities, "")):
            yield Finding(CONDITION, name, None, len(labels), ONE)
        return
    streams = presenter.streams(modalities, parse_condition(CONDITION))
    alone = {m: subject.scores(left) for m, left in each_alone(presenter, streams).items()}
    worth = Worth.of(presenter.part)
    for m, scores in alone.items():
        try:
            yield Finding(CONDITION, f"inside/{m}", worth(scores, labels), len(labels))
        except Undefined as reason:
            yield Finding(CONDITION, f"inside/{m}", None, len(labels), str(reason))
    if worth.task != CLASSIFICATION:
        for name in (*_names(modalities, "/absent"), *_names(modalities, "")):
            yield Finding(CONDITION, name, None, len(labels), NO_CLASSES.format(worth.task))
        return
    yield from _compared(alone, labels, "/absent")
    if subject.heads is not None:
        yield from _compared(head_scores(subject.heads, streams, subject.size), labels, "")
    else:
        for name in _names(modalities, ""):
            yield Finding(CONDITION, name, None, len(labels), NO_HEADS)


def each_alone(presenter: Presenter, streams: Streams) -> dict[str, Streams]:
    """modality -> the streams with all others absent, under the rule ``mean``."""
    return {m: presenter.without(streams, streams.keys() - {m}, "mean") for m in streams}


def head_scores(heads: Heads, streams: Streams, size: int) -> Scores:
    """modality -> (items, K) scores of the model's uni-modal heads, from one pass."""

    def beside(inputs, masks):
        found = heads(inputs, masks)
        return torch.cat([found[m] for m in streams], dim=-1)

    return dict(zip(streams, np.split(score(beside, streams, size), len(streams), axis=1), strict=True))


def _compared(scores: Scores, labels: np.ndarray, suffix: str) -> Iterator[Finding]:
    try:
        for m, ratio in discrepancy_ratio(scores, labels).items():
            yield Finding(CONDITION, f"discrepancy/{m}{suffix}", ratio, len(labels))
    except Undefined as reason:
        for m in scores:
            yield Finding(CONDITION, f"discrepancy/{m}{suffix}", None, len(labels), str(reason))
    yield Finding(CONDITION, f"entropy_gap{suffix}", entropy_gap(scores), len(labels))


def _names(modalities: Collection[str], suffix: str) -> list[str]:
    """What ``_compared`` finds."""
    return [*(f"discrepancy/{m}{suffix}" for m in modalities), f"entropy_gap{suffix}"]
