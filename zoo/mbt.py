"""MBT: one transformer per modality; from a layer on they exchange only what passes a few bottleneck tokens.

Source   Nagrani et al., "Attention Bottlenecks for Multimodal Fusion", NeurIPS 2021, arXiv:2107.00135; code
         google-research/scenic at 4a38d475, scenic/projects/mbt (model.py, trainer.py).
Differs  see the card in ``zoo.cards.mbt``.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers import Embed, accept, attention_bias, masked_mean, ordered
from zoo.vit import EPS, Block, Patches

Streams = dict[str, Tensor]


class MBT(nn.Module):
    """Multimodal Bottleneck Transformer.

    Args:
        features: D_m of each modality; the shape of one step where ``patches`` cuts it: bins or (bins, 3) of a
            spectrogram, (height, width, 3) of frames.
        outputs: K.
        per_step: one row of scores for each step, from that step's tokens instead of class tokens (ours).
        patches: how raw input is cut, e.g. ``{"video": {"steps": 32, "size": [2, 16, 16]}}``: see
            ``zoo.vit.Patches``. A modality that is not named is a sequence of feature vectors.
        width: D. heads: of every attention. hidden: of a block's perceptron. layers: L of each encoder.
        fusion: "bottleneck", or "full": pairwise attention over all modalities' tokens.
        fusion_layer: Lf, the first layer with exchange; 0 is early fusion, ``layers`` late fusion.
        bottlenecks: B; one more is made where class tokens are, as in the released code.
        share_encoder: whether all modalities use one encoder.
        classifier: "token": a class token for each modality and a mean of their scores; "gap": one mean over
            all tokens of all modalities.
        representation: width of a layer with tanh before the head; null for none.
        dropout, attention_dropout: see ``zoo.vit.Block``.
        stochastic_depth: probability of dropping a branch in the last layer, growing linearly from 0.
        mixup: both parameters of the Beta distribution that mixing weights come from; 0 for no mixup.
        modality_mixup: whether each modality draws its own weight, for its input and for its loss.
    """

    def __init__(
        self,
        features: dict[str, int | tuple[int, ...]],
        outputs: int,
        *,
        per_step: bool = False,
        patches: dict[str, dict[str, Any]],
        width: int,
        heads: int,
        hidden: int,
        layers: int,
        fusion: str,
        fusion_layer: int,
        bottlenecks: int,
        share_encoder: bool,
        classifier: str,
        representation: int | None,
        dropout: float,
        attention_dropout: float,
        stochastic_depth: float,
        mixup: float,
        modality_mixup: bool,
    ):
        super().__init__()
        self.shapes = _raw(features, patches, per_step)
        self.features = ordered(
            {m: d if isinstance(d, int) else math.prod(d) for m, d in features.items()}, outputs, at_least=1
        )
        if fusion not in ("bottleneck", "full") or classifier not in ("token", "gap"):
            raise ValueError(
                f"fusion {fusion!r} with classifier {classifier!r}; wanted bottleneck or full, token or gap."
            )
        if layers < 1 or not 0 <= fusion_layer <= layers or bottlenecks < 1:
            raise ValueError(
                f"layers {layers}, fusion_layer {fusion_layer}, bottlenecks {bottlenecks}; wanted 1 or more layers, "
                "fusion_layer from 0 (early) to layers (late), 1 or more bottlenecks."
            )
        if not 0.0 <= stochastic_depth < 1.0 or mixup < 0.0:
            raise ValueError(f"stochastic_depth {stochastic_depth}, mixup {mixup}; wanted 0 to below 1, and 0 or more.")
        if modality_mixup and classifier != "token":
            raise ValueError("modality_mixup needs a loss for each modality: classifier 'token', not 'gap'.")
        self.per_step, self.mixup, self.modality_mixup = per_step, mixup, modality_mixup
        self.fusion_layer = layers if len(self.features) == 1 else fusion_layer

        classes = int(classifier == "token" and not per_step)
        self.embed, self.positions = nn.ModuleDict(), nn.ParameterDict()
        for m, d in self.features.items():
            if m not in self.shapes:
                self.embed[m] = Embed(d, width, dropout=0.0)
                continue
            self.embed[m] = Patches(m, self.shapes[m], width, **patches[m])
            self.positions[m] = _normal(1, classes + math.prod(self.embed[m].grid), width)
        self.cls = nn.ParameterDict()
        if classes:  # zero plus a learned position; a sequence has none for it, so the token starts as one itself
            for m in self.features:
                self.cls[m] = torch.zeros(1, 1, width) if m in patches else _normal(1, 1, width)
        self.bottleneck = None
        if fusion == "bottleneck" and self.fusion_layer < layers:
            self.bottleneck = nn.Parameter(_normal(1, bottlenecks + classes, width))

        rates = {"dropout": dropout, "attention_dropout": attention_dropout}
        encoders = ("shared",) if share_encoder else tuple(self.features)
        self.layers = nn.ModuleList()
        for i in range(layers):
            drop = stochastic_depth * i / max(layers - 1, 1)
            self.layers.append(nn.ModuleDict({e: Block(width, heads, hidden, drop=drop, **rates) for e in encoders}))
        self.norm = nn.LayerNorm(width, EPS)
        self.represent = nn.Identity()
        if representation is not None:
            self.represent = nn.Sequential(nn.Linear(width, representation), nn.Tanh())
        self.head = nn.Linear(representation or width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Streams, masks: Streams) -> Tensor:
        """(B, T_m, ...) and (B, T_m) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        return torch.stack(self.scores(self._accept(inputs, masks), masks)).mean(0)

    def training_loss(
        self, inputs: Streams, masks: Streams, labels: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """With class tokens the mean of the modalities' losses, without them the loss of the pooled scores.

        Mixup pairs each clip with its mirror image in the batch; a mixed clip is as long as the longer of the two.
        """
        streams = self._accept(inputs, masks)
        if not self.mixup:
            return torch.stack([criterion(s, labels) for s in self.scores(streams, masks)]).mean()
        weights = self._mixing_weights(next(iter(streams.values())))
        mixed = {m: lam * streams[m] + (1 - lam) * streams[m].flip(0) for m, lam in weights.items()}
        scores = self.scores(mixed, {m: k | k.flip(0) for m, k in masks.items()})
        losses = [
            lam * criterion(s, labels) + (1 - lam) * criterion(s, labels.flip(0))
            for lam, s in zip(weights.values(), scores, strict=False)  # pooled: one score, one weight for all
        ]
        return torch.stack(losses).mean()

    def scores(self, streams: Streams, masks: Streams) -> list[Tensor]:
        """Scores (B, K) or (B, T, K) of each modality, all from one head; one element when all tokens are pooled.

        Args:
            streams: checked inputs with zeros on padding. masks: (B, T_m) bool.
        """
        tokens, real = self.encode(streams, masks, every=not self.cls)
        if self.per_step:
            read = list(tokens.values())
        elif self.cls:
            read = [x[:, 0] for x in tokens.values()]
        else:
            read = [masked_mean(torch.cat([*tokens.values()], 1), torch.cat([*real.values()], 1))]
        return [self.head(self.represent(x)) for x in read]

    def encode(self, streams: Streams, masks: Streams, *, every: bool = True) -> tuple[Streams, Streams]:
        """The tokens of each modality after the last norm, class token first, and which of them are real.

        Args:
            every: False where only first tokens are wanted, which spares most of the last layer.

        Returns:
            (B, N_m, D), or (B, 1, D) if not ``every``, and (B, N_m) bool for each modality.
        """
        tokens = {m: self._tokens(m, streams[m]) for m in self.features}
        real = {m: self._real(m, masks[m], x.shape[1]) for m, x in tokens.items()}
        like = next(iter(tokens.values()))
        bottleneck = None if self.bottleneck is None else self.bottleneck.expand(len(like), -1, -1)
        # What each modality sees before and after fusion starts: its own tokens, and then what joins them.
        alone = {m: attention_bias(real[m].unsqueeze(1), like) for m in real}
        joined = {}
        if self.fusion_layer < len(self.layers):
            joined = {m: attention_bias(self._joined(m, real, bottleneck).unsqueeze(1), like) for m in real}
        last = len(self.layers) - 1
        for i in range(last + 1):
            queries = None if every or i < last else 1
            if i < self.fusion_layer:
                tokens = {
                    m: self._block(i, m)(x, alone[m], label=f"{m}<-{m}/{i}", queries=queries) for m, x in tokens.items()
                }
            elif bottleneck is not None:
                tokens, bottleneck = self._exchange(i, tokens, bottleneck, joined, queries)
            else:
                tokens = self._attend_to_all(i, tokens, joined, queries)
        return {m: self.norm(x) for m, x in tokens.items()}, real

    def _exchange(
        self, i: int, tokens: Streams, bottleneck: Tensor, bias: Mapping[str, Tensor | None], queries: int | None
    ) -> tuple[Streams, Tensor]:
        """Every modality updates the same incoming bottleneck with its own tokens; the results are averaged."""
        final = i == len(self.layers) - 1  # nobody reads the bottleneck after the last layer
        after, bottles = {}, []
        for m, x in tokens.items():
            n = x.shape[1]
            label = f"{m if final else f'{m}+bottleneck'}<-{m}+bottleneck/{i}"
            wanted = queries or (n if final else None)
            y = self._block(i, m)(torch.cat([x, bottleneck], 1), bias[m], label=label, queries=wanted)
            after[m] = y[:, :n]
            bottles.append(y[:, n:])
        return after, torch.stack(bottles).mean(0)

    def _attend_to_all(
        self, i: int, tokens: Streams, bias: Mapping[str, Tensor | None], queries: int | None
    ) -> Streams:
        """Full fusion: each block sees all tokens and updates its modality's; a shared block updates all at once."""
        if "shared" in self.layers[i]:
            everyone = "+".join(tokens)
            y = self.layers[i]["shared"](
                torch.cat([*tokens.values()], 1), bias[next(iter(tokens))], label=f"{everyone}<-{everyone}/{i}"
            )
            return dict(zip(tokens, y.split([x.shape[1] for x in tokens.values()], 1), strict=True))
        after = {}
        for m, x in tokens.items():
            seen = {m: x, **tokens}  # its own first: the queries are the first of the keys
            label = f"{m}<-{'+'.join(seen)}/{i}"
            y = torch.cat([*seen.values()], 1)
            after[m] = self._block(i, m)(y, bias[m], label=label, queries=queries or x.shape[1])
        return after

    def _block(self, i: int, modality: str) -> Block:
        layer = self.layers[i]
        return layer["shared" if "shared" in layer else modality]

    def _tokens(self, modality: str, x: Tensor) -> Tensor:
        """Embedded input with its class token and positions: (B, T, ...) -> (B, N, D)."""
        x = self.embed[modality](x)
        if self.cls:
            x = torch.cat([self.cls[modality].expand(len(x), -1, -1), x], 1)
        return x + self.positions[modality] if modality in self.positions else x

    def _real(self, modality: str, mask: Tensor, tokens: int) -> Tensor:
        """(B, T) bool of steps -> (B, N) bool of tokens. Patches come from whole clips; the class token is real."""
        if modality in self.positions:
            return mask[:, :1].expand(-1, tokens)
        return nn.functional.pad(mask, (tokens - mask.shape[1], 0), value=True)

    def _joined(self, modality: str, real: Streams, bottleneck: Tensor | None) -> Tensor:
        """Which of the tokens that a modality sees in a fusion layer are real: (B, N_m + others) bool."""
        own = real[modality]
        if bottleneck is not None:
            return nn.functional.pad(own, (0, bottleneck.shape[1]), value=True)
        return torch.cat([own, *(k for m, k in real.items() if m != modality)], 1)

    def _mixing_weights(self, like: Tensor) -> Streams:
        """One weight of Beta(alpha, alpha) for the batch, or one for each modality."""
        alpha = like.new_full((len(self.features) if self.modality_mixup else 1,), self.mixup)
        drawn = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return dict(zip(self.features, drawn.expand(len(self.features)), strict=True))

    def _accept(self, inputs: Streams, masks: Streams) -> Streams:
        """``zoo.layers.accept``, and for raw input the length that its positions were learned for."""
        flat = dict(inputs)
        for m in inputs.keys() & self.shapes.keys():
            x, wanted = inputs[m], (self.embed[m].steps, *self.shapes[m])
            if x.shape[1:] != wanted:
                raise ValueError(
                    f"{m}: inputs of shape {tuple(x.shape)}; wanted (B, {', '.join(map(str, wanted))}). There is one "
                    f"learned position for each patch, so cut or resample every clip to {wanted[0]} steps."
                )
            flat[m] = x.flatten(2)
        streams = accept(flat, masks, self.features, per_step=self.per_step)
        for m, shape in self.shapes.items():
            if not masks[m].all():
                raise ValueError(
                    f"{m}: mask {tuple(masks[m].shape)} has padding; patches are cut from whole clips. Cut or resample "
                    f"every clip to {self.embed[m].steps} steps; a missing modality is zeros with a full mask."
                )
            streams[m] = streams[m].unflatten(2, shape)
        return streams


def _normal(*shape: int) -> Tensor:
    return nn.init.normal_(torch.empty(shape), std=0.02)


def _raw(features: Mapping[str, int | tuple[int, ...]], patches: Mapping[str, Any], per_step: bool) -> dict:
    """The shape of one step of each modality that is cut into patches."""
    shapes = {m: d if isinstance(d, tuple) else (d,) for m, d in features.items()}
    if absent := [m for m in patches if m not in features]:
        raise ValueError(f"patches names {absent[0]!r}, features has {', '.join(features)}.")
    for m, cut in patches.items():
        if not {"steps", "size"} <= cut.keys() <= {"steps", "size", "sampled"}:
            raise ValueError(
                f"patches[{m!r}] has {', '.join(cut)}; wanted steps, size and, if frames are picked, sampled."
            )
    if wide := [m for m, shape in shapes.items() if len(shape) > 1 and m not in patches]:
        raise ValueError(
            f"{wide[0]}: one step has shape {shapes[wide[0]]}; say in patches how it is cut, or give a width."
        )
    if patches and per_step:
        raise ValueError(f"per_step output needs one token for each step; patches cuts {', '.join(patches)} otherwise.")
    return {m: shapes[m] for m in patches}
