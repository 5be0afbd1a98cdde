"""Joint cross-attention: each modality's features are correlated, over time, with those of both modalities.

Source   Praveen et al. 2022, CVPRW, arXiv:2203.14779; Praveen, Cardinal, Granger 2023, T-BIOM, arXiv:2209.09068;
         code praveena2j/JointCrossAttentional-AV-Fusion at 84c95b2 (models/cam.py) and
         praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c (models/cam.py, models/Jcam_512.py).
Differs  see ``differs`` of the cards in ``zoo.METHODS``.
"""

import math

import torch
from torch import Tensor, nn

from zoo.layers import accept, masked_mean, ordered, record

ATTENDED = "attended "  # before a modality's name: that stream after the attention


class JointAttention(nn.Module):
    """The update that one stream X (L, d) gets from its correlation with the joint stream J (L, d_J).

        C = tanh(X^T W_j J / sqrt(d_J))     (d, d_J)    W_j  (L, L)
        H = ReLU(C W_c^T + X^T W_x^T)       (d, k)      W_c  (k, d_J), W_x (k, L)
        X_att = X + W_h H^T                 (L, d)      W_h  (L, k)

    No softmax and no bias anywhere. Three of the four matrices act over steps, so they hold for one L.
    """

    def __init__(self, steps: int, joint_width: int, hidden: int, *, label: str):
        super().__init__()
        if steps < 1 or hidden < 1:
            raise ValueError(f"{steps} steps and hidden {hidden}; both must be 1 or more.")
        self.label = label
        self.joint = nn.Linear(steps, steps, bias=False)  # W_j
        self.correlation = nn.Linear(joint_width, hidden, bias=False)  # W_c
        self.own = nn.Linear(steps, hidden, bias=False)  # W_x
        self.back = nn.Linear(hidden, steps, bias=False)  # W_h

    def forward(self, x: Tensor, joint: Tensor) -> Tensor:
        """(B, L, d) and (B, L, d_J) -> W_h H^T (B, L, d), to be added to x."""
        features = x.transpose(1, 2)  # (B, d, L)
        scores = features @ (self.joint.weight @ joint)  # (B, d, d_J)
        correlation = (scores / math.sqrt(joint.shape[2])).tanh()
        record(self.label, correlation.unsqueeze(1))
        hidden = (self.correlation(correlation) + self.own(features)).relu()  # (B, d, k)
        return self.back(hidden).transpose(1, 2)


def _regressor(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two affine maps with dropout between them and, as published, no nonlinearity."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Dropout(dropout), nn.Linear(hidden, outputs))


def _encoders(features: dict[str, int], width: int | None) -> nn.ModuleDict:
    """One affine map to ``width`` for each modality; none where the width is None."""
    if width is not None and width < 1:
        raise ValueError(f"width is {width}; wanted 1 or more, or null for streams as they come.")
    return nn.ModuleDict({m: nn.Identity() if width is None else nn.Linear(d, width) for m, d in features.items()})


class JointCrossAttention(nn.Module):
    """Joint cross-attention for clips of one fixed length.

    Args:
        features: D_m of audio and video.
        outputs: K; one regressor each.
        per_step: scores for every step, as published; else those of the mean step (ours).
        steps: L, the steps (sub-clips) of every clip: the weights depend on it.
        width: d that both streams are encoded to; null for streams as they come.
        hidden: k.
        regressor_input: what is concatenated into a regressor, of "audio", "video" (streams as they come),
            "attended audio" and "attended video". An attention that nothing reads is not built.
        regressor_hidden: width between a regressor's two affine maps. dropout: there.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        steps: int,
        width: int | None,
        hidden: int,
        regressor_input: list[str],
        regressor_hidden: int,
        dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2, at_most=2)
        self.per_step, self.steps, self.regressor_input = per_step, steps, tuple(regressor_input)
        self.encode = _encoders(self.features, width)
        widths = {m: d if width is None else width for m, d in self.features.items()}
        attended = {f"{ATTENDED}{m}": d for m, d in widths.items()}
        readable = {**self.features, **attended}
        wrong = [name for name in self.regressor_input if name not in readable]
        if wrong or len(set(self.regressor_input)) < len(self.regressor_input) or not attended.keys() & regressor_input:
            raise ValueError(
                f"regressor_input {list(regressor_input)}: wanted each at most once of {', '.join(readable)}, and at "
                "least one of the attended streams."
            )
        joint = "+".join(self.features)
        self.attend = nn.ModuleDict(
            {
                m: JointAttention(steps, sum(widths.values()), hidden, label=f"{m}<-{joint}/0:features")
                for m in self.features
                if f"{ATTENDED}{m}" in self.regressor_input
            }
        )
        read = sum(readable[name] for name in self.regressor_input)
        self.regressors = nn.ModuleList(_regressor(read, regressor_hidden, 1, dropout) for _ in range(outputs))

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, L, D_m) and full masks (B, L) -> (B, K), or (B, L, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        self._check_length(masks)
        fused = self.fuse(streams)  # (B, L, D)
        if not self.per_step:
            fused = fused.mean(1)
        return torch.cat([regressor(fused) for regressor in self.regressors], dim=-1)

    def fuse(self, streams: dict[str, Tensor]) -> Tensor:
        """What the regressors read of the checked streams: (B, L, D_m) for each -> (B, L, D)."""
        encoded = {m: self.encode[m](x) for m, x in streams.items()}  # (B, L, d)
        joint = torch.cat(list(encoded.values()), dim=-1)  # (B, L, d_J)
        attended = {f"{ATTENDED}{m}": encoded[m] + attend(encoded[m], joint) for m, attend in self.attend.items()}
        readable = {**streams, **attended}
        return torch.cat([readable[name] for name in self.regressor_input], dim=-1)

    def _check_length(self, masks: dict[str, Tensor]) -> None:
        for m, mask in masks.items():
            if mask.shape[1] != self.steps or not mask.all():
                lengths = mask.sum(1)
                raise ValueError(
                    f"{m}: mask {tuple(mask.shape)} with {int(lengths.min())} to {int(lengths.max())} real steps; the "
                    f"weights hold for clips of exactly {self.steps} steps. Pool or cut every clip to {self.steps} "
                    "steps, or use joint_cross_attention_length_free."
                )


def overlaps(mask: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """How the steps of each clip and ``parts`` equal parts of it share time, padding left out.

    Step t of a clip of L steps covers [t/L, (t+1)/L) of it, part p covers [p/M, (p+1)/M). In units of 1/(L M) all
    bounds are whole numbers, so no share depends on rounding. With L = M both results are the identity.

    Args:
        mask: (B, T) bool. parts: M.

    Returns:
        Shares of steps in each part (B, M, T), rows of which sum to 1, and shares of parts in each step (B, T, M),
        rows of which sum to 1 on real steps and to 0 on padding; float32.
    """
    lengths = mask.sum(1)[:, None, None]  # (B, 1, 1)
    step = torch.arange(mask.shape[1], device=mask.device)[:, None]  # (T, 1)
    part = torch.arange(parts, device=mask.device)  # (M,)
    start, end = torch.maximum(step * parts, part * lengths), torch.minimum((step + 1) * parts, (part + 1) * lengths)
    shared = (end - start).clamp(min=0) * mask.unsqueeze(-1)  # (B, T, M)
    return (shared / lengths).transpose(1, 2), shared / parts


class LengthFreeJointCrossAttention(nn.Module):
    """Joint cross-attention over equal parts of a clip instead of its steps, so that any length will do (ours).

    The matrices over time act on M equal parts of each clip. P_m (M, T_m) averages the steps of stream m within
    each part, R_m (T_m, M) gives every step the parts that it lies in:

        J = [P_a A ; P_v V]                                  (M, 2d)
        C_a = tanh((P_a A)^T W_ja J / sqrt(2d))              (d, 2d)
        H_a = ReLU(C_a W_ca^T + (P_a A)^T W_a^T)             (d, k)
        A_att = A + R_a W_ha H_a^T                           (T_a, d), and the same for V

    For clips of M steps P and R are the identity and this is ``JointCrossAttention``. A and V keep their own steps.

    Args:
        features: D_m of audio and video.
        outputs: K; one regressor for all of them.
        per_step: scores for every step; else those of the mean of each attended stream over its steps.
        parts: M.
        width: d. hidden: k. regressor_hidden, dropout: as in ``JointCrossAttention``.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        parts: int,
        width: int,
        hidden: int,
        regressor_hidden: int,
        dropout: float,
    ):
        super().__init__()
        self.features = ordered(features, outputs, at_least=2, at_most=2)
        self.per_step, self.parts = per_step, parts
        self.encode = _encoders(self.features, width)
        joint = "+".join(self.features)
        self.attend = nn.ModuleDict(
            {m: JointAttention(parts, 2 * width, hidden, label=f"{m}<-{joint}/0:features") for m in self.features}
        )
        self.regressor = _regressor(2 * width, regressor_hidden, outputs, dropout)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T_m, D_m) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams = accept(inputs, masks, self.features, per_step=self.per_step)
        encoded = {m: self.encode[m](x) for m, x in streams.items()}  # (B, T_m, d)
        gather, spread = {}, {}  # P_m and R_m
        for m, x in encoded.items():
            gather[m], spread[m] = (share.to(x.dtype) for share in overlaps(masks[m], self.parts))
        pooled = {m: gather[m] @ x for m, x in encoded.items()}  # (B, M, d)
        joint = torch.cat(list(pooled.values()), dim=-1)  # (B, M, 2d)
        attended = []
        for m, attend in self.attend.items():
            update = attend(pooled[m], joint)  # (B, M, d)
            if self.per_step:
                attended.append(encoded[m] + spread[m] @ update)  # (B, T, d)
            else:  # every part holds an equal share of the clip: the mean over steps of R U is the mean over parts of U
                attended.append(masked_mean(encoded[m], masks[m]) + update.mean(1))  # (B, d)
        return self.regressor(torch.cat(attended, dim=-1))
