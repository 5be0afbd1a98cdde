"""Scaled dot-product attention on a CPU, for narrow heads and with dropout: PyTorch's function in fewer passes.

Measured on one core: PyTorch's attention with dropout draws each mask element on its own (6 ns) and keeps three
arrays as large as the map; without dropout it works in blocks of 32 queries, which heads of 4 to 8 channels leave
mostly idle. Here a mask element is 16 bits of the same generator, and one array is kept. Equal up to rounding;
with dropout equal in distribution, the rate up to 2^-16.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from zoo import layers

LEVELS = 1 << 16


def _margins(shape: Sequence[int], threshold: int) -> Tensor:
    """Halves of odd numbers, below 0 with probability threshold / 2^16, from torch's global generator."""
    count = math.prod(shape)
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)
    return bits[:count].view(shape).float().sub_(threshold - LEVELS // 2 - 0.5)


class _Attend(torch.autograd.Function):
    """out = v (softmax(q k + bias) * mask)^T. The sign of a kept weight says whether it was dropped."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, threshold: int) -> Tensor:
        weights = torch.bmm(q, k)  # (B H, Tq, Tk)
        if bias is not None:
            weights.unflatten(0, (len(bias), -1)).add_(bias)
        torch.softmax(weights, -1, out=weights)
        kept = weights
        if threshold:
            torch.copysign(weights, _margins(weights.shape, threshold), out=weights)
            kept = weights.clamp_min(0)
        out = torch.bmm(v, kept.transpose(1, 2))  # (B H, D, Tq)
        ctx.scale = LEVELS / (LEVELS - threshold)
        ctx.save_for_backward(q, k, v, weights, out.mul_(ctx.scale))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights, out = ctx.saved_tensors
        mean = (gradient * out).sum(1).unsqueeze(-1)  # of the weights' gradient under the weights, (B H, Tq, 1)
        gradient = gradient * ctx.scale
        d_scores = torch.bmm(gradient.transpose(1, 2), v)  # (B H, Tq, Tk), still of the kept weights
        if ctx.scale == 1:
            d_v = torch.bmm(gradient, weights)
            d_scores.sub_(mean).mul_(weights)
        else:
            d_v = torch.bmm(gradient, weights.clamp_min(0))
            d_scores = torch.ops.aten.threshold_backward(d_scores, weights, 0).sub_(mean).mul_(weights.abs())
        return torch.bmm(d_scores, k.transpose(1, 2)), torch.bmm(q.transpose(1, 2), d_scores), d_v, None, None


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, rate: float) -> Tensor:
    """``F.scaled_dot_product_attention``: (B, H, Tq, D), (B, H, Tk, D) twice -> (B, H, Tq, D).

    PyTorch's own where it is the better one: elsewhere than on a CPU, for wide heads without dropout, and for maps
    without dropout too large to keep. What is done here can be differentiated once.

    Args:
        bias: (B, 1, Tq or 1, Tk), added to the scores. rate: dropout of the weights.
    """
    batch, heads, steps, width = q.shape
    small = width <= 8 and batch * heads * steps * k.shape[2] <= 1 << 20  # 4 MB a map
    if q.device.type != "cpu" or q.dtype == torch.bfloat16 or not (rate > 0 or small):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=rate)
    q = q.flatten(0, 1) * (1 / math.sqrt(width))
    k, v = (x.transpose(2, 3).flatten(0, 1) for x in (k, v))  # (B H, D, Tk): products with these are fastest
    out = _Attend.apply(q, k, v, bias, round(rate * LEVELS))
    return out.unflatten(0, (batch, heads)).transpose(2, 3)


class ProjectedAttention(layers.Attention):
    """``layers.Attention`` that is given its queries, keys and values projected, and mixes with ``attend``."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, Tq, D), (B, Tk, D), (B, Tk, D) -> (B, Tq, D)."""
        if layers._MAPS.get() is not None:
            return super().forward(query, key, value, bias)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        mixed = attend(q, k, v, bias, self.dropout if self.training else 0.0)  # (B, H, Tq, D/H)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        return query, key, value
