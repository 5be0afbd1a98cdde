"""Architectures without one paper: what reviews tabulate, and whatever a person composes in a spec."""

from zoo.cards import Method

CARDS = (
    Method(
        name="compose",
        target="zoo.compose:Compose",
        title="Composed architecture",
        paper="ours",
        summary="Encoders of each modality, a fusion, a pooling and a head, all named in the spec.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="none",
        equations="zoo/parts: each part's docstring says what it computes. Transformer parts are the pre-norm encoder "
        "of zoo/layers.py (Vaswani et al. 2017, arXiv:1706.03762), the same in every architecture",
        code="",
        differs=(
            "A spec's label says its own fusion stage and attention; what stands here is only where a spec has none.",
            "early: streams of unequal length are brought to the longest one of the clip by nearest step.",
            "late: trained through the mean of the logits, not modality by modality. Scores add up over modalities: "
            "what only their combination tells (exclusive or) is out of reach by construction.",
            "concatenate: under a linear head scores add up over modalities just so; the presets have a hidden layer.",
            "hybrid: the unimodal heads also vote at test, with the weights that their losses have.",
            "self_attention: mean pooling runs over all tokens, so a stream with more steps weighs more.",
            "cross_attention, co_attention: with three modalities the keys are both others' steps in one sequence. "
            "Layers are pre-norm, where MCAN (Yu et al. 2019, arXiv:1906.10770) normalises after, and co-attention "
            "runs both ways, where MCAN guides images by words only.",
            "gate, film: both ways, by the others' mean over the clip, where published uses often condition one "
            "modality on the other only.",
            "bottleneck: a sketch of Nagrani et al. 2021 (arXiv:2107.00135) with mean pooling and no class tokens.",
            "CNN parts are temporal (1-D) convolutions over features; reviews often mean 2-D networks over pictures "
            "and spectrograms.",
        ),
        evidence="generic",
        presets=(
            "early_fusion",
            "late_fusion",
            "hybrid_fusion",
            "joint_self_attention",
            "cross_attention",
            "co_attention",
            "gated_fusion",
            "film",
            "cnn",
            "rnn",
            "bilstm",
            "transformer",
            "cnn_bilstm_fusion",
            "cnn_transformer",
            "bottleneck_transformer",
            "audio_only",
            "video_only",
            "text_only",
        ),
    ),
)
