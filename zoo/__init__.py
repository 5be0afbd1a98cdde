"""METHODS: every method by name. Reading this table imports no torch."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

MODALITIES = ("audio", "video", "text")
EVIDENCE = ("parity", "code-read", "paper-read", "derived-from-abstract", "generic")


@dataclass(frozen=True)
class Method:
    """The card of a method.

    Args:
        target: ``"module:Class"``, imported only by ``build``.
        title: as people call it.
        paper: authors, year, identifier; "ours" for a baseline without one.
        summary: one sentence: what is fused, where and how.
        modalities: what it can take. ``at_least`` of them must be there.
        at_least: fewest modalities it works with; 1 for a unimodal baseline.
        fusion_stage: "none", "early", "intermediate" or "late".
        attention: attention family, "none" where there is none.
        follows: equations and official code that the implementation follows.
        differs: every known difference from them.
        evidence: "parity" (weights imported from the authors' code, outputs equal), "code-read",
            "paper-read", "derived-from-abstract", or "generic" for an architecture without one paper.
        preset: the spec in ``zoo/specs`` that ``fuseboard run NAME`` uses.
    """

    name: str
    target: str
    title: str
    paper: str
    summary: str
    modalities: tuple[str, ...]
    at_least: int
    fusion_stage: str
    attention: str
    follows: str
    differs: tuple[str, ...]
    evidence: str
    preset: str


_ENCODER = (
    "zoo/layers.py: pre-norm transformer encoder (Vaswani et al. 2017, arXiv:1706.03762), the same in every baseline"
)


def _unimodal(modality: str) -> Method:
    return Method(
        name=f"{modality}_only",
        target="zoo.unimodal:Unimodal",
        title=f"{modality.capitalize()} only",
        paper="ours",
        summary=f"No fusion: a transformer encoder over {modality} alone, masked mean, linear head.",
        modalities=(modality,),
        at_least=1,
        fusion_stage="none",
        attention="self-attention",
        follows=_ENCODER,
        differs=(),
        evidence="generic",
        preset=f"{modality}_only",
    )


METHODS = {
    m.name: m
    for m in (
        *(_unimodal(m) for m in MODALITIES),
        Method(
            name="early_fusion",
            target="zoo.early_fusion:EarlyFusion",
            title="Early fusion",
            paper="ours",
            summary="Features are concatenated step by step and go through one transformer encoder.",
            modalities=MODALITIES,
            at_least=2,
            fusion_stage="early",
            attention="self-attention",
            follows=_ENCODER,
            differs=("Streams of unequal length are resampled to the longest one of the clip by nearest step.",),
            evidence="generic",
            preset="early_fusion",
        ),
        Method(
            name="late_fusion",
            target="zoo.late_fusion:LateFusion",
            title="Late fusion",
            paper="ours",
            summary="One transformer encoder and head for each modality; their logits are averaged.",
            modalities=MODALITIES,
            at_least=2,
            fusion_stage="late",
            attention="self-attention",
            follows=_ENCODER,
            differs=(
                "Trained through the mean of the logits, not modality by modality.",
                "Scores add up over modalities: what only their combination tells (exclusive or) is out of reach "
                "by construction.",
            ),
            evidence="generic",
            preset="late_fusion",
        ),
        Method(
            name="joint_self_attention",
            target="zoo.joint_self_attention:JointSelfAttention",
            title="Joint self-attention",
            paper="ours",
            summary="The steps of all modalities are tokens of one sequence under one transformer encoder.",
            modalities=MODALITIES,
            at_least=2,
            fusion_stage="intermediate",
            attention="self-attention",
            follows=_ENCODER,
            differs=("The mean runs over all tokens, so a stream with more steps weighs more.",),
            evidence="generic",
            preset="joint_self_attention",
        ),
        Method(
            name="cross_attention",
            target="zoo.cross_attention:CrossAttention",
            title="Cross-attention",
            paper="ours",
            summary="Each modality is encoded, then attends to the steps of all others; pooled streams are "
            "concatenated.",
            modalities=MODALITIES,
            at_least=2,
            fusion_stage="intermediate",
            attention="cross-attention",
            follows=_ENCODER,
            differs=("With three modalities the keys are both others' steps in one sequence.",),
            evidence="generic",
            preset="cross_attention",
        ),
        Method(
            name="mult",
            target="zoo.mult:MulT",
            title="MulT",
            paper="Tsai et al. 2019, ACL, doi:10.18653/v1/P19-1656, arXiv:1906.00295",
            summary="Every ordered pair of modalities has a crossmodal transformer; a self-attention memory for each "
            "target reads its last step into a residual head.",
            modalities=MODALITIES,
            at_least=2,
            fusion_stage="intermediate",
            attention="cross-attention",
            follows="yaohungt/Multimodal-Transformer at a670936: src/models.py, modules/transformer.py, "
            "modules/multihead_attention.py, modules/position_embedding.py; widths, depth, heads, kernels and dropout "
            "of table 5 (MOSEI)",
            differs=(
                "Batches are padded on the right and padding is masked; the code pads on the left and attends to it. "
                "The last real step is read, and the mask's offset is taken from each clip's real lengths.",
                "The causal mask is the code's default; whether the paper's own runs used one is unverified.",
                "Convolutions keep the length by zero padding; sizes above 1 are the paper's, the code has size 1.",
                "The convolution is applied even where the feature width equals the model width; the code skips it.",
                "Attention dropout is one rate for all targets, as in the paper; the code has 0 for audio and video.",
                "Two modalities: one crossmodal transformer for each target, memory width D, head width 2 D (ours).",
                "Per-step output reads every step's memory instead of the last (ours).",
            ),
            evidence="parity",
            preset="mult-paper",
        ),
    )
}


def method(name: str) -> Method:
    """The card of a method.

    Raises:
        KeyError: naming the nearest known method.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"No method {name!r} in zoo.METHODS.{hint} Known: {', '.join(METHODS)}.")
    return METHODS[name]


def takes(name: str, available: tuple[str, ...]) -> tuple[str, ...]:
    """Modalities that a method uses of those a protocol gives, in the order of ``MODALITIES``.

    Raises:
        ValueError: if too few are left; the message is the reason a board shows for the skip.
    """
    card = method(name)
    used = tuple(m for m in MODALITIES if m in card.modalities and m in available)
    if len(used) < card.at_least:
        raise ValueError(
            f"{name} needs {'at least ' + str(card.at_least) + ' of ' if card.at_least < len(card.modalities) else ''}"
            f"{', '.join(card.modalities)}; the protocol gives {', '.join(available)}."
        )
    return used


def build(name: str, *, features: dict[str, int], outputs: int, per_step: bool = False, **settings):
    """Instantiate a method: ``build("mult", features={"audio": 40, "video": 432}, outputs=10)``.

    Args:
        features: D_m of each modality that is present.
        outputs: K classes or targets.
        per_step: True for (B, T, K) output, one score vector for each step.
        settings: keyword arguments of the class, as a method spec names them.

    Returns:
        An ``nn.Module`` whose ``forward(inputs, masks)`` gives (B, K) or (B, T, K).
    """
    module, cls = method(name).target.split(":")
    kind = getattr(import_module(module), cls)
    try:
        return kind(features, outputs, per_step=per_step, **settings)
    except TypeError as error:
        raise ValueError(f"{name}: {error}. See the constructor of {module}.{cls}.") from None
