"""CATF-LSTM as its released code behaves: modalities are added up, one recurrent cell reads both ways.

Source   soujanyaporia/multimodal-sentiment-analysis at 974b294 (model.py: BiGRU, self_attention, self_attention_2,
         _build_model_op; run.py), the code of Poria et al., "Multi-level Multiple Attentions for Contextual
         Multimodal Sentiment Analysis", ICDM 2017, doi:10.1109/ICDM.2017.134.
Differs  see the card. What the paper describes is ``catf_lstm``.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo.contextual import glorot
from zoo.layers import accept_aligned, attention_bias, masked_mean, ordered, record
from zoo.recurrence import both_ways, gru


class SharedGRU(nn.Module):
    """One GRU cell that reads a stream forwards and backwards: (B, T, D) and (B, T) -> (B, T, 2 H)."""

    def __init__(self, features: int, width: int, *, output_dropout: float):
        super().__init__()
        self.gates = glorot(features + width, 2 * width)  # update, reset
        self.candidate = glorot(features + width, width)
        self.output_drop = nn.Dropout(output_dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weight = torch.cat((self.gates.weight, self.candidate.weight))  # (3 H, D + H)
        bias, width = torch.cat((self.gates.bias, self.candidate.bias)), len(self.candidate.bias)
        projected = nn.functional.linear(x, weight[:, : x.shape[2]], bias).unflatten(-1, (3, width))
        projected = projected.permute(1, 2, 0, 3).unsqueeze(1).expand(-1, 2, -1, -1, -1)  # (T, 2, 3, B, H)
        recurrent = weight[:, x.shape[2] :].unflatten(0, (3, width)).transpose(1, 2).expand(2, -1, -1, -1)
        real = both_ways(mask.T[:, None, :, None].expand(-1, 2, -1, -1))
        states = both_ways(gru(both_ways(projected), recurrent, real, gate=torch.sigmoid))  # (T, 2, B, H)
        return self.output_drop(states.permute(2, 0, 1, 3).flatten(2))


class UtteranceAttention(nn.Module):
    """Each utterance becomes a mean of all: weights softmax(tanh((h_s W + b) . h_t)) over s. (B, T, D) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.look = nn.Linear(width, width)
        for parameter in self.look.parameters():
            nn.init.normal_(parameter, std=0.01)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        scores = (h @ self.look(h).transpose(1, 2)).tanh()  # (B, T, T)
        bias = attention_bias(mask.unsqueeze(1), h)
        weights = (scores if bias is None else scores + bias.squeeze(1)).softmax(-1)
        record("fused<-fused/0", weights.unsqueeze(1))
        return weights @ h


class Level(nn.Module):
    """GRU, dropout, dense layers, dropout, classifier.

    Args:
        features: D. outputs: K. width: H of the GRU. dense: widths of the dense layers, ``activation`` after each.
        attend: whether the utterances attend to each other between GRU and dense layers.
        gru_dropout: on the GRU's outputs; ``dropout`` follows it, and stands before the classifier.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        width: int,
        dense: tuple[int, ...],
        activation: type[nn.Module],
        attend: bool,
        gru_dropout: float,
        dropout: float,
    ):
        super().__init__()
        self.gru = SharedGRU(features, width, output_dropout=gru_dropout)
        self.attention = UtteranceAttention(2 * width) if attend else None
        widths = (2 * width, *dense)
        pairs = zip(widths, widths[1:], strict=False)
        self.dense = nn.Sequential(*(part for a, b in pairs for part in (glorot(a, b), activation())))
        self.drop, self.head = nn.Dropout(dropout), glorot(widths[-1], outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and (B, T) -> contextual features (B, T, D')."""
        h = self.drop(self.gru(x, mask))
        return self.dense(h if self.attention is None else self.attention(h, mask))

    def scores(self, h: Tensor) -> Tensor:
        """(B, T, D') -> (B, T, K)."""
        return self.head(self.drop(h))


class CATFLSTMCode(nn.Module):
    """The released network for CATF-LSTM.

    Args:
        features: D_m of one to three modalities; one alone is classified by the first level.
        outputs: K.
        per_step: one row of scores for each utterance, as in the code, or their mean (ours).
        width: H of each GRU. unimodal_dense: of the first level, and so of what is added up.
        fused_dense: widths of the second level's dense layers.
        utterance_attention: the switch ``attention_2`` of the code.
        gru_dropout, dropout: see ``Level``.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        width: int,
        unimodal_dense: int,
        fused_dense: list[int],
        utterance_attention: bool,
        gru_dropout: float,
        dropout: float,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=1), per_step
        size = {"width": width, "gru_dropout": gru_dropout, "dropout": dropout}
        first = {"dense": (unimodal_dense,), "activation": nn.Tanh, "attend": False, **size}
        self.unimodal = nn.ModuleDict({m: Level(d, outputs, **first) for m, d in self.features.items()})
        second = {"dense": tuple(fused_dense), "activation": nn.ReLU, "attend": utterance_attention, **size}
        self.fused = Level(unimodal_dense, outputs, **second) if len(features) > 1 else None

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        hidden = {m: level(streams[m], mask) for m, level in self.unimodal.items()}
        if self.fused is None:
            ((m, h),) = hidden.items()
            return self._told(self.unimodal[m].scores(h), mask)
        return self._told(self._fuse(hidden, mask), mask)

    def training_loss(
        self,
        inputs: dict[str, Tensor],
        masks: dict[str, Tensor],
        labels: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """The sum of every classifier's loss. No gradient passes from the second level to the first.

        The code trains the first level, then the second on what the first gives without dropout; here both learn in
        the same step.
        """
        streams, mask = accept_aligned(inputs, masks, self.features)
        scores = [level.scores(level(streams[m], mask)) for m, level in self.unimodal.items()]
        if self.fused is not None:
            with torch.no_grad():
                hidden = {m: level.eval()(streams[m], mask) for m, level in self.unimodal.items()}
            self.unimodal.train()
            scores.append(self._fuse(hidden, mask))
        return torch.stack([criterion(self._told(y, mask), labels) for y in scores]).sum()

    def _fuse(self, hidden: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        # The code's softmax over modalities runs along an axis of size one: every weight is 1.
        together = torch.stack(list(hidden.values())).sum(0)
        return self.fused.scores(self.fused(together, mask))

    def _told(self, scores: Tensor, mask: Tensor) -> Tensor:
        return scores if self.per_step else masked_mean(scores, mask)
