"""Where a model decides from one modality alone, read off its forward pass without changing it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.compose import Compose, Hybrid, Joint, Late
from zoo.parts.fusions import Concatenate

# Who has them, as refusals say it.
WITH_HEADS = "compose with fusion late or hybrid (late_fusion, hybrid_fusion), or concatenate under a linear head"
Scores = dict[str, Tensor]
Streams = dict[str, Tensor]


@dataclass(frozen=True)
class Tap:
    """Scores that can be read once ``module`` has run: ``read(its input, its output)``."""

    module: nn.Module
    read: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Heads:
    """The uni-modal heads of a model.

    Args:
        taps: modality -> where its scores z_m, (B, K) or (B, T, K), are read. They depend on no other modality.
        own: modality -> the parameters that no other modality passes through.
    """

    taps: Mapping[str, Tap]
    own: Mapping[str, tuple[nn.Parameter, ...]]


@contextmanager
def watch(taps: Mapping[str, Tap]) -> Iterator[Scores]:
    """Collect scores: ``with watch(taps) as z: model(inputs, masks)`` fills z; gradients flow through them."""
    found: Scores = {}

    def keep(name: str, tap: Tap):
        def hook(module, given, gave):
            found[name] = tap.read(given[0], gave)

        return tap.module.register_forward_hook(hook)

    handles = [keep(name, tap) for name, tap in taps.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def output(given: Tensor, gave: Tensor) -> Tensor:
    """A tap that reads what the module gives."""
    return gave


def unimodal_heads(model: nn.Module) -> Heads | None:
    """The uni-modal heads of a model of two modalities or more; None where it has none.

    Late and hybrid fusion have a head for each modality. A linear head over pooled streams side by side is a sum of
    such heads: z_m = W_m h_m + b / M.
    """
    if isinstance(heads := getattr(model, "heads", None), Heads):  # of a model inside its remedy
        return heads
    if not isinstance(model, Compose) or len(model.features) < 2:
        return None
    if late := unimodal_part(model):
        taps = {m: Tap(readout, output) for m, readout in late.readouts.items()}
        return Heads(taps, {m: (*model.encoders[m].parameters(), *late.readouts[m].parameters()) for m in taps})
    head = model.fusion.readout.head
    if concatenates(model) and isinstance(head, nn.Linear):
        return Heads(
            {m: _part_of(head, columns, len(model.features)) for m, columns in seen(model).items()}, own(model)
        )
    return None


def unimodal_part(model: Compose) -> Late | None:
    """The heads of late fusion, or those beside the joint one of hybrid fusion."""
    if isinstance(model.fusion, Hybrid):
        return model.fusion.unimodal
    return model.fusion if isinstance(model.fusion, Late) else None


def concatenates(model: nn.Module) -> bool:
    """Whether pooled streams of two modalities or more meet only side by side, in the head."""
    if not isinstance(model, Compose) or len(model.features) < 2 or not isinstance(model.fusion, Joint):
        return False
    return isinstance(model.fusion.interaction, Concatenate)


def seen(model: Compose) -> dict[str, slice]:
    """modality -> its columns of what the head of a concatenating model sees."""
    head = model.fusion.readout.head
    linear = head if isinstance(head, nn.Linear) else head[0]
    width = linear.in_features // len(model.features)
    return {m: slice(i * width, (i + 1) * width) for i, m in enumerate(model.features)}


def own(model: Compose) -> dict[str, tuple[nn.Parameter, ...]]:
    """modality -> its parameters in front of the head of a concatenating model."""
    pooling = model.fusion.readout.pooling
    return {
        m: (*chain.parameters(), *(pooling[m].parameters() if m in pooling else ()))
        for m, chain in model.encoders.items()
    }


def head_scores(model: nn.Module) -> Callable[[Streams, Streams], Scores] | None:
    """``(inputs, masks) -> modality -> (B, K)`` or (B, T, K); None where the model has no uni-modal heads."""
    heads = unimodal_heads(model)
    if heads is None:
        return None

    def scores(inputs: Streams, masks: Streams) -> Scores:
        with watch(heads.taps) as found:
            model(inputs, masks)
        return {m: found[m] for m in heads.taps}

    return scores


def _part_of(head: nn.Linear, columns: slice, modalities: int) -> Tap:
    def read(given: Tensor, gave: Tensor) -> Tensor:
        return F.linear(given[..., columns], head.weight[:, columns], head.bias / modalities)

    return Tap(head, read)
