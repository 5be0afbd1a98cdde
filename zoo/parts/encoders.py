"""Encoders of one stream, to be chained: (B, T, D_in) and its mask -> (B, T', D_out) and its mask.

Source   Ours, in the plainest published form: 1-D temporal convolution with LayerNorm and ReLU; Elman, LSTM
         (Hochreiter & Schmidhuber 1997) and GRU (Cho et al. 2014) recurrences as in torch; the transformer
         encoder of ``zoo.layers``.
"""

import torch
from torch import Tensor, nn

from zoo import layers as shared
from zoo.parts import keys


class Embed(nn.Module):
    """Linear to the model width, sinusoidal positions, dropout. After a convolution it adds the positions."""

    def __init__(self, features: int, width: int, *, dropout: float, label: str):
        super().__init__()
        self.gives = width
        self.embed = shared.Embed(features, width, dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.embed(x), mask


class Conv(nn.Module):
    """Temporal convolutions, each followed by LayerNorm over channels, ReLU and dropout.

    Zeros stand before the first and after the last real step of each clip. Output step i is centred on input
    step ``i * stride``, and is real where that step is.
    """

    def __init__(self, features: int, width: int, *, layers: int, kernel: int, stride: int, dropout: float, label: str):
        super().__init__()
        self.gives, self.stride = width, stride
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width if i else features, width, kernel, stride=stride, padding=kernel // 2)
            for i in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
            x = convolution(x.transpose(1, 2)).transpose(1, 2)  # (B, ceil(T / stride), D)
            mask = mask[:, :: self.stride]
            x = self.drop(norm(x).relu())
        return x, mask


def reverse(x: Tensor, mask: Tensor) -> Tensor:
    """Each clip's real steps backwards, padding where it was: (B, T, D) and (B, T) -> (B, T, D)."""
    t = torch.arange(x.shape[1], device=x.device)
    index = torch.where(mask, mask.sum(1, keepdim=True) - 1 - t, t)  # (B, T)
    return x.gather(1, index.unsqueeze(-1).expand_as(x))


class Recurrent(nn.Module):
    """Recurrent layers with dropout after each; both ways, the directions' states stand side by side.

    Padding stands on the right, so no forward state has seen any; the backward direction reads each clip
    reversed in place. Packed sequences give the same numbers, several times slower on a CPU.
    """

    cell: type[nn.RNNBase]
    directions = 1

    def __init__(self, features: int, width: int, *, hidden: int, layers: int, dropout: float, label: str):
        super().__init__()
        self.gives = self.directions * hidden
        inputs = [features, *[self.gives] * (layers - 1)]
        self.forwards = nn.ModuleList(self.cell(d, hidden, batch_first=True) for d in inputs)
        self.backwards = nn.ModuleList(self.cell(d, hidden, batch_first=True) for d in inputs if self.directions == 2)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        for i, ahead in enumerate(self.forwards):
            states = [ahead(x)[0]]
            if self.backwards:
                states.append(reverse(self.backwards[i](reverse(x, mask))[0], mask))
            x = self.drop(torch.cat(states, dim=-1))  # (B, T, directions * hidden)
        return x, mask


class RNN(Recurrent):
    cell = nn.RNN


class LSTM(Recurrent):
    cell = nn.LSTM


class GRU(Recurrent):
    cell = nn.GRU


class BiLSTM(Recurrent):
    cell = nn.LSTM
    directions = 2


class Transformer(nn.Module):
    """The pre-norm transformer encoder of every baseline here."""

    def __init__(self, features: int, width: int, *, heads: int, layers: int, dropout: float, label: str):
        super().__init__()
        self.gives = width
        self.encoder = shared.Encoder(width, heads, layers, dropout=dropout, label=label)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(x, mask), mask


ENCODERS = {
    "embed": Embed,
    "conv": Conv,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "bilstm": BiLSTM,
    "transformer": Transformer,
}


class Chain(nn.Module):
    """Encoders one after the other.

    Args:
        features: D of the stream that comes in.
        parts: checked by ``zoo.parts.architecture``.
        label: what the stream is called on attention maps.
    """

    def __init__(self, features: int, width: int, parts: keys.Chain, *, label: str):
        super().__init__()
        self.gives, self.parts = features, nn.ModuleList()
        for part in parts:
            self.parts.append(ENCODERS[part.kind](self.gives, width, label=label, **dict(part)))
            self.gives = self.parts[-1].gives

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D_in) and (B, T) -> (B, T', D_out) and (B, T')."""
        for part in self.parts:
            x, mask = part(x, mask)
        return x, mask
