"""Who attends to whom: read off a model while it runs, so that a diagram cannot differ from the code."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.layers import record_attention


@dataclass(frozen=True)
class Stream:
    """One stream that looks at another; values come from the stream of the keys.

    Args:
        query, key: modalities, or streams that the method names itself, e.g. ``text memory``.
        layers: how many attention maps of this kind one forward pass computes.
        heads: of each.
        over: what the columns of a map are: "steps", "features", "modalities" or "edges".
    """

    query: str
    key: str
    layers: int
    heads: int
    over: str

    def __str__(self) -> str:
        said = f"{self.query} <- {self.key}, {self.layers} x {self.heads} maps over {self.over}"
        return said.replace(" 1 x 1 maps", " 1 map")


def attended(model: nn.Module, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> list[Stream]:
    """The streams of a model, in the order in which it computes them.

    Args:
        inputs, masks: any batch that the model takes.
    """
    training = model.training
    model.eval()
    with torch.no_grad(), record_attention() as maps:
        model(inputs, masks)
    model.train(training)
    found: dict[tuple[str, str, str], list[int]] = {}
    for label, weights in maps:
        where, _, over = label.partition(":")
        query, _, key = where.rpartition("/")[0].partition("<-")
        found.setdefault((query, key, over or "steps"), []).append(weights.shape[1])
    return [Stream(query, key, len(heads), max(heads), over) for (query, key, over), heads in found.items()]
