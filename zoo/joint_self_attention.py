"""Joint self-attention: the steps of all modalities are tokens of one sequence.

Source   Ours; the single-stream layout of multimodal transformers (Vaswani et al. 2017 encoder over all tokens).
"""

import torch
from torch import Tensor, nn

from zoo.layers import Embed, Encoder, accept, masked_mean, ordered


class JointSelfAttention(nn.Module):
    """Let every step of every modality attend to all steps of all modalities.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step, from the mean of that step's tokens; the streams must
            have equal steps. Otherwise the mean runs over all real tokens, so a longer stream weighs more.
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
        self.embed = nn.ModuleDict({m: Embed(d, width, dropout=dropout) for m, d in self.features.items()})
        self.modality = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.features})
        self.encoder = Encoder(width, heads, layers, dropout=dropout, label="+".join(self.features))
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        tokens = torch.cat([self.embed[m](x) + self.modality[m] for m, x in streams.items()], dim=1)
        mask = torch.cat([masks[m] for m in streams], dim=1)  # (B, sum of T_m)
        tokens = self.encoder(tokens, mask)  # (B, sum of T_m, D)
        if self.per_step:
            return self.head(tokens.unflatten(1, (len(streams), -1)).mean(1))  # (B, T, K)
        return self.head(masked_mean(tokens, mask))
