"""How unequally a model's modalities learn: numbers of uni-modal scores, and of the loss curves of a training.

``scores`` are (N, K) logits of each modality alone and ``labels`` (N,) int64 classes; N counts scored items, pooled
over the whole part. Loss curves are (epochs,) arrays, as the columns of ``history.csv``.

Source   OGM-GE: Peng et al., CVPR 2022, arXiv:2203.15332, section 3.2; official code GeWu-Lab/OGM-GE_CVPR2022.
         OGR and the weights of Gradient-Blending: Wang et al., CVPR 2020, arXiv:1905.12681, section 3 and supplement.
         The gap of prediction entropies: ours, after its use as a diagnostic by Ghaleb et al. 2023.
"""

from collections.abc import Mapping

import numpy as np

from protocols.metrics import Undefined
from protocols.metrics.task import accuracy

Curves = tuple[np.ndarray, np.ndarray]  # training and validation loss, (epochs,) each
ONE = "it compares modalities, and the model uses one only."


def discrepancy_ratio(scores: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """By how much each modality outweighs the others: rho_m = s_m / mean of s_n over all other n.

    s_m is the sum over the items of softmax(scores_m)[label]. With two modalities this is the published ratio, and
    the two values are each other's inverse; the mean over the others, for three, is ours. Above 1: stronger.

    Raises:
        Undefined: for one modality, or where the others give the labels no probability at all.
    """
    if len(scores) < 2:
        raise Undefined(ONE)
    sums = {m: float(np.take_along_axis(_probabilities(z), labels[:, None], 1).sum()) for m, z in scores.items()}
    found = {}
    for m, own in sums.items():
        others = np.mean([s for n, s in sums.items() if n != m])
        if others == 0:
            raise Undefined(f"the modalities beside {m} give the true classes a probability of zero.")
        found[m] = own / float(others)
    return found


def inside(scores: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of a joint model that is left one modality, (N, K) scores; the others are absent."""
    return accuracy(scores, labels)


def entropy_gap(scores: Mapping[str, np.ndarray]) -> float:
    """Largest minus smallest mean entropy of the modalities' predictions, in nats: with two |H(p_a) - H(p_v)|.

    H(p_m) is the mean over the items of the entropy of softmax(scores_m), not the entropy of the mean prediction.

    Raises:
        Undefined: for one modality.
    """
    if len(scores) < 2:
        raise Undefined(ONE)
    entropies = []
    for z in scores.values():
        p = _probabilities(z)
        entropies.append(-(p * np.log(np.where(p > 0, p, 1.0))).sum(1).mean())
    return float(max(entropies) - min(entropies))


def ogr(train_loss: np.ndarray, validation_loss: np.ndarray) -> float:
    """Overfitting-to-generalisation ratio from the end of the first epoch to the selected one: dO / dG.

    O is validation minus training loss, dG the fall of the validation loss; the selected epoch is the first one of
    the lowest validation loss. 0: all that was learned generalises; 1: for each nat gained on new data, one more was
    gained on the training data alone. Negative where the training loss fell less; its own epoch's mean, under
    drop-out, is what a history holds, so small values mean little.

    Raises:
        Undefined: for fewer than two epochs, or where no later epoch improves on the first.
    """
    gain, overfitting = _change(train_loss, validation_loss)
    if gain <= 0:
        raise Undefined("no epoch after the first lowers the validation loss: nothing was gained to divide by.")
    return overfitting / gain


def gradient_blending_weights(histories: Mapping[str, Curves]) -> dict[str, float]:
    """Loss weights of Gradient-Blending: w_k = (1/Z) G_k / O_k^2, which sum to 1.

    G_k and O_k are dG and dO of ``ogr``, each read off a training of its own: every modality alone, and the joint
    network without blending. A network that gains nothing gets the weight 0.

    Args:
        histories: modality, or "joint" -> training and validation loss of each epoch.

    Raises:
        Undefined: naming the network that gains without overfitting or has fewer than two epochs; and where none
            gains anything.
    """
    raw = {}
    for name, curves in histories.items():
        try:
            gain, overfitting = _change(*curves)
        except Undefined as reason:
            raise Undefined(f"{name}: {reason}") from None
        if gain > 0 and overfitting == 0:
            raise Undefined(f"{name}: no overfitting was measured, so its weight has no bound.")
        raw[name] = gain / overfitting**2 if gain > 0 else 0.0
    total = sum(raw.values())
    if total == 0:
        raise Undefined("no network lowers its validation loss after the first epoch.")
    return {name: value / total for name, value in raw.items()}


def _change(train_loss: np.ndarray, validation_loss: np.ndarray) -> tuple[float, float]:
    """dG and dO between the first and the selected epoch."""
    if train_loss.shape != validation_loss.shape or train_loss.ndim != 1:
        raise ValueError(f"wanted two (epochs,) arrays, got {train_loss.shape} and {validation_loss.shape}.")
    if len(train_loss) < 2:
        raise Undefined(f"a change needs two epochs or more; the history has {len(train_loss)}.")
    gaps = validation_loss - train_loss
    selected = int(validation_loss.argmin())
    return float(validation_loss[0] - validation_loss[selected]), float(gaps[selected] - gaps[0])


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax in float64."""
    shifted = scores.astype(np.float64) - scores.max(1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(1, keepdims=True)
