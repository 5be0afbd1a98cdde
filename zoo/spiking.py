"""Spiking layers: integrate-and-fire neurons, what stands before them, patches, attention without a softmax.

Source   Zhou et al. 2023, "Spikformer: When Spiking Neural Network Meets Transformer", ICLR, arXiv:2209.15425, in the
         form of Brain-Cog-Lab/S-CMRL at 3be3df72: braincog/model_zoo/spikformer.py, braincog/base/node/node.py.
Differs  see the card of ``s_cmrl``, which is built from these parts.

Shapes: T timesteps of the simulation, B clips, C channels, D width, H heads, N tokens. Neurons start a pass at rest.
"""

import math

import torch
from torch import Tensor, nn

from zoo.layers import record

TAU = 2.0  # of the membrane, in timesteps
THRESHOLD = 1.0
SLOPE = 4.0  # of the sigmoid whose derivative stands in for that of a spike
SCALE = 0.25  # of attention, whatever the width of a head


class _Fire(torch.autograd.Function):
    """See ``fire``."""

    @staticmethod
    def forward(ctx, current: Tensor) -> Tensor:
        potentials, rest = torch.empty_like(current), torch.zeros_like(current[0])
        for t, x in enumerate(current):
            potentials[t] = rest + (x - rest) / TAU
            rest = potentials[t].masked_fill(potentials[t] >= THRESHOLD, 0.0)
        ctx.save_for_backward(potentials)
        return (potentials >= THRESHOLD).to(current.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (potentials,) = ctx.saved_tensors
        soft = torch.sigmoid(SLOPE * (potentials - THRESHOLD))
        return gradient * SLOPE * soft * (1 - soft) / TAU


def fire(current: Tensor) -> Tensor:
    """Leaky integrate-and-fire neurons: input currents (T, ...) -> spikes (T, ...), each 0 or 1.

        u_t = v_{t-1} + (x_t - v_{t-1}) / TAU      v_0 = 0
        s_t = 1 where u_t >= THRESHOLD, else 0
        v_t = u_t (1 - s_t)

    The gradient of s_t in u_t is that of sigmoid(SLOPE (u_t - THRESHOLD)). v_{t-1} counts as a constant, so no
    gradient reaches an earlier timestep.
    """
    return _Fire.apply(current)


class Spiking(nn.Module):
    """A layer, batch normalisation over clips and timesteps, neurons: (T, B, C, ...) -> (T, B, C', ...)."""

    def __init__(self, layer: nn.Module, norm: nn.Module):
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, x: Tensor) -> Tensor:
        return fire(self.norm(self.layer(x.flatten(0, 1))).unflatten(0, x.shape[:2]))


def _convolution(inputs: int, outputs: int) -> Spiking:
    """3 x 3 over a picture."""
    return Spiking(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))


def _pointwise(inputs: int, outputs: int, *, bias: bool = False) -> Spiking:
    """Every token by itself."""
    return Spiking(nn.Conv1d(inputs, outputs, 1, bias=bias), nn.BatchNorm1d(outputs))


class PatchSplitting(nn.Module):
    """Convolutions that halve a picture until a patch is one token; one more convolution adds positions.

    Args:
        channels: of the picture.
        size: side of a patch, a power of 2: each of log2(size) stages halves and the last has ``width`` channels,
            the one before it half of them, and so on.
    """

    def __init__(self, channels: int, width: int, size: int):
        super().__init__()
        stages = int(math.log2(size)) if size > 1 else 0
        if size != 2**stages or stages < 1 or width < 1 or width % 2 ** (stages - 1):
            raise ValueError(
                f"patches of size {size} at width {width}; wanted a size of 2, 4, 8, ..., and a width that can be "
                "halved for each halving of the picture but the last."
            )
        widths = [channels, *(width >> (stages - 1 - i) for i in range(stages))]
        self.stages = nn.ModuleList(_convolution(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.positions = _convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, C, side, side) -> (T, B, D, N); tokens are 0, 1 or 2."""
        for stage in self.stages:
            x = self.pool(stage(x).flatten(0, 1)).unflatten(0, x.shape[:2])
        return (x + self.positions(x)).flatten(3)


class SpikingAttention(nn.Module):
    """Queries of one stream, keys and values of another, all of them spikes; no softmax.

        neurons(SCALE Q K^T V), then a projection with neurons

    Args:
        over: "tokens" of one timestep, or "timesteps" of one token.
        label: of the recorded map. Its rows and columns are what is attended over, its heads all H heads of every
            timestep, or of every token.
    """

    def __init__(self, width: int, heads: int, *, over: str, label: str):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads ({heads}) must divide width ({width}).")
        self.heads, self.over, self.label = heads, over, label
        self.query, self.key, self.value = (_pointwise(width, width) for _ in range(3))
        self.project = _pointwise(width, width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(T, B, D, N) that asks and (T, B, D, N) that answers -> (T, B, D, N)."""
        q, k, v = self._divided(self.query(x)), self._divided(self.key(y)), self._divided(self.value(y))
        weights = SCALE * (q @ k.transpose(-2, -1))
        record(self.label, weights.flatten(1, 2))
        read = weights @ v
        if self.over == "tokens":  # (B, T, H, N, D / H)
            read = read.transpose(-2, -1).flatten(2, 3).transpose(0, 1)  # (T, B, D, N)
        else:  # (B, N, H, T, D / H), which the released code and its weights read on as if it were (B, N, T, D)
            read = read.reshape(*read.shape[:2], read.shape[3], -1).permute(2, 0, 3, 1)  # (T, B, D, N)
        return self.project(fire(read))

    def _divided(self, spikes: Tensor) -> Tensor:
        """(T, B, D, N) -> (B, T, H, N, D / H) over tokens, (B, N, H, T, D / H) over timesteps."""
        spikes = spikes.unflatten(2, (self.heads, -1))  # (T, B, H, D / H, N)
        return spikes.permute(1, 0, 2, 4, 3) if self.over == "tokens" else spikes.permute(1, 4, 2, 0, 3)


class SpikingPerceptron(nn.Module):
    """Two layers of neurons on every token, added to what came in: (T, B, D, N) -> (T, B, D, N)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.widen, self.narrow = _pointwise(width, hidden, bias=True), _pointwise(hidden, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.widen(x))
