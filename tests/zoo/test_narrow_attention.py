"""Attention in fewer passes: PyTorch's outputs and gradients, and a dropout that is one."""

import math

import pytest
import torch
from torch.nn import functional as F

from zoo import narrow_attention
from zoo.narrow_attention import attend


def streams(batch=2, heads=3, queries=5, keys=7, width=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, heads, queries, width), (batch, heads, keys, width), (batch, heads, keys, width)]
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def bias(batch=2, queries=5, keys=7):
    """A causal mask, and padding in the last clip."""
    allowed = (torch.arange(keys) <= torch.arange(queries)[:, None] + 2).expand(batch, -1, -1).clone()
    allowed[-1, :, -3:] = False
    return torch.zeros(batch, 1, queries, keys).masked_fill(~allowed.unsqueeze(1), -math.inf)


@pytest.mark.parametrize("masked", [True, False])
def test_outputs_and_gradients_are_pytorchs(masked):
    q, k, v = streams()
    mask = bias() if masked else None
    ours, theirs = attend(q, k, v, mask, 0.0), F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert "_AttendBackward" in graph(ours)
    torch.testing.assert_close(ours, theirs)
    cotangent = torch.randn_like(ours)
    for one, other in zip(
        torch.autograd.grad(ours, (q, k, v), cotangent), torch.autograd.grad(theirs, (q, k, v), cotangent), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def graph(tensor) -> list[str]:
    """Names of the operations that made a tensor."""
    names, open_ = [], [tensor.grad_fn]
    while open_:
        node = open_.pop()
        names.append(node.name())
        open_ += [n for n, _ in node.next_functions if n is not None]
    return names


def test_gradient_with_dropout_is_that_of_the_same_mask():
    q, k, v = streams(dtype=torch.float64)

    def same_mask(*tensors):
        torch.manual_seed(3)
        return attend(*tensors, bias().double(), 0.4)

    assert torch.autograd.gradcheck(same_mask, (q, k, v))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_has_its_rate_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    size = 200
    q, k = torch.zeros(4, 5, size, 2), torch.zeros(4, 5, size, 2)  # all weights are 1 / size
    v = torch.eye(size).expand(4, 5, size, size)
    weights = attend(q, k, v, None, rate) * size  # (4, 5, size, size): 0 or 1 / (1 - rate)
    share = (weights == 0).float().mean().item()
    assert abs(share - rate) < 5 * math.sqrt(rate * (1 - rate) / weights.numel())
    assert (weights[weights > 0] - 1 / (1 - rate)).abs().max() < 1e-3
    for axis in (-1, -2):  # neighbours, which share a draw of the generator, are independent
        a, b = weights.narrow(axis, 0, size - 1) == 0, weights.narrow(axis, 1, size - 1) == 0
        both = (a & b).float().mean().item()
        assert abs(both - rate**2) < 5 * rate / math.sqrt(weights.numel())


def test_the_seed_decides_the_mask():
    q, k, v = streams()
    torch.manual_seed(1)
    first = attend(q, k, v, None, 0.5)
    assert not torch.equal(attend(q, k, v, None, 0.5), first)
    torch.manual_seed(1)
    assert torch.equal(attend(q, k, v, None, 0.5), first)


def test_one_map_is_kept_for_the_backward_pass():
    q, k, v = streams(queries=40, keys=50)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        attend(q, k, v, None, 0.1)
    assert sum(x.numel() >= 2 * 3 * 40 * 50 for x in kept) == 1


def test_wide_heads_and_half_precision_are_pytorchs(monkeypatch):
    called = []
    theirs = F.scaled_dot_product_attention
    monkeypatch.setattr(
        narrow_attention.F, "scaled_dot_product_attention", lambda *a, **k: called.append(1) or theirs(*a, **k)
    )
    attend(*streams(width=16), None, 0.0)
    attend(*streams(dtype=torch.bfloat16), None, 0.5)
    assert len(called) == 2
    attend(*streams(width=16), None, 0.5)
    attend(*streams(), None, 0.0)
    assert len(called) == 2
