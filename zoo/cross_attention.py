"""Cross-attention: each modality queries the others.

Source   Ours; the common core of cross-attention fusion, without the particulars of one paper.
"""

import torch
from torch import Tensor, nn

from zoo.layers import Attention, Embed, Encoder, FeedForward, accept, attention_bias, masked_mean, ordered


class CrossLayer(nn.Module):
    """Pre-norm cross-attention and feed-forward, each with a residual; own norms for queries and keys."""

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


class CrossAttention(nn.Module):
    """Encode each modality, let it attend to the steps of all others, pool each, concatenate.

    Every modality goes through ``layers - 1`` self-attention layers of its own and one cross-attention
    layer, so the depth equals that of the other baselines. With three modalities the keys are the steps
    of both others, told apart by a learned modality embedding.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step instead of pooling; the streams must have equal steps.
        width, heads, layers, dropout: as above; ``layers`` at least 1.
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
        dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step = per_step
        if layers < 1:
            raise ValueError(f"layers is {layers}; wanted 1 or more, the last one attends across modalities.")
        self.embed, self.encoder, self.cross = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.modality, self.norm = nn.ParameterDict(), nn.ModuleDict()
        for m, d in self.features.items():
            others = "+".join(o for o in self.features if o != m)
            self.embed[m] = Embed(d, width, dropout=dropout)
            self.encoder[m] = Encoder(width, heads, layers - 1, dropout=dropout, label=m)
            self.modality[m] = nn.Parameter(0.02 * torch.randn(width))
            self.cross[m] = CrossLayer(width, heads, dropout=dropout, label=f"{m}<-{others}")
            self.norm[m] = nn.LayerNorm(width)
        self.head = nn.Linear(width * len(self.features), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        x = {m: self.encoder[m](self.embed[m](s), masks[m]) + self.modality[m] for m, s in streams.items()}
        fused = []
        for m in x:
            others = [o for o in x if o != m]
            source = torch.cat([x[o] for o in others], dim=1)  # (B, sum of T_o, D)
            bias = attention_bias(torch.cat([masks[o] for o in others], dim=1).unsqueeze(1), source)
            y = self.norm[m](self.cross[m](x[m], source, bias))  # (B, T_m, D)
            fused.append(y if self.per_step else masked_mean(y, masks[m]))
        return self.head(torch.cat(fused, dim=-1))
