"""TFN: the outer product of the modalities' embeddings, each with a 1 before it, goes through a dense network.

Source   Zadeh et al., "Tensor Fusion Network for Multimodal Sentiment Analysis", EMNLP 2017, doi:10.18653/v1/D17-1115,
         arXiv:1707.07250; code thuiar/MMSA at a94e65d (models/singleTask/TFN.py, models/subNets/FeatureNets.py), which
         follows Justin1904/TensorFusionNetworks at 459de3d (model.py).
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import MODALITIES
from zoo.layers import accept, masked_mean, ordered


class Norm(nn.BatchNorm1d):
    """Batch normalisation: (N, D) -> (N, D). One row has no variance: it is held against the running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Average(nn.Sequential):
    """The embedding of audio or video, from the mean over its steps: (N, T, D_m) and (N, T) -> (N, d)."""

    def __init__(self, features: int, width: int, *, dropout: float):
        layers = [nn.Linear(features, width), nn.ReLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.ReLU()]
        super().__init__(Norm(features), nn.Dropout(dropout), *layers)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(masked_mean(x, mask))


class LastState(nn.Module):
    """The embedding of text, from an LSTM's output at the last real step: (N, T, D_m) and (N, T) -> (N, d)."""

    def __init__(self, features: int, width: int, embedding: int):
        super().__init__()
        self.lstm = nn.LSTM(features, width, batch_first=True)
        self.embed = nn.Linear(width, embedding)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        outputs, _ = self.lstm(x)
        return self.embed(outputs[torch.arange(len(x), device=x.device), mask.sum(1) - 1])


def tensor(embeddings: list[Tensor]) -> Tensor:
    """The outer product of vectors (N, d_i), each with a 1 before it, as one row: (N, product of all d_i + 1)."""
    rows = [F.pad(z, (1, 0), value=1.0) for z in embeddings]
    product = rows[0]
    for row in rows[1:]:
        product = (product.unsqueeze(2) * row.unsqueeze(1)).flatten(1)
    return product


class TFN(nn.Module):
    """Tensor fusion network.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: every step is an utterance and is scored by itself, its text a sequence of one (ours). False: a clip
            is the utterance.
        widths: d of each modality's embedding; of audio and video, that of the hidden layers before it too.
        text_lstm: width of the LSTM. fusion: width of both hidden layers after the tensor.
        dropout: on the normalised audio and video. fusion_dropout: on the tensor.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        widths: dict[str, int],
        text_lstm: int,
        fusion: int,
        dropout: float,
        fusion_dropout: float,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=2), per_step
        if not set(features) <= set(widths) <= set(MODALITIES) or min(*widths.values(), text_lstm, fusion) < 1:
            raise ValueError(
                f"widths is {widths}, text_lstm {text_lstm}, fusion {fusion}; wanted 1 or more, and a width for each "
                f"of {', '.join(self.features)}."
            )
        self.embed = nn.ModuleDict(
            {
                m: LastState(d, text_lstm, widths[m]) if m == "text" else Average(d, widths[m], dropout=dropout)
                for m, d in self.features.items()
            }
        )
        self.head = nn.Sequential(
            nn.Dropout(fusion_dropout),
            nn.Linear(math.prod(widths[m] + 1 for m in self.features), fusion),
            nn.ReLU(),
            nn.Linear(fusion, fusion),
            nn.ReLU(),
            nn.Linear(fusion, outputs),
        )

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if not self.per_step:
            return self._score(streams, masks)
        real = next(iter(masks.values()))
        steps = {m: x[real].unsqueeze(1) for m, x in streams.items()}  # real ones alone: (N, 1, D_m)
        scores = self._score(steps, dict.fromkeys(steps, real.new_ones(int(real.sum()), 1)))
        return scores.new_zeros(*real.shape, scores.shape[-1]).masked_scatter(real.unsqueeze(-1), scores)

    def _score(self, streams: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(N, T_m, D_m) and (N, T_m) -> (N, K)."""
        return self.head(tensor([embed(streams[m], masks[m]) for m, embed in self.embed.items()]))
