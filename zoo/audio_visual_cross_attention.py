"""Audio-visual cross-attention: one correlation matrix, normalised either way, lets each stream read the other.

Source   Praveen, Granger, Cardinal 2021, "Cross Attentional Audio-Visual Fusion for Dimensional Emotion
         Recognition", FG, arXiv:2111.05222; code praveena2j/Cross-Attentional-AV-Fusion at 85bf502
         (models/cam.py, models/audiovisual_model.py, train.py).
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import accept, attention_bias, ordered, record, to_longest


class AudioVisualCrossAttention(nn.Module):
    """Cross-attention of FG 2021.

    With unit-norm features A (d, L_a) and V (d, L_v), stored as the paper stores them:

        C = A^T W V                         (L_a, L_v)
        A_att = A softmax_columns(C)        (d, L_v): for every video step, the audio that goes with it
        V_att = V softmax_columns(C^T)      (d, L_a)
        scores = MLP(max over time of A_att + V_att)

    Args:
        features: D_m of audio and video.
        outputs: K.
        per_step: scores of every step instead of the largest value of each feature over the clip (ours).
        width: d that both streams are encoded to (ours); null for streams as they come, of one width.
        hidden: the MLP's hidden widths, tanh after each. dropout: on what it reads.
        final_tanh: whether scores are bounded by tanh, for targets in [-1, 1]; not for logits.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int | None,
        hidden: list[int],
        dropout: float,
        final_tanh: bool,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2, at_most=2)
        self.per_step = per_step
        if width is None and len(set(self.features.values())) > 1:
            raise ValueError(f"features {self.features} differ in width; give a width that both are encoded to.")
        if min(hidden, default=1) < 1 or (width is not None and width < 1):
            raise ValueError(f"width {width}, hidden {list(hidden)}: every width must be 1 or more.")
        self.encode = nn.ModuleDict(
            {m: nn.Identity() if width is None else nn.Linear(d, width) for m, d in self.features.items()}
        )
        width = width or next(iter(self.features.values()))
        self.correlation = nn.Parameter(torch.empty(width, width))  # W
        nn.init.xavier_normal_(self.correlation)
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        for size in hidden:
            layers += [nn.Linear(width, size), nn.Tanh()]
            width = size
        layers += [nn.Linear(width, outputs)] + ([nn.Tanh()] if final_tanh else [])
        self.head = nn.Sequential(*layers)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        first, second = self.features
        x = {m: F.normalize(self.encode[m](stream), dim=-1) for m, stream in streams.items()}  # (B, T_m, d)
        scores = x[first] @ (x[second] @ self.correlation.T).transpose(1, 2)  # (B, T_a, T_v)
        # What a step reads of the other stream stands at that step, whatever the other stream's length.
        seen = {
            first: self._read(first, second, scores, x[second], masks[second]),
            second: self._read(second, first, scores.transpose(1, 2), x[first], masks[first]),
        }
        seen, mask = to_longest(seen, masks)
        fused = seen[first] + seen[second]  # (B, T, d)
        if not self.per_step:
            fused = fused.masked_fill(~mask.unsqueeze(-1), -math.inf).amax(1)  # (B, d)
        return self.head(fused)

    def _read(self, query: str, key: str, scores: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Scores (B, Tq, Tk), values (B, Tk, d) and their mask -> (B, Tq, d)."""
        bias = attention_bias(mask.unsqueeze(1), scores)  # (B, 1, 1, Tk)
        weights = (scores if bias is None else scores + bias.squeeze(1)).softmax(-1)
        record(f"{query}<-{key}/0", weights.unsqueeze(1))
        return weights @ values
