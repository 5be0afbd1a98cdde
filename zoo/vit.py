"""Vision Transformer parts in the form of the MBT release: patch embeddings and the pre-norm block.

Source   Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", ICLR, arXiv:2010.11929, equations 1 to 3;
         tubelets as in Arnab et al. 2021, "ViViT", arXiv:2103.15691, section 3.2; google-research/scenic at
         4a38d475, scenic/projects/mbt/model.py.
Differs  see the card of ``mbt``, which is built from these parts.

Shapes: B clips, N tokens, D model width. A grid counts patches along (steps, rows, columns).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.layers import Attention

EPS = 1e-6  # of every LayerNorm: Flax's default


class Block(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron (equations 2 and 3), each with a residual.

    Args:
        hidden: width between the perceptron's layers. GELU in its tanh form, Flax's default.
        dropout: after the attention, the GELU and the perceptron. attention_dropout: on attention weights.
        drop: probability with which a clip loses a residual branch in training. Branches that stay are not
            scaled up, and the two branches are drawn independently.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float, attention_dropout: float, drop: float):
        super().__init__()
        self.drop = drop
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.attention = Attention(width, heads, dropout=attention_dropout, label="")
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        for part in self.attention.in_proj_weight.chunk(3):  # one matrix each for queries, keys and values
            nn.init.xavier_uniform_(part)
        for linear in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)

    def forward(self, x: Tensor, bias: Tensor | None, *, label: str, queries: int | None = None) -> Tensor:
        """(B, N, D) and a bias over its tokens -> (B, queries, D), the first tokens after the block.

        Args:
            label: name of the attention map; one block may serve several streams.
            queries: how many tokens are wanted, all if not given; all of them are attended to.
        """
        y = self.norm1(x)
        query = y if queries is None else y[:, :queries]
        self.attention.label = label
        x = x[:, : query.shape[1]] + self._branch(self.dropout(self.attention(query, y, y, bias)))
        z = self.fc2(self.dropout(F.gelu(self.fc1(self.norm2(x)), approximate="tanh")))
        return x + self._branch(self.dropout(z))

    def _branch(self, x: Tensor) -> Tensor:
        if not self.training or self.drop == 0.0:
            return x
        return x * (torch.rand(len(x), 1, 1, device=x.device) >= self.drop)


class Patches(nn.Module):
    """Cut a spectrogram or frames into patches and embed each linearly (equation 1, without positions).

    Args:
        modality: ``"audio"`` or ``"video"``; for messages.
        shape: of one step: (bins,) or (bins, 3) for a spectrogram, (height, width, 3) for frames.
        steps: of a clip.
        size: of a patch: (steps, bins), or (frames, rows, columns) of a tubelet.
        sampled: frames picked from a clip at even distances before it is cut; all if not given.

    Raises:
        ValueError: for a shape that is neither, or that patches do not fill.
    """

    def __init__(
        self,
        modality: str,
        shape: tuple[int, ...],
        width: int,
        *,
        steps: int,
        size: Sequence[int],
        sampled: int | None = None,
    ):
        super().__init__()
        spectrogram = modality == "audio" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 3))
        if not spectrogram and not (modality == "video" and len(shape) == 3 and shape[2] == 3):
            raise ValueError(
                f"{modality}: one step has shape {shape}; patches are cut from audio of (bins,) or (bins, 3) and from "
                "video of (height, width, 3). Leave the modality out of ``patches`` where its steps are features."
            )
        if sampled is not None and (spectrogram or not 1 <= sampled < steps):
            raise ValueError(f"{modality}: sampled is {sampled}; wanted a number of video frames below {steps}.")
        self.sampled, self.grey = sampled, len(shape) == 1
        lengths = (sampled or steps, *shape[: 1 if spectrogram else 2])
        if len(size) != len(lengths) or any(s < 1 or n < s or n % s for n, s in zip(lengths, size, strict=True)):
            raise ValueError(
                f"{modality}: patches of size {list(size)} do not fill {lengths}; wanted a divisor of each length."
            )
        self.steps = steps
        self.grid = tuple(n // s for n, s in zip(lengths, size, strict=True))
        kind = nn.Conv2d if spectrogram else nn.Conv3d
        self.project = kind(3, width, tuple(size), stride=tuple(size))
        nn.init.zeros_(self.project.bias)
        _lecun_normal(self.project.weight)
        if not spectrogram:  # a tubelet starts as the 2-D patch of its central frame
            central = size[0] // 2
            with torch.no_grad():
                self.project.weight[:, :, :central] = 0.0
                self.project.weight[:, :, central + 1 :] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, steps, bins), (B, steps, bins, 3) or (B, steps, height, width, 3) -> (B, N, D), steps outermost."""
        if self.grey:
            x = x.unsqueeze(-1).expand(*x.shape, 3)
        if self.sampled is not None:
            x = x[:, picked(self.steps, self.sampled)]
        return self.project(x.movedim(-1, 1)).flatten(2).transpose(1, 2)


def picked(steps: int, frames: int) -> list[int]:
    """Which of ``steps`` frames are taken: round(k steps / (frames + 1)) for k = 1 ... frames, halves to even."""
    return [min(round(k * steps / (frames + 1)), steps - 1) for k in range(1, frames + 1)]


def _lecun_normal(weight: Tensor) -> None:
    """Flax's default for kernels: a normal cut at two standard deviations, of variance 1 / inputs."""
    std = math.sqrt(1.0 / weight[0].numel()) / 0.87962566103423978  # the deviation that the cut leaves
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
