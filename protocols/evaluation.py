"""Predictions of any callable -> records."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protocols.batches import IGNORED, Part
from protocols.metrics import Undefined, metric
from protocols.record import Record
from protocols.tasks import TASKS

Predict = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]
Score = Callable[[np.ndarray, np.ndarray], float]


def labelled(labels: Tensor) -> Tensor:
    """Which items of a batch are no padding, (B,) or (B, T) bool.

    Args:
        labels: of a ``Batch``: int64 (B,) or (B, T) classes, or float32 (B, K) or (B, T, K) numbers.
    """
    real = labels != IGNORED
    return real.all(-1) if labels.is_floating_point() else real


def score_of(name: str, targets: tuple[str, ...]) -> Score:
    """The function of a metric as a protocol names it: ``mae`` over all targets, ``mae/valence`` of one alone.

    Raises:
        ValueError: for a target that the data do not have.
    """
    score = metric(name).score()
    _, _, target = name.partition("/")
    if not target:
        return score
    if target not in targets:
        raise ValueError(f"metric {name!r}: the data have no {target!r}. Accepted: {', '.join(targets)}.")
    column = targets.index(target)
    return lambda scores, labels: score(scores[:, [column]], labels[:, [column]])


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
                scores = scores[labelled(batch.labels)]
            found.append(scores.float().cpu().numpy())
    return np.concatenate(found)


def evaluate(
    predict: Predict, part: Part, modalities: tuple[str, ...], *, identity: dict[str, Any]
) -> tuple[list[Record], list[dict[str, str]], dict[str, np.ndarray]]:
    """Every metric of the protocol under every one of its conditions, and what an answer without a model scores.

    That is, by task, the majority class, the mean of the targets, or nothing at all (``protocols.tasks``). Class and
    mean are those of this very part: a method below them has learned nothing, even where training and test shares
    differ.

    Args:
        predict: a trained model, a constant, an oracle: any callable of inputs and masks.
        modalities: what it uses.
        identity: the fields of Record that say whose numbers these are.

    Returns:
        Records; condition, metric and reason of each metric that is undefined; and the columns of the per-item
        predictions: id, step, condition, label, prediction, score_0 to score_{K-1}; outside classification label_0 to
        label_{K-1} in place of label and prediction.

    Raises:
        ValueError: if a score is not finite.
    """
    spec, labels = part.spec, part.labels
    records, undefined, tables = [], [], []
    constant, trivial = _constant(part), TASKS[spec.task].trivial
    for condition in spec.parsed_conditions():
        scores = score_items(predict, part, modalities, spec.budget.batch_size, condition=condition, draw="test")
        if not np.isfinite(scores).all():
            raise ValueError(f"{condition.text}: {int((~np.isfinite(scores)).sum())} test scores are not finite.")
        for name in spec.metrics:
            score = score_of(name, part.examples.classes)
            for qualified, given in ((name, scores), (f"{name}/{trivial}", constant)):
                where = {"condition": condition.text, "metric": qualified}
                try:
                    records.append(Record(value=score(given, labels), n=len(labels), **where, **identity))
                except Undefined as reason:
                    undefined.append({**where, "reason": str(reason)})
        tables.append(_predictions(part, condition.text, labels, scores))
    return records, undefined, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _constant(part: Part) -> np.ndarray:
    """(N, K) scores of the task's answer without a model."""
    labels = part.labels
    constant = np.zeros((len(labels), len(part.examples.classes)), dtype=np.float32)
    if part.spec.task == "regression":
        constant[:] = labels.mean(0)
    elif part.spec.task == "multilabel":
        constant[:] = -1.0  # a logit below 0: absent
    else:
        constant[:, np.bincount(labels).argmax()] = 1.0
    return constant


def _predictions(part: Part, condition: str, labels: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    steps = [len(part.examples.labels[i]) if part.examples.per_step else 1 for i in part.index]
    if labels.ndim == 1:
        truth = {"label": labels, "prediction": scores.argmax(1)}
    else:
        truth = {f"label_{k}": labels[:, k] for k in range(labels.shape[1])}
    return {
        "id": np.repeat([part.examples.ids[i] for i in part.index], steps),
        "step": np.concatenate([np.arange(n) for n in steps]),
        "condition": np.full(len(labels), condition),
        **truth,
        **{f"score_{k}": scores[:, k] for k in range(scores.shape[1])},
    }
