"""Dense co-attention, recursive joint attention, RJCMA: what the joint cross-attention repositories train."""

from zoo.cards import Method, Size

MAP = {"audio": 512, "video": 49 * 512}
ROWS = "the maps are tanh of scores between features, without softmax"
EQUATIONS = (
    "J' = W_J [V ; A]; K_m = X_m mixed over time by an L x L matrix; S_m = tanh(K_m^T J' / sqrt(D)), d_m x D; "
    "U_m = ReLU(tanh(W_m X_m S_m)); X_m + ReLU(W'_m U_m)"
)
# What every preset named length-free does instead of the key matrices.
LENGTH_FREE = (
    "Length-free presets are ours: the L x L key matrix becomes a band of k taps that repeats along time and is shared "
    "by all features, K_m[t] = (L_0 / L) (b + sum_j w_j X_m[t + j - (k - 1) / 2]) on a clip's L real steps and zero "
    "on padding, where L_0 (`steps`) gives the later sum over time the size that it has over L_0 steps."
)
VECTOR_VIDEO = (
    "Length-free presets take the video as one vector a step: audio has no positions to pick, and of the guided "
    "attention its last projection remains (ours)."
)
AUDIO_VISUAL = (
    LENGTH_FREE,
    VECTOR_VIDEO,
    "Each output has a regressor of its own, so that two outputs are the code's valence and arousal; for K classes "
    "the K regressors give the scores (ours).",
    "One score vector for a clip reads the mean over the last BiLSTM's real steps; the code scores every step (ours).",
    "Streams of unequal steps are brought to the longest by nearest step before the co-attention (ours).",
    "Features come from other backbones than the authors' frozen ones; optimiser, schedule, smoothing and loss are "
    "the protocol's.",
)

CARDS = (
    Method(
        name="dense_coattention",
        target="zoo.dense_coattention:DenseCoAttention",
        title="Dense co-attention (T-BIOM code)",
        paper="Praveen, Cardinal, Granger 2023, IEEE T-BIOM, arXiv:2209.09068 (its repository)",
        summary="Audio picks positions of the video map; each stream then weighs its features against the features "
        "of both, and a BiLSTM reads the result.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="co-attention",
        equations=f"of the code, not of the paper: {EQUATIONS}",
        code="praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c: models/orig_cam.py, "
        "models/audguide_att.py, models/dense_coattn.py, models/av_crossatten.py, models/layer.py",
        differs=(
            "The paper describes joint cross-attention (`joint_cross_attention`); this is the other network, which "
            "its repository trains. The author allows its use (issue 4 there).",
            *AUDIO_VISUAL,
        ),
        evidence="parity",
        presets=("dense-coattention-length-free",),
        sizes=(Size("dense-coattention-tbiom", MAP, 2, 8_586_323, "counted in the authors' code"),),
        exceptions={"attention-rows": ROWS},
    ),
    Method(
        name="recursive_joint_attention",
        target="zoo.recursive_joint_attention:RecursiveJointAttention",
        title="Recursive joint attention",
        paper="Praveen, Granger, Cardinal 2023, ICASSP, arXiv:2304.07958",
        summary="A BiLSTM for each modality, joint co-attention that is passed again on its own result, and a BiLSTM "
        "over both streams.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="co-attention",
        equations=f"of the code: {EQUATIONS}; recursion as in the paper's abstract",
        code="praveena2j/RecurrentJointAttentionwithLSTMs at ea196b3: models/orig_cam.py, models/audguide_att.py, "
        "models/dense_coattn.py, models/av_crossatten.py, models/layer.py",
        differs=(
            "The paper passes its attention recursively; the code passes one layer once (`rja-released`), and more "
            "layers would have weights of their own. `recursions` passes the same weights again; whether the paper "
            "shares them was not read.",
            *AUDIO_VISUAL,
        ),
        evidence="parity",
        presets=("rja-length-free",),
        sizes=(Size("rja-released", MAP, 2, 15_947_859, "counted in the authors' code"),),
        exceptions={"attention-rows": ROWS},
    ),
    Method(
        name="rjcma",
        target="zoo.rjcma:RJCMA",
        title="RJCMA",
        paper="Praveen, Alam 2024, CVPR Workshops, arXiv:2403.13659",
        summary="A temporal convolutional network for each of audio, video and text; stacked co-attention layers in "
        "which each stream weighs its features against those of all three.",
        modalities=("audio", "video", "text"),
        at_least=3,
        fusion_stage="intermediate",
        attention="co-attention",
        equations="of the code: J = [V ; A ; T]; K_m = X_m mixed over time by an L x L matrix; "
        "S_m = tanh(K_m^T J / sqrt(D)), d_m x D; U_m = ReLU(tanh(W_m X_m S_m)); X_m + ReLU(W'_m U_m)",
        code="praveena2j/RJCMA at 489f33d: models/model.py (RCMA), models/dense_coattn.py, models/av_crossatten.py, "
        "models/temporal_convolutional_model.py, configs.py",
        differs=(
            "The code projects the joint representation and then attends to the unprojected one: the projection's "
            "weights (262,656 a layer) are left out, and dropped on import.",
            "The committed sizes do not fit together: temporal networks end at 512, 128, 512 features, the "
            "co-attention takes 256, 128, 128. `rjcma-released` ends the former where the latter begins.",
            "Recursion is two stacked layers with weights of their own, as in the code.",
            LENGTH_FREE,
            "Length-free presets leave the scores unbounded; the code ends with tanh for targets in [-1, 1] (ours).",
            "Batch normalisation takes its statistics from real steps; the code's clips have no padding.",
            "One score vector for a clip reads the mean over real steps before the last layer; the code scores every "
            "step (ours).",
            "Streams of unequal steps are brought to the longest by nearest step before the co-attention (ours).",
            "Features come from other backbones than the authors' frozen ones; optimiser, schedule, gradual "
            "unfreezing and loss are the protocol's.",
        ),
        evidence="parity",
        presets=("rjcma-length-free",),
        sizes=(),
        exceptions={"attention-rows": ROWS},
    ),
)
