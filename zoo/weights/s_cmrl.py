"""Key map of S-CMRL: the released code's state dict, alone or under ``state_dict`` as its training saves it.

Source   Brain-Cog-Lab/S-CMRL at 3be3df72, braincog/model_zoo/spikformer.py: AudioVisualSpikformer.

Theirs -> ours, with 0 of audio, 1 of video:

    {audio,visual}_patch_embed.proj_{conv,bn}[{i}]   split.{audio,video}.stages.{i}.{layer,norm}
      .rpe_{conv,bn}                                 split.{audio,video}.positions.{layer,norm}
    block.{n}.attn.[{spatial,temporal}_attn.]        exchange.{audio,video}.attend.{tokens,timesteps}.
      {q,k,v,proj}_{conv,bn}                           {query,key,value,project}.{layer,norm}
    block.{n}.trans_linear                           exchange.{audio,video}.align
    block.{n}.attn.fc{1,2} of WeightAttention        exchange.{audio,video}.{join,weigh}
    block.0.attn.fc{1,2}, .mlp.mlp of CMCI           join.drive.{audio,video}, join.perceptron
    mlp.{n}.mlp.fc{1,2}_{conv,bn}                    perceptron.{audio,video}.{widen,narrow}.{layer,norm}
    head; head.{0,1,2} of CMCI                       head; head, alone.audio, alone.video

A file also holds the thresholds and slopes of its neurons. Ours are constants, and another value is refused.
"""

import re

from torch import Tensor

from zoo.s_cmrl import SCMRL
from zoo.spiking import SLOPE, THRESHOLD
from zoo.weights import Format, Source

REPOSITORY = "Brain-Cog-Lab/S-CMRL at 3be3df72"
LINEAR = ("weight", "bias")
NORM = (*LINEAR, "running_mean", "running_var", "num_batches_tracked")
PICTURES = {"audio": "audio_patch_embed", "video": "visual_patch_embed"}
BRANCHES = {"tokens": "spatial_attn", "timesteps": "temporal_attn"}
PROJECTIONS = {"query": "q", "key": "k", "value": "v", "project": "proj"}
NEURON = re.compile(r"_lif\d?\.(threshold|act_fun\.alpha)$")
NEURONS = {"threshold": THRESHOLD, "act_fun.alpha": SLOPE}
CONSTANT = "a constant of ours, of the same value"
UNUSED = "no output depends on it"
OUTSIDE = "of the training, not of the network"


def prefix(source: Source) -> str:
    """What stands before every name: ``state_dict.`` in a file of the training script."""
    return "state_dict." if any(name.startswith("state_dict.") for name in source) else ""


def spiking(source: Source, theirs: tuple[str, str], to: str, *, bias: bool = False) -> dict[str, Tensor]:
    """A convolution and its norm."""
    convolution, norm = theirs
    kinds = LINEAR if bias else LINEAR[:1]
    ours = {f"{to}.layer.{kind}": source.take(f"{convolution}.{kind}") for kind in kinds}
    return ours | {f"{to}.norm.{kind}": source.take(f"{norm}.{kind}") for kind in NORM}


def linear(source: Source, theirs: str, to: str) -> dict[str, Tensor]:
    return {f"{to}.{kind}": source.take(f"{theirs}.{kind}") for kind in LINEAR}


def perceptron(source: Source, theirs: str, to: str) -> dict[str, Tensor]:
    ours = {}
    for number, layer in ((1, "widen"), (2, "narrow")):
        names = f"{theirs}.fc{number}_conv", f"{theirs}.fc{number}_bn"
        ours |= spiking(source, names, f"{to}.{layer}", bias=True)
    return ours


def residual(source: Source, theirs: str, to: str, model: SCMRL, m: str) -> dict[str, Tensor]:
    """A cross-modal block. One branch alone stands without a name of its own."""
    ours, branches = {}, model.exchange[m].attend
    for name in branches:
        at = f"{theirs}.attn.{BRANCHES[name]}" if len(branches) == 2 else f"{theirs}.attn"
        for our, letter in PROJECTIONS.items():
            ours |= spiking(source, (f"{at}.{letter}_conv", f"{at}.{letter}_bn"), f"{to}.attend.{name}.{our}")
    return ours | (linear(source, f"{theirs}.trans_linear", f"{to}.align") if model.temperature is not None else {})


def translate(source: Source, model: SCMRL) -> dict[str, Tensor]:
    at, ours = prefix(source), {}
    for n, m in enumerate(PICTURES):
        place = f"{at}{PICTURES[m]}"
        for i in range(len(model.split[m].stages)):
            names = f"{place}.proj_conv{i or ''}", f"{place}.proj_bn{i or ''}"
            ours |= spiking(source, names, f"split.{m}.stages.{i}")
        ours |= spiking(source, (f"{place}.rpe_conv", f"{place}.rpe_bn"), f"split.{m}.positions")
        ours |= perceptron(source, f"{at}mlp.{n}.mlp", f"perceptron.{m}")
        if model.fusion == "weight_attention":
            ours |= linear(source, f"{at}block.{n}.attn.fc1", f"exchange.{m}.join")
            ours |= linear(source, f"{at}block.{n}.attn.fc2", f"exchange.{m}.weigh")
        elif m in model.exchange:
            ours |= residual(source, f"{at}block.{n}", f"exchange.{m}", model, m)
        elif model.join is not None:
            ours |= linear(source, f"{at}block.0.attn.fc{n + 1}", f"join.drive.{m}")
            ours |= linear(source, f"{at}head.{n + 1}", f"alone.{m}")
    if model.join is not None:
        ours |= perceptron(source, f"{at}block.0.attn.mlp.mlp", "join.perceptron")
    ours |= linear(source, f"{at}head.0" if model.join is not None else f"{at}head", "head")
    _drop(source, at, model)
    return ours


def _drop(source: Source, at: str, model: SCMRL) -> None:
    """What our model has as constants, and what no output of theirs depends on."""
    idle = [f"{at}av_attention.", *(f"{at}block.{n}.norm{k}." for n in (0, 1) for k in (1, 2))]
    if model.fusion == "none":
        idle.append(f"{at}block.")
    elif model.join is not None:
        idle.append(f"{at}block.1.")
    for name in source:
        if not name.startswith(at):
            source.drop(name, OUTSIDE)
        elif name.startswith(tuple(idle)):
            source.drop(name, UNUSED)
        elif neuron := NEURON.search(name):
            if source[name].item() != NEURONS[neuron[1]]:
                raise ValueError(f"{name} is {source[name].item():g}; every neuron of ours has {NEURONS[neuron[1]]:g}")
            source.drop(name, CONSTANT)


def sizes(source: Source) -> tuple[dict[str, int], int]:
    """Outputs alone: spectra and frames of any size become pictures of one."""
    (head,) = heads(source)
    return {}, source[head].shape[0]


def heads(source: Source) -> list[str]:
    """The head that is read for prediction; CMCI has three."""
    at = prefix(source)
    return [name for name in (f"{at}head.weight", f"{at}head.0.weight") if name in source]


def recognises(source: Source) -> bool:
    at = prefix(source)
    wanted = ("audio_patch_embed.proj_conv", "visual_patch_embed.rpe_conv", "mlp.1.mlp.fc2_conv")
    return len(heads(source)) == 1 and all(f"{at}{name}.weight" in source for name in wanted)


FORMATS = (
    Format(
        name="released code",
        source=f"{REPOSITORY}, braincog/model_zoo/spikformer.py: AudioVisualSpikformer",
        recognises=recognises,
        sizes=sizes,
        translate=translate,
    ),
)
