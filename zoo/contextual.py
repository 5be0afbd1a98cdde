"""Context without attention: a recurrent network over the utterances of each modality, then one classifier.

Source   Ghosal et al., "Contextual Inter-modal Attention for Multi-modal Sentiment Analysis", EMNLP 2018, section 3
         without 3.1-3.3; code soujanyaporia/contextual-multimodal-fusion at fe759b3
         (trimodal_attention_models.py, mode "None").
Differs  see the card.

``Contexts`` is also what the attention methods of that paper start from.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from zoo.layers import accept_aligned, masked_mean, ordered
from zoo.recurrence import Gates, gru, hard_sigmoid, run

ORDER = ("video", "audio", "text")  # of every concatenation in the released code
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


class Contexts(nn.Module):
    """For each modality a bidirectional GRU over the utterances, dropout, a dense layer, dropout.

    Args:
        features: D_m. width: H of each direction. dense: D of the dense layer. activation: "tanh" or "relu".
        input_dropout, recurrent_dropout: on inputs and states of the GRU, one mask for all steps of a gate.
        dropout: after the GRU, and after the dense layer.
    """

    def __init__(
        self,
        features: Mapping[str, int],
        *,
        width: int,
        dense: int,
        activation: str,
        input_dropout: float,
        recurrent_dropout: float,
        dropout: float,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; accepted are {', '.join(ACTIVATIONS)}.")
        if width < 1 or dense < 1:
            raise ValueError(f"width is {width}, dense is {dense}; wanted 1 or more.")
        self.activation = ACTIVATIONS[activation]
        kind = {"gates": 3, "directions": 2, "input_dropout": input_dropout}
        self.gru = nn.ModuleDict({m: Gates(features[m], width, **kind) for m in ORDER if m in features})
        self.dense = nn.ModuleDict({m: glorot(2 * width, dense) for m in self.gru})
        self.recurrent_drop, self.drop = nn.Dropout(recurrent_dropout), nn.Dropout(dropout)

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """(B, T, D_m) and the one mask (B, T) -> (B, T, D) for each modality, in the order of ``ORDER``."""
        layers = list(self.gru.values())
        drop = None
        if self.training:
            drop = self.recurrent_drop(layers[0].bias.new_ones(2 * len(layers), 3, len(mask), layers[0].bias.shape[-1]))
        states = run(layers, [streams[m] for m in self.gru], mask, partial(gru, gate=hard_sigmoid, drop=drop))
        return {
            m: self.drop(self.activation(self.dense[m](self.drop(h)))) for m, h in zip(self.gru, states, strict=True)
        }


def glorot(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer as Keras starts it: Glorot-uniform, zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class ContextualFusion(nn.Module):
    """The contextual streams of all modalities, side by side in one classifier.

    Args:
        features: D_m of one to three modalities.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        context: width, dense, activation and the dropouts of ``Contexts``.
    """

    def __init__(self, features: dict[str, int], outputs: int, *, per_step: bool = False, **context):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=1), per_step
        self.contexts = Contexts(self.features, **context)
        self.head = glorot(context["dense"] * len(features), outputs)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        scores = self.head(torch.cat(list(self.contexts(streams, mask).values()), dim=-1))  # (B, T, K)
        return scores if self.per_step else masked_mean(scores, mask)
