"""Early fusion: features side by side at every step, then one encoder.

Source   Ours; the same idea as feature concatenation before an LSTM (EF-LSTM) with the encoder of our baselines.
"""

import torch
from torch import Tensor, nn

from zoo.layers import Embed, Encoder, accept, masked_mean, ordered, to_longest


class EarlyFusion(nn.Module):
    """Concatenate all features step by step, then encode them as one stream.

    Each clip's streams are first brought to the length of its longest one; nothing is averaged.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step; the streams must have equal steps.
        width, heads, layers, dropout: of the encoder.
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
        self.embed = Embed(sum(features.values()), width, dropout=dropout)
        self.encoder = Encoder(width, heads, layers, dropout=dropout, label="+".join(self.features))
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if self.per_step:
            mask = masks[next(iter(self.features))]
        else:
            streams, mask = to_longest(streams, masks)
        x = torch.cat(list(streams.values()), dim=-1)  # (B, T, sum of D_m)
        x = self.encoder(self.embed(x), mask)  # (B, T, D)
        return self.head(x if self.per_step else masked_mean(x, mask))
