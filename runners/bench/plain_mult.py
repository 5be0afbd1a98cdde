"""MulT as its paper and released code lay it out, layer by layer: what ``zoo.mult`` is timed against.

Source   Tsai et al. 2019, arXiv:1906.00295, section 3; the order of operations of yaohungt/Multimodal-Transformer
         at a670936. Written from the equations, in plain PyTorch, with nothing slowed down on purpose.

Each layer normalises queries, keys and values, projects each alone, builds its own mask, and keeps its attention
weights; each encoder scales and positions its own streams; every memory layer runs over all steps, of which the
last is read. The parameters are those of ``zoo.mult.MulT`` by the same names, so one state dict fits both.
Padding has no place here, as in the released code: all clips of a batch have all their steps.
"""

import math
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.mult import Layer, MulT


class PlainMulT(nn.Module):
    """The same function as a ``MulT``, with a copy of its weights."""

    def __init__(self, model: MulT):
        super().__init__()
        if model.per_step:
            raise ValueError(
                "the published structure gives one row of scores for each clip; build with per_step=False."
            )
        self.model = _plain_dropout(deepcopy(model))

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and full masks -> (B, K)."""
        if not all(mask.all() for mask in masks.values()):
            raise ValueError("the published structure knows no padding; give full masks.")
        model = self.model
        streams = {m: self._low_level(m, inputs[m]) for m in model.project}  # (B, T_m, D)
        last = []
        for target in model.targets:
            refined = [
                self._encode(model.crossmodal[f"{target}_from_{source}"], streams[target], streams[source])
                for source in model.project
                if source != target
            ]
            h = torch.cat(refined, dim=-1)  # (B, T, D times sources)
            last.append(self._encode(model.memory[target], h, h)[:, -1])
        y = torch.cat(last, dim=-1)
        return model.head(y + model.residual2(model.output_drop(model.residual1(y).relu())))

    def _low_level(self, modality: str, x: Tensor) -> Tensor:
        if modality == "text":
            x = self.model.embed_drop(x)
        return self.model.project[modality](x.transpose(1, 2)).transpose(1, 2)

    def _encode(self, encoder: nn.Module, target: Tensor, source: Tensor) -> Tensor:
        """(B, Tq, D) and (B, Tk, D) -> (B, Tq, D). Over itself where source is target."""
        x = encoder.embed_drop(_embed(target))
        keys = values = None
        if source is not target:
            keys, values = encoder.embed_drop(_embed(source)), encoder.embed_drop(_embed(source))
        for layer in encoder.layers:
            x = self._layer(layer, x, keys, values)
        return encoder.norm(x)

    def _layer(self, layer: Layer, x: Tensor, keys: Tensor | None, values: Tensor | None) -> Tensor:
        query = layer.norm0(x)
        key, value = (query if s is None else layer.norm0(s) for s in (keys, values))
        x = x + layer.drop(self._attend(layer.attention, query, key, value))
        return x + layer.drop(layer.feed_forward(layer.norm1(x)))

    def _attend(self, attention: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        width, heads = query.shape[-1], attention.heads
        weights, biases = attention.in_proj_weight.split(width), attention.in_proj_bias.split(width)
        q, k, v = (
            F.linear(x, w, b).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, T, D/H)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        scores = q / math.sqrt(q.shape[-1]) @ k.transpose(-2, -1)  # (B, H, Tq, Tk)
        if self.model.causal_mask:
            steps, others = scores.shape[-2:]
            scores += torch.full((steps, others), -math.inf, device=q.device).triu(1 + abs(steps - others))
        attended = F.dropout(scores.softmax(-1), attention.dropout, self.training) @ v
        return attention.out_proj(attended.transpose(1, 2).flatten(2))


def _plain_dropout(module: nn.Module) -> nn.Module:
    """The same module with PyTorch's dropout instead of ours, and activations that write to a tensor of their own."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, nn.Dropout(child.p))
        elif isinstance(child, nn.ReLU):
            setattr(module, name, nn.ReLU())
        else:
            _plain_dropout(child)
    return module


def _embed(x: Tensor) -> Tensor:
    """Scale by sqrt(D) and add sinusoids, counting steps from 1; none where the first channel is zero."""
    steps, width = x.shape[-2:]
    half = width // 2
    rates = torch.exp(torch.arange(half, device=x.device, dtype=x.dtype) * (-math.log(10000.0) / (half - 1)))
    angles = torch.arange(1, steps + 1, device=x.device)[:, None] * rates
    table = F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, width - 2 * half))
    return x * math.sqrt(width) + table * (x[..., :1] != 0)
