"""MulT: every modality is refined by attending to each of the others, layer after layer.

Source   Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", ACL 2019,
         arXiv:1906.00295; code yaohungt/Multimodal-Transformer at a670936 (src/models.py, modules/*.py).
Differs  see ``differs`` of the card in ``zoo.METHODS``.

For a target t and each other modality s, with LN for LayerNorm and x_m the embedded stream of modality m:

    x_m = sqrt(D) conv_m(input_m) + positions
    h_0 = x_t
    a_i = h_(i-1) + Attention_i(LN_i h_(i-1), LN_i x_s, LN_i x_s)       one norm for queries, keys and values
    h_i = a_i + FeedForward_i(LN'_i a_i)                                i = 1 .. layers, then a last norm
    memory_t: the same layers with self-attention, over the h of all s side by side; its last step is kept
    scores = head(y + residual2(relu(residual1 y))),  y = all memories side by side

x_s is the same in every layer, and LN_i of it differs only in scale g_i and shift b_i. With x' normalised once,
W_i (g_i x' + b_i) = (W_i g_i) x' + W_i b_i, so the keys and values of all layers are one product with x'.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import FeedForward, accept, attention_bias, ordered, positions
from zoo.narrow_attention import ProjectedAttention

ORDER = ("text", "audio", "video")  # of sources and of targets, in every concatenation of the released code


def embed(x: Tensor) -> Tensor:
    """Scale by sqrt(D) and add positions: (B, T, D) -> (B, T, D).

    A step whose first channel is exactly zero counts as padding in the released code: it gets no position,
    though it keeps its place in the count and is attended to.
    """
    return x * math.sqrt(x.shape[-1]) + positions(x) * (x[..., :1] != 0)


def visible(query_mask: Tensor, key_mask: Tensor, causal: bool) -> Tensor:
    """Which keys a query may see: (B, Tq) and (B, Tk) bool -> (B, Tq or 1, Tk) bool.

    With ``causal``, query i sees real keys j <= i + |L_q - L_k|, L being each clip's real lengths. In the
    released code the lengths are those of the padded batch, where padding stands at the left.
    """
    allowed = key_mask.unsqueeze(1)
    if not causal:
        return allowed
    i = torch.arange(query_mask.shape[1], device=key_mask.device)[:, None]
    j = torch.arange(key_mask.shape[1], device=key_mask.device)
    offset = (query_mask.sum(1) - key_mask.sum(1)).abs()[:, None, None]
    return allowed & (j <= i + offset)


class Rates(NamedTuple):
    """Dropout of an encoder: of the streams that enter, of weights, after the ReLU, before each residual."""

    embed: float
    attention: float
    relu: float
    residual: float


class Layer(nn.Module):
    """Pre-norm attention and feed-forward. One norm serves queries, keys and values; residuals skip it."""

    def __init__(self, width: int, heads: int, label: str, rates: Rates):
        super().__init__()
        self.norm0, self.norm1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = ProjectedAttention(width, heads, dropout=rates.attention, label=label)
        self.feed_forward = FeedForward(width, 4 * width, dropout=rates.relu)
        self.feed_forward[1].inplace = True
        self.drop = nn.Dropout(rates.residual)

    def project(self, x: Tensor, first: int, end: int) -> Sequence[Tensor]:
        """Queries (0), keys (1), values (2) of the normalised (B, T, D), from ``first`` to before ``end``."""
        rows = slice(first * x.shape[-1], end * x.shape[-1])
        y = F.linear(self.norm0(x), self.attention.in_proj_weight[rows], self.attention.in_proj_bias[rows])
        return y.chunk(end - first, -1)

    def forward(self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """(B, Tq, D), its projected queries, and projected keys and values (B, Tk, D) -> (B, Tq, D)."""
        x = x + self.drop(self.attention(query, keys, values, bias))
        return x + self.drop(self.feed_forward(self.norm1(x)))


class Encoder(nn.Module):
    """``layers`` layers and a last norm, over another stream (crossmodal) or over itself (memory)."""

    def __init__(self, width: int, heads: int, layers: int, label: str, rates: Rates):
        super().__init__()
        self.embed_drop = nn.Dropout(rates.embed)
        self.layers = nn.ModuleList(Layer(width, heads, f"{label}/{i}", rates) for i in range(layers))
        self.norm = nn.LayerNorm(width)

    def cross(self, target: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        """Embedded (B, Tq, D) and (B, Tk, D) -> (B, Tq, D)."""
        x = self.embed_drop(target)
        for layer, keys, values in zip(self.layers, *self._keys_and_values(source), strict=True):
            x = layer(x, *layer.project(x, 0, 1), keys, values, bias)
        return self.norm(x)

    def _keys_and_values(self, source: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Projected keys and values for every layer: (B, Tk, D) -> two sequences of (B, Tk, D)."""
        width, count = source.shape[-1], len(self.layers)
        scale = torch.stack([layer.norm0.weight for layer in self.layers])  # (layers, D)
        shift = torch.stack([layer.norm0.bias for layer in self.layers])

        def project(start: int, stop: int) -> Sequence[Tensor]:
            rows = slice(start * width, stop * width)
            weight = torch.stack([layer.attention.in_proj_weight[rows] for layer in self.layers])  # (layers, rows, D)
            bias = torch.stack([layer.attention.in_proj_bias[rows] for layer in self.layers])  # (layers, rows)
            bias = bias + (weight @ shift.unsqueeze(-1)).squeeze(-1)
            x = F.layer_norm(self.embed_drop(source), (width,))
            y = F.linear(x, (weight * scale.unsqueeze(1)).flatten(0, 1), bias.flatten())
            return y.chunk(count * (stop - start), -1)

        if self.training and self.embed_drop.p > 0:  # the released code drops keys and values apart
            return project(1, 2), project(2, 3)
        both = project(1, 3)
        return both[::2], both[1::2]

    def memory(self, x: Tensor, mask: Tensor, causal: bool, last_only: bool) -> Tensor:
        """Embedded (B, T, D) and its mask -> (B, T, D), or (B, D) of the last real step.

        The last step sees every real step, so the last layer needs that one query.
        """
        bias, real = attention_bias(visible(mask, mask, causal), x), attention_bias(mask.unsqueeze(1), x)
        x = self.embed_drop(x)
        *before, final = self.layers
        for layer in before:
            x = layer(x, *layer.project(x, 0, 3), bias)
        keys, values = final.project(x, 1, 3)
        if last_only:
            x, bias = x.gather(1, (mask.sum(1) - 1)[:, None, None].expand(-1, 1, x.shape[-1])), real
        y = self.norm(final(x, *final.project(x, 0, 1), keys, values, bias))
        return y.squeeze(1) if last_only else y


class MulT(nn.Module):
    """Multimodal Transformer.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step, from that step's memory instead of the last one's (ours).
        targets: the modalities that are refined and read, or "all"; every modality stays a source.
        width: D of a crossmodal encoder; a memory encoder is as wide as all its sources together.
        heads: of every attention. layers: of a crossmodal encoder; a memory encoder has at least 3.
        kernels: odd size of the temporal convolution of each modality.
        causal_mask: whether a query is kept from later steps.
        embed_dropout: on text features, and on each stream as it enters an encoder.
        attention_dropout: one rate, or one for each target's crossmodal encoders and one for "memory".
        relu_dropout, residual_dropout, output_dropout: where their names say.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        targets: str | Sequence[str],
        width: int,
        heads: int,
        layers: int,
        kernels: dict[str, int],
        causal_mask: bool,
        embed_dropout: float,
        attention_dropout: float | dict[str, float],
        relu_dropout: float,
        residual_dropout: float,
        output_dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step, self.causal_mask = per_step, causal_mask
        self.embed_drop, self.output_drop = nn.Dropout(embed_dropout), nn.Dropout(output_dropout)
        if layers < 1:
            raise ValueError(f"layers is {layers}; wanted 1 or more.")
        present = [m for m in ORDER if m in self.features]
        self.project = nn.ModuleDict({m: _convolution(m, self.features[m], width, kernels) for m in present})
        self.targets = _chosen(targets, present)
        rates = {
            name: Rates(embed_dropout, rate, relu_dropout, residual_dropout)
            for name, rate in _attention_rates(attention_dropout, self.targets).items()
        }
        self.crossmodal, self.memory = nn.ModuleDict(), nn.ModuleDict()
        for target in self.targets:
            sources, label = self._sources(target), f"{target} memory<-{target} memory"
            for source in sources:
                pair, cross = f"{target}_from_{source}", f"{target}<-{source}"
                self.crossmodal[pair] = Encoder(width, heads, layers, cross, rates[target])
            self.memory[target] = Encoder(width * len(sources), heads, max(layers, 3), label, rates["memory"])
        fused = width * len(self.crossmodal)
        self.residual1, self.residual2 = nn.Linear(fused, fused), nn.Linear(fused, fused)
        self.head = nn.Linear(fused, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        embedded = {m: embed(self._low_level(m, streams[m])) for m in self.project}  # (B, T_m, D)
        memories = []
        for target in self.targets:
            refined = []
            for source in self._sources(target):
                bias = attention_bias(visible(masks[target], masks[source], self.causal_mask), embedded[target])
                encoder = self.crossmodal[f"{target}_from_{source}"]
                refined.append(encoder.cross(embedded[target], embedded[source], bias))
            x = embed(torch.cat(refined, dim=-1))  # (B, T, D times sources)
            memories.append(self.memory[target].memory(x, masks[target], self.causal_mask, not self.per_step))
        fused = torch.cat(memories, dim=-1)  # (B, D times pairs), or (B, T, ...) per step
        y = self.residual2(self.output_drop(self.residual1(fused).relu()))
        return self.head(y + fused)

    def _sources(self, target: str) -> list[str]:
        return [m for m in self.project if m != target]

    def _low_level(self, modality: str, x: Tensor) -> Tensor:
        """Temporal convolution over zero-padded features: (B, T, D_m) -> (B, T, D)."""
        if modality == "text":
            x = self.embed_drop(x)
        return self.project[modality](x.transpose(1, 2)).transpose(1, 2).contiguous()


def _convolution(modality: str, features: int, width: int, kernels: dict[str, int]) -> nn.Conv1d:
    size = kernels.get(modality)
    if size is None or size < 1 or size % 2 == 0:
        raise ValueError(f"kernels[{modality!r}] is {size}; wanted an odd size for each modality, got {kernels}.")
    return nn.Conv1d(features, width, size, padding=size // 2, bias=False)


def _chosen(targets: str | Sequence[str], present: list[str]) -> list[str]:
    """The targets in the order of the released code."""
    if targets == "all":
        return present
    if isinstance(targets, str) or not targets or len(set(targets)) < len(targets) or not set(targets) <= set(present):
        raise ValueError(f'targets is {targets!r}; wanted "all" or a list of some of {", ".join(present)}.')
    return [m for m in present if m in targets]


def _attention_rates(dropout: float | Mapping[str, float], targets: Sequence[str]) -> dict[str, float]:
    """The attention dropout of each target's crossmodal encoders, and of "memory"."""
    rates = dict(dropout) if isinstance(dropout, Mapping) else dict.fromkeys((*ORDER, "memory"), dropout)
    if not {*targets, "memory"} <= set(rates) <= {*ORDER, "memory"}:
        wanted = f'one for each target ({", ".join(targets)}) and one for "memory"'
        raise ValueError(f"attention_dropout is {dropout}; wanted one rate, or {wanted}.")
    if wrong := {name: rate for name, rate in rates.items() if not 0 <= rate < 1}:
        raise ValueError(f"attention_dropout {wrong}: a rate is 0 or more and below 1.")
    return rates
