"""Key map of TFN: MMSA's state dict.

Source   thuiar/MMSA at a94e65d, models/singleTask/TFN.py, models/subNets/FeatureNets.py. Theirs -> ours:

    {audio,video}_subnet.norm, .linear_{1,2,3}   embed.{audio,video}.{0,2,4,6}
    text_subnet.rnn, .linear_1                   embed.text.lstm, .embed
    post_fusion_layer_{1,2,3}                    head.{1,3,5}
"""

from torch import Tensor, nn

from zoo.weights import Format, Source

LINEAR = ("weight", "bias")
NORM = (*LINEAR, "running_mean", "running_var", "num_batches_tracked")
LSTM = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
LAYERS = {
    **{f"{m}_subnet.norm": (f"embed.{m}.0", NORM) for m in ("audio", "video")},
    **{f"{m}_subnet.linear_{n}": (f"embed.{m}.{2 * n}", LINEAR) for m in ("audio", "video") for n in (1, 2, 3)},
    "text_subnet.rnn": ("embed.text.lstm", LSTM),
    "text_subnet.linear_1": ("embed.text.embed", LINEAR),
    **{f"post_fusion_layer_{n}": (f"head.{2 * n - 1}", LINEAR) for n in (1, 2, 3)},
}
RANGE = "of the range of one target, 6 sigmoid(y) - 3, which the code puts on the scores; ours are y"


def _sizes(source: Source) -> tuple[dict[str, int], int]:
    features = {m: len(source[f"{m}_subnet.norm.weight"]) for m in ("audio", "video")}
    return features | {"text": source["text_subnet.rnn.weight_ih_l0"].shape[1]}, len(source["post_fusion_layer_3.bias"])


def _translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    for name in ("output_range", "output_shift"):
        source.drop(name, RANGE)
    named = [(ours, theirs, part) for theirs, (ours, parts) in LAYERS.items() for part in parts]
    return {f"{ours}.{part}": source.take(f"{theirs}.{part}") for ours, theirs, part in named}


FORMATS = (
    Format(
        name="MMSA",
        source="thuiar/MMSA at a94e65d: state_dict() of models/singleTask/TFN.py TFN",
        recognises=lambda source: "audio_subnet.norm.weight" in source and "post_fusion_layer_3.weight" in source,
        sizes=_sizes,
        translate=_translate,
    ),
)
