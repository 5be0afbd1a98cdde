"""OGM-GE: the modality that is ahead gets smaller gradients, and noise replaces what the smaller steps lose of it.

    s_m = sum over the batch of softmax(z_m)[y]      rho_m = s_m / mean of s_n, n != m
    k_m = 1 - tanh(alpha rho_m) where rho_m > 1, else 1
    gradient of m's own parameters  <-  k_m gradient + noise of the gradient's own standard deviation

Source   Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022, arXiv:2203.15332;
         code GeWu-Lab/OGM-GE_CVPR2022 at 343dc1d (main.py).
Differs  see ``zoo.remedies.keys.OGMGE``.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from zoo.remedies.heads import WITH_HEADS, Scores, Streams, unimodal_heads, watch


def ratios(scores: Scores, labels: Tensor) -> Scores:
    """rho_m of a batch: (B, K) and (B,), or (B, T, K) and (B, T) with labels below 0 on padded steps -> scalars."""
    real = labels >= 0
    sums = {m: z[real].softmax(-1).gather(-1, labels[real].unsqueeze(-1)).sum() for m, z in scores.items()}
    return {m: s / torch.stack([o for n, o in sums.items() if n != m]).mean() for m, s in sums.items()}


def coefficient(ratio: Tensor, alpha: float) -> Tensor:
    """k of a scalar rho."""
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


class OGMGE(nn.Module):
    """A model whose gradients are modulated while it trains by ``training_loss``; its scores are its own.

    Args:
        model: with uni-modal heads.
        alpha, noise: see ``zoo.remedies.keys.OGMGE``.

    Raises:
        ValueError: for a model without uni-modal heads.
    """

    def __init__(self, model: nn.Module, *, alpha: float, noise: bool):
        super().__init__()
        heads = unimodal_heads(model)
        if heads is None:
            raise ValueError(f"ogm_ge needs uni-modal heads, and it has none. Those that have: {WITH_HEADS}.")
        self.model, self.heads, self.alpha, self.noise = model, heads, alpha, noise
        self.coefficients: Scores = {}  # of the batch whose loss was asked for last
        for m, parameters in heads.own.items():
            for parameter in parameters:
                parameter.register_hook(partial(self._modulated, m))

    def forward(self, inputs: Streams, masks: Streams) -> Tensor:
        """The model's own scores."""
        return self.model(inputs, masks)

    def training_loss(
        self, inputs: Streams, masks: Streams, labels: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The model's own loss; its backward pass is modulated."""
        with watch(self.heads.taps) as scores:
            loss = self.model.training_loss(inputs, masks, labels, criterion)
        with torch.no_grad():
            found = ratios(scores, labels)
        self.coefficients = {m: coefficient(rho, self.alpha) for m, rho in found.items()}
        return loss

    def _modulated(self, modality: str, gradient: Tensor) -> Tensor | None:
        if not self.training or modality not in self.coefficients:
            return None  # some other backward pass than that of a training step
        modulated = gradient * self.coefficients[modality]
        if self.noise and gradient.numel() > 1:  # one value alone has no spread
            modulated = modulated + torch.randn_like(gradient) * gradient.std()
        return modulated
