"""Key map of dense co-attention: the released code's state dict.

Source   praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c, models/orig_cam.py: CAM. Its training
         saves ``{"net": state dict, ...}``; the state dict alone is read as well.

Names of a BiLSTM, a co-attention layer, and the rest, theirs -> ours:

    rnn.{weight,bias}_{ih,hh}_l{i}[_reverse]   ahead.{i} or behind.{i}, .{weight,bias}_{ih,hh}_l0
    init_hidden, linear                        first, project
    dense_coattn.query_linear                  joint
    dense_coattn.{key,value}{n}_linear         keys, values of stream n: 1 video, 2 audio, 3 text
    linears.{n - 1}.0                          back of stream n
    vregressor, aregressor                     head.0, head.1
"""

from collections.abc import Iterable

from torch import Tensor, nn

from zoo.weights import Format, Source

REPOSITORY = "praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c"
LINEAR = ("weight", "bias")
GUIDE = {
    "affine_audio.weight": "guide.audio.weight",
    "affine_audio.bias": "guide.audio.bias",
    "affine_video.weight": "guide.video.weight",
    "affine_video.bias": "guide.video.bias",
    "affine_v.weight": "guide.to_hidden.weight",
    "affine_g.weight": "guide.to_positions.weight",
    "affine_h.weight": "guide.score.weight",
    "affine_feat.weight": "project.weight",
    "affine_feat.bias": "project.bias",
}
UNUSED = "computed and never used: the attention reads the concatenation itself"


def coattention(source: Source, at: str, streams: Iterable[str], layers: int, *, joint: bool) -> dict[str, Tensor]:
    """The co-attention layers under the prefix ``at``; ``joint``: whether the projected concatenation is used."""
    ours = {}
    for i in range(layers):
        theirs, to = f"{at}dcn_layers.{i}.", f"coattention.{i}."
        for kind in LINEAR:
            if joint:
                ours[f"{to}joint.{kind}"] = source.take(f"{theirs}dense_coattn.query_linear.{kind}")
            else:
                source.drop(f"{theirs}dense_coattn.query_linear.{kind}", UNUSED)
            for n, m in enumerate(streams):
                ours[f"{to}keys.{m}.{kind}"] = source.take(f"{theirs}dense_coattn.key{n + 1}_linear.{kind}")
                ours[f"{to}values.{m}.{kind}"] = source.take(f"{theirs}dense_coattn.value{n + 1}_linear.{kind}")
                ours[f"{to}back.{m}.{kind}"] = source.take(f"{theirs}linears.{n}.0.{kind}")
    return ours


def bilstm(source: Source, theirs: str, to: str, layers: int) -> dict[str, Tensor]:
    """One BiLSTM."""
    ours = {f"{to}.first": source.take(f"{theirs}.init_hidden")}
    for kind in LINEAR:
        ours[f"{to}.project.{kind}"] = source.take(f"{theirs}.linear.{kind}")
        for i in range(layers):
            for part in ("ih", "hh"):
                name = f"{theirs}.rnn.{kind}_{part}_l{i}"
                ours[f"{to}.ahead.{i}.{kind}_{part}_l0"] = source.take(name)
                ours[f"{to}.behind.{i}.{kind}_{part}_l0"] = source.take(f"{name}_reverse")
    return ours


def prefix(source: Source) -> str:
    """What stands before every name: ``net.`` in a file of the training script."""
    return "net." if any(name.startswith("net.") for name in source) else ""


def has(source: Source, *parts: str) -> bool:
    """Whether the file holds every one of these parts of a network."""
    at = prefix(source)
    return all(any(name.startswith(f"{at}{part}.") for name in source) for part in parts)


def audio_visual(source: Source, model: nn.Module, temporal: dict[str, str]) -> dict[str, Tensor]:
    """What the two audio-visual repositories share; ``temporal``: their BiLSTMs -> ours."""
    at = prefix(source)
    ours = coattention(source, f"{at}coattn.", ("video", "audio"), len(model.coattention), joint=True)
    ours |= {to: source.take(f"{at}video_attn.attn.{name}") for name, to in GUIDE.items()}
    for theirs, to in temporal.items():
        ours |= bilstm(source, f"{at}{theirs}", to, len(model.temporal.ahead))
    for k, regressor in enumerate(("vregressor", "aregressor")):
        for number in (0, 3):
            for kind in LINEAR:
                ours[f"head.{k}.{number}.{kind}"] = source.take(f"{at}{regressor}.{number}.{kind}")
    return ours


def audio_visual_sizes(source: Source, audio: str) -> tuple[dict[str, int], int]:
    """Features and outputs; ``audio``: the matrix whose columns are the audio features."""
    at = prefix(source)
    positions, channels = (source[f"{at}video_attn.attn.affine_{name}.weight"] for name in ("g", "video"))
    return {"audio": source[f"{at}{audio}"].shape[1], "video": positions.shape[0] * channels.shape[1]}, 2


def layers_alone(repository: str, streams: tuple[str, ...], *, joint: bool) -> Format:
    """The format of a file that holds co-attention layers without the network around them."""
    count = len(streams)
    return Format(
        name="co-attention layers",
        source=f"{repository}, models/av_crossatten.py: DCNLayer",
        recognises=lambda source: (
            all(name.startswith("dcn_layers.") for name in source)
            and f"dcn_layers.0.dense_coattn.key{count}_linear.weight" in source
            and f"dcn_layers.0.dense_coattn.key{count + 1}_linear.weight" not in source
        ),
        sizes=lambda source: ({}, None),
        translate=lambda source, model: coattention(source, "", streams, len(model.coattention), joint=joint),
        keeps="the file holds the co-attention layers alone",
    )


FORMATS = (
    Format(
        name="released code",
        source=f"{REPOSITORY}, models/orig_cam.py: CAM",
        recognises=lambda source: has(source, "video_attn", "coattn", "Joint") and not has(source, "audio_extract"),
        sizes=lambda source: audio_visual_sizes(source, "video_attn.attn.affine_audio.weight"),
        translate=lambda source, model: audio_visual(source, model, {"Joint": "temporal"}),
    ),
    layers_alone(REPOSITORY, ("video", "audio"), joint=True),
)
