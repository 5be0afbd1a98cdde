"""Recurrences with padding, in the conventions of early Keras: what the contextual methods' code runs on.

Source   Cho et al. 2014, arXiv:1406.1078 (gated recurrent unit); Keras 2.0: hard sigmoid, one bias for a gate, the
         reset gate before the product, dropout masks shared by all steps.

Shapes: B clips, T steps, N recurrences side by side (layers times directions R), G products a step, H width.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras' gate: 0.2 x + 0.5, cut to [0, 1]. The function of that name in torch has slope 1/6."""
    return (0.2 * x + 0.5).clamp(0, 1)


class _Products(torch.autograd.Function):
    """Passes projected inputs on; its backward makes the weight gradient of all steps' products at once."""

    @staticmethod
    def forward(ctx, projected: Tensor, weight: Tensor, fed: list[Tensor]) -> Tensor:
        ctx.fed = fed
        return projected.view_as(projected)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        fed = torch.stack(ctx.fed).permute(1, 2, 4, 0, 3).flatten(3)  # (N, G, H, T B)
        return gradient, fed @ gradient.permute(1, 2, 0, 3, 4).flatten(2, 3), None


class Products:
    """The products of a recurrence: ``p_t + x_t @ weight`` for one step after the other.

    Autograd would add up a weight gradient step by step, which costs as much as the products themselves. Every
    product's input is kept instead, and one product at the end makes the gradient.

    Args:
        projected: p, (T, N, G, B, O): T steps of N independent recurrences with G products each.
        weight: (N, G, H, O).
    """

    def __init__(self, projected: Tensor, weight: Tensor):
        self.fed: list[Tensor] = []
        self.projected = _Products.apply(projected, weight, self.fed).unbind(0)
        self.weight = weight.detach().flatten(0, 1)

    def __call__(self, step: int, x: Tensor) -> Tensor:
        """(N, G, B, H), the steps in their order -> (N, G, B, O)."""
        if torch.is_grad_enabled():
            self.fed.append(x.detach())
        y = torch.baddbmm(self.projected[step].flatten(0, 1), x.flatten(0, 1), self.weight)
        return y.unflatten(0, x.shape[:2])


def both_ways(x: Tensor) -> Tensor:
    """(T, R, ...) with all but the first of R directions turned round in time; undoes itself."""
    return torch.cat((x[:, :1], x[:, 1:].flip(0)), dim=1)


def gru(
    projected: Tensor, recurrent: Tensor, real: Tensor, *, gate: Callable[[Tensor], Tensor], drop: Tensor | None = None
) -> Tensor:
    """Gated recurrent units whose reset gate acts before the product (Cho et al. 2014), N side by side.

        z, r = gate(p + h U);  c = tanh(p_c + (r h) U_c);  h' = z h + (1 - z) c

    A padded step leaves the state as it is, and puts out zeros: a backward unit starts at the last real step.

    Args:
        projected: (T, N, 3, B, H), inputs times weights plus bias, for update z, reset r and candidate c.
        recurrent: (N, 3, H, H). real: (T, N, B, 1) bool.
        drop: factors on the state, the same at all steps: (N, 3, B, H).

    Returns:
        (T, N, B, H).
    """
    gates, candidates = Products(projected[:, :, :2], recurrent[:, :2]), Products(projected[:, :, 2:], recurrent[:, 2:])
    h, states = projected.new_zeros(projected.shape[1:2] + projected.shape[3:]), []
    for t, step in enumerate(real.unbind(0)):
        seen = h.unsqueeze(1).expand(-1, 2, -1, -1)
        z, r = gate(gates(t, seen if drop is None else seen * drop[:, :2])).unbind(1)
        seen = (r * h).unsqueeze(1)
        c = candidates(t, seen if drop is None else seen * drop[:, 2:]).squeeze(1).tanh()
        h = torch.where(step, torch.lerp(c, h, z), h)
        states.append(h)
    return torch.stack(states).masked_fill(~real, 0.0)


class Gates(nn.Module):
    """Weights of a recurrent layer in one or two directions, laid out and started as in Keras, and its input side.

    Glorot-uniform kernels and orthogonal recurrent kernels, each over all gates as one matrix; zero biases.

    Args:
        features: D. width: H of each direction. gates: G products a step. directions: R, 1 or 2.
        input_dropout: each gate drops features of its own, the same ones at all steps.
    """

    def __init__(self, features: int, width: int, *, gates: int, directions: int, input_dropout: float):
        super().__init__()
        kernel = torch.empty(directions, features, gates * width)
        recurrent = torch.empty(directions, width, gates * width)
        for direction in range(directions):
            nn.init.xavier_uniform_(kernel[direction])
            nn.init.orthogonal_(recurrent[direction])
        self.kernel, self.recurrent = (
            nn.Parameter(w.unflatten(-1, (gates, width)).transpose(1, 2).contiguous()) for w in (kernel, recurrent)
        )  # (R, G, D, H) and (R, G, H, H)
        self.bias = nn.Parameter(torch.zeros(directions, gates, width))
        self.input_drop = nn.Dropout(input_dropout)

    def project(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (T, R, G, B, H), time running as each direction sees it."""
        (batch, steps, features), sides = x.shape, self.bias.shape[:2]
        if self.training:
            x = x * self.input_drop(x.new_ones(*sides, batch, 1, features))  # (R, G, B, T, D)
        x = x.expand(*sides, batch, steps, features).flatten(2, 3)  # (R, G, B T, D)
        y = (x @ self.kernel + self.bias.unsqueeze(2)).unflatten(2, (batch, steps))
        return both_ways(y.permute(3, 0, 1, 2, 4))


def run(
    layers: Sequence[Gates],
    streams: Sequence[Tensor],
    mask: Tensor,
    recurrence: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> list[Tensor]:
    """Run recurrent layers of one size side by side, each over its own stream.

    Args:
        streams: (B, T, D) for each layer. mask: (B, T), the same for all.
        recurrence: projected (T, N, G, B, H), recurrent (N, G, H, H) and real (T, N, B, 1) -> (T, N, B, H), such
            as ``gru``; N counts layers times directions.

    Returns:
        (B, T, R H) for each layer.
    """
    directions = len(layers[0].bias)
    projected = torch.cat([layer.project(x) for layer, x in zip(layers, streams, strict=True)], dim=1)
    recurrent = torch.cat([layer.recurrent for layer in layers])
    real = both_ways(mask.T[:, None, :, None].expand(-1, directions, -1, -1)).repeat(1, len(layers), 1, 1)
    states = recurrence(projected, recurrent, real).unflatten(1, (-1, directions))  # (T, layers, R, B, H)
    return [both_ways(h).permute(2, 0, 1, 3).flatten(2) for h in states.unbind(1)]
