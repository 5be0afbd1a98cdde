"""bc-LSTM: an LSTM over the utterances of each modality, then an LSTM over what these say together.

Source   Poria et al., "Context-Dependent Sentiment Analysis in User-Generated Videos", ACL 2017, sections 3.2 and
         3.3; code declare-lab/contextual-utterance-level-multimodal-sentiment-analysis at 3874cf2 (lstm.py).
Differs  see the card.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo.contextual import ACTIVATIONS, glorot
from zoo.layers import accept_aligned, masked_mean, ordered
from zoo.recurrence import Gates, Products, hard_sigmoid, run

ORDER = ("text", "audio", "video")  # of the concatenation in the released code


def lstm(projected: Tensor, recurrent: Tensor, real: Tensor) -> Tensor:
    """Long short-term memory with Keras' gates (input i, forget f, cell c, output o), N side by side.

        i, f, o = hard_sigmoid(p + h U);  c' = f c + i tanh(p_c + h U_c);  h' = o tanh(c')

    A padded step leaves the state as it is, and puts out zeros: a backward unit starts at the last real step.

    Args:
        projected: (T, N, 4, B, H). recurrent: (N, 4, H, H). real: (T, N, B, 1) bool.

    Returns:
        (T, N, B, H).
    """
    products = Products(projected, recurrent)
    h = c = projected.new_zeros(projected.shape[1:2] + projected.shape[3:])
    states = []
    for t, step in enumerate(real.unbind(0)):
        i, f, cell, o = products(t, h.unsqueeze(1).expand(-1, 4, -1, -1)).unbind(1)
        new = hard_sigmoid(f) * c + hard_sigmoid(i) * cell.tanh()
        h = torch.where(step, hard_sigmoid(o) * new.tanh(), h)
        c = torch.where(step, new, c)
        states.append(h)
    return torch.stack(states).masked_fill(~real, 0.0)


class Level(nn.Module):
    """Contextual LSTMs, one for each stream, with a classifier each.

    Args:
        features: D of each stream. outputs: K.
        width: H of each direction. directions: 1 or 2.
        dense: width of the layer after the LSTM, whose output is the contextual feature; None for h-LSTM, where the
            LSTM's output is.
        activation: of that layer, "tanh" or "relu".
        input_dropout: on the LSTM's inputs, one mask for all steps of a gate.
        dropout: after the LSTM, and before the classifier.
    """

    def __init__(
        self,
        features: Mapping[str, int],
        outputs: int,
        *,
        width: int,
        directions: int,
        dense: int | None,
        activation: str,
        input_dropout: float,
        dropout: float,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; accepted are {', '.join(ACTIVATIONS)}.")
        if directions not in (1, 2) or width < 1 or (dense is not None and dense < 1):
            raise ValueError(
                f"directions is {directions}, width {width}, dense {dense}; wanted directions 1 or 2, the others 1 or "
                "more; dense may be null."
            )
        kind = {"gates": 4, "directions": directions, "input_dropout": input_dropout}
        self.activation, self.drop = ACTIVATIONS[activation], nn.Dropout(dropout)
        self.lstm = nn.ModuleDict({name: Gates(d, width, **kind) for name, d in features.items()})
        for layer in self.lstm.values():
            nn.init.ones_(layer.bias[:, 1])  # of the forget gate, as in Keras
        self.gives = directions * width if dense is None else dense
        self.dense = nn.ModuleDict(
            {name: glorot(directions * width, dense) for name in features} if dense is not None else {}
        )
        self.head = nn.ModuleDict({name: glorot(self.gives, outputs) for name in features})

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """(B, T, D) for each stream and their mask (B, T) -> contextual features (B, T, D')."""
        states = run(list(self.lstm.values()), [streams[name] for name in self.lstm], mask, lstm)
        hidden = dict(zip(self.lstm, states, strict=True))
        if not self.dense:
            return hidden
        return {name: self.activation(self.dense[name](self.drop(h))) for name, h in hidden.items()}

    def scores(self, hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Contextual features (B, T, D') -> (B, T, K) for each stream."""
        return {name: self.head[name](self.drop(h)) for name, h in hidden.items()}


class BcLSTM(nn.Module):
    """Bidirectional contextual LSTM, with its variants: one direction (sc-LSTM), no dense layer (h-LSTM).

    Args:
        features: D_m of one to three modalities; one alone is classified by the first level.
        outputs: K.
        per_step: one row of scores for each utterance, as in the paper, or their mean (ours).
        hierarchical: whether the second level reads the first one's contextual features; else it reads the features
            side by side, and there is no first level.
        width, directions, dropout: of both levels, see ``Level``.
        unimodal: dense, activation and input_dropout of the first level. fused: the same of the second.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        hierarchical: bool,
        width: int,
        directions: int,
        dropout: float,
        unimodal: dict,
        fused: dict,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=1), per_step
        self.order = [m for m in ORDER if m in features]
        size = {"width": width, "directions": directions, "dropout": dropout}
        self.unimodal = self.fused = None
        wide = sum(features.values())
        if hierarchical or len(features) == 1:
            self.unimodal = Level({m: features[m] for m in self.order}, outputs, **size, **unimodal)
            wide = self.unimodal.gives * len(features)
        if len(features) > 1:
            self.fused = Level({"fused": wide}, outputs, **size, **fused)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        hidden = self.unimodal(streams, mask) if self.unimodal else streams
        if self.fused is None:
            return self._told(self.unimodal.scores(hidden)[self.order[0]], mask)
        return self._told(self._fuse(hidden, mask), mask)

    def training_loss(
        self,
        inputs: dict[str, Tensor],
        masks: dict[str, Tensor],
        labels: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """The sum of every classifier's loss. No gradient passes from the second level to the first.

        The paper trains the first level, then the second on what the first gives without dropout; here both learn in
        the same step, each from what it would have seen.
        """
        streams, mask = accept_aligned(inputs, masks, self.features)
        losses = []
        if self.unimodal:
            scores = self.unimodal.scores(self.unimodal(streams, mask))
            losses = [criterion(self._told(y, mask), labels) for y in scores.values()]
        if self.fused:
            if self.unimodal:
                with torch.no_grad():
                    streams = self.unimodal.eval()(streams, mask)
                self.unimodal.train()
            losses.append(criterion(self._told(self._fuse(streams, mask), mask), labels))
        return torch.stack(losses).sum()

    def _fuse(self, streams: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Second level: (B, T, D) for each modality -> (B, T, K)."""
        together = torch.cat([streams[m] for m in self.order], dim=-1)
        return self.fused.scores(self.fused({"fused": together}, mask))["fused"]

    def _told(self, scores: Tensor, mask: Tensor) -> Tensor:
        return scores if self.per_step else masked_mean(scores, mask)
