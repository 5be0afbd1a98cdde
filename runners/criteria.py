"""CRITERIA: the losses that a protocol may name. One is equal for all methods, whatever else a method adds to it.

Each takes the scores and labels of a batch and gives a scalar, the mean over labelled items: (B, K) and (B,) of
classes, or (B, K) and (B, K) of numbers; with a label for every step one more axis T, where UNLABELLED marks padding.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from protocols.examples import UNLABELLED
from zoo.concordance import concordance_loss

Criterion = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """In nats: scores are logits of K classes."""
    return F.cross_entropy(scores.flatten(0, -2), labels.flatten(), ignore_index=UNLABELLED)


def l1(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean absolute error, over items and targets."""
    return F.l1_loss(*_labelled(scores, labels))


def mse(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error, over items and targets."""
    return F.mse_loss(*_labelled(scores, labels))


def ccc(scores: Tensor, labels: Tensor) -> Tensor:
    """1 - CCC of all labelled items of the batch together, mean over targets; see ``zoo.concordance``.

    Raises:
        ValueError: for fewer than two labelled items, of which there is no variance.
    """
    predictions, truths = _labelled(scores, labels)
    pairs = zip(predictions.unbind(-1), truths.unbind(-1), strict=True)
    return torch.stack([concordance_loss(p, t) for p, t in pairs]).mean()


def binary_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """In nats, over items and labels: scores are logits of presence."""
    return F.binary_cross_entropy_with_logits(*_labelled(scores, labels))


def _labelled(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(n, K) scores and labels of the n items that are no padding."""
    if scores.shape != labels.shape:
        raise ValueError(f"scores {tuple(scores.shape)} and labels {tuple(labels.shape)}; wanted one shape.")
    real = (labels != UNLABELLED).all(-1)
    return scores[real], labels[real]


CRITERIA: dict[str, Criterion] = {f.__name__: f for f in (cross_entropy, l1, mse, ccc, binary_cross_entropy)}
