"""Gradient-Blending: every modality has a head and a loss of its own beside the joint one; given weights blend them.

    loss = w_joint loss(joint) + sum over m of w_m loss(z_m)         w_k = (1/Z) G_k / O_k^2

Source   Wang et al., "What Makes Training Multi-modal Classification Networks Hard?", CVPR 2020, arXiv:1905.12681.
Differs  see ``zoo.remedies.keys.GradientBlending``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.compose import Hybrid
from zoo.remedies.heads import Heads, Streams, Tap, concatenates, output, own, seen, unimodal_heads, watch
from zoo.remedies.keys import JOINT

WITH_HEADS = "compose with fusion late, hybrid or concatenate (late_fusion, hybrid_fusion, transformer, bilstm ...)"


class GradientBlending(nn.Module):
    """A model that trains by the blend of its joint loss and one of each modality; its scores are its own.

    Under late fusion the joint scores are the mean of the modalities', under hybrid fusion those of the fused head.
    A concatenating model gets one linear head for each modality, which only training uses.

    Args:
        model: with a head, or a pooled stream in front of the joint head, for each modality.
        weights: modality, or "joint" -> weight of its loss.

    Raises:
        ValueError: for a model where modalities meet before they are pooled, or weights of other modalities.
    """

    def __init__(self, model: nn.Module, *, weights: dict[str, float]):
        super().__init__()
        self.model, self.weights, self.extra = model, dict(weights), nn.ModuleDict()
        self.heads = self._extended() if concatenates(model) else unimodal_heads(model)
        if self.heads is None:
            raise ValueError(f"gradient_blending needs a stream of each modality alone. Those that have: {WITH_HEADS}.")
        if set(weights) != (wanted := {*self.heads.taps, JOINT}):
            raise ValueError(
                f"gradient_blending has weights for {', '.join(sorted(weights))}; wanted {', '.join(sorted(wanted))}. "
                "Weights hold for one set of modalities."
            )
        self.taps = dict(self.heads.taps)
        if isinstance(model.fusion, Hybrid):
            self.taps[JOINT] = Tap(model.fusion.fused, output)

    def forward(self, inputs: Streams, masks: Streams) -> Tensor:
        """The model's own scores."""
        return self.model(inputs, masks)

    def training_loss(
        self, inputs: Streams, masks: Streams, labels: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The weighted sum of the criterion of each head's scores and of the joint ones."""
        with watch(self.taps) as scores:
            joint = self.model(inputs, masks)
        scores = {JOINT: joint, **scores}
        return torch.stack([w * criterion(scores[k], labels) for k, w in self.weights.items()]).sum()

    def _extended(self) -> Heads:
        """A linear head on the columns that each modality fills of what the joint head sees."""
        head, columns = self.model.fusion.readout.head, seen(self.model)
        outputs = (head if isinstance(head, nn.Linear) else head[-1]).out_features
        self.extra.update({m: nn.Linear(part.stop - part.start, outputs) for m, part in columns.items()})
        taps = {
            m: Tap(head, lambda given, gave, m=m, part=part: self.extra[m](given[..., part]))
            for m, part in columns.items()
        }
        return Heads(taps, own(self.model))
