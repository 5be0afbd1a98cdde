"""Cross-attention (FG 2021) and joint cross-attention (CVPRW 2022, T-BIOM 2023) of Praveen et al."""

from zoo.cards import Method, Size

WIDE = {"audio": 512, "video": 512}
JOINT = (
    "Praveen et al. 2022, CVPRW, arXiv:2203.14779; extended as Praveen, Cardinal, Granger 2023, IEEE T-BIOM, "
    "arXiv:2209.09068"
)
CODE = (
    "praveena2j/JointCrossAttentional-AV-Fusion at 84c95b2: models/cam.py; "
    "praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion at f1f0a0c: models/cam.py, models/Jcam_512.py"
)
TANH = {"attention-rows": "the scores go through tanh, without a softmax: rows have no sum"}

CARDS = (
    Method(
        name="audio_visual_cross_attention",
        target="zoo.audio_visual_cross_attention:AudioVisualCrossAttention",
        title="Audio-visual cross-attention",
        paper="Praveen, Granger, Cardinal 2021, FG, arXiv:2111.05222",
        summary="One learned matrix correlates every audio step with every video step; each stream reads the other "
        "by it, what they read is added, and the largest value of each feature over time is scored.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="cross-attention",
        equations="C = A^T W V; A_att = A softmax(C), V_att = V softmax(C^T), columns normalised; "
        "MLP(max over time of A_att + V_att), tanh after each of its layers",
        code="praveena2j/Cross-Attentional-AV-Fusion at 85bf502: models/cam.py, models/audiovisual_model.py "
        "(modal_predictions), train.py (unit norm)",
        differs=(
            "The orientation is the paper's, features by steps; the committed file multiplies the wrong way round "
            "unless a clip has as many steps as features.",
            "The sum, the maximum and the head are the code's. It takes unit-norm features in training and, in "
            "validation, leaves the attention out (val.py); here both are as in training.",
            "Both streams are encoded to one width first (ours); the authors' backbones give 1024 features each. The "
            "unit norm is taken after the encoder.",
            "Each stream keeps its steps in the attention; what the two read is added after the shorter is brought "
            "to the longer by nearest step (ours). The code has equal steps.",
            "The last tanh bounds valence and arousal; the ranked preset leaves it out, since its scores are logits "
            "(ours).",
            "Padding is left out of the softmax and of the maximum; the code has no padding.",
            "Per-step output scores every step instead of the maximum over time (ours).",
        ),
        evidence="code-read",
        presets=("ca-fg2021",),
        sizes=(
            Size(
                "ca-fg2021-code",
                {"audio": 1024, "video": 1024},
                1,
                1_704_961,
                "shapes of the released code: 1024 x 1024 and the MLP 1024-512-256-1",
            ),
        ),
    ),
    Method(
        name="joint_cross_attention",
        target="zoo.joint_cross_attention:JointCrossAttention",
        title="Joint cross-attention",
        paper=JOINT,
        summary="The features of each modality are correlated over time with those of both; the correlation and the "
        "stream itself give an update to every step, by weights over the steps of a fixed-length clip.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="joint cross-attention",
        equations="J = [A ; V]; C_a = tanh(A^T W_ja J / sqrt(2d)); H_a = ReLU(W_ca C_a + W_a A^T); "
        "A_att = W_ha H_a + A, and the same for V",
        code=CODE,
        differs=(
            "The weights hold for clips of one length (8 or 16 sub-clips); others are refused. No preset is ranked on "
            "boards: see the length-free variant.",
            "jca-cvprw reads [attended audio, attended video], which the author confirmed; the committed file cannot "
            "run, since these 256 features meet a regressor for 640.",
            "jca-tbiom-code and jcam-512 are as committed: the regressors read [video, attended video], and attended "
            "audio reaches nothing. Its four matrices are not built, and are dropped in an import.",
            "What main.py of the T-BIOM repository trains is another model (models/orig_cam.py).",
            "One regressor for each output, as for valence and arousal in the T-BIOM code.",
            "Output for a whole clip is the scores of the mean step (ours), which are the mean of the steps' scores.",
        ),
        evidence="parity",
        presets=(),
        aligned=True,
        sizes=(
            Size("jca-cvprw", WIDE, 1, 181_889, "the released module with the regressor that the author confirmed"),
            Size(
                "jca-tbiom-code",
                WIDE,
                2,
                305_154,
                "314,626 of the released module less the 9,472 that reach no output",
            ),
            Size("jcam-512", WIDE, 1, 165_377, "199,425 of the released module less the 34,048 that reach no output"),
        ),
        exceptions=TANH,
    ),
    Method(
        name="joint_cross_attention_length_free",
        target="zoo.joint_cross_attention:LengthFreeJointCrossAttention",
        title="Joint cross-attention (length-free, ours)",
        paper=f"ours, after {JOINT}",
        summary="Joint cross-attention over 16 equal parts of a clip instead of its steps; the update of a part goes "
        "to the steps that lie in it, so clips and streams may have any length.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="joint cross-attention",
        equations="J = [P_a A ; P_v V]; C_a = tanh((P_a A)^T W_ja J / sqrt(2d)); H_a = ReLU(W_ca C_a + W_a (P_a A)^T); "
        "A_att = A + R_a W_ha H_a, and the same for V; P averages steps in each part, R reads parts at each step",
        code=CODE,
        differs=(
            "The matrices over time act on 16 equal parts of each clip, not on its steps. P shares out a step over the "
            "parts it lies in by the time it spends there. For clips of 16 steps P and R are the identity and this is "
            "the published attention; the rest is as in jca-cvprw.",
            "Streams of unequal steps meet in the parts; the paper has equal steps.",
            "Padding is left out of the parts and of the mean.",
            "One regressor for all outputs; output for a whole clip is that of the streams' means over their steps.",
        ),
        evidence="code-read",
        presets=("jca-length-free",),
        exceptions=TANH,
    ),
)
