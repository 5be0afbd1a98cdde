"""A composed architecture: encoders of each stream, a fusion, a pooling and a head, all named in the keys.

Source   Ours: the generic architectures that reviews tabulate, built from ``zoo/parts``. What may be composed, and
         with which keys, is said in ``zoo/parts/architecture.py``.
Differs  see the card.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo.layers import Attention, accept, ordered
from zoo.parts import keys
from zoo.parts.architecture import Architecture, read
from zoo.parts.encoders import Chain
from zoo.parts.fusions import INTERACTIONS, Streams
from zoo.parts.poolings import POOLINGS

Criterion = Callable[[Tensor, Tensor], Tensor]


class Readout(nn.Module):
    """Streams -> scores: each is pooled, or read at every step, and the head sees them side by side."""

    def __init__(self, names: tuple[str, ...], outputs: int, tree: Architecture, *, per_step: bool):
        super().__init__()
        self.pooling = nn.ModuleDict()
        if not per_step:
            kind = POOLINGS[tree.pooling.kind]
            self.pooling.update({m: kind(tree.width, label=m, **dict(tree.pooling)) for m in names})
        width = tree.width * len(names)
        if isinstance(tree.head, keys.MLP):
            hidden, drop = tree.head.hidden, nn.Dropout(tree.head.dropout)
            self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), drop, nn.Linear(hidden, outputs))
        else:
            self.head = nn.Linear(width, outputs)

    def forward(self, streams: Streams) -> Tensor:
        read = [self.pooling[m](x, mask) if self.pooling else x for m, (x, mask) in streams.items()]
        return self.head(torch.cat(read, dim=-1))


class Joint(nn.Module):
    """One decision after the streams' interaction."""

    def __init__(self, interaction: nn.Module, readout: Callable[..., Readout]):
        super().__init__()
        self.interaction = interaction
        self.readout = readout(interaction.names)

    def forward(self, streams: Streams) -> Tensor:
        return self.readout(self.interaction(streams))

    def loss(self, streams: Streams, labels: Tensor, criterion: Criterion) -> Tensor:
        return criterion(self(streams), labels)


class Late(nn.Module):
    """Each modality decides alone; their logits are averaged, and trained through that mean.

    The mean of logits multiplies the modalities' class probabilities (their geometric mean, normalised).
    Scores add up over modalities: what only their combination tells (exclusive or) is out of reach.
    """

    def __init__(self, names: tuple[str, ...], readout: Callable[..., Readout]):
        super().__init__()
        self.readouts = nn.ModuleDict({m: readout((m,)) for m in names})

    def scores(self, streams: Streams) -> list[Tensor]:
        return [self.readouts[m]({m: stream}) for m, stream in streams.items()]

    def forward(self, streams: Streams) -> Tensor:
        return torch.stack(self.scores(streams)).mean(0)

    def loss(self, streams: Streams, labels: Tensor, criterion: Criterion) -> Tensor:
        return criterion(self(streams), labels)


class Hybrid(nn.Module):
    """A decision after the interaction beside one of each modality before it.

    Each has a loss of its own, and all of them vote; the same weights w_h hold in both:
    loss = sum w_h loss_h, scores = sum w_h logits_h / sum w_h.
    """

    def __init__(self, fused: Joint, unimodal: Late, *, fused_weight: float, unimodal_weight: float):
        super().__init__()
        self.fused, self.unimodal = fused, unimodal
        self.weights = (fused_weight, *[unimodal_weight] * len(unimodal.readouts))

    def scores(self, streams: Streams) -> list[Tensor]:
        return [self.fused(streams), *self.unimodal.scores(streams)]

    def forward(self, streams: Streams) -> Tensor:
        weighted = [w * s for w, s in zip(self.weights, self.scores(streams), strict=True)]
        return torch.stack(weighted).sum(0) / sum(self.weights)

    def loss(self, streams: Streams, labels: Tensor, criterion: Criterion) -> Tensor:
        scored = zip(self.weights, self.scores(streams), strict=True)
        return torch.stack([w * criterion(s, labels) for w, s in scored]).sum()


class Compose(nn.Module):
    """Classify with the architecture that the settings spell out; ``zoo/parts`` says what each part does.

    In a spec::

        width: 40
        encoders:
          - conv: {layers: 2, kernel: 5, stride: 2, dropout: 0.1}
          - bilstm: {hidden: 20, layers: 1, dropout: 0.1}
        fusion:
          cross_attention: {heads: 4, layers: 1, dropout: 0.1}
        pooling: mean
        head: linear

    Args:
        features: D_m of one modality or more; the fusion says how many it takes.
        outputs: K.
        per_step: one row of scores for each step, unpooled; streams must have equal steps, and keep them.
        width: D of every stream from the encoders on.
        encoders: a list of parts for every modality, or a list for each.
        fusion, pooling, head: one part each. Per step, nothing is pooled.

    Raises:
        ValueError: naming the place in the settings; see ``zoo.parts.architecture.read``.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int,
        encoders: list | dict[str, list],
        fusion: str | dict,
        pooling: str | dict,
        head: str | dict,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=1), per_step
        settings = {"width": width, "encoders": encoders, "fusion": fusion, "pooling": pooling, "head": head}
        tree = read(settings, self.features, per_step=per_step)
        self.encoders = nn.ModuleDict({m: Chain(d, width, tree.encoders[m], label=m) for m, d in self.features.items()})
        self.fusion = self._decision(tree, outputs)
        self._number_maps()

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        return self.fusion(self._encode(inputs, masks))

    def training_loss(
        self, inputs: dict[str, Tensor], masks: dict[str, Tensor], labels: Tensor, criterion: Criterion
    ) -> Tensor:
        """The criterion of the scores; under hybrid fusion the weighted sum over all heads."""
        return self.fusion.loss(self._encode(inputs, masks), labels, criterion)

    def _encode(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Streams:
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        return {m: self.encoders[m](x, masks[m]) for m, x in streams.items()}

    def _decision(self, tree: Architecture, outputs: int) -> nn.Module:
        widths: Mapping[str, int] = {m: chain.gives for m, chain in self.encoders.items()}

        def readout(names: tuple[str, ...]) -> Readout:
            return Readout(names, outputs, tree, per_step=self.per_step)

        def joint(part: keys.Part) -> Joint:
            interaction = INTERACTIONS[part.kind](widths, tree.width, per_step=self.per_step, **dict(part))
            return Joint(interaction, readout)

        if isinstance(tree.fusion, keys.Late):
            return Late(tuple(widths), readout)
        if isinstance(tree.fusion, keys.Hybrid):
            weights = {"fused_weight": tree.fusion.fused_weight, "unimodal_weight": tree.fusion.unimodal_weight}
            return Hybrid(joint(tree.fusion.interaction), Late(tuple(widths), readout), **weights)
        return joint(tree.fusion)

    def _number_maps(self) -> None:
        """Count the layers of each pair of streams through all parts, so that no two maps share a label."""
        seen: dict[str, int] = {}
        for module in self.modules():
            if isinstance(module, Attention):
                pair = module.label.rsplit("/", 1)[0]
                module.label = f"{pair}/{seen.setdefault(pair, 0)}"
                seen[pair] += 1
