"""Predictions of any callable -> records."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protocols.batches import IGNORED, Part
from protocols.metrics import metric
from protocols.record import Record

Predict = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]


def score_items(predict: Predict, part: Part, modalities: tuple[str, ...], size: int, **presented) -> np.ndarray:
    """(N, K) scores of every scored item of a part, in its order.

    Args:
        predict: ``(inputs, masks) -> (B, K)`` or (B, T, K).
        presented: ``condition`` and ``draw``, as ``Part.batches`` takes them.
    """
    found = []
    with torch.inference_mode():
        for batch in part.batches(modalities, size, **presented):
            scores = predict(batch.inputs, batch.masks)
            if scores.ndim == 3:
                scores = scores[batch.labels != IGNORED]
            found.append(scores.float().cpu().numpy())
    return np.concatenate(found)


def evaluate(
    predict: Predict, part: Part, modalities: tuple[str, ...], *, identity: dict[str, Any]
) -> tuple[list[Record], dict[str, np.ndarray]]:
    """Every metric of the protocol under every one of its conditions, and what the majority class scores.

    The majority class is the most frequent one of this very part: the best that any constant answer can reach,
    so a method below it has learned nothing, even where training and test shares differ.

    Args:
        predict: a trained model, a constant, an oracle: any callable of inputs and masks.
        modalities: what it uses.
        identity: the fields of Record that say whose numbers these are.

    Returns:
        Records, and the columns of the per-item predictions: id, step, condition, label, prediction,
        score_0 to score_{K-1}.

    Raises:
        ValueError: if a score is not finite.
    """
    spec, labels = part.spec, part.labels
    records, tables = [], []
    constant = np.zeros((len(labels), len(part.examples.classes)), dtype=np.float32)
    constant[:, np.bincount(labels).argmax()] = 1.0
    for condition in spec.parsed_conditions():
        scores = score_items(predict, part, modalities, spec.budget.batch_size, condition=condition, draw="test")
        if not np.isfinite(scores).all():
            raise ValueError(f"{condition.text}: {int((~np.isfinite(scores)).sum())} test scores are not finite.")
        for name in spec.metrics:
            score = metric(name).score()
            values = {name: score(scores, labels), f"{name}/majority_class": score(constant, labels)}
            records += [
                Record(metric=qualified, value=value, n=len(labels), condition=condition.text, **identity)
                for qualified, value in values.items()
            ]
        tables.append(_predictions(part, condition.text, labels, scores))
    return records, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _predictions(part: Part, condition: str, labels: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    steps = [len(part.examples.labels[i]) if part.examples.per_step else 1 for i in part.index]
    return {
        "id": np.repeat([part.examples.ids[i] for i in part.index], steps),
        "step": np.concatenate([np.arange(n) for n in steps]),
        "condition": np.full(len(labels), condition),
        "label": labels,
        "prediction": scores.argmax(1),
        **{f"score_{k}": scores[:, k] for k in range(scores.shape[1])},
    }
