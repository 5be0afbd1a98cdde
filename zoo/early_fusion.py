"""Early fusion: features side by side at every step, then one encoder.

Source   Ours; the same idea as feature concatenation before an LSTM (EF-LSTM) with the encoder of our baselines.
"""

import torch
from torch import Tensor, nn

from zoo.layers import Embed, Encoder, accept, masked_mean, ordered


def nearest_step(x: Tensor, lengths: Tensor, target: Tensor, steps: int) -> Tensor:
    """Resample every clip of a stream to another length by taking the nearest step.

    Step t of the result is step floor((t + 0.5) L / L') of the stream, in whole numbers, so no rounding
    depends on the machine.

    Args:
        x: (B, T, D). lengths: (B,) real steps L of ``x``. target: (B,) wanted real steps L'.
        steps: T' of the result; what lies past L' is padding.

    Returns:
        (B, T', D).
    """
    t = torch.arange(steps, device=x.device)
    index = (2 * t + 1) * lengths[:, None] // (2 * target[:, None])  # (B, T')
    index = index.clamp(max=x.shape[1] - 1)
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


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
            lengths = {m: masks[m].sum(1) for m in streams}  # (B,)
            longest = torch.stack(list(lengths.values())).amax(0)  # (B,)
            steps = max(x.shape[1] for x in streams.values())
            mask = torch.arange(steps, device=longest.device) < longest[:, None]  # (B, T)
            streams = {m: nearest_step(x, lengths[m], longest, steps) for m, x in streams.items()}
        x = torch.cat(list(streams.values()), dim=-1)  # (B, T, sum of D_m)
        x = self.encoder(self.embed(x), mask)  # (B, T, D)
        return self.head(x if self.per_step else masked_mean(x, mask))
