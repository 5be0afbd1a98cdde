"""A model, and what it is given, on one device."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def on_device(function: Callable, device: torch.device) -> Callable:
    """``function(inputs, masks)`` with both moved to a device first."""

    def called(inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]):
        return function({m: x.to(device) for m, x in inputs.items()}, {m: x.to(device) for m, x in masks.items()})

    return called
