"""Hierarchical fusion and hierarchical attention."""

from zoo.cards import Method, Size

_MAJUMDER = "Majumder et al. 2018, Knowledge-Based Systems 161, doi:10.1016/j.knosys.2018.07.041, arXiv:1806.06228"
_CODE = "declare-lab/multimodal-deep-learning at d4c5921: hfusion/hfusion.py (Bimodal, Trimodal), not run"
_MOSI = {"text": 100, "audio": 73, "video": 100}
_FORMULA = "computed by hand from the paper's equations"
_SHARED = (
    "Trained end to end, as section 3.6 and algorithm 1 describe; the overview takes the penultimate layers of pair "
    "networks, and the code trains the three pairs one after the other and the last level on their saved activations.",
    "Dense layers have a bias, as in the paper; those before the pairs have none in the code.",
    "First weights as in the code: truncated normal (0.05) in pair units, Glorot elsewhere, zero biases.",
)

CARDS = (
    Method(
        name="hfusion",
        target="zoo.hierarchical_fusion:HFusion",
        title="HFusion",
        paper=_MAJUMDER,
        summary="Modalities are fused in pairs and the pairs in one, each dimension by a tanh neuron of its own.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="none",
        equations="section 3.4 without its recurrences (section 4.3): dense layers to a common width, pair units "
        "(1-3), trimodal unit; softmax of section 3.5",
        code=_CODE,
        differs=(
            *_SHARED,
            "The code has no variant without recurrence; its common width is 450, the paper's 400.",
            "Clips of many steps, of which the paper has none: each modality's vector is the mean over its real steps.",
            "Two modalities: the one pair unit, then the softmax layer, as in the bimodal columns of table 2.",
        ),
        evidence="code-read",
        presets=("hfusion",),
        sizes=(
            Size("hfusion", _MOSI, 2, 116_402, _FORMULA),
            Size("hfusion", {"text": 100, "video": 100}, 2, 82_802, _FORMULA),
        ),
        exceptions={
            "dropout": "neither paper nor code has dropout in the part without recurrence",
            "recording": "there is no attention to record",
        },
    ),
    Method(
        name="chfusion",
        target="zoo.hierarchical_fusion:CHFusion",
        title="CHFusion",
        paper=_MAJUMDER,
        summary="HFusion over the utterances of a video, with a recurrence ahead of each level of fusion.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="none",
        equations="sections 3.3 to 3.5: recurrence over each modality, dense layers to D = 400, pair units (1-3), "
        "recurrence over each pair (D2 = 500), trimodal unit, recurrence (D3 = 550), softmax",
        code=_CODE,
        differs=(
            *_SHARED,
            "The recurrence is that of section 3.3, whose candidate passes a dense tanh layer and is the output; the "
            "code has Keras's GRU and, for pairs, a dense tanh layer after it. Ux is printed as d x D; it has to be "
            "D x D.",
            "Sizes are the paper's. The code is an IEMOCAP script: width 450, pairs 600 then 500, all three 500, whose "
            "output is concatenated with the fused vector and goes through 450 ReLU.",
            "The width of the first recurrences is not given: 100 (ours). The code starts from saved contextual "
            "features.",
            "The paper names no dropout. Rates are the code's, on what enters the recurrences of pairs (0.4; there "
            "0.35 for all three) and the softmax layer (0.86); its 0.9 after the pairs' recurrences is left out.",
            "Padding stands on the right, after all real steps: recurrences that run forward never meet it before one.",
            "Clips with one label: the output at the last real step (ours).",
            "Two modalities: recurrence over the one pair, then softmax, as in the bimodal columns of table 3.",
        ),
        evidence="code-read",
        presets=("chfusion",),
        aligned=True,
        sizes=(
            Size("chfusion", _MOSI, 2, 7_167_152, _FORMULA),
            Size("chfusion", {"text": 100, "video": 100}, 2, 1_823_702, _FORMULA),
        ),
        exceptions={"recording": "there is no attention to record"},
    ),
    Method(
        name="hierarchical_cross_modal_attention",
        target="zoo.hierarchical_cross_modal_attention:HierarchicalCrossModalAttention",
        title="Hierarchical cross-modal attention",
        paper="Vamsidhar et al. 2025, Scientific Reports 15, doi:10.1038/s41598-025-09000-3",
        summary="Each stream attends to itself, audio along two paths mixed by a gate; then all attend to all.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="hierarchical attention",
        equations="the abstract: text, image and two audio paths, a dynamic gate, a cross-modal self-attention layer; "
        "no equation was read",
        code="",
        differs=(
            "Derived from the abstract alone; no published number belongs to it.",
            "Features of the data set stand in for BERT, ResNet50 and Wav2Vec 2.0; video steps for a single image.",
            "Both audio paths read the one audio stream: two convolutions of size 3 with ReLU, and a transformer "
            "encoder that stands for Wav2Vec 2.0.",
            "Gate (ours): a sigmoid for every step and channel from both paths; it passes g of one and 1 - g of the "
            "other.",
            "Hierarchy (ours): one self-attention layer inside each stream, then one over the steps of all streams, "
            "told apart by a learned modality vector.",
            "Classification (ours): the mean over each stream's real steps, concatenated, linear.",
            "Widths, heads, kernel, dropout, pre-norm layers and sinusoidal positions are ours.",
            "Without audio there is no gate; without text there are two streams.",
        ),
        evidence="derived-from-abstract",
        presets=("hierarchical_cross_modal_attention",),
    ),
    Method(
        name="halnet",
        target="zoo.halnet:HALNet",
        title="HALNet",
        paper="Zou et al. 2023, ICME, doi:10.1109/ICME55011.2023.00165",
        summary="A global feature gathers every level of every modality by attention; a second prediction comes from "
        "the product of the modalities' class distributions.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="hybrid",
        attention="hierarchical attention",
        equations="the abstract: levels of features progressively gathered with attention, higher-order fusion in "
        "label space, dual prediction; no equation was read",
        code="",
        differs=(
            "Derived from the abstract alone; no published number belongs to it.",
            "Levels (ours): the outputs of a modality's transformer layers. The abstract does not say that its inputs "
            "are sequences.",
            "Progressive fusion (ours): the global feature starts as the mean of the embedded modalities; at each "
            "level it queries the steps of all modalities at once, told apart by a learned vector, with a residual "
            "and a feed-forward. A longer stream has more keys.",
            "Label space (ours): each modality's class scores, from the mean of its last level, as distributions; "
            "their outer product, K to the power of the modalities, goes through one hidden ReLU layer, as in the view "
            "correlation discovery network of MOGONET (Wang et al. 2021, doi:10.1038/s41467-021-23774-w).",
            "Dual prediction (ours): scores of the global feature and of the label space, averaged, which is the "
            "geometric mean of the two distributions.",
            "Training (ours): mean of the losses of the two predictions and of the modalities' own scores.",
            "Widths, heads, number of levels, dropout, pre-norm layers and sinusoidal positions are ours.",
        ),
        evidence="derived-from-abstract",
        presets=("halnet",),
    ),
)
