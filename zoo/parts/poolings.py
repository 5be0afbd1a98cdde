"""Poolings of one stream: (B, T, D) and its mask -> (B, D)."""

import math

import torch
from torch import Tensor, nn

from zoo.layers import Attention, attention_bias, masked_mean


class Mean(nn.Module):
    """Of the real steps."""

    def __init__(self, width: int, *, label: str):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(x, mask)


class Max(nn.Module):
    """Of the real steps, channel by channel."""

    def __init__(self, width: int, *, label: str):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x.masked_fill(~mask.unsqueeze(-1), -math.inf).amax(1)


class Last(nn.Module):
    """The last real step."""

    def __init__(self, width: int, *, label: str):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x[torch.arange(len(x), device=x.device), mask.sum(1) - 1]


class AttentionPooling(nn.Module):
    """One learned query attends to the real steps."""

    def __init__(self, width: int, *, heads: int, dropout: float, label: str):
        super().__init__()
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.attention = Attention(width, heads, dropout=dropout, label=f"{label} pooling<-{label}/0")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query = self.query.expand(len(x), -1, -1)  # (B, 1, D)
        return self.attention(query, x, x, attention_bias(mask.unsqueeze(1), x)).squeeze(1)


POOLINGS = {"mean": Mean, "max": Max, "last": Last, "attention": AttentionPooling}
