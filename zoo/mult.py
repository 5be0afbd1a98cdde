"""MulT: every modality is refined by attending to each of the others, layer after layer.

Source   Tsai et al., "Multimodal Transformer for Unaligned Multimodal Language Sequences", ACL 2019,
         arXiv:1906.00295; code yaohungt/Multimodal-Transformer at a670936 (src/models.py, modules/*.py).
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

import math

import torch
from torch import Tensor, nn

from zoo.layers import Attention, FeedForward, accept, attention_bias, ordered, positions

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


class Layer(nn.Module):
    """Pre-norm attention and feed-forward. One norm serves queries, keys and values; residuals skip it."""

    def __init__(
        self, width: int, heads: int, *, attention_dropout: float, relu_dropout: float, residual_dropout: float, label
    ):
        super().__init__()
        self.norm0, self.norm1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=attention_dropout, label=label)
        self.feed_forward = FeedForward(width, 4 * width, dropout=relu_dropout)
        self.drop = nn.Dropout(residual_dropout)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """(B, Tq, D), (B, Tk, D), (B, Tk, D) -> (B, Tq, D)."""
        query = self.norm0(x)
        key = query if keys is x else self.norm0(keys)
        value = key if values is keys else self.norm0(values)
        x = x + self.drop(self.attention(query, key, value, bias))
        return x + self.drop(self.feed_forward(self.norm1(x)))


class Encoder(nn.Module):
    """``layers`` layers and a last norm, over another stream (crossmodal) or over itself (memory)."""

    def __init__(self, width: int, heads: int, layers: int, *, embed_dropout: float, label: str, **dropouts: float):
        super().__init__()
        self.embed_drop = nn.Dropout(embed_dropout)
        self.layers = nn.ModuleList(Layer(width, heads, label=f"{label}/{i}", **dropouts) for i in range(layers))
        self.norm = nn.LayerNorm(width)

    def cross(self, target: Tensor, source: Tensor, bias: Tensor | None) -> Tensor:
        """Embedded (B, Tq, D) and (B, Tk, D) -> (B, Tq, D). The source stays as it came in every layer."""
        x, keys = self.embed_drop(target), self.embed_drop(source)
        # Two masks, as in the released code; without dropout one tensor does, and its keys and values share a product.
        values = self.embed_drop(source) if keys is not source else keys
        for layer in self.layers:
            x = layer(x, keys, values, bias)
        return self.norm(x)

    def memory(self, x: Tensor, mask: Tensor, causal: bool, last_only: bool) -> Tensor:
        """Embedded (B, T, D) and its mask -> (B, T, D), or (B, D) of the last real step.

        The last step sees every real step, so the last layer needs that one query.
        """
        bias = attention_bias(visible(mask, mask, causal), x)
        x = self.embed_drop(x)
        *before, final = self.layers
        for layer in before:
            x = layer(x, x, x, bias)
        if not last_only:
            return self.norm(final(x, x, x, bias))
        last = (mask.sum(1) - 1)[:, None, None].expand(-1, 1, x.shape[-1])
        y = final(x.gather(1, last), x, x, attention_bias(mask.unsqueeze(1), x))  # (B, 1, D)
        return self.norm(y).squeeze(1)


class MulT(nn.Module):
    """Multimodal Transformer.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step, from that step's memory instead of the last one's (ours).
        width: D of a crossmodal encoder; a memory encoder is as wide as all its sources together.
        heads: of every attention. layers: of a crossmodal encoder; a memory encoder has at least 3.
        kernels: odd size of the temporal convolution of each modality.
        causal_mask: whether a query is kept from later steps.
        embed_dropout: on text features, and on each stream as it enters an encoder.
        attention_dropout, relu_dropout, residual_dropout, output_dropout: where their names say.
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
        kernels: dict[str, int],
        causal_mask: bool,
        embed_dropout: float,
        attention_dropout: float,
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
        self.project = nn.ModuleDict(
            {m: _convolution(m, self.features[m], width, kernels) for m in ORDER if m in self.features}
        )
        rates = {
            "embed_dropout": embed_dropout,
            "attention_dropout": attention_dropout,
            "relu_dropout": relu_dropout,
            "residual_dropout": residual_dropout,
        }
        self.crossmodal, self.memory = nn.ModuleDict(), nn.ModuleDict()
        for target in self.project:
            sources = self._sources(target)
            for source in sources:
                self.crossmodal[f"{target}_from_{source}"] = Encoder(
                    width, heads, layers, label=f"{target}<-{source}", **rates
                )
            self.memory[target] = Encoder(
                width * len(sources), heads, max(layers, 3), label=f"{target} memory", **rates
            )
        fused = width * len(self.crossmodal)
        self.residual1, self.residual2 = nn.Linear(fused, fused), nn.Linear(fused, fused)
        self.head = nn.Linear(fused, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        embedded = {m: embed(self._low_level(m, streams[m])) for m in self.project}  # (B, T_m, D)
        memories = []
        for target in self.project:
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
