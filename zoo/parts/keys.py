"""Every part that a composed spec may name, with its keys. None has a default: an architecture is what its YAML says.

What the parts do stands in ``encoders``, ``fusions`` and ``poolings``; reading this table imports no torch.
"""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """The keys of one part; ``kind`` is its name in a spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    kind: ClassVar[str]


Chain = tuple[Part, ...]


class Embed(Part):
    kind = "embed"
    dropout: Rate


class Conv(Part):
    """``stride`` is each layer's: two layers of stride 2 leave a quarter of the steps."""

    kind = "conv"
    layers: Count
    kernel: Count
    stride: Count
    dropout: Rate


class Recurrent(Part):
    hidden: Count
    layers: Count
    dropout: Rate


class RNN(Recurrent):
    kind = "rnn"


class LSTM(Recurrent):
    kind = "lstm"


class GRU(Recurrent):
    kind = "gru"


class BiLSTM(Recurrent):
    """``hidden`` is each direction's, so the stream that comes out is twice as wide."""

    kind = "bilstm"


class Attentive(Part):
    heads: Count
    layers: Count
    dropout: Rate


class Transformer(Attentive):
    kind = "transformer"


class NoFusion(Part):
    kind = "none"


class Early(Part):
    kind = "early"
    encoders: Chain


class Concatenate(Part):
    kind = "concatenate"


class SelfAttention(Attentive):
    kind = "self_attention"


class CrossAttention(Attentive):
    kind = "cross_attention"


class CoAttention(Attentive):
    kind = "co_attention"


class Gate(Part):
    kind = "gate"


class FiLM(Part):
    kind = "film"


class Bottleneck(Attentive):
    """In one layer alone no modality sees another: the tokens carry over from a layer to the next."""

    kind = "bottleneck"
    layers: Annotated[int, Field(ge=2)]
    tokens: Count


class Late(Part):
    kind = "late"


class Hybrid(Part):
    kind = "hybrid"
    interaction: Part
    fused_weight: Weight
    unimodal_weight: Weight


class Mean(Part):
    kind = "mean"


class Max(Part):
    kind = "max"


class Last(Part):
    kind = "last"


class AttentionPooling(Part):
    kind = "attention"
    heads: Count
    dropout: Rate


class Linear(Part):
    kind = "linear"


class MLP(Part):
    kind = "mlp"
    hidden: Count
    dropout: Rate


def _table(*parts: type[Part]) -> dict[str, type[Part]]:
    return {part.kind: part for part in parts}


ENCODERS = _table(Embed, Conv, RNN, LSTM, GRU, BiLSTM, Transformer)
INTERACTIONS = _table(Concatenate, Early, SelfAttention, CrossAttention, CoAttention, Gate, FiLM, Bottleneck)
FUSIONS = {**_table(NoFusion), **INTERACTIONS, **_table(Late, Hybrid)}
POOLINGS = _table(Mean, Max, Last, AttentionPooling)
HEADS = _table(Linear, MLP)
