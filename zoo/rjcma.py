"""RJCMA: temporal convolutions for audio, video and text, then stacked co-attention over the three together.

Source   Praveen, Alam, "Recursive Joint Cross-Modal Attention for Multimodal Fusion in Dimensional Emotion
         Recognition", CVPR Workshops 2024, arXiv:2403.13659; code praveena2j/RJCMA at 489f33d (models/model.py:
         RCMA, models/dense_coattn.py, models/av_crossatten.py, models/temporal_convolutional_model.py). Its
         co-attention layer is that of ``dense_coattention``, with the concatenation itself in place of a
         projection of it.
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.dense_coattention import CoAttention, exactly
from zoo.layers import accept, masked_mean, ordered, to_longest

ORDER = ("video", "audio", "text")  # in the concatenation of the released code


class CausalConvolution(nn.Module):
    """A dilated convolution that sees no later step, its filters g v / |v|; (B, C, T) -> (B, C', T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int):
        super().__init__()
        plain = nn.Conv1d(inputs, outputs, kernel)
        # The released code's Xavier filters are overwritten by its weight norm, which leaves PyTorch's own.
        self.direction, self.bias = plain.weight, plain.bias
        self.length = nn.Parameter(plain.weight.detach().norm(dim=(1, 2), keepdim=True).clone())
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        weight = self.direction * (self.length / self.direction.norm(dim=(1, 2), keepdim=True))
        past = (weight.shape[2] - 1) * self.dilation
        return F.conv1d(F.pad(x, (past, 0)), weight, self.bias, dilation=self.dilation)


class TemporalBlock(nn.Module):
    """Two causal convolutions, each with leaky ReLU and dropout, and a residual: (B, C, T) -> (B, C', T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, *, dropout: float):
        super().__init__()
        self.convolution1 = CausalConvolution(inputs, outputs, kernel, dilation)
        self.convolution2 = CausalConvolution(outputs, outputs, kernel, dilation)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None
        if self.shortcut:
            nn.init.xavier_uniform_(self.shortcut.weight, gain=math.sqrt(2))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(F.leaky_relu(self.convolution1(x)))
        y = self.drop(F.leaky_relu(self.convolution2(y)))
        return F.leaky_relu(y + (self.shortcut(x) if self.shortcut else x))


class TemporalConvolution(nn.Sequential):
    """Temporal blocks whose dilation doubles (Bai et al. 2018): (B, C, T) -> (B, C', T).

    Causal, so that padding on the right reaches no real step.

    Args:
        channels: of each block.
    """

    def __init__(self, features: int, channels: list[int], kernel: int, *, dropout: float):
        widths = [features, *channels]
        super().__init__(
            *(TemporalBlock(widths[i], widths[i + 1], kernel, 2**i, dropout=dropout) for i in range(len(channels)))
        )


class StepNorm(nn.BatchNorm1d):
    """Batch normalisation over real steps: (B, T, C) and (B, T) -> (B, T, C), zero on padding."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(x).masked_scatter(mask.unsqueeze(-1), super().forward(x[mask]))


class RJCMA(nn.Module):
    """Temporal networks of three modalities, co-attention layers, and one head for all outputs.

    Args:
        features: D_m of audio, video and text.
        outputs: K.
        per_step: one row of scores for each step, as the released code has it. Otherwise the head reads the mean
            over the steps (ours).
        channels: of each block of each modality's temporal network; the last is d_m of the co-attention.
        convolution: steps that a filter of the temporal networks sees.
        temporal_dropout: in the temporal networks.
        layers: co-attention layers, each with its own weights.
        steps: L of the key matrices. kernel: None for them, else taps of the band that frees the length (ours).
        dropout: in the co-attention.
        head_width: of the head's hidden layer.
        bounded: tanh on the scores, for targets in [-1, 1], as in the released code.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        channels: dict[str, list[int]],
        convolution: int,
        temporal_dropout: float,
        layers: int,
        steps: int,
        kernel: int | None,
        dropout: float,
        head_width: int,
        bounded: bool,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=3)
        if set(channels) != set(ORDER) or not all(channels.values()):
            raise ValueError(f"channels is {channels}; wanted one block or more for each of {', '.join(ORDER)}.")
        if layers < 1 or convolution < 1:
            raise ValueError(f"layers is {layers} and convolution is {convolution}; wanted 1 or more of both.")
        self.per_step, self.bounded = per_step, bounded
        self.steps = steps if kernel is None else None
        self.temporal = nn.ModuleDict(
            {m: TemporalConvolution(features[m], channels[m], convolution, dropout=temporal_dropout) for m in ORDER}
        )
        streams = {m: channels[m][-1] for m in ORDER}
        self.norm = nn.ModuleDict({m: StepNorm(d) for m, d in streams.items()})
        self.coattention = nn.ModuleList(
            CoAttention(streams, joint=nn.Identity(), steps=steps, kernel=kernel, dropout=dropout)
            for _ in range(layers)
        )
        self.hidden = nn.Linear(sum(streams.values()), head_width)
        self.hidden_norm = StepNorm(head_width)
        self.head = nn.Linear(head_width, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if self.steps:
            exactly(inputs, masks, self.steps)
        streams = {m: self.temporal[m](streams[m].transpose(1, 2)).transpose(1, 2) for m in ORDER}
        streams = {m: self.norm[m](x, masks[m]) for m, x in streams.items()}
        streams, mask = to_longest(streams, masks)
        fused = torch.cat(list(self.coattend(streams, mask).values()), dim=-1)  # (B, T, d_video + d_audio + d_text)
        y = F.leaky_relu(self.hidden_norm(self.hidden(fused), mask))
        scores = self.head(y if self.per_step else masked_mean(y, mask))
        return scores.tanh() if self.bounded else scores

    def coattend(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """All co-attention layers: (B, T, d_m) for each stream and the mask (B, T) -> the same."""
        for number, layer in enumerate(self.coattention):
            streams = layer(streams, mask, number)
        return dict(streams)
