"""Recursive joint attention: a BiLSTM for each modality, co-attention that can read its own result, a BiLSTM on top.

Source   Praveen, Granger, Cardinal, "Recursive Joint Attention for Audio-Visual Fusion in Regression Based Emotion
         Recognition", ICASSP 2023, arXiv:2304.07958; code praveena2j/RecurrentJointAttentionwithLSTMs at ea196b3
         (models/orig_cam.py, models/layer.py). Its co-attention layer, guided attention, BiLSTM and regressors are
         those of ``dense_coattention``, line by line.
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.dense_coattention import (
    BiLSTM,
    CoAttention,
    GuidedAttention,
    Regressors,
    channels_of,
    exactly,
    initialise,
)
from zoo.layers import accept, masked_mean, nearest_step, ordered, to_longest


class RecursiveJointAttention(nn.Module):
    """Temporal networks for both modalities around recursive co-attention.

    Args:
        features: D_m of audio and video; video may be a flattened map, P positions of C channels.
        outputs: K; with 2 they are valence and arousal, in that order.
        per_step: one row of scores for each step, as the released code has it. Otherwise the head reads the mean
            of the last BiLSTM's steps (ours).
        positions: P. With 1 there is nothing to pick, and the video passes its projection alone.
        width: of both streams and of every BiLSTM.
        layers: co-attention layers with weights of their own.
        recursions: how often all of these layers are passed, each time on what came out the time before.
        steps: L of the key matrices. kernel: None for them, else taps of the band that frees the length (ours).
        dropout: in the co-attention. temporal_layers: of each BiLSTM.
        temporal_dropout: in the BiLSTM of each modality; the last one has none.
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
        recursions: int,
        steps: int,
        kernel: int | None,
        dropout: float,
        temporal_layers: int,
        temporal_dropout: float,
        head_width: int,
        head_dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2, at_most=2)
        if set(features) != {"audio", "video"}:
            raise ValueError(f"features names {', '.join(features)}; wanted audio and video.")
        if layers < 1 or recursions < 1:
            raise ValueError(f"layers is {layers} and recursions is {recursions}; wanted 1 or more of both.")
        self.per_step, self.positions, self.recursions = per_step, positions, recursions
        self.steps = steps if kernel is None else None
        channels = channels_of(features["video"], positions)
        self.audio_temporal = BiLSTM(features["audio"], width, temporal_layers, dropout=temporal_dropout)
        self.guide = GuidedAttention(width, channels, width, positions) if positions > 1 else None
        self.project = nn.Linear(channels, width)
        self.video_temporal = BiLSTM(width, width, temporal_layers, dropout=temporal_dropout)
        streams = {"video": width, "audio": width}
        self.coattention = nn.ModuleList(
            CoAttention(streams, joint=nn.Linear(2 * width, 2 * width), steps=steps, kernel=kernel, dropout=dropout)
            for _ in range(layers)
        )
        self.temporal = BiLSTM(2 * width, width, temporal_layers, dropout=0.0)
        self.head = Regressors(width, head_width, outputs, dropout=head_dropout)
        initialise(self)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        if self.steps:
            exactly(inputs, masks, self.steps)
        video, audio = (F.normalize(streams[m], dim=-1) for m in ("video", "audio"))
        audio = self.audio_temporal(audio, masks["audio"])  # (B, T_audio, width)
        if self.guide:
            at_video = nearest_step(audio, masks["audio"].sum(1), masks["video"].sum(1), video.shape[1])
            video = self.guide(video.unflatten(-1, (self.positions, -1)), at_video)
        video = self.video_temporal(self.project(video), masks["video"])  # (B, T_video, width)
        streams, mask = to_longest({"video": video, "audio": audio}, masks)
        joint = self.temporal(torch.cat(list(self.coattend(streams, mask).values()), dim=-1), mask)  # (B, T, width)
        return self.head(joint if self.per_step else masked_mean(joint, mask))

    def coattend(self, streams: Mapping[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        """All recursions of all layers: (B, T, width) for each stream and the mask (B, T) -> the same."""
        for number in range(self.recursions * len(self.coattention)):
            streams = self.coattention[number % len(self.coattention)](streams, mask, number)
        return dict(streams)
