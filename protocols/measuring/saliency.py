"""Where a model looks, from one forward and one backward pass of each batch: attention maps and gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from protocols.measuring import Subject
from protocols.measuring.answers import CLASSIFICATION, REGRESSION, probabilities, said
from protocols.measuring.maps import Cells, Label, Labelled, Tokens, middle, received, rolled
from protocols.metrics import Undefined
from protocols.metrics.attention import effective_cells, entropy, modality_share, sparsity
from protocols.presentation import Streams, batches

MAP_BYTES = 2 << 30  # attention maps of a batch
Vectors = dict[str, np.ndarray]  # modality -> (N, longest T_m), zero on padding
DESCRIBED = {"attention_entropy": entropy, "attention_cells": effective_cells, "attention_sparsity": sparsity}


@dataclass(frozen=True)
class Seen:
    """What N examples show of a model. A string says why something is not there.

    An example's item is what is predicted for it; where every step is scored, the score of its middle step.

    Args:
        task: key of ``protocols.tasks.TASKS``.
        probabilities: (N, K) of each example's item; the predicted numbers in a regression.
        gradient: |gradient of the largest score x input|, summed over features; of a regression summed over its
            targets, each by itself; empty if not wanted.
        rollout: share of each input cell in what the prediction attends to; all cells of an example sum to 1.
        share: (N, modalities) sums of it, where the model chooses between modalities.
        received: what each modality's cells receive from other streams' queries, by modality.
        described: a map's name without its layer -> key of DESCRIBED -> (examples that have it,), mean over layers.
    """

    task: str
    probabilities: np.ndarray
    gradient: Vectors
    rollout: Vectors | str
    share: np.ndarray | str
    received: dict[str, np.ndarray | str]
    described: dict[str, dict[str, np.ndarray | str]]

    @property
    def predicted(self) -> np.ndarray:
        """(N,) class, (N, K) bool of labels, or (N, K) numbers."""
        return said(self.task, self.probabilities)


def spread(count: int, wanted: int) -> list[int]:
    """``wanted`` of ``count`` places, evenly spread, each once; all where there are fewer."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist()


def take(streams: Streams, chosen: list[int]) -> Streams:
    """The streams of some examples."""
    return {m: [sequences[i] for i in chosen] for m, sequences in streams.items()}


def item(scores: Tensor, masks: dict[str, Tensor]) -> Tensor:
    """(B, K), or (B, T, K) of every step, to (B, K) scores of each example's item."""
    if scores.ndim == 2:
        return scores
    lengths = next(iter(masks.values())).sum(1).tolist()
    return scores[torch.arange(len(scores)), torch.tensor([middle(n) for n in lengths])]


class Observer:
    """Runs a model over examples and keeps where it looks.

    Args:
        subject: trained, or with its first weights.
        task: what its scores are.
    """

    def __init__(self, subject: Subject, task: str = CLASSIFICATION):
        self.subject, self.task = subject, task
        self._tokens: Tokens | None = None  # of the architecture: found once
        self._size = 0  # examples a batch, so that their maps fit; found once

    def see(self, streams: Streams, *, describe: bool = False, gradient: bool = True) -> Seen:
        """One pass over some examples.

        Args:
            streams: of the subject's modalities.
            describe: whether the numbers of every map are wanted. gradient: whether gradients are.
        """
        self._tokens = self._tokens or learned_tokens(self.subject, streams)
        self._size = self._size or _fitting(self.subject, streams)
        found = []
        for inputs, masks in batches(streams, self._size):
            scores, products, maps = _run(self.subject, inputs, masks, gradient, each=self.task == REGRESSION)
            cells = Cells({m: mask.numpy() for m, mask in masks.items()}, self._tokens)
            means = [(label, weights.mean(1, dtype=np.float64)) for label, weights in maps]
            found.append(
                Seen(
                    self.task,
                    probabilities(self.task, item(scores, masks)).double().numpy(),
                    products,
                    *_rolled(cells, means, scores.ndim == 3),
                    {m: _or_reason(received, cells, means, m) for m in self.subject.modalities},
                    _described(cells, maps) if describe else {},
                )
            )
        return _joined(found)


def _fitting(subject: Subject, streams: Streams) -> int:
    """Examples whose attention maps take up MAP_BYTES, going by the first one; the subject's own number at most."""
    inputs, masks = next(batches({m: sequences[:1] for m, sequences in streams.items()}, 1))
    with torch.no_grad(), subject.recorder() as maps:
        subject.predict(inputs, masks)
    size = sum(weights.nbytes for _, weights in maps)
    return min(subject.size, max(1, MAP_BYTES // size)) if size else subject.size


def _run(
    subject: Subject, inputs: dict[str, Tensor], masks: dict[str, Tensor], gradient: bool, each: bool
) -> tuple[Tensor, Vectors, Labelled]:
    """Scores, |gradient x input| of each modality, and the maps of one batch.

    Args:
        each: whether every score has its gradient, and not the largest alone.
    """
    # On a GPU the recurrent layers of cuDNN have no backward pass in evaluation mode.
    with torch.set_grad_enabled(gradient), torch.backends.cudnn.flags(enabled=not gradient):
        inputs = {m: x.clone().requires_grad_(gradient) for m, x in inputs.items()}
        with subject.recorder() as maps:
            scores = subject.predict(inputs, masks)
        scores = scores.float().cpu()
        products = _products(item(scores, masks), inputs, each) if gradient else {}
    labelled = [(Label.read(label, subject.modalities), w.cpu().numpy()) for label, w in maps]
    return scores.detach(), products, labelled


def _products(scores: Tensor, inputs: dict[str, Tensor], each: bool) -> Vectors:
    """(B, T) sums over features of |gradient of the largest of (B, K) scores x input|; with ``each`` over all K."""
    found = {m: np.zeros(x.shape[:2]) for m, x in inputs.items()}
    if not scores.requires_grad:  # of no input
        return found
    for score in scores.unbind(-1) if each else [scores.amax(-1)]:
        given = list(inputs.values())
        gradients = torch.autograd.grad(
            score.sum(), given, retain_graph=each, allow_unused=True, materialize_grads=True
        )
        for m, g in zip(inputs, gradients, strict=True):
            found[m] += (g * inputs[m].detach()).abs().sum(-1).double().cpu().numpy()
    return found


def _rolled(cells: Cells, maps: Labelled, per_step: bool) -> tuple[Vectors | str, np.ndarray | str]:
    """Rollout and shares of one batch, or why there are none."""
    try:
        cells_reached, fixed = rolled(cells, maps, per_step)
    except Undefined as reason:
        return str(reason), str(reason)
    try:
        shares = modality_share(cells_reached)
    except Undefined as reason:
        return cells_reached, str(reason)
    return cells_reached, fixed or np.stack(list(shares.values()), 1)


def _or_reason(function: Callable, *given):
    try:
        return function(*given)
    except Undefined as reason:
        return str(reason)


def learned_tokens(subject: Subject, streams: Streams) -> Tokens:
    """How many class and bottleneck tokens a model adds, read off one example with a step of padding.

    A masked column is zero in every row, and so marks where a modality's steps end. A model that cannot be padded is
    taken to add none: columns that then stay unexplained give a reason later.
    """
    steps = {m: len(sequences[0]) for m, sequences in streams.items()}
    inputs = {m: torch.nn.functional.pad(torch.from_numpy(s[0]), (0, 0, 0, 1))[None] for m, s in streams.items()}
    masks = {m: torch.arange(n + 1)[None] < n for m, n in steps.items()}
    classes, bottleneck = dict.fromkeys(streams, 0), 0
    try:
        with torch.no_grad(), subject.recorder() as maps:
            subject.predict(inputs, masks)
    except ValueError:
        return Tokens(classes, bottleneck, whole=True)
    for text, weights in maps:
        label = Label.read(text, subject.modalities)
        owned = [m for m in label.key if m in steps]
        padding = (weights == 0).flatten(0, 2).all(0).nonzero().flatten().tolist()
        if label.over or len(padding) != len(owned) or weights.shape[-1] < sum(steps[m] + 1 for m in owned):
            continue
        starts = [0, *(column + 1 for column in padding)]
        before = {m: column - steps[m] - a for m, column, a in zip(owned, padding, starts, strict=False)}
        if owned and min(before.values()) >= 0:
            classes |= before
            bottleneck = max(bottleneck, weights.shape[-1] - starts[-1])
    return Tokens(classes, bottleneck)


def _described(cells: Cells, maps: Labelled) -> dict[str, dict[str, np.ndarray | str]]:
    """The numbers of every map, the layers of one name together."""
    found: dict[str, dict[str, list]] = {}
    for label, weights in maps:
        kept = found.setdefault(label.name, {metric: [] for metric in DESCRIBED})
        for metric, function in DESCRIBED.items():
            kept[metric].append(_or_reason(_per_example, function, cells, label, weights))
    return {
        name: {metric: _first_reason(layers) or np.mean(layers, 0) for metric, layers in kept.items()}
        for name, kept in found.items()
    }


def _per_example(function: Callable, cells: Cells, label: Label, weights: np.ndarray) -> np.ndarray:
    """(examples,) values of one map; for the entropy of those examples that have two real keys."""
    rows, keys = (np.ones((cells.count, width), bool) for width in weights.shape[2:])
    if label.over != "features":
        rows = cells.real_of(label.query, weights.shape[2])
    if not label.over:
        keys = cells.real_of(label.key, weights.shape[3])
    several = keys.sum(1) > 1
    if function is entropy and several.any():
        weights, rows, keys = weights[several], rows[several], keys[several]
    return function(weights, rows, keys)


def _joined(found: list[Seen]) -> Seen:
    """Batches as one."""
    first = found[0]
    rollouts = [one.rollout for one in found]
    shares = [one.share for one in found]
    by_modality = {m: [one.received[m] for one in found] for m in first.received}
    described = {}
    for name, kept in first.described.items():
        described[name] = {}
        for metric in kept:
            values = [one.described[name][metric] for one in found]
            numbers = [v for v in values if not isinstance(v, str)]
            described[name][metric] = np.concatenate(numbers) if numbers else values[0]
    return Seen(
        first.task,
        np.concatenate([one.probabilities for one in found]),
        {m: _stack([one.gradient[m] for one in found]) for m in first.gradient},
        _first_reason(rollouts) or {m: _stack([r[m] for r in rollouts]) for m in first.rollout},
        _first_reason(shares) or np.concatenate(shares),
        {m: _first_reason(parts) or _stack(parts) for m, parts in by_modality.items()},
        described,
    )


def _first_reason(parts: list) -> str | None:
    return next((part for part in parts if isinstance(part, str)), None)


def _stack(parts: list[np.ndarray]) -> np.ndarray:
    """(B, T) of each batch -> (N, longest T), zero on padding."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
