"""HALNet: features of several levels gathered into a global one, beside a product of class scores.

Source   Zou et al., "Hierarchical Attention Learning for Multimodal Classification", ICME 2023,
         doi:10.1109/ICME55011.2023.00165: the abstract alone.
Differs  see ``differs`` of the card in ``zoo.METHODS``: what the abstract leaves open is ours.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.layers import Attention, Embed, EncoderLayer, FeedForward, accept, attention_bias, masked_mean, ordered


class Gather(nn.Module):
    """One level of progressive fusion: the global feature queries the steps of every modality at this level."""

    def __init__(self, width: int, heads: int, *, dropout: float, label: str):
        super().__init__()
        self.norm_query, self.norm_level, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads, dropout=dropout, label=label)
        self.feed_forward = FeedForward(width, 4 * width, dropout=dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, whole: Tensor, level: Tensor, bias: Tensor | None) -> Tensor:
        """Global (B, Tq, D), level (B, Tk, D) and a bias over its steps -> the next global (B, Tq, D)."""
        level = self.norm_level(level)
        whole = whole + self.drop(self.attention(self.norm_query(whole), level, level, bias))
        return whole + self.drop(self.feed_forward(self.norm(whole)))


class LabelFusion(nn.Module):
    """Scores from the product of the modalities' class distributions: M of (..., K) -> (..., K).

    Every entry of the product is one combination of classes, one class for each modality (the view
    correlation discovery network of MOGONET, Wang et al. 2021, doi:10.1038/s41467-021-23774-w).
    """

    def __init__(self, modalities: int, outputs: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(outputs**modalities, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, scores: list[Tensor]) -> Tensor:
        product, *others = (s.softmax(-1) for s in scores)
        for distribution in others:
            product = (product.unsqueeze(-1) * distribution.unsqueeze(-2)).flatten(-2)  # (..., K^2), (..., K^3)
        return self.layers(product)


class HALNet(nn.Module):
    """Hierarchical attention learning with two predictions: from features, and from labels.

    Args:
        features: D_m of two or three modalities.
        outputs: K, 2 classes or more.
        per_step: one row of scores for each step. Each step is then a global feature of its own, which
            queries all steps.
        width: D. heads: of every attention. levels: of features, one encoder layer each.
        label_hidden: width of the layer between the product of class distributions and its scores.
        dropout: of encoders and of progressive fusion.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int,
        heads: int,
        levels: int,
        label_hidden: int,
        dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2)
        self.per_step = per_step
        if outputs < 2:
            raise ValueError("outputs is 1; wanted 2 classes or more: HALNet multiplies class distributions.")
        if levels < 1:
            raise ValueError(f"levels is {levels}; wanted 1 or more.")
        everyone = "+".join(self.features)
        self.embed = nn.ModuleDict({m: Embed(d, width, dropout=dropout) for m, d in self.features.items()})
        self.encoder = nn.ModuleDict(
            {
                m: nn.ModuleList(
                    EncoderLayer(width, heads, dropout=dropout, label=f"{m}<-{m}/{i}") for i in range(levels)
                )
                for m in self.features
            }
        )
        self.modality = nn.ParameterDict({m: nn.Parameter(0.02 * torch.randn(width)) for m in self.features})
        self.gather = nn.ModuleList(
            Gather(width, heads, dropout=dropout, label=f"global<-{everyone}/{i}") for i in range(levels)
        )
        self.norm_global = nn.LayerNorm(width)
        self.global_head = nn.Linear(width, outputs)
        self.norm_local = nn.ModuleDict({m: nn.LayerNorm(width) for m in self.features})
        self.local_head = nn.ModuleDict({m: nn.Linear(width, outputs) for m in self.features})
        self.label_fusion = LabelFusion(len(self.features), outputs, label_hidden)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step.

        The mean of the two predictions' scores: the distribution is their geometric mean, high where both
        agree.
        """
        of_features, of_labels, _ = self.predictions(inputs, masks)
        return (of_features + of_labels) / 2

    def training_loss(
        self,
        inputs: dict[str, Tensor],
        masks: dict[str, Tensor],
        labels: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Mean of three losses: of each prediction, and of the modalities' own class scores (their mean)."""
        of_features, of_labels, local = self.predictions(inputs, masks)
        own = torch.stack([criterion(scores, labels) for scores in local]).mean()
        return (criterion(of_features, labels) + criterion(of_labels, labels) + own) / 3

    def predictions(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Scores from the global feature, scores from the product of labels, and each modality's own."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        level = {m: self.embed[m](x) for m, x in streams.items()}  # (B, T_m, D)
        biases = {m: attention_bias(masks[m].unsqueeze(1), x) for m, x in level.items()}
        every = attention_bias(torch.cat([masks[m] for m in streams], dim=1).unsqueeze(1), level[next(iter(level))])
        # The global feature starts as the mean over modalities of what enters the first level.
        whole = torch.stack([self._local(x, masks[m]) for m, x in level.items()]).mean(0)  # (B, Tq, D)
        for i, gather in enumerate(self.gather):
            level = {m: self.encoder[m][i](x, biases[m]) for m, x in level.items()}
            whole = gather(whole, torch.cat([x + self.modality[m] for m, x in level.items()], dim=1), every)
        local = [self.local_head[m](self._local(self.norm_local[m](x), masks[m])) for m, x in level.items()]
        of_features, of_labels = self.global_head(self.norm_global(whole)), self.label_fusion(local)
        if self.per_step:
            return of_features, of_labels, local  # (B, T, K)
        return of_features.squeeze(1), of_labels.squeeze(1), [scores.squeeze(1) for scores in local]

    def _local(self, x: Tensor, mask: Tensor) -> Tensor:
        """What stands for a modality: every step, or the mean of its real ones as one step."""
        return x if self.per_step else masked_mean(x, mask).unsqueeze(1)
