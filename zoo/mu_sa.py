"""MU-SA: each modality attends to all its own utterances.

Source   Ghosal et al., "Contextual Inter-modal Attention for Multi-modal Sentiment Analysis", EMNLP 2018,
         section 3.3; code soujanyaporia/contextual-multimodal-fusion at fe759b3
         (trimodal_attention_models.py: self_attention, contextual_attention_model).
Differs  see the card.
"""

import torch
from torch import Tensor, nn

from zoo.contextual import Contexts, glorot
from zoo.layers import accept_aligned, attention_bias, masked_mean, ordered
from zoo.mmmu_ba import gated_attention  # the paper's one attention, here with itself

ATTENDED = ("audio", "video", "text")  # in the order of the released code


class MUSA(nn.Module):
    """Multi-utterance self-attention.

    Args:
        features: D_m of one to three modalities.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        attend_padding: whether padded utterances are keys, as they are in the released code.
        context: settings of ``zoo.contextual.Contexts``.
    """

    def __init__(
        self, features: dict[str, int], outputs: int, *, per_step: bool = False, attend_padding: bool, **context
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=1)
        self.per_step, self.attend_padding = per_step, attend_padding
        self.contexts = Contexts(self.features, **context)
        self.head = glorot(2 * context["dense"] * len(features), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        hidden = self.contexts(streams, mask)
        bias = None if self.attend_padding else attention_bias(mask.unsqueeze(1), next(iter(hidden.values())))
        attended = [gated_attention(hidden[m], hidden[m], bias, f"{m}<-{m}/0") for m in ATTENDED if m in hidden]
        scores = self.head(torch.cat([*attended, *hidden.values()], dim=-1))  # (B, T, K)
        return scores if self.per_step else masked_mean(scores, mask)
