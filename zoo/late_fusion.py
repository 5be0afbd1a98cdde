"""Late fusion: each modality decides alone, and the decisions are averaged.

Source   Ours; decision-level averaging as in the fusion literature since Kittler et al. 1998.
Note     Scores add up over modalities, so what only their combination tells (exclusive or) is out of reach.
"""

import torch
from torch import Tensor, nn

from zoo.layers import accept, ordered
from zoo.unimodal import Unimodal


class LateFusion(nn.Module):
    """Average the scores of one unimodal network for each modality.

    The mean is taken over logits, which multiplies the modalities' class probabilities (their geometric
    mean, normalised). It is trained through that mean, not network by network.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each step; the streams must have equal steps.
        width, heads, layers, dropout: of each modality's encoder.
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
        encoder = {"width": width, "heads": heads, "layers": layers, "dropout": dropout}
        self.networks = nn.ModuleDict(
            {m: Unimodal({m: d}, outputs, per_step=per_step, **encoder) for m, d in self.features.items()}
        )

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        accept(inputs, masks, self.features, per_step=self.per_step)
        scores = [network({m: inputs[m]}, {m: masks[m]}) for m, network in self.networks.items()]
        return torch.stack(scores).mean(0)
