"""The 1 - CCC loss of the joint cross-attention family, and how its authors smooth predictions.

Source   praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c: losses/CCC.py, test.py.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-8


def concordance_loss(prediction: Tensor, target: Tensor) -> Tensor:
    r"""1 - CCC of all values together, with unbiased moments (n - 1).

        CCC = 2 rho s_p s_t / (s_p^2 + s_t^2 + (m_p - m_t)^2 + eps),  rho = S_pt / (|p - m_p| |t - m_t| + eps)

    The metric that papers report has moments of 1/n: the loss is not 1 - metric, though the two approach each
    other as n grows. A constant prediction has loss 1 and no gradient.

    Args:
        prediction, target: of one shape, in one unit; flattened. Steps without a label must be left out.

    Returns:
        A scalar in [0, 2], up to eps.

    Raises:
        ValueError: for two shapes, or fewer than two values, of which there is no variance.
    """
    if prediction.shape != target.shape or prediction.numel() < 2:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)}; wanted one shape, of two or more "
            "labelled steps."
        )
    n = prediction.numel()
    gap = prediction.mean() - target.mean()
    p, t = (prediction - prediction.mean()).flatten(), (target - target.mean()).flatten()
    # vector_norm, unlike a root of a sum, has a gradient (zero) where a series is constant.
    spread_p, spread_t = torch.linalg.vector_norm(p), torch.linalg.vector_norm(t)
    spread = spread_p * spread_t
    covariance = p @ t / (spread + EPSILON) * spread / (n - 1)  # rho s_p s_t
    variances = (spread_p.square() + spread_t.square()) / (n - 1)
    return 1 - 2 * covariance / (variances + gap.square() + EPSILON)


def smooth(prediction: Tensor, window: int) -> Tensor:
    """Clip to [-1, 1], then average over a window of steps: the authors' rule for test predictions.

    Step t becomes the sum over steps t - window // 2 to t - window // 2 + window - 1, divided by ``window``. Steps
    outside the series count as zero, so the ends are drawn to zero. The authors' windows are 20 frames for
    valence and 50 for arousal.

    Args:
        prediction: (T,) of one video, in the order of its frames. window: 1 or more.
    """
    if prediction.ndim != 1 or window < 1:
        raise ValueError(f"prediction {tuple(prediction.shape)}, window {window}; wanted (T,) and 1 or more.")
    before = window // 2
    padded = F.pad(prediction.clamp(-1, 1), (before, window - 1 - before))
    return padded.unfold(0, window, 1).mean(-1)
