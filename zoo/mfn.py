"""MFN: an LSTM for each modality, attention over what their cells held before and hold now, one gated memory.

Source   Zadeh et al., "Memory Fusion Network for Multi-view Sequential Learning", AAAI 2018, arXiv:1802.00927; code
         pliang279/MFN at b0453fb (test_mosi.py), which thuiar/MMSA at a94e65d (models/singleTask/MFN.py) repeats.
Differs  see ``differs`` of the card in ``zoo.METHODS``.

Nothing flows from the memory back to the LSTMs: these run first, attention and proposals are made for all steps at
once, and the memory follows. Padding stands on the right and reaches no step before it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import accept_aligned, ordered, record

ORDER = ("text", "audio", "video")  # of every concatenation in the released code


class TwoLayers(nn.Sequential):
    """Linear to ``hidden``, ReLU, dropout, linear: (..., D) -> (..., D')."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, dropout: float):
        if hidden < 1:
            raise ValueError(f"hidden is {hidden}; wanted 1 or more.")
        super().__init__(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))

    def rest(self, x: Tensor) -> Tensor:
        """From what the first linear layer gives, whose inputs are multiplied elsewhere."""
        _, relu, drop, last = self
        return last(drop(relu(x)))


class LSTMs(nn.ModuleDict):
    """The system of LSTMs: (B, T, D_m) -> the outputs h of each, (B, T, H_m).

    Args:
        features: D_m. widths: H_m, also of modalities that are not there.
    """

    def __init__(self, features: Mapping[str, int], widths: Mapping[str, int]):
        if not set(features) <= set(widths) <= set(ORDER) or min(widths.values()) < 1:
            raise ValueError(f"widths is {dict(widths)}; wanted 1 or more for each of {', '.join(features)}.")
        present = {m: widths[m] for m in ORDER if m in features}
        super().__init__({m: nn.LSTM(features[m], width, batch_first=True) for m, width in present.items()})
        self.widths = present

    def forward(self, streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {m: lstm(streams[m])[0] for m, lstm in self.items()}

    def states(self, streams: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The same outputs, and what all cells hold after every step, side by side: (B, T, H).

        Torch's LSTM keeps its cells to itself, so its equations stand here, the inputs' products made for all steps.
        """
        outputs, cells = {}, []
        for m, lstm in self.items():
            entered = F.linear(streams[m].transpose(0, 1), lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0)
            recurrent, hs, cs = lstm.weight_hh_l0.T, [], []
            h = c = entered.new_zeros(entered.shape[1], self.widths[m])
            for x in entered.unbind(0):
                i, f, g, o = torch.addmm(x, h, recurrent).chunk(4, dim=-1)
                c = torch.addcmul(i.sigmoid() * g.tanh(), f.sigmoid(), c)
                h = o.sigmoid() * c.tanh()
                hs.append(h)
                cs.append(c)
            outputs[m] = torch.stack(hs).transpose(0, 1)
            cells.append(torch.stack(cs))
        return outputs, torch.cat(cells, dim=-1).transpose(0, 1)


def before(x: Tensor) -> Tensor:
    """Each step's predecessor, zeros before the first: (B, T, D) -> the same."""
    return torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), dim=1)


class GatedMemory(nn.Module):
    """The multi-view gated memory u, followed over what is fused: z (B, T, D) -> u (B, T, M).

        u_t = retain_t * u_{t-1} + update_t * tanh(proposal(z_t)),  both gates sigmoid(network([z_t ; u_{t-1}]))

    Args:
        features: D. width: M. proposal, retain, update: hidden width and dropout of each network.
    """

    def __init__(self, features: int, *, width: int, proposal: dict, retain: dict, update: dict):
        super().__init__()
        if width < 1:
            raise ValueError(f"the memory's width is {width}; wanted 1 or more.")
        self.proposal = TwoLayers(features, width, **proposal)
        self.retain, self.update = (TwoLayers(features + width, width, **gate) for gate in (retain, update))

    def forward(self, fused: Tensor) -> Tensor:
        z, features, gates = fused.transpose(0, 1), fused.shape[-1], (self.retain, self.update)
        first, bias = (torch.cat([getattr(gate[0], part) for gate in gates]) for part in ("weight", "bias"))
        entered = F.linear(z, first[:, :features], bias)  # of both gates, (T, B, hidden)
        recurrent, sizes = first[:, features:].T, [gate[0].out_features for gate in gates]
        proposals = self.proposal(z).tanh()
        u, held = torch.zeros_like(proposals[0]), []
        for x, proposal in zip(entered.unbind(0), proposals.unbind(0), strict=True):
            sides = torch.addmm(x, u, recurrent).split(sizes, dim=-1)
            retain, update = (gate.rest(side).sigmoid() for gate, side in zip(gates, sides, strict=True))
            u = torch.addcmul(retain * u, update, proposal)
            held.append(u)
        return torch.stack(held).transpose(0, 1)


class DeltaMemory(nn.Module):
    """Attention over the cells of all LSTMs, and the memory over what is attended: c (B, T, H) -> u (B, T, M).

    Recorded are the coefficients of each modality's cells, added up: a wider LSTM has more of them.

    Args:
        widths: H_m in the order of ``c``.
        window: 2 for the cells of this step and of the one before, 1 for this step's alone.
        attention: hidden width and dropout of the network that scores the cells. memory: of ``GatedMemory``.
    """

    def __init__(self, widths: Mapping[str, int], *, window: int, attention: dict, memory: dict):
        super().__init__()
        if window not in (1, 2):
            raise ValueError(f"window is {window}; wanted 2, or 1 without the step before.")
        self.widths, self.window, features = dict(widths), window, window * sum(widths.values())
        self.label = f"memory<-{'+'.join(widths)}/0:modalities"
        self.attention = TwoLayers(features, features, **attention)
        self.memory = GatedMemory(features, **memory)

    def forward(self, c: Tensor) -> Tensor:
        seen = torch.cat((before(c), c), dim=-1) if self.window == 2 else c
        weights = self.attention(seen).softmax(-1)
        shares = weights.detach().unflatten(-1, (self.window, -1)).sum(-2).split(list(self.widths.values()), dim=-1)
        record(self.label, torch.stack([share.sum(-1) for share in shares], dim=-1).unsqueeze(1))
        return self.memory(weights * seen)


class MFN(nn.Module):
    """Memory fusion network.

    Args:
        features: D_m of one to three modalities; one alone is an LSTM without attention and memory.
        outputs: K.
        per_step: the head reads outputs and memory of every step (ours), else those of the last real one.
        widths: H_m of the LSTM of text, audio and video.
        fusion: window, attention and memory of ``DeltaMemory``; null for the LSTMs alone.
        head: hidden width and dropout of the network that reads the LSTMs' outputs and the memory.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        widths: dict[str, int],
        fusion: dict | None,
        head: dict,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=1), per_step
        self.lstm = LSTMs(self.features, widths)
        read = sum(self.lstm.widths.values())
        self.fusion = None
        if fusion is not None and len(features) > 1:
            self.fusion = DeltaMemory(self.lstm.widths, **fusion)
            read += fusion["memory"]["width"]
        self.head = TwoLayers(read, outputs, **head)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        if self.fusion is None:
            return self.head(read_out(list(self.lstm(streams).values()), mask, self.per_step))
        outputs, cells = self.lstm.states(streams)
        return self.head(read_out([*outputs.values(), self.fusion(cells)], mask, self.per_step))


def read_out(state: list[Tensor], mask: Tensor, per_step: bool) -> Tensor:
    """What the head reads: parts (B, T, D_i) side by side at every step, or at the last real one."""
    if per_step:
        return torch.cat(state, dim=-1)
    last = torch.arange(len(mask), device=mask.device), mask.sum(1) - 1
    return torch.cat([x[last] for x in state], dim=-1)
