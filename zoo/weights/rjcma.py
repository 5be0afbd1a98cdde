"""Key map of RJCMA: the released code's state dict.

Source   praveena2j/RJCMA at 489f33d, models/model.py: RCMA. Co-attention names as in
         ``zoo.weights.dense_coattention``; of the rest, theirs -> ours:

    temporal.{video,logmel,bert}.network.{i}   temporal.{video,audio,text}.{i}
      .conv{n}.weight_g, .weight_v             .convolution{n}.length, .direction
      .downsample                              .shortcut
    bn.{video,logmel,bert}                     norm.{video,audio,text}
    regressor1, bn1, regressor2                hidden, hidden_norm, head
"""

from torch import Tensor, nn

from zoo.weights import Format, Source
from zoo.weights.dense_coattention import LINEAR, coattention, has, layers_alone

REPOSITORY = "praveena2j/RJCMA at 489f33d"
STREAMS = {"video": "video", "logmel": "audio", "bert": "text"}
CONVOLUTION = {"weight_g": "length", "weight_v": "direction", "bias": "bias"}
NORM = (*LINEAR, "running_mean", "running_var", "num_batches_tracked")
TWICE = "the same tensor under a second name"
BACKBONE = "frozen backbone, whose outputs are our features"


def temporal(source: Source, theirs: str, to: str, blocks: nn.Sequential) -> dict[str, Tensor]:
    """One temporal convolutional network. The reference registers its convolutions twice."""
    ours = {}
    for i, block in enumerate(blocks):
        for number, again in ((1, "net.0"), (2, "net.4")):
            for name, our in CONVOLUTION.items():
                ours[f"{to}.{i}.convolution{number}.{our}"] = source.take(f"{theirs}.{i}.conv{number}.{name}")
                source.drop(f"{theirs}.{i}.{again}.{name}", TWICE)
        if block.shortcut is not None:
            for kind in LINEAR:
                ours[f"{to}.{i}.shortcut.{kind}"] = source.take(f"{theirs}.{i}.downsample.{kind}")
    return ours


def translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    ours = coattention(source, "coattn.", STREAMS.values(), len(model.coattention), joint=False)
    for theirs, m in STREAMS.items():
        ours |= temporal(source, f"temporal.{theirs}.network", f"temporal.{m}", model.temporal[m])
        ours |= {f"norm.{m}.{name}": source.take(f"bn.{theirs}.{name}") for name in NORM}
    ours |= {f"hidden_norm.{name}": source.take(f"bn1.{name}") for name in NORM}
    for kind in LINEAR:
        ours[f"hidden.{kind}"] = source.take(f"regressor1.{kind}")
        ours[f"head.{kind}"] = source.take(f"regressor2.{kind}")
    for name in source:
        if name.startswith("spatial."):
            source.drop(name, BACKBONE)
    return ours


def sizes(source: Source) -> tuple[dict[str, int], int]:
    widths = {m: source[f"temporal.{theirs}.network.0.conv1.weight_v"].shape[1] for theirs, m in STREAMS.items()}
    return widths, source["regressor2.weight"].shape[0]


FORMATS = (
    Format(
        name="released code",
        source=f"{REPOSITORY}, models/model.py: RCMA",
        recognises=lambda source: has(source, "temporal.video", "temporal.logmel", "temporal.bert", "coattn"),
        sizes=sizes,
        translate=translate,
    ),
    layers_alone(REPOSITORY, tuple(STREAMS.values()), joint=False),
)
