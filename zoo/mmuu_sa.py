"""MMUU-SA: inside every utterance, each modality attends to all modalities.

Source   Ghosal et al., "Contextual Inter-modal Attention for Multi-modal Sentiment Analysis", EMNLP 2018,
         section 3.2; code soujanyaporia/contextual-multimodal-fusion at fe759b3
         (trimodal_attention_models.py: self_attention, contextual_attention_model).
Differs  see the card.
"""

import torch
from torch import Tensor, nn

from zoo.contextual import Contexts, glorot
from zoo.layers import accept_aligned, masked_mean, ordered, record


class MMUUSA(nn.Module):
    """Multi-modal uni-utterance self-attention.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        context: settings of ``zoo.contextual.Contexts``.
    """

    def __init__(self, features: dict[str, int], outputs: int, *, per_step: bool = False, **context):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=2), per_step
        self.contexts = Contexts(self.features, **context)
        self.head = glorot(2 * context["dense"] * len(features), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        hidden = self.contexts(streams, mask)
        x = torch.stack(list(hidden.values()), dim=2)  # (B, T, M, D)
        weights = (x @ x.transpose(2, 3)).softmax(-1)  # (B, T, M, M): no scale
        for m, row in zip(hidden, weights.unbind(2), strict=True):
            record(f"{m}<-{'+'.join(hidden)}/0:modalities", row.unsqueeze(1))  # (B, 1, T, M)
        attended = (weights @ x * x).flatten(2)  # (B, T, M D)
        scores = self.head(torch.cat([attended, *hidden.values()], dim=-1))  # (B, T, K)
        return scores if self.per_step else masked_mean(scores, mask)
