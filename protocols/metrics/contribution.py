"""How much each modality contributes to what a model says, and how much they only give together.

A game is an array of coalition values ``values`` of shape (2,) * M, or (2,) * M + (N,) for one game an item:
``values[1, 0, 1]`` is the value of modalities 0 and 2 without modality 1. ``modalities`` is M. What a value is, the
accuracy over a part or the probability of the model's own class, is the caller's choice; so is what stands for an
absent modality.
"""

from collections.abc import Sequence
from itertools import combinations
from math import factorial

import numpy as np

from protocols.metrics import Undefined

NEGLIGIBLE = 1e-5  # change of a probability that the rounding of a float32 model explains; counts as none


def coalitions(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^M sets of modalities, small before large, each in the given order."""
    return [chosen for size in range(len(modalities) + 1) for chosen in combinations(modalities, size)]


def game(values: dict[tuple[str, ...], np.ndarray | float], modalities: Sequence[str]) -> np.ndarray:
    """The array of a game from the value of each of its coalitions."""
    first = np.asarray(values[tuple(modalities)], dtype=np.float64)
    found = np.empty((2,) * len(modalities) + first.shape)
    for chosen in coalitions(modalities):
        found[tuple(int(m in chosen) for m in modalities)] = values[chosen]
    return found


def _weighted(differences: np.ndarray, others: int) -> np.ndarray:
    """Sum over the coalitions of the other players, each with |S|! (n - |S|)! / (n + 1)! for n others."""
    weights = np.zeros((2,) * others)
    for place in np.ndindex(weights.shape):
        size = sum(place)
        weights[place] = factorial(size) * factorial(others - size) / factorial(others + 1)
    return np.tensordot(weights, differences, axes=others)


def shapley(values: np.ndarray, modalities: int) -> np.ndarray:
    """Shapley values (Shapley 1953), exact: every coalition counts.

        phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (v(S and m) - v(S))

    Returns:
        (M,) or (M, N); they add up to v(all) - v(none).
    """
    return np.stack([_weighted(np.diff(values, axis=m).squeeze(m), modalities - 1) for m in range(modalities)])


def interaction(values: np.ndarray, first: int, second: int, modalities: int) -> np.ndarray:
    """Shapley interaction index of two modalities (Grabisch & Roubens 1999).

        I = sum over S without both of |S|! (M - |S| - 2)! / (M - 1)! (v(S and both) - v(S and 1) - v(S and 2) + v(S))

    Positive where they are worth more together than apart, negative where each can stand for the other.
    """
    low, high = sorted((first, second))
    differences = np.diff(np.diff(values, axis=high), axis=low).squeeze((low, high))
    return _weighted(differences, modalities - 2)


def interaction_matrix(values: np.ndarray, modalities: int) -> np.ndarray:
    """(M, M) or (M, M, N): half the interaction index off the diagonal, the rest of each Shapley value on it.

    Rows add up to the Shapley values (Wenderoth et al., AAAI 2025, arXiv:2412.15828).
    """
    own = shapley(values, modalities)
    matrix = np.zeros((modalities, *own.shape))
    for i, j in combinations(range(modalities), 2):
        matrix[i, j] = matrix[j, i] = interaction(values, i, j, modalities) / 2
    for i in range(modalities):
        matrix[i, i] = own[i] - matrix[i].sum(0)
    return matrix


def without_rounding(values: np.ndarray) -> np.ndarray:
    """The same, with 0 where a change of probability is no larger than NEGLIGIBLE."""
    return np.where(np.abs(values) > NEGLIGIBLE, values, 0.0)


def shapley_share(values: np.ndarray, modalities: int) -> tuple[np.ndarray, int]:
    """Mean over items of |phi_m| / sum |phi|, the modality-level MM-SHAP.

    Args:
        values: (2,) * M + (N,) probabilities. Items on which no modality has any effect are left out.

    Returns:
        (M,) shares that add up to 1, and the number of items behind them.

    Raises:
        Undefined: if no modality has an effect on any item.
    """
    sizes = np.abs(without_rounding(shapley(values, modalities)))  # (M, N)
    total = sizes.sum(0)
    counted = total > 0
    if not counted.any():
        raise Undefined("no modality changes the probability of any item's predicted class")
    return (sizes[:, counted] / total[counted]).mean(1), int(counted.sum())


def shape(values: np.ndarray, modalities: int, majority: float) -> np.ndarray:
    """SHAPE contributions S_m (Hu, Li and Zhou, IJCAI 2022, arXiv:2205.00302).

    Shapley values of the accuracy, divided by the accuracy of the full model; with no modality at all the accuracy
    is that of always answering the most frequent class. They add up to (accuracy - majority) / accuracy. A modality
    that the model ignores gets 0 only if the model says the most frequent class when everything is absent; else what
    it is worse than that is shared out among all.

    Args:
        values: (2,) * M accuracies; the one without any modality is not used.
        majority: share of the most frequent class.

    Returns:
        (M,).

    Raises:
        Undefined: if the full model is never right.
    """
    return shapley(_grounded(values, modalities, majority), modalities) / _accuracy(values)


def cooperation(values: np.ndarray, modalities: int, majority: float, members: Sequence[int] | None = None) -> float:
    """SHAPE cooperation C of a set of modalities, as the paper's equation has it: without a divisor.

    The Shapley value of the set as one player, less the Shapley values of its members where the other members have
    left the game. Of all modalities: v(all) - v(none) - sum of v(m) - v(none).

    Args:
        values, majority: as for ``shape``.
        members: of the set, two or more; None for all.

    Raises:
        Undefined: for fewer than two members.
    """
    members = sorted(range(modalities) if members is None else members)
    if len(members) < 2:
        raise Undefined("cooperation wants two modalities or more")
    values = _grounded(values, modalities, majority)
    others = [m for m in range(modalities) if m not in members]
    joined = np.moveaxis(values, members, range(len(members)))
    rest = len(others)
    together = np.stack([joined[(0,) * len(members)], joined[(1,) * len(members)]])  # (2,) + (2,) * rest
    found = shapley(together, 1 + rest)[0]
    for place in range(len(members)):
        alone = joined[tuple(slice(None) if k == place else 0 for k in range(len(members)))]
        found -= shapley(alone, 1 + rest)[0]
    return float(found)


def shape_cooperation(
    values: np.ndarray, modalities: int, majority: float, members: Sequence[int] | None = None
) -> float:
    """SHAPE cooperation C as the paper prints it: divided by the accuracy of the full model, as S_m is.

    Raises:
        Undefined: as ``cooperation`` and ``shape``.
    """
    return cooperation(values, modalities, majority, members) / _accuracy(values)


def _grounded(values: np.ndarray, modalities: int, majority: float) -> np.ndarray:
    values = np.array(values, dtype=np.float64)
    values[(0,) * modalities] = majority
    return values


def _accuracy(values: np.ndarray) -> float:
    accuracy = float(values.reshape(-1)[-1])
    if accuracy <= 0:
        raise Undefined(f"the score of the full model is {accuracy:.3g}, which it would be divided by")
    return accuracy


def intershap(values: np.ndarray, modalities: int) -> float:
    """InterSHAP of a whole part: the share of what modalities only say together (Wenderoth et al., AAAI 2025).

        sum of |off the diagonal| / sum of |all|, of the interaction matrix of the mean over items

    Args:
        values: (2,) * M or (2,) * M + (N,) probabilities of the class that the full model predicts.

    Returns:
        In [0, 1]: 0 for a model that only adds up, 1 for a pure exclusive or.

    Raises:
        Undefined: for one modality, or if no modality has an effect.
    """
    mean = values.mean(-1) if values.ndim > modalities else values
    return intershap_local(mean[..., None], modalities)[0]


def intershap_local(values: np.ndarray, modalities: int) -> tuple[float, int]:
    """Mean over items of InterSHAP of each item: effects of opposite sign do not cancel between items.

    Items on which no modality has any effect are left out.

    Returns:
        The mean, and the number of items behind it.

    Raises:
        Undefined: as ``intershap``.
    """
    if modalities < 2:
        raise Undefined("interaction wants two modalities or more")
    sizes = np.abs(without_rounding(interaction_matrix(values, modalities)))  # (M, M, N)
    total, own = sizes.sum((0, 1)), np.einsum("iin->n", sizes)
    counted = total > 0
    if not counted.any():
        raise Undefined("no modality changes the probability of any item's predicted class")
    return float(np.mean((total - own)[counted] / total[counted])), int(counted.sum())


def additive_projection(table: np.ndarray) -> np.ndarray:
    """EMAP (Hessel and Lee, EMNLP 2020): the best model that only adds what two modalities say.

        f(i, i) = mean over j of f(i, j) + mean over j of f(j, i) - mean over both

    Args:
        table: (n, n, ..., K) logits with the first modality of item i and the second of item j. A constant added to
            all K logits of a pair moves nothing, so log-probabilities serve as well.

    Returns:
        (n, ..., K).
    """
    table = np.asarray(table, dtype=np.float64)
    return table.mean(1) + table.mean(0) - table.mean((0, 1))


def emap_gap(table: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of the model less that of its additive projection: what interactions are worth.

    Args:
        table: (n, n, ..., K) as ``additive_projection`` takes it.
        labels: (n, ...).
    """
    paired = np.einsum("ii...->i...", table)
    return float((paired.argmax(-1) == labels).mean() - (additive_projection(table).argmax(-1) == labels).mean())


def rearranged(labels: np.ndarray, among: str, rng: np.random.Generator) -> np.ndarray:
    """(N,) whose modality each item gets.

    Args:
        labels: (N,).
        among: ``all``: a permutation of all items. ``within``: a permutation of the items of each class.
            ``across``: for each item one of another class, drawn with replacement, because no permutation does that
            where a class has more than half of the items.

    Raises:
        Undefined: for ``across`` where only one class occurs.
    """
    count = len(labels)
    if among == "all":
        return rng.permutation(count)
    found = np.empty(count, dtype=np.int64)
    for label in np.unique(labels):
        own, other = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        if among == "within":
            found[own] = rng.permutation(own)
        elif not len(other):
            raise Undefined("every item is of the same class, so nothing can come from another one")
        else:
            found[own] = rng.choice(other, len(own))
    return found


def perceptual(accuracy: float, permuted: Sequence[float]) -> float:
    """Perceptual score of a modality (Gat et al., NeurIPS 2021, arXiv:2110.14375), divided by the accuracy.

        (accuracy - mean over permutations of the accuracy with that modality permuted) / accuracy

    Raises:
        Undefined: if the accuracy is 0, or another score 0 or less.
    """
    if accuracy <= 0:
        raise Undefined(f"the score is {accuracy:.3g}, which it would be divided by")
    return float((accuracy - np.mean(permuted)) / accuracy)


def utilisation(accuracy: float, without: float) -> float:
    """Conditional utilisation rate of a modality given the others (Wu et al., ICML 2022, arXiv:2202.05306).

        (accuracy - accuracy without it) / accuracy

    Raises:
        Undefined: if the accuracy is 0, or another score 0 or less.
    """
    return perceptual(accuracy, [without])


def absence_gap(shares: Sequence[float]) -> float:
    """How far the absence rules disagree: the largest less the smallest share of a modality.

    Raises:
        Undefined: for fewer than two rules.
    """
    if len(shares) < 2:
        raise Undefined("fewer than two absence rules gave a share")
    return float(max(shares) - min(shares))
