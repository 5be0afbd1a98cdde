"""Baselines without one paper."""

from zoo.cards import Method

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
        equations=_ENCODER,
        code="",
        differs=(),
        evidence="generic",
        presets=(f"{modality}_only",),
    )


CARDS = (
    *(_unimodal(m) for m in ("audio", "video", "text")),
    Method(
        name="early_fusion",
        target="zoo.early_fusion:EarlyFusion",
        title="Early fusion",
        paper="ours",
        summary="Features are concatenated step by step and go through one transformer encoder.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="early",
        attention="self-attention",
        equations=_ENCODER,
        code="",
        differs=("Streams of unequal length are resampled to the longest one of the clip by nearest step.",),
        evidence="generic",
        presets=("early_fusion",),
    ),
    Method(
        name="late_fusion",
        target="zoo.late_fusion:LateFusion",
        title="Late fusion",
        paper="ours",
        summary="One transformer encoder and head for each modality; their logits are averaged.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="late",
        attention="self-attention",
        equations=_ENCODER,
        code="",
        differs=(
            "Trained through the mean of the logits, not modality by modality.",
            "Scores add up over modalities: what only their combination tells (exclusive or) is out of reach "
            "by construction.",
        ),
        evidence="generic",
        presets=("late_fusion",),
    ),
    Method(
        name="joint_self_attention",
        target="zoo.joint_self_attention:JointSelfAttention",
        title="Joint self-attention",
        paper="ours",
        summary="The steps of all modalities are tokens of one sequence under one transformer encoder.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="self-attention",
        equations=_ENCODER,
        code="",
        differs=("The mean runs over all tokens, so a stream with more steps weighs more.",),
        evidence="generic",
        presets=("joint_self_attention",),
    ),
    Method(
        name="cross_attention",
        target="zoo.cross_attention:CrossAttention",
        title="Cross-attention",
        paper="ours",
        summary="Each modality is encoded, then attends to the steps of all others; pooled streams are concatenated.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="cross-attention",
        equations=_ENCODER,
        code="",
        differs=("With three modalities the keys are both others' steps in one sequence.",),
        evidence="generic",
        presets=("cross_attention",),
    ),
)
