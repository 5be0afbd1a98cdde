"""Hierarchical cross-modal attention: streams encoded alone, audio by two gated paths, then attention over all.

Source   Vamsidhar et al., "Hierarchical cross-modal attention and dual audio pathways for enhanced multimodal
         sentiment analysis", Scientific Reports 15, 2025, doi:10.1038/s41598-025-09000-3: the abstract alone.
Differs  see ``differs`` of the card in ``zoo.METHODS``: what the abstract leaves open is ours.
"""

import torch
from torch import Tensor, nn

from zoo.layers import Embed, Encoder, accept, masked_mean, ordered


class ConvolutionPath(nn.Module):
    """Two convolutions over time with ReLU: (B, T, D_m) and (B, T) -> (B, T, D). Padding stays zero between them."""

    def __init__(self, features: int, width: int, kernel: int, *, dropout: float):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; wanted an odd number, so that a stream keeps its steps.")
        sizes = ((features, width), (width, width))
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, kernel, padding=kernel // 2) for a, b in sizes)
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x, real = x.transpose(1, 2), mask.unsqueeze(1)  # (B, D_m, T)
        for convolution in self.convolutions:
            x = self.drop(convolution(x).relu()) * real
        return self.norm(x.transpose(1, 2))


class TransformerPath(nn.Module):
    """Projection with positions, then self-attention layers: (B, T, D_m) and (B, T) -> (B, T, D)."""

    def __init__(self, features: int, width: int, heads: int, layers: int, *, dropout: float, label: str):
        super().__init__()
        self.embed = Embed(features, width, dropout=dropout)
        self.encoder = Encoder(width, heads, layers, dropout=dropout, label=label)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(self.embed(x), mask)


class Gate(nn.Module):
    """How much of each path passes, for every step and channel: g * first + (1 - g) * second, g from both."""

    def __init__(self, width: int):
        super().__init__()
        self.gate = nn.Linear(2 * width, width)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, T, D) twice -> (B, T, D)."""
        g = torch.sigmoid(self.gate(torch.cat([first, second], dim=-1)))
        return torch.lerp(second, first, g)


class HierarchicalCrossModalAttention(nn.Module):
    """Self-attention inside each stream, then one self-attention layer over the steps of all streams.

    Args:
        features: D_m of two or three modalities. Without audio there is no gate.
        outputs: K.
        per_step: one row of scores for each step instead of the mean over each stream.
        width: D. heads: of every attention. layers: of self-attention inside a stream.
        kernel: odd size of the convolutions of the first audio path.
        dropout: of every part.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int,
        heads: int,
        layers: int,
        kernel: int,
        dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step = per_step
        if layers < 1:
            raise ValueError(f"layers is {layers}; wanted 1 or more inside each stream.")
        self.stream = nn.ModuleDict(
            {m: TransformerPath(d, width, heads, layers, dropout=dropout, label=m) for m, d in self.features.items()}
        )
        if "audio" in self.features:
            self.convolution = ConvolutionPath(self.features["audio"], width, kernel, dropout=dropout)
            self.gate = Gate(width)
        self.modality = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.features})
        self.cross = Encoder(width, heads, 1, dropout=dropout, label="+".join(self.features))
        self.head = nn.Linear(width * len(self.features), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        encoded = {m: self.stream[m](x, masks[m]) for m, x in streams.items()}  # (B, T_m, D)
        if "audio" in streams:
            heard = self.convolution(streams["audio"], masks["audio"])
            encoded["audio"] = self.gate(heard, encoded["audio"])
        tokens = torch.cat([encoded[m] + self.modality[m] for m in streams], dim=1)  # (B, sum of T_m, D)
        tokens = self.cross(tokens, torch.cat([masks[m] for m in streams], dim=1))
        parts = dict(zip(streams, tokens.split([x.shape[1] for x in streams.values()], dim=1), strict=True))
        if not self.per_step:
            parts = {m: masked_mean(x, masks[m]) for m, x in parts.items()}  # (B, D)
        return self.head(torch.cat([parts[m] for m in streams], dim=-1))
