"""S-CMRL: spiking transformers of picture and sound; each adds to itself what it reads of the other, scaled.

Source   He et al. 2025, "Enhancing Audio-Visual Spiking Neural Networks through Semantic-Alignment and Cross-Modal
         Residual Learning", arXiv:2502.12488; code Brain-Cog-Lab/S-CMRL at 3be3df72, braincog/model_zoo/spikformer.py
         (AudioVisualSpikformer), SNN/train_snn.py.
Differs  see the card in ``zoo.cards.spiking``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import accept, nearest_step, ordered
from zoo.spiking import PatchSplitting, SpikingAttention, SpikingPerceptron, fire

Streams = dict[str, Tensor]
OTHER = {"audio": "video", "video": "audio"}
ATTENTION = {"spatial_temporal": ("tokens", "timesteps"), "spatial": ("tokens",), "temporal": ("timesteps",)}
LAYER = {"tokens": 0, "timesteps": 1}  # as maps are called


class CrossModalResidual(nn.Module):
    """What one modality reads of the other, over tokens and over timesteps.

    Of both branches the product is taken, of the first's mean over tokens and the second's mean over timesteps.

    Args:
        over: keys of ``LAYER``, one or both.
        aligned: whether a linear layer with neurons follows; without it a product of means is no spike.
    """

    def __init__(self, width: int, heads: int, over: tuple[str, ...], *, aligned: bool, label: str):
        super().__init__()
        self.attend = nn.ModuleDict(
            {name: SpikingAttention(width, heads, over=name, label=f"{label}/{LAYER[name]}") for name in over}
        )
        self.align = _linear(width, width) if aligned else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(T, B, D, N) that reads and (T, B, D, N) that is read -> (T, B, D, N)."""
        read = {name: attend(x, y) for name, attend in self.attend.items()}
        if len(read) == 2:
            branch = read["tokens"].mean(3, keepdim=True) * read["timesteps"].mean(0, keepdim=True)
        else:
            (branch,) = read.values()
        return branch if self.align is None else fire(self.align(branch.transpose(2, 3))).transpose(2, 3)


class WeightAttention(nn.Module):
    """One weight for each timestep of a modality, from the mean tokens of both: (T, B, D, N) twice -> (T, B, D, N)."""

    def __init__(self, width: int):
        super().__init__()
        self.join, self.weigh = _linear(2 * width, width), _linear(width, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        weight = self.weigh(self.join(torch.cat([x.mean(3), y.mean(3)], -1)))  # (T, B, 1)
        return weight.unsqueeze(-1) * x


class CMCI(nn.Module):
    """Neurons driven by both modalities at once, and a perceptron: (T, B, D, N) twice -> (T, B, D, N)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.drive = nn.ModuleDict({m: _linear(width, width) for m in OTHER})
        self.perceptron = SpikingPerceptron(width, hidden)

    def forward(self, tokens: Streams) -> Tensor:
        current = sum(self.drive[m](x.transpose(2, 3)) for m, x in tokens.items())
        return self.perceptron(fire(current.transpose(2, 3)))


@dataclass(frozen=True)
class Fused:
    """What comes of the tokens of a batch.

    Args:
        scores: (B, K).
        branches: (T, B, D) of each modality's cross-modal branch, its mean over tokens; empty without one.
        alone: (B, K) of each modality, that CMCI trains beside the joint scores; else empty.
    """

    scores: Tensor
    branches: Streams
    alone: Streams


class SCMRL(nn.Module):
    """Semantic-alignment cross-modal residual learning.

    Args:
        features: bins of a spectrum, and (height, width, 3) of a frame.
        outputs: K.
        per_step: refused: a clip has one simulation, not one for each of its steps.
        patches: how the picture of each modality is cut, e.g. ``{"audio": {"side": 128, "size": 16}, "video":
            {"side": 128, "size": 16}}``: brought to side x side, of which one token has size x size.
        frames: how many frames of a clip are seen, evenly spread; each is shown for timesteps / frames. 1 is the
            middle frame throughout. The sound is shown whole at every timestep.
        timesteps: T of the simulation.
        width: D.
        fusion: "spatial_temporal": attention over tokens and over timesteps; "spatial" or "temporal": one of the two;
            "weight_attention", "cmci": the baselines of the released code; "none": no exchange.
        heads: of every attention.
        residual: alpha, what a branch is multiplied with before it is added to the tokens.
        temperature: of the alignment of branches in training; null for none, and for fusions without attention.
        hidden: of a perceptron.
        joined: how the modalities meet before the head: "add" or "concat". CMCI has one stream of its own there.
    """

    def __init__(
        self,
        features: dict[str, int | tuple[int, ...]],
        outputs: int,
        *,
        per_step: bool = False,
        patches: dict[str, dict[str, int]],
        frames: int,
        timesteps: int,
        width: int,
        fusion: str,
        heads: int,
        residual: float,
        temperature: float | None,
        hidden: int,
        joined: str,
    ):
        super().__init__()
        self.shapes = {m: d if isinstance(d, tuple) else (d,) for m, d in features.items()}
        self.features = ordered({m: math.prod(d) for m, d in self.shapes.items()}, outputs, at_least=2, at_most=2)
        _check(self.shapes, patches, per_step)
        if fusion not in (*ATTENTION, "weight_attention", "cmci", "none") or joined not in ("add", "concat"):
            raise ValueError(
                f"fusion {fusion!r} with joined {joined!r}; wanted {', '.join(ATTENTION)}, weight_attention, cmci or "
                "none, with add or concat."
            )
        if timesteps < 1 or not 1 <= frames <= timesteps or timesteps % frames:
            raise ValueError(f"frames {frames} in {timesteps} timesteps; wanted 1 or more that divide the timesteps.")
        if temperature is not None and (temperature <= 0 or fusion not in ATTENTION):
            raise ValueError(
                f"temperature {temperature} with fusion {fusion!r}; wanted more than 0, and null for fusions without "
                f"attention: {', '.join(ATTENTION)} have branches to align."
            )
        self.timesteps, self.frames, self.fusion, self.joined = timesteps, frames, fusion, joined
        self.residual, self.temperature = residual, temperature
        self.side = {m: patches[m]["side"] for m in self.features}
        channels = {"audio": 1, "video": 3}
        self.split = nn.ModuleDict({m: PatchSplitting(channels[m], width, patches[m]["size"]) for m in self.features})
        self.exchange = nn.ModuleDict()
        for m in self.features:
            if fusion in ATTENTION:
                aligned, label = temperature is not None, f"{m}<-{OTHER[m]}"
                self.exchange[m] = CrossModalResidual(width, heads, ATTENTION[fusion], aligned=aligned, label=label)
            elif fusion == "weight_attention":
                self.exchange[m] = WeightAttention(width)
        self.join = CMCI(width, hidden) if fusion == "cmci" else None
        self.perceptron = nn.ModuleDict({m: SpikingPerceptron(width, hidden) for m in self.features})
        self.alone = nn.ModuleDict({m: _linear(width, outputs) for m in self.features if fusion == "cmci"})
        self.head = _linear(width * (2 if joined == "concat" and fusion != "cmci" else 1), outputs)

    def forward(self, inputs: Streams, masks: Streams) -> Tensor:
        """Spectra (B, T_a, bins) and frames (B, T_v, height, width, 3) with their masks (B, T_m) -> (B, K)."""
        return self.fuse(self.tokens(self.pictures(inputs, masks))).scores

    def training_loss(
        self, inputs: Streams, masks: Streams, labels: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The loss of the scores, of each modality's own in CMCI, and the alignment of the branches.

        Raises:
            ValueError: for an alignment without one class for each clip.
        """
        if self.temperature is not None and (labels.ndim != 1 or labels.is_floating_point()):
            raise ValueError(
                f"labels are {labels.dtype} of shape {tuple(labels.shape)}; the alignment asks which clips share a "
                "class: wanted (B,) classes. Set temperature to null for another task."
            )
        fused = self.fuse(self.tokens(self.pictures(inputs, masks)))
        loss = sum(criterion(scores, labels) for scores in (fused.scores, *fused.alone.values()))
        if self.temperature is None:
            return loss
        audio, video = (fused.branches[m].mean(0) for m in ("audio", "video"))
        return loss + alignment(audio, video, labels, self.temperature)

    def pictures(self, inputs: Streams, masks: Streams) -> Streams:
        """What neurons are shown at every timestep: (T, B, 1, side, side) of audio, (T, B, 3, side, side) of video.

        Each clip's real steps alone are brought to the side, so that clips may have any length.
        """
        flat = dict(inputs)
        for m, shape in self.shapes.items():
            if m in flat and flat[m].shape[2:] == shape:
                flat[m] = flat[m].flatten(2)
        streams = accept(flat, masks, self.features, per_step=False)
        lengths = {m: mask.sum(1) for m, mask in masks.items()}
        sound = [
            _resized(x[:n].T[None, None], self.side["audio"])
            for x, n in zip(streams["audio"], lengths["audio"].tolist(), strict=True)
        ]
        wanted = torch.full_like(lengths["video"], self.frames)
        seen = nearest_step(streams["video"], lengths["video"], wanted, self.frames)
        seen = seen.unflatten(2, self.shapes["video"]).movedim(-1, 2)  # (B, frames, 3, height, width)
        seen = _resized(seen.flatten(0, 1), self.side["video"]).unflatten(0, seen.shape[:2])
        return {
            "audio": torch.cat(sound).expand(self.timesteps, -1, -1, -1, -1),
            "video": seen.transpose(0, 1).repeat_interleave(self.timesteps // self.frames, 0),
        }

    def tokens(self, pictures: Streams) -> Streams:
        """(T, B, C, side, side) -> (T, B, D, N) of each modality."""
        return {m: self.split[m](pictures[m]) for m in self.features}

    def fuse(self, tokens: Streams) -> Fused:
        """The exchange, a perceptron for each modality, the head."""
        branches = {m: exchange(tokens[m], tokens[OTHER[m]]) for m, exchange in self.exchange.items()}
        after = tokens
        if self.fusion == "weight_attention":
            after, branches = branches, {}
        elif branches:
            after = {m: x + self.residual * branches[m] for m, x in tokens.items()}
        means = {m: self.perceptron[m](x).mean(3).mean(0) for m, x in after.items()}  # (B, D)
        alone = {m: head(means[m]) for m, head in self.alone.items()}
        if self.join is not None:
            read = self.join(tokens).mean(3).mean(0)
        elif self.joined == "add":
            read = means["audio"] + means["video"]
        else:
            read = torch.cat([means["audio"], means["video"]], -1)
        return Fused(self.head(read), {m: branch.mean(3) for m, branch in branches.items()}, alone)


def alignment(audio: Tensor, video: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Pulls each clip's sound to the picture of every clip of its class.

        - mean over all pairs (i, j) of [y_i = y_j] log softmax_j(a_i . v_j / temperature)

    Args:
        audio, video: (B, D). labels: (B,) classes.
    """
    logarithms = (audio @ video.T / temperature).log_softmax(-1)
    return -(logarithms * (labels[:, None] == labels)).mean()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


def _resized(pictures: Tensor, side: int) -> Tensor:
    """(B, C, height, width) -> (B, C, side, side), bilinear; pixels are averaged where there are more of them."""
    return F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)


def _check(shapes: Mapping[str, tuple[int, ...]], patches: Mapping[str, Mapping[str, int]], per_step: bool) -> None:
    """Refuse what is no sound with pictures, and patches that do not fill them alike."""
    if per_step:
        raise ValueError("per_step output needs scores for every step; a clip has one simulation and one score.")
    wanted = {"audio": "(bins,)", "video": "(height, width, 3)"}
    for m, shape in shapes.items():
        if m not in wanted or len(shape) != (1 if m == "audio" else 3) or (m == "video" and shape[2] != 3):
            raise ValueError(
                f"{m}: one step has shape {shape}; wanted audio of (bins,) and video of (height, width, 3). Choose a "
                "protocol whose inputs are spectrogram and frames."
            )
    if patches.keys() != wanted.keys() or any(cut.keys() != {"side", "size"} for cut in patches.values()):
        raise ValueError(f"patches is {dict(patches)}; wanted side and size for each of audio, video.")
    if any(cut["size"] < 1 or cut["side"] < cut["size"] or cut["side"] % cut["size"] for cut in patches.values()):
        raise ValueError(f"patches is {dict(patches)}; each size must divide its side.")
    if len({cut["side"] // cut["size"] for cut in patches.values()}) > 1:
        raise ValueError(f"patches is {dict(patches)}; both modalities must have the same number of tokens.")
