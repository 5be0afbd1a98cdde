"""Hierarchical fusion: modalities are fused in pairs, the pairs in one; every dimension has units of its own.

Source   Majumder et al., "Multimodal Sentiment Analysis using Hierarchical Fusion with Context Modeling",
         Knowledge-Based Systems 161, 2018, arXiv:1806.06228; code declare-lab/multimodal-deep-learning at
         d4c5921 (hfusion/hfusion.py). HFusion is the method of table 2, CHFusion adds the recurrent context.
Differs  see ``differs`` of the cards in ``zoo.METHODS``.
"""

import math

import torch
from torch import Tensor, nn

from zoo.layers import accept, accept_aligned, masked_mean, ordered
from zoo.recurrence import Products

PAIRS = (("video", "audio"), ("audio", "text"), ("video", "text"))  # equations 1 to 3


def pairs(features: dict[str, int]) -> list[str]:
    """The pairs of the modalities that are present: all three, or the one."""
    return [f"{a}+{b}" for a, b in PAIRS if a in features and b in features]


class Unit(nn.Module):
    """One tanh neuron for each dimension, which sees that dimension alone in every source: n (..., D) -> (..., D)."""

    def __init__(self, sources: int, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(sources, width)), nn.Parameter(torch.zeros(width))
        if sources == 2:  # both as the released code begins
            nn.init.trunc_normal_(self.weight, std=0.05, a=-0.1, b=0.1)
        else:
            bound = math.sqrt(3 / math.sqrt(width))
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, *sources: Tensor) -> Tensor:
        return torch.tanh(sum(w * x for w, x in zip(self.weight, sources, strict=True)) + self.bias)


class Equalise(nn.ModuleDict):
    """Dense tanh layers that bring every modality to one width: (..., D_m) -> (..., D)."""

    def __init__(self, features: dict[str, int], width: int):
        super().__init__({m: nn.Linear(d, width) for m, d in features.items()})
        for dense in self.values():
            _glorot(dense)

    def forward(self, streams: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: torch.tanh(dense(streams[m])) for m, dense in self.items()}


class HFusion(nn.Module):
    """Hierarchical fusion of utterance vectors, without context.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: True: every step is an utterance and is scored by itself. False: a clip is the utterance,
            and its vectors are the means over each modality's steps (ours).
        width: D of the common space.
    """

    def __init__(self, features: dict[str, int], outputs: int, *, per_step: bool = False, width: int):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step = per_step
        self.equalise = Equalise(self.features, width)
        self.bimodal = nn.ModuleDict({pair: Unit(2, width) for pair in pairs(self.features)})
        self.trimodal = Unit(3, width) if len(self.bimodal) == 3 else None
        self.head = _glorot(nn.Linear(width, outputs))

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if not self.per_step:
            streams = {m: masked_mean(x, masks[m]) for m, x in streams.items()}  # (B, D_m)
        equal = self.equalise(streams)  # (B, D) or (B, T, D)
        fused = [unit(*(equal[m] for m in pair.split("+"))) for pair, unit in self.bimodal.items()]
        return self.head(fused[0] if self.trimodal is None else self.trimodal(*fused))


class ContextGRU(nn.Module):
    """The recurrence of section 3.3, forward in time: (B, T, d) -> (B, T, D).

        z = sigmoid(x Uz + s Wz)     r = sigmoid(x Ur + s Wr)     h = tanh(x Uh + (s * r) Wh)
        F = tanh(h Ux + ux)          s' = (1 - z) * F + z * s

    A GRU whose candidate passes one more dense layer; the candidate F is what it gives, s stays inside.
    Padding on the right comes after all real steps and reaches none of them.
    """

    def __init__(self, features: int, width: int):
        super().__init__()
        self.enter = nn.Linear(features, 3 * width, bias=False)  # Uz, Ur, Uh
        self.gates = nn.Linear(width, 2 * width, bias=False)  # Wz, Wr
        self.candidate = nn.Linear(width, width, bias=False)  # Wh
        self.leave = _glorot(nn.Linear(width, width))  # Ux, ux
        for rows in self.enter.weight.split(width):
            nn.init.xavier_uniform_(rows)
        for rows in (*self.gates.weight.split(width), self.candidate.weight):
            nn.init.orthogonal_(rows)

    def forward(self, x: Tensor) -> Tensor:
        width, (batch, steps, _) = self.candidate.in_features, x.shape
        entered = self.enter(x).view(batch, steps, 1, 3, width).permute(1, 2, 3, 0, 4)  # (T, 1, 3, B, D)
        leaving = self.leave.bias.expand(steps, 1, 1, batch, width)
        gates, candidate, leave = (
            Products(before, dense.weight.view(1, -1, width, width).transpose(2, 3))
            for before, dense in (
                (entered[:, :, :2], self.gates),
                (entered[:, :, 2:], self.candidate),
                (leaving, self.leave),
            )
        )
        state, given = x.new_zeros(1, 1, batch, width), []
        for t in range(steps):
            z, r = torch.sigmoid(gates(t, state.expand(-1, 2, -1, -1))).chunk(2, dim=1)
            h = torch.tanh(candidate(t, state * r))
            given.append(torch.tanh(leave(t, h)))
            state = torch.lerp(given[-1], state, z)
        return torch.cat(given, dim=1).squeeze(0).transpose(0, 1)  # (B, T, D)


class CHFusion(nn.Module):
    """Hierarchical fusion with context: the steps before an utterance are read ahead of each level.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: True: every step is an utterance with a score. False: the score of the last one, which has
            read all before it (ours).
        context_width: D_m, of the recurrence over each modality.
        width: D of the common space.
        bimodal_width: D2, of the recurrence over each pair.
        trimodal_width: D3, of the recurrence over the fused vectors.
        input_dropout: on what enters the recurrences over fused vectors, one mask for all steps of a clip.
        output_dropout: on what enters the softmax layer.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        context_width: int,
        width: int,
        bimodal_width: int,
        trimodal_width: int,
        input_dropout: float,
        output_dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step = per_step
        self.context = nn.ModuleDict({m: ContextGRU(d, context_width) for m, d in self.features.items()})
        self.equalise = Equalise(dict.fromkeys(self.features, context_width), width)
        self.bimodal = nn.ModuleDict({pair: Unit(2, width) for pair in pairs(self.features)})
        self.bimodal_context = nn.ModuleDict({pair: ContextGRU(width, bimodal_width) for pair in self.bimodal})
        self.trimodal = self.trimodal_context = None
        last = bimodal_width
        if len(self.bimodal) == 3:
            self.trimodal = Unit(3, bimodal_width)
            self.trimodal_context = ContextGRU(bimodal_width, trimodal_width)
            last = trimodal_width
        self.input_drop, self.output_drop = nn.Dropout(input_dropout), nn.Dropout(output_dropout)
        self.head = _glorot(nn.Linear(last, outputs))

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step.

        Raises:
            ValueError: if the streams of a clip have unequal steps.
        """
        streams, mask = accept_aligned(inputs, masks, self.features)
        equal = self.equalise({m: self.context[m](x) for m, x in streams.items()})  # (B, T, D)
        fused = [
            self.bimodal_context[pair](self._drop(unit(*(equal[m] for m in pair.split("+")))))
            for pair, unit in self.bimodal.items()
        ]  # (B, T, D2)
        y = fused[0] if self.trimodal is None else self.trimodal_context(self._drop(self.trimodal(*fused)))
        if not self.per_step:
            y = y[torch.arange(len(y), device=y.device), mask.sum(1) - 1]  # (B, D3)
        return self.head(self.output_drop(y))

    def _drop(self, x: Tensor) -> Tensor:
        return x * self.input_drop(x.new_ones(len(x), 1, x.shape[-1]))


def _glorot(dense: nn.Linear) -> nn.Linear:
    """Keras's initialisation, which the released code begins with."""
    nn.init.xavier_uniform_(dense.weight)
    nn.init.zeros_(dense.bias)
    return dense
