"""Attention faithfulness: whether the cells that a saliency names carry the prediction, and exhibits of both.

Cells are the steps of all modalities of an example, together. Saliencies: ``attention``, the rollout over all maps
(``protocols.measuring.maps``); ``gradient``, |gradient of the predicted class's score x input| summed over features;
``random``, the control. A cell is taken away by the absence rule ``mean``: zeros after standardisation. The class is
the one predicted for the whole input. An example in which every step is predicted stands for its middle step: that
step's prediction, with the cells of all steps.

Findings, with s a saliency, under the first condition of ``Suite.attention`` and the protocol's primary one:

``comprehensiveness/<s>``, ``sufficiency/<s>``
    without, or with nothing but, the top fractions of cells.
``deletion_auc/<s>``, ``insertion_auc/<s>``
    over ``Suite.attention.steps`` equal steps. A fraction is the next whole number of cells; of equally salient
    cells the one in the earlier modality, then the earlier step, comes first.
``gradient_tau``
    Kendall's tau-b of attention and gradient, averaged over examples.
``random_tau/<s>``
    of the trained model's saliency and that of its first weights: near 1, the architecture draws the map.

An example whose saliency is equal in all cells has no order, and is left out; n tells how many are left.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from protocols.batches import seeded
from protocols.corruptions import parse_condition
from protocols.measuring import Finding, Subject
from protocols.measuring.saliency import Seen, Vectors, item, middle, spread, take, watch
from protocols.metrics import Undefined
from protocols.metrics.faithfulness import cells, comprehensiveness, curve_area, kendall, ranking, sufficiency
from protocols.presentation import Presenter, Streams, batches
from protocols.suite import Attention, Suite

SALIENCIES = ("attention", "gradient", "random")
REDUCED = ("comprehensiveness", "sufficiency", "deletion_auc", "insertion_auc")


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """All findings of the family; which and under what names, see above."""
    chosen = spread(len(presenter.part), suite.attention.items)
    ids = [presenter.part.examples.ids[presenter.part.index[i]] for i in chosen]
    untrained = subject.untrained()
    for text in dict.fromkeys((suite.attention.conditions[0], presenter.part.spec.conditions[0])):
        try:
            streams = take(presenter.streams(subject.modalities, parse_condition(text)), chosen)
        except Undefined as reason:
            for name in REDUCED:
                yield Finding(text, name, None, len(chosen), str(reason))
            continue
        found = saliencies(watch(subject, streams), streams, ids)
        for name in SALIENCIES:
            yield from _reduced(subject, streams, found[name], suite.attention, text, name)
        yield _agreement(text, "gradient_tau", found["attention"], found["gradient"])
        first = saliencies(watch(untrained, streams), streams, ids)
        for name in ("attention", "gradient"):
            yield _agreement(text, f"random_tau/{name}", found[name], first[name])


def saliencies(seen: Seen, streams: Streams, ids: list[str]) -> dict[str, list[np.ndarray] | str]:
    """Saliency -> (cells,) of each example, modality after modality; or why there is none."""
    lengths = [{m: len(sequences[i]) for m, sequences in streams.items()} for i in range(len(ids))]

    def flat(vectors: Vectors) -> list[np.ndarray]:
        return [np.concatenate([vectors[m][i, :n] for m, n in own.items()]) for i, own in enumerate(lengths)]

    return {
        "attention": seen.rollout if isinstance(seen.rollout, str) else flat(seen.rollout),
        "gradient": flat(seen.gradient),
        "random": [seeded("saliency", i).random(sum(n.values())) for i, n in zip(ids, lengths, strict=True)],
    }


def _reduced(
    subject: Subject, streams: Streams, saliency: list[np.ndarray] | str, wanted: Attention, condition: str, name: str
) -> Iterator[Finding]:
    """The four findings that come from taking cells away in the order of one saliency."""
    order, reason = {}, saliency
    if not isinstance(saliency, str):
        for i, values in enumerate(saliency):
            try:
                order[i] = ranking(values)
            except Undefined as constant:
                reason = str(constant)
    if not order:
        for metric in REDUCED:
            yield Finding(condition, f"{metric}/{name}", None, 0, reason)
        return
    steps = [k / wanted.steps for k in range(wanted.steps + 1)]
    levels = sorted({*steps, *wanted.fractions})
    without, only = _curves(subject, streams, order, levels)
    at = [levels.index(f) for f in wanted.fractions]
    curve = [levels.index(f) for f in steps]
    whole = without[:, 0]
    values = {
        "comprehensiveness": comprehensiveness(whole, without[:, at]),
        "sufficiency": sufficiency(whole, only[:, at]),
        "deletion_auc": curve_area(without[:, curve]),
        "insertion_auc": curve_area(only[:, curve]),
    }
    for metric, value in values.items():
        yield Finding(condition, f"{metric}/{name}", value, len(order))


def _curves(
    subject: Subject, streams: Streams, order: dict[int, np.ndarray], levels: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the class that the whole input gets, without and with only the top cells.

    Args:
        order: place of an example -> its cells, most salient first.
        levels: fractions from 0 to 1.

    Returns:
        (examples of ``order``, levels) twice.
    """
    # Every input once: an example, how many of its cells, whether these are kept or taken away. Examples of alike
    # length stand together, so that little of a batch is padding.
    wanted = {(i, cells(f, len(order[i])), keep) for i in order for f in levels for keep in (False, True)}
    inputs = sorted(wanted, key=lambda one: (len(order[one[0]]), one))
    kept = np.stack([row for batch in _scored(subject, streams, order, inputs) for row in batch])  # (inputs, K)
    place = {one: k for k, one in enumerate(inputs)}
    without, only = np.empty((2, len(order), len(levels)))
    for row, (i, own) in enumerate(order.items()):
        best = kept[place[i, 0, False]].argmax()
        for column, f in enumerate(levels):
            count = cells(f, len(own))
            without[row, column] = kept[place[i, count, False], best]
            only[row, column] = kept[place[i, count, True], best]
    return without, only


def _scored(
    subject: Subject, streams: Streams, order: dict[int, np.ndarray], inputs: list[tuple[int, int, bool]]
) -> Iterator[np.ndarray]:
    """(B, K) probabilities of reduced inputs, batch by batch."""
    pending = iter(inputs)
    while batch := list(islice(pending, subject.size)):
        reduced: Streams = {m: [] for m in streams}
        for i, count, keep in batch:
            mask = np.full(len(order[i]), not keep)
            mask[order[i][:count]] = keep
            start = 0
            for m, sequences in streams.items():
                own = mask[start : start + len(sequences[i])]
                reduced[m].append(sequences[i] * own[:, None])
                start += len(own)
        with torch.inference_mode():
            for values, masks in batches(reduced, len(batch)):
                scores = subject.predict(values, masks).float().cpu()
                yield item(scores, masks).softmax(-1).double().numpy()


def _agreement(condition: str, name: str, first: list[np.ndarray] | str, second: list[np.ndarray] | str) -> Finding:
    """Mean rank agreement over the examples in which both saliencies rank cells."""
    for saliency in (first, second):
        if isinstance(saliency, str):
            return Finding(condition, name, None, 0, saliency)
    found, reason = [], None
    for pair in zip(first, second, strict=True):
        try:
            found.append(kendall(*pair))
        except Undefined as constant:
            reason = str(constant)
    if not found:
        return Finding(condition, name, None, 0, reason)
    return Finding(condition, name, float(np.mean(found)), len(found))


def exhibits(subject: Subject, presenter: Presenter, suite: Suite) -> list[dict]:
    """Examples with their saliency, for the board: small, and ready for JSON.

    The part is divided evenly, and of each stretch the first example is shown that the model gets right under the
    first condition; so methods that are mostly right show the same examples.

    Returns:
        One dict for each example and condition of ``Suite.attention``: ``id``, ``condition``, ``label`` and
        ``predicted`` (names of classes), ``probability`` of the predicted one, ``step`` where every step is
        predicted (the one shown, from 0), ``modalities``: m -> ``attention`` and ``gradient``, the weights of its
        steps, which sum to 1, or None; and ``share``: m -> share by rollout, or None.
    """
    part, wanted = presenter.part, suite.attention
    if not wanted.exhibits:
        return []
    shown = []
    for text in wanted.conditions:
        try:
            shown.append((text, presenter.streams(subject.modalities, parse_condition(text))))
        except Undefined:  # the findings of the family tell why
            continue
    chosen, found = _shown_examples(subject, presenter, shown[0][1], wanted.exhibits) if shown else [], []
    for text, streams in shown:
        own = take(streams, chosen)
        seen = watch(subject, own)
        for k, i in enumerate(chosen):
            lengths = {m: len(sequences[k]) for m, sequences in own.items()}
            where = {"step": middle(next(iter(lengths.values())))} if part.examples.per_step else {}
            share = seen.share if isinstance(seen.share, str) else seen.share[k]
            found.append(
                {
                    "id": part.examples.ids[part.index[i]],
                    "condition": text,
                    **where,
                    "label": part.examples.classes[_label(part, i)],
                    "predicted": part.examples.classes[int(seen.predicted[k])],
                    "probability": round(float(seen.probabilities[k].max()), 5),
                    "modalities": {
                        m: {"attention": _weights(seen.rollout, m, k, n), "gradient": _weights(seen.gradient, m, k, n)}
                        for m, n in lengths.items()
                    },
                    "share": None
                    if isinstance(share, str)
                    else {m: round(float(s), 5) for m, s in zip(subject.modalities, share, strict=True)},
                }
            )
    return found


def _shown_examples(subject: Subject, presenter: Presenter, streams: Streams, wanted: int) -> list[int]:
    """The first example of each stretch that is predicted right, or its first."""
    part = presenter.part
    right = []
    with torch.inference_mode():
        for inputs, masks in batches(streams, subject.size):
            right += item(subject.predict(inputs, masks).float().cpu(), masks).argmax(-1).tolist()
    bounds = np.linspace(0, len(part), min(wanted, len(part)) + 1).round().astype(int).tolist()
    stretches = [range(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    return [next((i for i in one if right[i] == _label(part, i)), one[0]) for one in stretches]


def _label(part, i: int) -> int:
    """Class of an example's item."""
    label = part.examples.labels[part.index[i]]
    return int(label[middle(len(label))]) if part.examples.per_step else int(label)


def _weights(vectors: Vectors | str, modality: str, row: int, steps: int) -> list[float] | None:
    if isinstance(vectors, str):
        return None
    own = vectors[modality][row, :steps]
    return [round(float(w), 5) for w in own / own.sum()] if own.sum() > 0 else None
