"""What the methods do not differ on: input checks, attention with a recorder, positions, pooling, one encoder.

Shapes: B clips, T_m steps and D_m features of modality m, D model width, H heads, K outputs.
Masks are True on real steps; padding stands on the right and changes nothing.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import MODALITIES

_MAPS: ContextVar[list[tuple[str, Tensor]] | None] = ContextVar("attention maps", default=None)


def ordered(features: Mapping[str, int], outputs: int, *, at_least: int, at_most: int = 3) -> dict[str, int]:
    """The declared modalities in the order of ``zoo.MODALITIES``.

    Raises:
        ValueError: for an unknown modality, a width or K below one, or a wrong number of modalities.
    """
    if unknown := [m for m in features if m not in MODALITIES]:
        raise ValueError(f"unknown modality {unknown[0]!r} in features; accepted are {', '.join(MODALITIES)}.")
    if not at_least <= len(features) <= at_most:
        wanted = str(at_least) if at_least == at_most else f"{at_least} to {at_most}"
        raise ValueError(f"features names {len(features)} modalities ({', '.join(features)}); wanted {wanted}.")
    if narrow := {m: d for m, d in features.items() if d < 1}:
        raise ValueError(f"features {narrow}: every width must be 1 or more.")
    if outputs < 1:
        raise ValueError(f"outputs is {outputs}; wanted 1 or more.")
    return {m: features[m] for m in MODALITIES if m in features}


def accept(
    inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor], features: Mapping[str, int], *, per_step: bool
) -> dict[str, Tensor]:
    """Check a batch against the declared features, and put zeros on padded steps.

    Args:
        inputs: (B, T_m, D_m) for each modality of ``features``, no more and no fewer.
        masks: (B, T_m) bool, True on real steps, which stand before all padding.
        features: D_m for each modality.
        per_step: True where the output has one row for each step: then T and masks must agree.

    Raises:
        ValueError: naming modality and shapes.
    """
    if set(inputs) != set(features) or set(masks) != set(features):
        raise ValueError(
            f"the model takes {', '.join(features)}; inputs has {', '.join(inputs)}, masks has {', '.join(masks)}."
        )
    clean = {}
    for m, width in features.items():
        x, mask = inputs[m], masks[m]
        if x.ndim != 3 or x.shape[2] != width:
            raise ValueError(f"{m}: inputs of shape {tuple(x.shape)}; wanted (B, T, {width}).")
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"{m}: inputs are {x.dtype}; wanted float32. Half precision cannot tell late positions apart; give "
                "float32 and run under torch.autocast instead."
            )
        if mask.shape != x.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(f"{m}: mask {tuple(mask.shape)} {mask.dtype}; wanted bool {tuple(x.shape[:2])}.")
        if not mask[:, :1].sum() == len(mask) or (mask[:, 1:] > mask[:, :-1]).any():
            raise ValueError(
                f"{m}: mask {tuple(mask.shape)} has a row without a real step at its start, or a real step after "
                "padding. Pad on the right; a missing modality is zeros with a full mask."
            )
        clean[m] = x.masked_fill(~mask.unsqueeze(-1), 0.0)
    first = next(iter(features))
    for m in features:
        if len(clean[m]) != len(clean[first]):
            raise ValueError(f"{m} has {len(clean[m])} clips, {first} has {len(clean[first])}; wanted equal numbers.")
        if per_step and not torch.equal(masks[m], masks[first]):
            raise ValueError(
                f"per_step output needs equal steps: {m} mask {tuple(masks[m].shape)} differs from {first} mask "
                f"{tuple(masks[first].shape)}. Align the streams, or build with per_step=False."
            )
    return clean


def accept_aligned(
    inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor], features: Mapping[str, int]
) -> tuple[dict[str, Tensor], Tensor]:
    """Check a batch whose streams have the same steps, words or utterances for example, which are fused one by one.

    Returns:
        As of ``accept``: (B, T, D_m) each, and their one mask (B, T).

    Raises:
        ValueError: also where the modalities' masks differ, with both shapes.
    """
    streams = accept(inputs, masks, features, per_step=False)
    first = next(iter(features))
    for m in features:
        if not torch.equal(masks[m], masks[first]):
            raise ValueError(
                f"steps are fused one by one, so streams need equal steps: {m} mask {tuple(masks[m].shape)} differs "
                f"from {first} mask {tuple(masks[first].shape)}. Align them, one vector a step and modality, or take a "
                "method that fuses whole clips, such as hfusion."
            )
    return streams, masks[first]


@lru_cache(maxsize=64)
def _sinusoids(length: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    # Built outside inference mode: the cache outlives the call, and training must be able to use the table.
    with torch.inference_mode(False), torch.no_grad():
        half = width // 2
        rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / max(half - 1, 1)))
        angles = torch.arange(1, length + 1, dtype=torch.float64)[:, None] * rates
        table = torch.zeros(length, width, dtype=torch.float64)
        table[:, :half], table[:, half : 2 * half] = angles.sin(), angles.cos()
        return table.to(device=device, dtype=dtype)


def positions(x: Tensor) -> Tensor:
    """Sinusoidal positions for (B, T, D): (T, D), counting from 1.

    The tensor2tensor form: sines in the first half of the channels, cosines in the second, rates
    10000^(-i / (D/2 - 1)); an odd D leaves its last channel at zero. In float32 at least, whatever x is: half
    precision merges late positions. The result is shared: do not write into it.
    """
    length, width = x.shape[-2:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    return _sinusoids(1 << (length - 1).bit_length(), width, x.device, dtype)[:length]


def nearest_step(x: Tensor, lengths: Tensor, target: Tensor, steps: int) -> Tensor:
    """Resample every clip of a stream to another length by taking the nearest step.

    Step t of the result is step floor((t + 0.5) L / L') of the stream, in whole numbers, so no rounding
    depends on the machine.

    Args:
        x: (B, T, D). lengths: (B,) real steps L of ``x``. target: (B,) wanted real steps L'.
        steps: T' of the result; what lies past L' is padding.

    Returns:
        (B, T', D).
    """
    t = torch.arange(steps, device=x.device)
    index = (2 * t + 1) * lengths[:, None] // (2 * target[:, None])  # (B, T')
    index = index.clamp(max=x.shape[1] - 1)
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def to_longest(streams: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Bring each clip's streams to the length of its longest one, by nearest step.

    Args:
        streams: (B, T_m, D_m) for each modality. masks: (B, T_m) bool.

    Returns:
        (B, T, D_m) for each modality, and the one mask (B, T) that they now share.
    """
    lengths = {m: masks[m].sum(1) for m in streams}  # (B,)
    longest = torch.stack(list(lengths.values())).amax(0)  # (B,)
    steps = max(x.shape[1] for x in streams.values())
    mask = torch.arange(steps, device=longest.device) < longest[:, None]  # (B, T)
    return {m: nearest_step(x, lengths[m], longest, steps) for m, x in streams.items()}, mask


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real steps: (B, T, D) and (B, T) -> (B, D)."""
    real = mask.unsqueeze(-1)
    return x.masked_fill(~real, 0.0).sum(1) / real.sum(1)


def attention_bias(allowed: Tensor, like: Tensor) -> Tensor | None:
    """0 where a query may look, -inf elsewhere; None for keys without padding, which is faster.

    Args:
        allowed: (B, Tq or 1, Tk) bool with at least one True in each row.
        like: any tensor of the wanted type.

    Returns:
        (B, 1, Tq or 1, Tk), to add to the scores of every head. Build it once for all layers.
    """
    if allowed.shape[1] == 1 and allowed.all():
        return None
    return like.new_zeros(allowed.shape).masked_fill_(~allowed, -math.inf).unsqueeze(1)


@contextmanager
def record_attention() -> Iterator[list[tuple[str, Tensor]]]:
    """Collect attention maps: ``with record_attention() as maps: model(inputs, masks)``.

    Yields:
        A list that fills with (label, weights) in the order of computation; weights are
        (B, H, Tq, Tk), before dropout, detached. Outputs stay equal up to rounding.
    """
    maps: list[tuple[str, Tensor]] = []
    token = _MAPS.set(maps)
    try:
        yield maps
    finally:
        _MAPS.reset(token)


def record(label: str, weights: Tensor) -> None:
    """Hand over the map of an attention that is not ``Attention``; does nothing unless a recorder is open.

    Args:
        label: ``"text<-audio/0"``: whose queries, whose keys, which layer. ``"...:features"`` where rows and
            columns are features instead of steps, ``"...:modalities"`` where columns are modalities, ``"...:edges"``
            where they are the edges of a graph.
        weights: (B, H, Tq, Tk), before dropout.
    """
    maps = _MAPS.get()
    if maps is not None:
        maps.append((label, weights.detach()))


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

    The parameters are laid out like ``torch.nn.MultiheadAttention``: query, key and value rows in one
    matrix, Xavier-uniform; zero biases.

    Args:
        label: what a recorded map is called, e.g. ``"text<-audio/0"`` for text queries and audio keys.
    """

    def __init__(self, width: int, heads: int, *, dropout: float, label: str):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads ({heads}) must divide width ({width}).")
        self.heads, self.dropout, self.label = heads, dropout, label
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        for weight in (self.in_proj_weight, self.out_proj.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, Tq, D), (B, Tk, D), (B, Tk, D) and a bias from ``attention_bias`` -> (B, Tq, D)."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in self._project(query, key, value))
        dropout = self.dropout if self.training else 0.0
        if _MAPS.get() is None:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
        else:
            scores = q / math.sqrt(q.shape[-1]) @ k.transpose(-2, -1)  # (B, H, Tq, Tk)
            weights = (scores if bias is None else scores + bias).softmax(-1)
            record(self.label, weights)
            mixed = F.dropout(weights, dropout) @ v
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # (B, Tq, D)

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values in as few products as the sharing of inputs allows."""
        weight, bias, width = self.in_proj_weight, self.in_proj_bias, query.shape[-1]
        if query is key and key is value:
            return F.linear(query, weight, bias).chunk(3, dim=-1)
        q = F.linear(query, weight[:width], bias[:width])
        if key is value:
            return q, *F.linear(key, weight[width:], bias[width:]).chunk(2, dim=-1)
        rows = (slice(width, 2 * width), slice(2 * width, None))
        return q, *(F.linear(x, weight[r], bias[r]) for x, r in zip((key, value), rows, strict=True))


class FeedForward(nn.Sequential):
    """Linear to ``hidden``, ReLU, dropout, Linear back: (..., D) -> (..., D). Xavier-uniform, zero biases."""

    def __init__(self, width: int, hidden: int, *, dropout: float):
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        for linear in (self[0], self[3]):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)


class Embed(nn.Module):
    """Features to the model width, plus positions: (B, T, D_m) -> (B, T, D)."""

    def __init__(self, features: int, width: int, *, dropout: float):
        super().__init__()
        self.project = nn.Linear(features, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        return self.drop(x + positions(x))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, width: int, heads: int, *, dropout: float, label: str):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout, label=label)
        self.feed_forward = FeedForward(width, 4 * width, dropout=dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, D) and a bias over keys -> (B, T, D)."""
        y = self.norm1(x)
        x = x + self.drop(self.attention(y, y, y, bias))
        return x + self.drop(self.feed_forward(self.norm2(x)))


class Encoder(nn.Module):
    """The transformer encoder that all generic baselines share, so that only fusion differs between them.

    Pre-norm layers with a feed-forward four times as wide, one LayerNorm at the end; one dropout rate.
    """

    def __init__(self, width: int, heads: int, layers: int, *, dropout: float, label: str):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, dropout=dropout, label=f"{label}<-{label}/{i}") for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and (B, T) -> (B, T, D)."""
        bias = attention_bias(mask.unsqueeze(1), x)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x)
