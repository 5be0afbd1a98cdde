"""One modality alone: the baseline that a fusion method has to beat.

Source   Ours: embedding, transformer encoder, masked mean, linear head, the parts of every generic baseline here.
"""

from torch import Tensor, nn

from zoo.layers import Embed, Encoder, accept, masked_mean, ordered


class Unimodal(nn.Module):
    """Classify from one stream.

    Args:
        features: D_m of the one modality, e.g. ``{"audio": 40}``; its name says which one is read.
        outputs: K.
        per_step: one row of scores for each step, from that step's encoding, instead of the mean's.
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
        self.features = ordered(features, outputs, at_least=1, at_most=1)
        self.per_step = per_step
        ((self.modality, d),) = self.features.items()
        self.embed = Embed(d, width, dropout=dropout)
        self.encoder = Encoder(width, heads, layers, dropout=dropout, label=self.modality)
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool of the one modality -> (B, K), or (B, T, K) per step."""
        x = accept(inputs, masks, self.features, per_step=self.per_step)[self.modality]
        mask = masks[self.modality]
        x = self.encoder(self.embed(x), mask)  # (B, T, D)
        return self.head(x if self.per_step else masked_mean(x, mask))
