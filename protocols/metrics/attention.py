"""How attention maps behave: spread, zeros, rollout through blocks of streams, and drift of saliency.

Letters: N examples, H heads, Tq rows (queries), Tk columns (keys) of a map, T cells of a modality. A row of a map
says where one query looks and sums to 1 over its keys. Natural logarithm unless a base is named.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from protocols.metrics import Undefined


def entropy(weights: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Entropy of each row over its real keys, divided by log n, n real keys: 0 looks at one cell, 1 at all alike.

    Weight on padding is left out and the rest brought back to 1. Keys that a causal mask hides are real.

    Args:
        weights: (N, H, Tq, Tk). rows: (N, Tq) bool and keys: (N, Tk) bool, True where real.

    Returns:
        (N,): the mean over heads and real rows of each example.

    Raises:
        Undefined: for an example with one real key, where log n is 0; for weights that are no distribution.
    """
    if (keys.sum(1) < 2).any():
        raise Undefined("there is one key to look at, so that its weight is 1 whatever the model does")
    spread = _row_entropy(weights, rows, keys) / np.log(keys.sum(1))[:, None, None]
    return _mean_of_rows(spread, rows)


def effective_cells(weights: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """exp(H) of each row's entropy H: how many equally weighted cells would be as spread.

    Arguments and result as for ``entropy``; one real key gives 1.

    Raises:
        Undefined: for weights that are no distribution.
    """
    return _mean_of_rows(np.exp(_row_entropy(weights, rows, keys)), rows)


def sparsity(weights: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Share of weights between real rows and real keys that are exactly zero.

    Zero comes from sparse attention, from a causal mask, and where float32 has no number small enough. Arguments
    and result as for ``entropy``; any map has a sparsity, also one that is no distribution.
    """
    zeros = ((weights == 0) & keys[:, None, None, :]).sum(-1)  # (N, H, Tq)
    return _mean_of_rows(zeros / keys.sum(1)[:, None, None], rows)


def _row_entropy(weights: np.ndarray, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N, H, Tq); zero on rows that are padding."""
    kept = np.where(keys[:, None, None, :], weights, 0).astype(np.float64)
    if (kept < 0).any():
        raise Undefined("its weights carry signs (a correlation): a row is no distribution over its keys")
    kept[np.broadcast_to(~rows[:, None, :], kept.shape[:3])] = 0
    total = kept.sum(-1)
    if (total[np.broadcast_to(rows[:, None, :], total.shape)] <= 0).any():
        raise Undefined("a query gives no weight to any real cell")
    total = np.where(total > 0, total, 1)
    # H(w / t) = log t - sum(w log w) / t
    logs = np.log(kept, out=np.zeros_like(kept), where=kept > 0)
    return np.maximum(np.log(total) - (kept * logs).sum(-1) / total, 0)


def _mean_of_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, H, Tq) -> (N,) over heads and real rows."""
    return (values * rows[:, None, :]).sum((1, 2)) / (rows.sum(1) * values.shape[1])


@dataclass(frozen=True)
class Round:
    """Streams that are rewritten at once, each from what all streams held before.

    Args:
        blocks: query stream -> key stream -> (..., Tq, Tk) weights, heads averaged: one block row of the matrix
            [[AA, AV], [VA, VV]]. A stream without a row of its own stays as it is.
        residual: whether a query keeps half of what it held; False only hands streams on.
        rows: query stream -> (..., Tq, T) selection, where fewer of its cells are rewritten than it has.
    """

    blocks: Mapping[str, Mapping[str, np.ndarray]]
    residual: bool = True
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)


def rollout(
    rounds: Sequence[Round], out: Mapping[str, np.ndarray], inputs: Collection[str], *, residual: bool = True
) -> dict[str, np.ndarray]:
    """Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928, section 3) over streams.

    Every block row is brought to sum 1 over all its keys, A; with the residual A' = (A + I) / 2, which is A + I
    with rows brought to sum 1. The result is ``out`` A'_L ... A'_1, taken from the left, so that it costs no more
    than the rows that are asked for. Between maps a model may convolve or project; rollout takes that as cell by
    cell.

    Args:
        rounds: first layer first.
        out: stream -> (..., R, T) rows over the cells that the last round leaves; identities give whole matrices.
        inputs: streams that are there before the first round. Others have nothing to keep when first written.
        residual: False leaves out I everywhere.

    Returns:
        stream of ``inputs`` -> (..., R, T) share of each of its first cells in each row; together they sum to what
        the rows of ``out`` sum to.

    Raises:
        KeyError: for a stream that is read before it is there.
    """
    there, kept = set(inputs), []
    for one in rounds:
        if unknown := {key for keys in one.blocks.values() for key in keys} - there:
            raise KeyError(f"no round before makes {', '.join(sorted(unknown))}.")
        kept.append(there & one.blocks.keys() if residual and one.residual else set())
        there |= one.blocks.keys()
    rows = dict(out)
    for one, own in zip(reversed(rounds), reversed(kept), strict=True):
        asked = {query: rows.pop(query) for query in one.blocks if query in rows}
        for query, row in asked.items():
            if query in own:
                row = row / 2
                rows[query] = _add(rows.get(query), row @ one.rows[query] if query in one.rows else row)
            total = sum(block.sum(-1) for block in one.blocks[query].values())[..., None, :]
            row = row / np.where(total > 0, total, 1)
            for key, block in one.blocks[query].items():
                rows[key] = _add(rows.get(key), row @ block)
    return {stream: rows[stream] for stream in inputs if stream in rows}


def _add(before: np.ndarray | None, more: np.ndarray) -> np.ndarray:
    return more if before is None else before + more


def modality_share(received: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Share of each modality in what all input cells receive: m -> (N, T_m) to m -> (N,), together 1.

    Raises:
        Undefined: for one modality; for an example in which no cell receives anything.
    """
    if len(received) < 2:
        raise Undefined("the model takes one modality, whose share is 1")
    sums = {m: values.sum(1) for m, values in received.items()}
    total = sum(sums.values())
    if (total <= 0).any():
        raise Undefined("an example has no cell that receives anything")
    return {m: value / total for m, value in sums.items()}


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in base 2 of each pair of rows: (N, T) twice -> (N,) in [0, 1].

    Rows are first brought to sum 1; equal rows give exactly 0.

    Raises:
        Undefined: for a row without mass.
    """
    p, q = _distribution(p), _distribution(q)
    middle = (p + q) / 2
    return np.clip((_relative(p, middle) + _relative(q, middle)) / 2, 0, 1)


def _distribution(x: np.ndarray) -> np.ndarray:
    total = np.asarray(x, np.float64).sum(-1, keepdims=True)
    if (total <= 0).any():
        raise Undefined("the saliency of an example is zero everywhere")
    return x / total


def _relative(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence in bits; the middle is zero only where p is."""
    ratio = np.divide(p, middle, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(-1)


def drift(before: np.ndarray, after: np.ndarray) -> float:
    """Cross-modal saliency drift, version 1: the mean over examples of the divergence of two saliencies.

    The definition is ours: the literature uses the term without a formula. ``before`` is the saliency of modality
    m over its cells, S_m(x); ``after`` is S_m of the same clip with the *other* modality perturbed. 0: the other
    modality does not move where the model looks, which a dead cross-modal path does not either. 1: no cell in
    common.

    Args:
        before, after: (N, T), zero on padding.

    Raises:
        Undefined: for no example, for modalities of one cell, for an example without saliency.
    """
    if not len(before):
        raise Undefined("no example is left to compare")
    if before.shape[1] < 2:
        raise Undefined("every example has one step of it, which always holds all of the saliency")
    return float(divergence(before, after).mean())


def drift_area(drifts: Sequence[float]) -> float:
    """Area under the drift over a sweep, divided by its length: in [0, 1]. Ours, with ``drift``.

    Severities of different units have no common axis, so they stand at 1, 2, ... S in their order, and the clean
    input, whose drift is 0, at 0; between them straight lines.

    Args:
        drifts: of the severities, mild to severe.

    Raises:
        Undefined: for no severity.
    """
    if not len(drifts):
        raise Undefined("the sweep has no severity")
    return float((sum(drifts) - drifts[-1] / 2) / len(drifts))


def share_drift(before: np.ndarray, after: np.ndarray) -> float:
    """How far the modalities' shares move: the mean over examples of |S - S'|_1 / 2, in [0, 1]. Ours.

    Args:
        before, after: (N, modalities), rows of sum 1.
    """
    return float(np.abs(before - after).sum(1).mean() / 2)
