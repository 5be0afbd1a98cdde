"""Attention faithfulness: whether the cells that a saliency names carry the prediction, and exhibits of both.

Cells are the steps of all modalities of an example, together. Saliencies: ``attention``, the rollout over all maps
(``protocols.measuring.maps``); ``gradient``, |gradient of the predicted class's score x input| summed over features;
``random``, the control. A cell is taken away by the absence rule ``mean``: zeros after standardisation. The class is
the one predicted for the whole input; of several labels, the mean probability of what is said of each. A predicted
number has no probability, so what is measured by taking cells away has a reason in a regression. An example in which
every step is predicted stands for its middle step: that step's prediction, with the cells of all steps.

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
from protocols.measuring.answers import CLASSIFICATION, REGRESSION, probabilities, said, strength
from protocols.measuring.maps import middle
from protocols.measuring.saliency import Observer, Seen, Vectors, item, spread, take
from protocols.metrics import Undefined
from protocols.metrics.faithfulness import cells, comprehensiveness, curve_area, kendall, ranking, sufficiency
from protocols.presentation import Presenter, Streams, batches
from protocols.suite import Attention, Suite

SALIENCIES = ("attention", "gradient", "random")
REDUCED = ("comprehensiveness", "sufficiency", "deletion_auc", "insertion_auc")
NO_PROBABILITY = "a predicted number has no probability that taking cells away could lower"


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """All findings of the family; which and under what names, see above."""
    chosen = spread(len(presenter.part), suite.attention.items)
    ids = [presenter.part.examples.ids[presenter.part.index[i]] for i in chosen]
    task = presenter.part.spec.task
    trained, untrained = Observer(subject, task), Observer(subject.untrained(), task)
    for text in dict.fromkeys((suite.attention.conditions[0], presenter.part.spec.conditions[0])):
        try:
            streams = take(presenter.streams(subject.modalities, parse_condition(text)), chosen)
        except Undefined as reason:
            for name in REDUCED:
                yield Finding(text, name, None, len(chosen), str(reason))
            continue
        found = saliencies(trained.see(streams), streams, ids)
        if task == REGRESSION:
            for name in REDUCED:
                yield Finding(text, name, None, len(chosen), NO_PROBABILITY)
        else:
            yield from _reduced(subject, streams, found, suite.attention, text, task)
        yield _agreement(text, "gradient_tau", found["attention"], found["gradient"])
        first = saliencies(untrained.see(streams), streams, ids)
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
    subject: Subject,
    streams: Streams,
    found: dict[str, list[np.ndarray] | str],
    wanted: Attention,
    condition: str,
    task: str,
) -> Iterator[Finding]:
    """The findings that come from taking cells away in the order of each saliency."""
    orders, reasons = {}, {name: why for name, why in found.items() if isinstance(why, str)}
    for name in [name for name in SALIENCIES if name not in reasons]:
        for i, values in enumerate(found[name]):
            try:
                orders[name, i] = ranking(values)
            except Undefined as constant:
                reasons[name] = str(constant)
    steps = [k / wanted.steps for k in range(wanted.steps + 1)]
    levels = sorted({*steps, *wanted.fractions})
    at, curve = [levels.index(f) for f in wanted.fractions], [levels.index(f) for f in steps]
    curves = _curves(subject, streams, orders, levels, task)
    for name in SALIENCIES:
        own = [curves[key] for key in orders if key[0] == name]
        if not own:
            for metric in REDUCED:
                yield Finding(condition, f"{metric}/{name}", None, 0, reasons[name])
            continue
        without, only = np.stack(own, 1)  # (examples, levels) each
        whole = without[:, 0]
        values = {
            "comprehensiveness": comprehensiveness(whole, without[:, at]),
            "sufficiency": sufficiency(whole, only[:, at]),
            "deletion_auc": curve_area(without[:, curve]),
            "insertion_auc": curve_area(only[:, curve]),
        }
        for metric, value in values.items():
            yield Finding(condition, f"{metric}/{name}", value, len(own))


Order = dict[tuple[str, int], np.ndarray]  # saliency and place of an example -> its cells, most salient first


def _curves(
    subject: Subject, streams: Streams, orders: Order, levels: list[float], task: str
) -> dict[tuple, np.ndarray]:
    """Probability of the class that the whole input gets, without the top cells and with nothing else.

    Args:
        levels: fractions from 0 to 1.

    Returns:
        (2, levels) for each order: without, only.
    """
    kept: dict[tuple[int, bytes], np.ndarray] = {}  # every input once: an example and the cells that stay
    asked: dict[tuple, list[tuple[int, bytes]]] = {}
    for key, order in orders.items():
        asked[key] = []
        for keep in (False, True):
            for f in levels:
                mask = np.full(len(order), not keep)
                mask[order[: cells(f, len(order))]] = keep
                asked[key].append((key[1], mask.tobytes()))
                kept[asked[key][-1]] = mask
    # Examples of alike length stand together, so that little of a batch is padding.
    inputs = sorted(kept, key=lambda one: (len(one[1]), one))
    scored = dict(zip(inputs, _scored(subject, streams, [(i, kept[i, m]) for i, m in inputs], task), strict=True))
    found = {}
    for key, wanted in asked.items():
        told = np.stack([scored[one] for one in wanted])  # (2 levels, K)
        found[key] = strength(task, told, said(task, told[0])).mean(1).reshape(2, -1)
    return found


def _scored(
    subject: Subject, streams: Streams, inputs: list[tuple[int, np.ndarray]], task: str
) -> Iterator[np.ndarray]:
    """(K,) probabilities of each example with the cells that stay, batch by batch."""
    pending = iter(inputs)
    while batch := list(islice(pending, subject.size)):
        reduced: Streams = {m: [] for m in streams}
        for i, mask in batch:
            start = 0
            for m, sequences in streams.items():
                own = mask[start : start + len(sequences[i])]
                reduced[m].append(sequences[i] * own[:, None])
                start += len(own)
        with torch.inference_mode():
            for values, masks in batches(reduced, len(batch)):
                scores = subject.predict(values, masks).float().cpu()
                yield from probabilities(task, item(scores, masks)).double().numpy()


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

    The part is divided evenly. Of each stretch the first example is shown that the model gets right under the first
    condition, but of the first stretch simply the first, which all methods have in common; so it is where numbers are
    predicted, of which none is right.

    Returns:
        One dict for each example and condition of ``Suite.attention``: ``id``, ``condition``, ``label`` and
        ``predicted`` (a class, the labels present, or each number by its name), ``probability`` of what is predicted,
        the mean over several labels, None of numbers; ``step`` where every step is
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
    task, classes = part.spec.task, part.examples.classes
    observer = Observer(subject, task)
    for text, streams in shown:
        own = take(streams, chosen)
        seen = observer.see(own)
        for k, i in enumerate(chosen):
            lengths = {m: len(sequences[k]) for m, sequences in own.items()}
            where = {"step": middle(next(iter(lengths.values())))} if part.examples.per_step else {}
            share = seen.share if isinstance(seen.share, str) else seen.share[k]
            found.append(
                {
                    "id": part.examples.ids[part.index[i]],
                    "condition": text,
                    **where,
                    "label": _text(task, classes, _label(part, i)),
                    "predicted": _text(task, classes, seen.predicted[k]),
                    "probability": None
                    if task == REGRESSION
                    else round(float(strength(task, seen.probabilities[k], seen.predicted[k]).mean()), 5),
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
    """The part's first example, and of each later stretch the first that is predicted right, or its first."""
    part = presenter.part
    right = []
    with torch.inference_mode():
        for inputs, masks in batches(streams, subject.size):
            scores = item(subject.predict(inputs, masks).float().cpu(), masks)
            right += list(said(part.spec.task, probabilities(part.spec.task, scores).numpy()))
    bounds = np.linspace(0, len(part), min(wanted, len(part)) + 1).round().astype(int).tolist()
    stretches = [range(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    return [0, *(next((i for i in one if np.array_equal(right[i], _label(part, i))), one[0]) for one in stretches[1:])]


def _label(part, i: int) -> np.ndarray:
    """Class, labels or targets of an example's item."""
    label = part.examples.labels[part.index[i]]
    return label[middle(len(label))] if part.examples.per_step else label


def _text(task: str, classes: tuple[str, ...], answer: np.ndarray) -> str:
    """A class, the labels that are present, or each number by its name."""
    if task == CLASSIFICATION:
        return classes[int(answer)]
    if task == REGRESSION:
        return ", ".join(f"{name} {number:.2f}" for name, number in zip(classes, answer, strict=True))
    return ", ".join(name for name, there in zip(classes, answer, strict=True) if there) or "none"


def _weights(vectors: Vectors | str, modality: str, row: int, steps: int) -> list[float] | None:
    if isinstance(vectors, str):
        return None
    own = vectors[modality][row, :steps]
    return [round(float(w), 5) for w in own / own.sum()] if own.sum() > 0 else None
