"""CATF-LSTM: attention over modalities fuses every utterance, an LSTM follows them, attention looks round.

Source   Poria et al., "Multi-level Multiple Attentions for Contextual Multimodal Sentiment Analysis", ICDM 2017,
         doi:10.1109/ICDM.2017.134, sections II-D to II-F; equation numbers here are theirs.
Differs  see the card. What the released code does instead is ``catf_lstm_code``.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.layers import accept_aligned, masked_mean, ordered, record


def glorot_steps(steps: int, inputs: int, outputs: int) -> nn.Parameter:
    """One Glorot-uniform matrix for every step: (M, inputs, outputs)."""
    bound = (6 / (inputs + outputs)) ** 0.5
    return nn.Parameter(torch.empty(steps, inputs, outputs).uniform_(-bound, bound))


class CATLSTM(nn.Module):
    """Contextual attention-based LSTM: every place in a video has an attention and a classifier of its own.

    Args:
        features: D of the stream. outputs: K.
        width: d, half of it for each direction. steps: M, places that have weights.
        stream: what the stream is called in recorded attention.
    """

    def __init__(self, features: int, outputs: int, *, width: int, steps: int, stream: str):
        super().__init__()
        self.label = f"{stream}<-{stream}/0"
        self.lstm = nn.LSTM(features, width // 2, batch_first=True, bidirectional=True)
        self.look = glorot_steps(steps, width, width)  # W_h
        self.score = glorot_steps(steps, width, 1)  # w
        self.seen, self.own = glorot_steps(steps, width, width), glorot_steps(steps, width, width)  # W_p, W_x
        self.head, self.bias = glorot_steps(steps, width, outputs), nn.Parameter(torch.zeros(steps, outputs))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and (B, T), T at most M -> h*, (B, T, d)."""
        steps = x.shape[1]
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=steps)  # (B, T, d)
        p = (h.flatten(0, 1) @ self.look[:steps]).tanh()  # (10): (T, B T, d), its first axis the target
        scores = (p @ self.score[:steps]).view(steps, *mask.shape).transpose(0, 1)  # (B, T, T)
        weights = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(-1)  # (11)
        record(self.label, weights.unsqueeze(1))
        r, h = (weights @ h).transpose(0, 1), h.transpose(0, 1)  # (12): (T, B, d)
        return (r @ self.seen[:steps] + h @ self.own[:steps]).tanh().transpose(0, 1)  # (13)

    def scores(self, h: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, K), before the softmax of (14)."""
        steps = h.shape[1]
        return (h.transpose(0, 1) @ self.head[:steps]).transpose(0, 1) + self.bias[:steps]


class ATFusion(nn.Module):
    """Attention over the modalities of one utterance: (B, T, D_m) each -> (B, T, d)."""

    def __init__(self, features: Mapping[str, int], width: int):
        super().__init__()
        self.equalise = nn.ModuleDict({m: nn.Linear(d, width) for m, d in features.items()})
        self.look, self.score = nn.Linear(width, width, bias=False), nn.Linear(width, 1, bias=False)  # W_F, w_F
        self.label = f"fused<-{'+'.join(features)}/0:modalities"

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        b = torch.stack([equalise(streams[m]) for m, equalise in self.equalise.items()], dim=2)  # (B, T, modalities, d)
        weights = self.score(self.look(b).tanh()).squeeze(-1).softmax(-1)  # (1, 2)
        record(self.label, weights.unsqueeze(1))  # (B, 1, T, modalities)
        return (weights.unsqueeze(-1) * b).sum(2)  # (3)


class CATFLSTM(nn.Module):
    """Contextual attentive fusion LSTM.

    Args:
        features: D_m of one to three modalities; one alone is a CAT-LSTM.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        width: d. steps: M, utterances of the longest video that it can take.
        multi_level: whether a CAT-LSTM of each modality gives the features that are fused.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int,
        steps: int,
        multi_level: bool,
    ):
        super().__init__()
        self.features, self.per_step, self.steps = ordered(features, outputs, at_least=1), per_step, steps
        if width < 2 or width % 2:
            raise ValueError(f"width is {width}; wanted an even number, half of it for each direction.")
        if steps < 1:
            raise ValueError(f"steps is {steps}; wanted 1 or more.")
        size, widths = {"width": width, "steps": steps}, self.features
        self.unimodal = nn.ModuleDict()
        if multi_level or len(widths) == 1:
            self.unimodal.update({m: CATLSTM(d, outputs, stream=m, **size) for m, d in widths.items()})
            widths = dict.fromkeys(widths, width)
        self.fuse = self.fused = None
        if len(widths) > 1:
            self.fuse, self.fused = ATFusion(widths, width), CATLSTM(width, outputs, stream="fused", **size)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask, padding = self._accept(inputs, masks)
        hidden = self._first_level(streams, mask)
        if self.fused is None:
            ((m, h),) = hidden.items()
            return self._told(self.unimodal[m].scores(h), mask, padding)
        return self._told(self.fused.scores(self.fused(self.fuse(hidden), mask)), mask, padding)

    def training_loss(
        self,
        inputs: dict[str, Tensor],
        masks: dict[str, Tensor],
        labels: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """The sum of every classifier's loss; no gradient passes from the fused one to the unimodal ones.

        The paper trains the unimodal networks, then the fused one on what they give; here both in the same step.
        """
        streams, mask, padding = self._accept(inputs, masks)
        hidden = self._first_level(streams, mask)
        scores = [level.scores(hidden[m]) for m, level in self.unimodal.items()]
        if self.fused is not None:
            fused = self.fuse({m: h.detach() for m, h in hidden.items()})
            scores.append(self.fused.scores(self.fused(fused, mask)))
        return torch.stack([criterion(self._told(y, mask, padding), labels) for y in scores]).sum()

    def _accept(
        self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor, int]:
        """The checked batch up to its longest video's last utterance, its mask, and how many steps were cut off."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        longest = int(mask.sum(1).amax())
        if longest > self.steps:
            raise ValueError(
                f"a video has {longest} utterances, and there are weights for {self.steps} places. Build with "
                f"steps={longest} or more, or cut the video."
            )
        return {m: x[:, :longest] for m, x in streams.items()}, mask[:, :longest], mask.shape[1] - longest

    def _first_level(self, streams: Mapping[str, Tensor], mask: Tensor) -> Mapping[str, Tensor]:
        return {m: level(streams[m], mask) for m, level in self.unimodal.items()} if self.unimodal else streams

    def _told(self, scores: Tensor, mask: Tensor, padding: int) -> Tensor:
        return F.pad(scores, (0, 0, 0, padding)) if self.per_step else masked_mean(scores, mask)
