"""Steps of a batch are rows of numbers; a method that cuts patches wants each as the picture that it is."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

Streams = dict[str, Tensor]


class Shaped(nn.Module):
    """A model of raw steps that takes them as rows.

    Args:
        model: wants (B, T, *shape) of some modalities.
        shapes: modality -> shape of one step.
    """

    def __init__(self, model: nn.Module, shapes: Mapping[str, tuple[int, ...]]):
        super().__init__()
        self.model, self.shapes = model, dict(shapes)

    def forward(self, inputs: Streams, masks: Streams) -> Tensor:
        """The model's own scores of (B, T, width)."""
        return self.model(self._pictures(inputs), masks)

    def training_loss(
        self, inputs: Streams, masks: Streams, labels: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The model's own loss, or that of its scores."""
        if hasattr(self.model, "training_loss"):
            return self.model.training_loss(self._pictures(inputs), masks, labels, criterion)
        return criterion(self(inputs, masks), labels)

    def _pictures(self, inputs: Streams) -> Streams:
        return {m: x.unflatten(-1, self.shapes[m]) if m in self.shapes else x for m, x in inputs.items()}


def shaped(model: nn.Module, features: Mapping[str, int | tuple[int, ...]]) -> nn.Module:
    """The model itself where every step is a vector, else inside ``Shaped``."""
    shapes = {m: step for m, step in features.items() if not isinstance(step, int)}
    return Shaped(model, shapes) if shapes else model
