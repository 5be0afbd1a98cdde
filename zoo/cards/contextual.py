"""Methods that follow the utterances of a video: MMMU-BA and its relatives, bc-LSTM, CATF-LSTM."""

from zoo.cards import Method, Size

UTTERANCES = {"text": 100, "audio": 73, "video": 100}  # the published vectors of CMU-MOSI

GHOSAL = "Ghosal et al. 2018, EMNLP, doi:10.18653/v1/D18-1382"
GHOSAL_CODE = "soujanyaporia/contextual-multimodal-fusion at fe759b3: trimodal_attention_models.py"
# What holds for all four: the recurrent front and the classifier are the same.
GHOSAL_DIFFERS = (
    "Dense layers are tanh and dropout is 0.5 (inputs and states of the GRU) and 0.7, as in the code; the paper "
    "prints ReLU, 0.4 and 0.5.",
    "Padding is told by a mask; the code takes every all-zero vector for padding, also a missing modality's.",
    "The outputs are logits; the code ends in a softmax.",
    "The code keeps the epoch of the best test accuracy; here the protocol says which epoch counts.",
    "Clip-level output is the mean of the utterances' scores (ours).",
)
PADDED_KEYS = (
    "Padded utterances are no keys; in the code they are (attend_padding), so that a score depends on the longest "
    "video. With attend_padding they enter the dense layer as zeros, as in the reference run under Keras 3; Keras 2 "
    "repeats the forward GRU's last output there."
)
COMPUTED = "computed from the released code; one bias a gate, as in Keras 2.0"
BC_COMPUTED = "computed from the released code: two first levels of 1,022,702, one of 957,902, a second of 1,743,902"
CATF = "Poria et al. 2017, ICDM, doi:10.1109/ICDM.2017.134"

CARDS = (
    Method(
        name="contextual_fusion",
        target="zoo.contextual:ContextualFusion",
        title="Contextual fusion (bidirectional GRUs)",
        paper=GHOSAL,
        summary="Each modality's utterances pass a bidirectional GRU and a dense layer; the results, side by side, are "
        "classified utterance by utterance: the paper's ablation without attention.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="none",
        equations="section 3 without its attention",
        code=f"{GHOSAL_CODE}, mode None",
        differs=GHOSAL_DIFFERS,
        evidence="parity",
        presets=("contextual_fusion",),
        aligned=True,
        sizes=(Size("contextual_fusion", UTTERANCES, 2, 2_297_702, COMPUTED),),
    ),
    Method(
        name="mu_sa",
        target="zoo.mu_sa:MUSA",
        title="MU-SA",
        paper=GHOSAL,
        summary="After a bidirectional GRU, each modality attends to all its own utterances; the result gates the "
        "utterance and is classified beside it.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="self-attention",
        equations="section 3.3",
        code=f"{GHOSAL_CODE}: self_attention, mode MU_SA",
        differs=(
            PADDED_KEYS,
            *GHOSAL_DIFFERS,
        ),
        evidence="parity",
        presets=("mu_sa",),
        aligned=True,
        sizes=(Size("mu_sa", UTTERANCES, 2, 2_298_302, COMPUTED),),
    ),
    Method(
        name="mmuu_sa",
        target="zoo.mmuu_sa:MMUUSA",
        title="MMUU-SA",
        paper=GHOSAL,
        summary="After a bidirectional GRU, each modality of an utterance attends to all modalities of the same "
        "utterance; the result gates it and is classified beside it.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="joint self-attention",
        equations="section 3.2",
        code=f"{GHOSAL_CODE}: self_attention, mode MMUU_SA",
        differs=GHOSAL_DIFFERS,
        evidence="parity",
        presets=("mmuu_sa",),
        aligned=True,
        sizes=(Size("mmuu_sa", UTTERANCES, 2, 2_298_302, COMPUTED),),
    ),
    Method(
        name="mmmu_ba",
        target="zoo.mmmu_ba:MMMUBA",
        title="MMMU-BA",
        paper=GHOSAL,
        summary="After a bidirectional GRU, the two modalities of every pair attend to all utterances of each other; "
        "the results gate the utterance and are classified beside it.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="cross-attention",
        equations="section 3.1",
        code=f"{GHOSAL_CODE}: bi_modal_attention, mode MMMU_BA",
        differs=(
            PADDED_KEYS,
            *GHOSAL_DIFFERS,
        ),
        evidence="parity",
        presets=("mmmu_ba-code",),
        aligned=True,
        sizes=(
            Size("mmmu_ba-code", UTTERANCES, 2, 2_298_902, COMPUTED),
            Size("mmmu_ba-paper", UTTERANCES, 2, 2_298_902, COMPUTED),
        ),
    ),
    Method(
        name="bc_lstm",
        target="zoo.bc_lstm:BcLSTM",
        title="bc-LSTM",
        paper="Poria et al. 2017, ACL, doi:10.18653/v1/P17-1081",
        summary="A bidirectional LSTM over each modality's utterances gives contextual features; a second one over "
        "these, side by side, classifies. The levels learn apart.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="none",
        equations="sections 3.2 and 3.3, algorithm 1; variants sc-LSTM (one direction), h-LSTM (no dense layer) and "
        "not hierarchical (one level on raw features)",
        code="declare-lab/contextual-utterance-level-multimodal-sentiment-analysis at 3874cf2: lstm.py",
        differs=(
            "The paper trains the first level, then the second; here both learn in one pass from the sum of all "
            "classifiers' losses. No gradient passes between them, and the second level learns from features "
            "without dropout, as there.",
            "A softmax layer classifies, as in the code; the paper gives the last dense layer to an SVM.",
            "The gates are Keras 2.0's hard sigmoids, without the peephole of algorithm 1, as in the code.",
            "Dense layers are tanh in the first level and ReLU in the second, as in the code; the paper prints ReLU.",
            "Padding is masked in both levels; in the code the second level's features of padded utterances are not "
            "zero, so its mask misses them.",
            "The code has the bidirectional network only; the variants' sizes are taken from it (ours).",
            "The code takes Adadelta, the paper RMSprop; here the protocol's optimiser.",
            "Clip-level output is the mean of the utterances' scores (ours).",
        ),
        evidence="code-read",
        presets=("bc_lstm", "sc_lstm", "h_lstm"),
        aligned=True,
        sizes=(
            Size("bc_lstm", {"text": 100}, 2, 1_022_702, BC_COMPUTED),
            Size("bc_lstm", {"audio": 73}, 2, 957_902, BC_COMPUTED),
            Size("bc_lstm", UTTERANCES, 2, 2 * 1_022_702 + 957_902 + 1_743_902, BC_COMPUTED),
        ),
        exceptions={
            "parameter-gradient": "the first level's classifiers have a loss of their own; the scores do not pass them"
        },
    ),
    Method(
        name="catf_lstm",
        target="zoo.catf_lstm:CATFLSTM",
        title="CATF-LSTM (as described)",
        paper=CATF,
        summary="Attention over the modalities fuses each utterance; a bidirectional LSTM follows the utterances, and "
        "each place in the video attends to all of them with weights of its own.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="additive attention",
        equations="sections II-D to II-F: AT-Fusion (1-3), CAT-LSTM (4-13), a classifier for each place (14), "
        "multi-level framework",
        code="",
        differs=(
            "The paper trains unimodal CAT-LSTMs, then the fused network on what they give; here both learn in one "
            "pass from the sum of all classifiers' losses, and no gradient passes between them.",
            "The ranked preset has width 100 in place of 300: weights for each of 63 places make 70 million otherwise.",
            "A bidirectional LSTM has half the width in each direction, so that h stays in R^d (open in the paper).",
            "The layers that equalise widths are linear (open in the paper); with the multi-level framework they "
            "stand between equal widths.",
            "torch's LSTM has two bias vectors where the equations have one: 4 d weights more, the same functions.",
            "A clip-level protocol gets the mean of the utterances' scores (ours).",
            "The paper adds an L2 term of unnamed weight, with AdaGrad; here the protocol's optimiser.",
        ),
        evidence="paper-read",
        presets=("catf_lstm-small",),
        aligned=True,
        exceptions={
            "parameter-gradient": "the unimodal classifiers have a loss of their own; the scores do not pass them",
            "dropout": "the paper has none",
        },
    ),
    Method(
        name="catf_lstm_code",
        target="zoo.catf_lstm_code:CATFLSTMCode",
        title="CATF-LSTM (as released)",
        paper=CATF,
        summary="What the released code computes: unimodal recurrent features are added up, one GRU cell reads them in "
        "both directions, and the utterances attend to each other.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="self-attention",
        equations="none of the paper's: the modality softmax has one entry, the cell is a GRU, and the attention over "
        "utterances is softmax(tanh((h_s W + b) . h_t))",
        code="soujanyaporia/multimodal-sentiment-analysis at 974b294: model.py (BiGRU, self_attention, "
        "self_attention_2, _build_model_op), run.py",
        differs=(
            "The code's softmax over modalities runs along an axis of size one, so every weight is 1; the sum stands "
            "here, without the weights that have no effect.",
            "The code trains unimodal networks, then the fused one on their activations of epoch 30; here both learn "
            "in one pass, the second from features without dropout, and no gradient passes between them.",
            "The attention over utterances is on; in the code it is a switch, off unless asked for.",
            "The L2 terms are left to the protocol's weight decay: the code's own are never added to its loss, "
            "except a mean with factor 1e-5.",
            "The code prints the best test epoch; here the protocol says which epoch counts.",
            "A clip-level protocol gets the mean of the utterances' scores (ours).",
        ),
        evidence="code-read",
        presets=("catf_lstm-code",),
        aligned=True,
        exceptions={
            "parameter-gradient": "the unimodal classifiers have a loss of their own; the scores do not pass them"
        },
    ),
)
