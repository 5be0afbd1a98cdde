"""Dense co-attention: every stream weighs the features of all streams together, then a BiLSTM reads the result.

Source   the network that the training script of Praveen et al., "Audio-Visual Fusion for Emotion Recognition in
         the Valence-Arousal Space Using Joint Cross-Attention", IEEE T-BIOM 2023, arXiv:2209.09068, runs: code
         praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c (models/orig_cam.py and what it
         imports). It is not the block of the paper, which is ``joint_cross_attention``.
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import accept, masked_mean, nearest_step, ordered, record, to_longest


class TimeMatrix(nn.Linear):
    """One L x L matrix and L biases over the steps of every feature: (B, L, D) -> (B, L, D)."""

    def __init__(self, steps: int):
        super().__init__(steps, steps)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class TimeBand(nn.Module):
    """Ours, for clips of any length: the matrix is a band that repeats along time, (B, T, D) -> (B, T, D).

    Tap k of step t reads step t + k - kernel // 2; all steps share one bias. The result is multiplied by
    ``steps`` / L, L being the clip's real steps: the sum over time that follows has the size that it has over
    ``steps`` steps, and a clip of exactly ``steps`` is treated as by a banded ``TimeMatrix``.
    """

    def __init__(self, kernel: int, steps: int):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; wanted an odd number of taps, or null for the L x L matrix.")
        self.steps = steps
        self.weight = nn.Parameter(torch.empty(kernel).uniform_(-1, 1) * math.sqrt(3 / kernel))  # keeps the variance
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        real = mask.unsqueeze(-1)
        taps, length = len(self.weight), x.shape[1]
        padded = F.pad(x.masked_fill(~real, 0.0), (0, 0, taps // 2, taps // 2))
        mixed = sum(w * padded[:, k : k + length] for k, w in enumerate(self.weight)) + self.bias
        return mixed.masked_fill(~real, 0.0) * (self.steps / real.sum(1, keepdim=True))


class CoAttention(nn.Module):
    """One dense co-attention layer over streams X_m of d_m features, D in all.

    J' = joint([X_1 ; X_2 ; ...]), K_m = time-mixed X_m, S_m = tanh(K_m^T J' / sqrt(D)) of size d_m x D,
    U_m = ReLU(tanh(Linear(X_m) S_m)), and X_m + dropout(ReLU(Linear(U_m))) comes out. S_m has its own dropout.
    No softmax: the rows of S_m do not sum to one, and its axes are features, so time is summed out of it.

    Args:
        widths: d_m of each stream, in the order of the concatenation.
        joint: what the concatenation passes, (B, T, D) -> (B, T, D).
        steps, kernel: a ``TimeMatrix`` of ``steps`` where ``kernel`` is None, else a ``TimeBand``.
    """

    def __init__(self, widths: Mapping[str, int], *, joint: nn.Module, steps: int, kernel: int | None, dropout: float):
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}; wanted 1 or more.")
        self.width = sum(widths.values())
        self.joint = joint
        self.keys = nn.ModuleDict({m: TimeMatrix(steps) if kernel is None else TimeBand(kernel, steps) for m in widths})
        self.values = nn.ModuleDict({m: nn.Linear(d, d) for m, d in widths.items()})
        self.back = nn.ModuleDict({m: nn.Linear(self.width, d) for m, d in widths.items()})
        self.drop = nn.Dropout(dropout)

    def forward(self, streams: Mapping[str, Tensor], mask: Tensor, number: int) -> dict[str, Tensor]:
        """(B, T, d_m) for each stream and their mask (B, T) -> the same; ``number`` names it for a recorder."""
        joint = self.joint(torch.cat(list(streams.values()), dim=-1))  # (B, T, D)
        out = {}
        for m, x in streams.items():
            scores = self.keys[m](x, mask).transpose(1, 2) @ joint / math.sqrt(self.width)  # (B, d_m, D)
            weights = scores.tanh()
            record(f"{m}<-{'+'.join(streams)}/{number}:features", weights.unsqueeze(1))
            seen = (self.values[m](x) @ self.drop(weights)).tanh().relu()  # (B, T, D)
            out[m] = x + self.drop(self.back[m](seen).relu())
        return out


class GuidedAttention(nn.Module):
    """Audio picks positions of the video map: (B, T, P, C) and (B, T, A) -> (B, T, C).

    z = w tanh(V ReLU(W_v v_p) + g_p), g = G ReLU(W_a a), softmax over the P positions p. The audio adds one number
    to all P hidden channels of a position, as the released code does it; so hidden channels are as many as
    positions only by its sizes.
    """

    def __init__(self, audio: int, channels: int, width: int, positions: int):
        super().__init__()
        self.audio, self.video = nn.Linear(audio, width), nn.Linear(channels, width)
        self.to_hidden = nn.Linear(width, positions, bias=False)
        self.to_positions = nn.Linear(width, positions, bias=False)
        self.score = nn.Linear(positions, 1, bias=False)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        hidden = self.to_hidden(self.video(video).relu())  # (B, T, P, P)
        guide = self.to_positions(self.audio(audio).relu())  # (B, T, P)
        weights = self.score((hidden + guide.unsqueeze(-1)).tanh()).squeeze(-1).softmax(-1)  # (B, T, P)
        record("audio<-video map/0", weights.unsqueeze(1))
        return (weights.unsqueeze(2) @ video).squeeze(2)


class BiLSTM(nn.Module):
    """A bidirectional LSTM with learned first states; its input is concatenated, projected, and L2-normalised.

    The backward direction reads each clip's real steps reversed: an LSTM over dense tensors is several times as
    fast as one over packed ones.

    Args:
        features: of a step. width: of the result, even: half for each direction.
        dropout: between layers, and before the projection.
    """

    def __init__(self, features: int, width: int, layers: int, *, dropout: float):
        super().__init__()
        if width < 2 or width % 2 or layers < 1:
            raise ValueError(
                f"a BiLSTM of width {width} and {layers} layers; wanted an even width and 1 layer or more."
            )
        half = width // 2
        sizes = [features] + [width] * (layers - 1)
        self.ahead = nn.ModuleList(nn.LSTM(size, half, batch_first=True) for size in sizes)
        self.behind = nn.ModuleList(nn.LSTM(size, half, batch_first=True) for size in sizes)
        # h, then c; in each, ahead and behind of one layer after the other
        self.first = nn.Parameter(nn.init.xavier_uniform_(torch.empty(4 * layers, half)))
        self.project = nn.Linear(features + width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, features) and (B, T) -> (B, T, width), zero on padding."""
        t = torch.arange(x.shape[1], device=x.device)
        reverse = torch.where(mask, mask.sum(1, keepdim=True) - 1 - t, t).unsqueeze(-1)  # its own inverse
        first = self.first.unsqueeze(1).expand(-1, len(x), -1).unflatten(0, (2, len(self.ahead), 2)).contiguous()
        y = x
        for i, (ahead, behind) in enumerate(zip(self.ahead, self.behind, strict=True)):
            y = self.drop(y) if i else y
            to_end, _ = ahead(y, (first[0, i, :1], first[1, i, :1]))
            to_start, _ = behind(_take(y, reverse), (first[0, i, 1:], first[1, i, 1:]))
            y = torch.cat([to_end, _take(to_start, reverse)], dim=-1)
        y = F.normalize(self.project(self.drop(torch.cat([x, y], dim=-1))), dim=-1)
        return y.masked_fill(~mask.unsqueeze(-1), 0.0)


def _take(x: Tensor, steps: Tensor) -> Tensor:
    return x.gather(1, steps.expand_as(x))


class Regressors(nn.ModuleList):
    """One regressor for each output: Linear, ReLU, dropout, Linear to one number; (..., D) -> (..., K)."""

    def __init__(self, width: int, hidden: int, outputs: int, *, dropout: float):
        super().__init__(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))
            for _ in range(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([regressor(x) for regressor in self], dim=-1)


def initialise(model: nn.Module) -> None:
    """Xavier-uniform weights and zero biases in every linear map, as the released code has it."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def channels_of(video: int, positions: int) -> int:
    """Channels of each position of a video map that arrives flattened, channels last."""
    if positions < 1 or video % positions:
        raise ValueError(
            f"video has {video} features, which {positions} positions do not divide. Give the map flattened, "
            "channels last, or set positions to 1 for a vector."
        )
    return video // positions


def exactly(inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor], steps: int) -> None:
    """Refuse clips that key matrices of ``steps`` x ``steps`` cannot take.

    Raises:
        ValueError: naming modality, shape, real steps and the remedy.
    """
    for m, mask in masks.items():
        if mask.shape[1] != steps or not mask.all():
            lengths = mask.sum(1)
            raise ValueError(
                f"{m}: inputs of shape {tuple(inputs[m].shape)} with {lengths.min()} to {lengths.max()} real steps; "
                f"the key matrices are {steps} x {steps} over time, so every clip needs exactly {steps}. Cut or "
                f"resample the clips to {steps} steps, or set kernel (a preset named length-free does)."
            )


class DenseCoAttention(nn.Module):
    """Guided spatial attention, dense co-attention layers, BiLSTM and regressors.

    Args:
        features: D_m of audio and video; video may be a flattened map, P positions of C channels.
        outputs: K; with 2 they are valence and arousal, in that order.
        per_step: one row of scores for each step, as the released code has it. Otherwise the head reads the mean
            of the BiLSTM's steps (ours).
        positions: P. With 1 there is nothing to pick, and the video passes its projection alone.
        width: of the video stream and the BiLSTM. The audio stream keeps its features.
        layers: co-attention layers, each with its own weights.
        steps: L of the key matrices. kernel: None for them, else taps of the band that frees the length (ours).
        dropout: in the co-attention. temporal_layers: of the BiLSTM.
        head_width, head_dropout: of each regressor's hidden layer.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        positions: int,
        width: int,
        layers: int,
        steps: int,
        kernel: int | None,
        dropout: float,
        temporal_layers: int,
        head_width: int,
        head_dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2, at_most=2)
        if set(features) != {"audio", "video"}:
            raise ValueError(f"features names {', '.join(features)}; wanted audio and video.")
        if layers < 1:
            raise ValueError(f"layers is {layers}; wanted 1 or more.")
        self.per_step, self.positions = per_step, positions
        self.steps = steps if kernel is None else None
        audio, channels = features["audio"], channels_of(features["video"], positions)
        self.guide = GuidedAttention(audio, channels, width, positions) if positions > 1 else None
        self.project = nn.Linear(channels, width)
        streams = {"video": width, "audio": audio}
        both = width + audio
        self.coattention = nn.ModuleList(
            CoAttention(streams, joint=nn.Linear(both, both), steps=steps, kernel=kernel, dropout=dropout)
            for _ in range(layers)
        )
        self.temporal = BiLSTM(both, width, temporal_layers, dropout=0.0)
        self.head = Regressors(width, head_width, outputs, dropout=head_dropout)
        initialise(self)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if self.steps:
            exactly(inputs, masks, self.steps)
        video, audio = (F.normalize(streams[m], dim=-1) for m in ("video", "audio"))
        if self.guide:
            at_video = nearest_step(audio, masks["audio"].sum(1), masks["video"].sum(1), video.shape[1])
            video = self.guide(video.unflatten(-1, (self.positions, -1)), at_video)
        streams, mask = to_longest({"video": self.project(video), "audio": audio}, masks)
        joint = self.temporal(torch.cat(list(self.coattend(streams, mask).values()), dim=-1), mask)  # (B, T, width)
        return self.head(joint if self.per_step else masked_mean(joint, mask))

    def coattend(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """All co-attention layers: (B, T, d_m) for each stream and the mask (B, T) -> the same."""
        for number, layer in enumerate(self.coattention):
            streams = layer(streams, mask, number)
        return dict(streams)
