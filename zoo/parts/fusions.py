"""What streams do to each other: streams of D_m channels in, streams of the model width out.

Each class takes the streams' widths and gives ``names``, those of the streams that leave it; what becomes
of these, ``zoo.compose`` decides. Streams are (B, T_m, D_m) with masks (B, T_m) under their names.

Source   Ours: each the common core of what the literature calls by that name. Named papers: co-attention layers
         Yu et al. 2019 (arXiv:1906.10770, MCA units), FiLM Perez et al. 2018 (arXiv:1709.07871), bottleneck
         tokens Nagrani et al. 2021 (arXiv:2107.00135; ``zoo`` has that method itself elsewhere).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo.layers import (
    Attention,
    Encoder,
    EncoderLayer,
    FeedForward,
    attention_bias,
    masked_mean,
    to_longest,
)
from zoo.parts import keys
from zoo.parts.encoders import Chain

Streams = Mapping[str, tuple[Tensor, Tensor]]


def others(name: str, streams: Mapping) -> list[str]:
    """All but one."""
    return [o for o in streams if o != name]


class Concatenate(nn.Module):
    """No interaction: pooled streams meet only side by side, in the head.

    A linear head then adds up what each modality says, as late fusion does; with a hidden layer they interact.
    """

    def __init__(self, widths: Mapping[str, int], width: int, *, per_step: bool):
        super().__init__()
        self.names = tuple(widths)

    def forward(self, streams: Streams) -> Streams:
        return streams


class Early(nn.Module):
    """Streams side by side at every step, then one chain of encoders.

    Each clip's streams are first brought to the length of its longest one, by nearest step.
    """

    def __init__(self, widths: Mapping[str, int], width: int, *, per_step: bool, encoders: keys.Chain):
        super().__init__()
        self.names = ("+".join(widths),)
        self.chain = Chain(sum(widths.values()), width, encoders, label=self.names[0])

    def forward(self, streams: Streams) -> Streams:
        equal, mask = to_longest({m: x for m, (x, _) in streams.items()}, {m: k for m, (_, k) in streams.items()})
        return {self.names[0]: self.chain(torch.cat(list(equal.values()), dim=-1), mask)}


class SelfAttention(nn.Module):
    """The steps of all modalities are tokens of one sequence, told apart by a learned modality vector.

    Pooling runs over all real tokens, so a longer stream weighs more. Per step, a step's tokens are averaged.
    """

    def __init__(
        self, widths: Mapping[str, int], width: int, *, per_step: bool, heads: int, layers: int, dropout: float
    ):
        super().__init__()
        self.names, self.per_step = ("+".join(widths),), per_step
        self.modality = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in widths})
        self.encoder = Encoder(width, heads, layers, dropout=dropout, label=self.names[0])

    def forward(self, streams: Streams) -> Streams:
        tokens = torch.cat([x + self.modality[m] for m, (x, _) in streams.items()], dim=1)
        mask = torch.cat([k for _, k in streams.values()], dim=1)  # (B, sum of T_m)
        tokens = self.encoder(tokens, mask)  # (B, sum of T_m, D)
        if self.per_step:
            tokens = tokens.unflatten(1, (len(streams), -1)).mean(1)  # (B, T, D)
            mask = next(iter(streams.values()))[1]
        return {self.names[0]: (tokens, mask)}


class Guided(nn.Module):
    """Pre-norm attention to a source and feed-forward, each with a residual; own norms for queries and keys."""

    def __init__(self, width: int, heads: int, *, dropout: float, label: str):
        super().__init__()
        self.norm_query, self.norm_source, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads, dropout=dropout, label=label)
        self.feed_forward = FeedForward(width, 4 * width, dropout=dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        """Queries (B, Tq, D), source (B, Tk, D) and a bias over keys -> (B, Tq, D)."""
        source = self.norm_source(source)
        x = x + self.drop(self.attention(self.norm_query(x), source, source, bias))
        return x + self.drop(self.feed_forward(self.norm(x)))


class SelfUnit(nn.Module):
    """Pre-norm self-attention with a residual; the feed-forward comes after the guided attention."""

    def __init__(self, width: int, heads: int, *, dropout: float, label: str):
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.attention = Attention(width, heads, dropout=dropout, label=label)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        y = self.norm(x)
        return x + self.drop(self.attention(y, y, y, bias))


def attend(layer: nn.ModuleDict, x: Mapping[str, Tensor], biases: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """One ``Guided`` layer of every modality at once, each with all others' steps as its source."""
    return {m: layer[m](s, torch.cat([x[o] for o in others(m, x)], dim=1), biases[m]) for m, s in x.items()}


class CrossAttention(nn.Module):
    """Layer by layer, and all at once, each modality attends to the steps of all others.

    With three modalities the keys are both others' steps in one sequence, told apart by a learned modality
    vector.
    """

    def __init__(
        self, widths: Mapping[str, int], width: int, *, per_step: bool, heads: int, layers: int, dropout: float
    ):
        super().__init__()
        self.names = tuple(widths)
        self.modality = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in widths})
        self.guided = nn.ModuleList()
        for i in range(layers):
            labels = {m: f"{m}<-{'+'.join(others(m, widths))}/{i}" for m in widths}
            layer = {m: Guided(width, heads, dropout=dropout, label=label) for m, label in labels.items()}
            self.guided.append(nn.ModuleDict(layer))
        self.norm = nn.ModuleDict({m: nn.LayerNorm(width) for m in widths})

    def forward(self, streams: Streams) -> Streams:
        x, masks = self._told_apart(streams)
        biases = self._across(x, masks)
        for layer in self.guided:
            x = attend(layer, x, biases)
        return {m: (self.norm[m](s), masks[m]) for m, s in x.items()}

    def _told_apart(self, streams: Streams) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return {m: x + self.modality[m] for m, (x, _) in streams.items()}, {m: k for m, (_, k) in streams.items()}

    def _across(self, x: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
        joined = {m: torch.cat([masks[o] for o in others(m, x)], dim=1) for m in x}  # (B, sum of T_o)
        return {m: attention_bias(mask.unsqueeze(1), x[m]) for m, mask in joined.items()}


class CoAttention(CrossAttention):
    """Modular co-attention both ways: in every layer each modality attends to itself, then to the others."""

    def __init__(
        self, widths: Mapping[str, int], width: int, *, per_step: bool, heads: int, layers: int, dropout: float
    ):
        super().__init__(widths, width, per_step=per_step, heads=heads, layers=layers, dropout=dropout)
        self.own = nn.ModuleList()
        for i in range(layers):
            layer = {m: SelfUnit(width, heads, dropout=dropout, label=f"{m}<-{m}/{i}") for m in widths}
            self.own.append(nn.ModuleDict(layer))

    def forward(self, streams: Streams) -> Streams:
        x, masks = self._told_apart(streams)
        across = self._across(x, masks)
        within = {m: attention_bias(mask.unsqueeze(1), x[m]) for m, mask in masks.items()}
        for own, guided in zip(self.own, self.guided, strict=True):
            x = attend(guided, {m: own[m](s, within[m]) for m, s in x.items()}, across)
        return {m: (self.norm[m](s), masks[m]) for m, s in x.items()}


class Gate(nn.Module):
    """Each stream is multiplied by a sigmoid gate of the others' means: x_m * sigmoid(W [mean x_o] + b)."""

    def __init__(self, widths: Mapping[str, int], width: int, *, per_step: bool):
        super().__init__()
        self.names = tuple(widths)
        self.gate = nn.ModuleDict({m: nn.Linear(width * (len(widths) - 1), width) for m in widths})

    def forward(self, streams: Streams) -> Streams:
        means = {m: masked_mean(x, k) for m, (x, k) in streams.items()}  # (B, D)
        gated = {}
        for m, (x, mask) in streams.items():
            gate = self.gate[m](torch.cat([means[o] for o in others(m, means)], dim=-1)).sigmoid()  # (B, D)
            gated[m] = (x * gate.unsqueeze(1), mask)
        return gated


class FiLM(nn.Module):
    """Each stream is scaled and shifted by the others' means: (1 + gamma) x_m + beta, both affine in [mean x_o]."""

    def __init__(self, widths: Mapping[str, int], width: int, *, per_step: bool):
        super().__init__()
        self.names = tuple(widths)
        self.modulation = nn.ModuleDict({m: nn.Linear(width * (len(widths) - 1), 2 * width) for m in widths})

    def forward(self, streams: Streams) -> Streams:
        means = {m: masked_mean(x, k) for m, (x, k) in streams.items()}  # (B, D)
        modulated = {}
        for m, (x, mask) in streams.items():
            vector = self.modulation[m](torch.cat([means[o] for o in others(m, means)], dim=-1))
            gamma, beta = vector.unsqueeze(1).chunk(2, dim=-1)  # (B, 1, D)
            modulated[m] = ((1 + gamma) * x + beta, mask)
        return modulated


class Bottleneck(nn.Module):
    """Modalities exchange only through a few tokens, which each reads and writes in its own transformer layer.

    A layer gives every modality the same tokens; the tokens that its modalities return are averaged.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int,
        *,
        per_step: bool,
        heads: int,
        layers: int,
        dropout: float,
        tokens: int,
    ):
        super().__init__()
        self.names = tuple(widths)
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.layers = nn.ModuleList()
        for i in range(layers):
            labels = {m: f"{m}+bottleneck<-{m}+bottleneck/{i}" for m in widths}
            self.layers.append(
                nn.ModuleDict({m: EncoderLayer(width, heads, dropout=dropout, label=labels[m]) for m in widths})
            )
        self.norm = nn.ModuleDict({m: nn.LayerNorm(width) for m in widths})

    def forward(self, streams: Streams) -> Streams:
        x, masks = {m: s for m, (s, _) in streams.items()}, {m: k for m, (_, k) in streams.items()}
        count = len(self.tokens)
        bias = {m: attention_bias(nn.functional.pad(masks[m], (0, count), value=True).unsqueeze(1), x[m]) for m in x}
        tokens = self.tokens.expand(len(next(iter(x.values()))), -1, -1)  # (B, tokens, D)
        for layer in self.layers:
            joint = {m: layer[m](torch.cat([s, tokens], dim=1), bias[m]) for m, s in x.items()}
            x = {m: y[:, :-count] for m, y in joint.items()}
            tokens = torch.stack([y[:, -count:] for y in joint.values()]).mean(0)
        return {m: (self.norm[m](s), masks[m]) for m, s in x.items()}


INTERACTIONS = {
    "none": Concatenate,  # of one stream
    "concatenate": Concatenate,
    "early": Early,
    "self_attention": SelfAttention,
    "cross_attention": CrossAttention,
    "co_attention": CoAttention,
    "gate": Gate,
    "film": FiLM,
    "bottleneck": Bottleneck,
}
