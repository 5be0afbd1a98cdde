"""MMMU-BA: in every pair of modalities, each attends to all utterances of the other.

Source   Ghosal et al., "Contextual Inter-modal Attention for Multi-modal Sentiment Analysis", EMNLP 2018,
         section 3.1; code soujanyaporia/contextual-multimodal-fusion at fe759b3
         (trimodal_attention_models.py: bi_modal_attention, contextual_attention_model).
Differs  see the card.
"""

import torch
from torch import Tensor, nn

from zoo.contextual import Contexts, glorot
from zoo.layers import accept_aligned, attention_bias, masked_mean, ordered, record

PAIRS = (("video", "text"), ("audio", "video"), ("text", "audio"))  # in the order of the released code


def gated_attention(query: Tensor, key: Tensor, bias: Tensor | None, label: str) -> Tensor:
    """softmax(Q K^T) K, multiplied by Q element by element; neither scale nor weights.

    Args:
        query: (B, Tq, D). key: (B, Tk, D), the values too.
        bias: from ``attention_bias``; None attends to every key.

    Returns:
        (B, Tq, D).
    """
    scores = query @ key.transpose(1, 2)  # (B, Tq, Tk)
    weights = (scores if bias is None else scores + bias.squeeze(1)).softmax(-1)
    record(label, weights.unsqueeze(1))
    return weights @ key * query


class MMMUBA(nn.Module):
    """Multi-modal multi-utterance bi-modal attention.

    Args:
        features: D_m of two or three modalities; two make one pair.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        attend_padding: whether padded utterances are keys, as they are in the released code.
        context: settings of ``zoo.contextual.Contexts``.
    """

    def __init__(
        self, features: dict[str, int], outputs: int, *, per_step: bool = False, attend_padding: bool, **context
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step, self.attend_padding = per_step, attend_padding
        self.contexts = Contexts(self.features, **context)
        self.pairs = [pair for pair in PAIRS if set(pair) <= set(features)]
        self.head = glorot(context["dense"] * (2 * len(self.pairs) + len(features)), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        hidden = self.contexts(streams, mask)
        bias = None if self.attend_padding else attention_bias(mask.unsqueeze(1), next(iter(hidden.values())))
        attended = []
        for x, y in self.pairs:
            attended.append(gated_attention(hidden[x], hidden[y], bias, f"{x}<-{y}/0"))
            attended.append(gated_attention(hidden[y], hidden[x], bias, f"{y}<-{x}/0"))
        scores = self.head(torch.cat([*attended, *hidden.values()], dim=-1))  # (B, T, K)
        return scores if self.per_step else masked_mean(scores, mask)
