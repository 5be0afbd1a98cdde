"""Cost of a model: the arithmetic on what was counted and timed. What counts and times is protocols.measuring.cost."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from protocols.metrics import Undefined


def parameters(shapes: Iterable[Sequence[int]]) -> int:
    """Numbers that a model consists of, trained or frozen, each tensor once; no buffers."""
    return sum(math.prod(shape) for shape in shapes)


def latency(seconds: np.ndarray, percent: float) -> float:
    """A percentile of single passes, between neighbours in proportion: (N,) seconds -> seconds."""
    return float(np.percentile(seconds, percent))


def throughput(seconds: np.ndarray, examples: int) -> float:
    """Examples a second, from the median of (N,) passes over ``examples`` each."""
    return examples / float(np.median(seconds))


def energy(joules: float, examples: int) -> float:
    """Joules of one example, idle power of the device included.

    Raises:
        Undefined: where the counter did not move.
    """
    if joules <= 0:
        raise Undefined("the energy counter did not move while the model ran")
    return joules / examples


def spiking_energy(
    macs: float, flops: np.ndarray, rates: np.ndarray, *, steps: int, joules_mac: float, joules_accumulate: float
) -> float:
    """An estimate of what a spiking network would need on hardware made for it; never measured.

        E = macs E_mac + T sum_l flops_l rate_l E_ac

    The first layer multiplies analogue inputs; each later one accumulates where a spike arrives. Memory traffic,
    often the larger part, is left out. Source: Yao et al. 2023, "Attention Spiking Neural Networks", supplementary
    table S1. The two constants depend on the chip's process and are the caller's.

    Args:
        macs: multiply-accumulates of the first layer, over all T steps.
        flops: (L,) of each later layer in one step. rates: (L,) share of its inputs that spike, in [0, 1].
        steps: T. joules_mac, joules_accumulate: of one operation.
    """
    if flops.shape != rates.shape or rates.size and not (0 <= rates.min() and rates.max() <= 1):
        raise ValueError(f"wanted one firing rate in [0, 1] for each layer, got {rates} for {flops.shape} layers.")
    return float(macs * joules_mac + steps * (flops * rates).sum() * joules_accumulate)
