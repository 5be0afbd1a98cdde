"""MBT."""

from zoo.cards import Method, Size

_RAW = {"audio": 128, "video": (224, 224, 3)}

CARDS = (
    Method(
        name="mbt",
        target="zoo.mbt:MBT",
        title="MBT",
        paper="Nagrani et al. 2021, NeurIPS, arXiv:2107.00135",
        summary="One transformer for each modality; from layer Lf on the modalities exchange only what a few "
        "bottleneck tokens carry, which all of them update in parallel and which are then averaged.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="bottleneck attention",
        equations="sections 3.1 to 3.4: tokens (1), pre-norm layer (2-3), full fusion with shared (4) and separate "
        "parameters (5-6), bottleneck fusion (7-9), early to late fusion by Lf, class tokens into one classifier",
        code="google-research/scenic at 4a38d475: scenic/projects/mbt/model.py, model_utils.py, trainer.py, "
        "configs/audioset/balanced_audioset_base.py",
        differs=(
            "Equations 8 and 9 of arXiv version 1 hand the bottleneck from video on to audio within a layer; the code, "
            "followed here, lets both update the same bottleneck and averages.",
            "With class tokens the code makes one bottleneck token more than it is asked for, and so does this: B + 1.",
            "In training each class token has a loss of its own, and the losses are averaged, as in the code; for "
            "prediction the scores are.",
            "Mixup pairs the batch with its mirror image under one weight, as in the code.",
            "Stochastic depth does not scale up the branches that stay, GELU has its tanh form and LayerNorm an "
            "epsilon of 1e-6, as in the code.",
            "The last layer computes only the tokens that the head reads; the results are those of the whole layer.",
            "The code's max and sum pooling and its test without bottlenecks are left out: no published run uses them.",
            "The code's mean over tokens with bottlenecks stops with an error as committed; what it is meant to "
            "compute is computed.",
            "Patches must fill a frame or spectrogram, and clips have the length that positions are learned for; the "
            "code drops what is left over. Padding of raw input is refused.",
            "A tubelet's kernel starts in its central frame; the code's initialiser keeps the patch's central column "
            "instead, which shows only where no image model is restored.",
            "From an image ViT: positions are resized to the frames' own grid, where the code takes a near-square one.",
            "Feature vectors as input (ours): a linear layer and sinusoidal positions in place of patches and learned "
            "ones, so that clips may have any length; their class tokens start from a normal of deviation 0.02.",
            "Text as a further sequence of feature vectors (ours): exchange and averages are over all modalities.",
            "Per-step output: no class tokens; the head reads every step's token, averaged over modalities (ours).",
            "mbt-small: width, depth and dropout are ours; the paper has no feature input and no such size.",
            "Label smoothing 0.3, SGD, warm-up and the augmentations of the released configuration are no part of the "
            "method; boards train all methods alike.",
        ),
        evidence="parity",
        exceptions={"parameter-gradient": "in training, stochastic depth may drop one branch of all clips"},
        presets=("mbt-small", "mbt-small-late", "mbt-small-full"),
        sizes=(
            Size("mbt-paper", _RAW, 527, 173_215_247, "computed: two towers of 170.1 M (12 blocks of 7,087,872 each)"),
            Size("mbt-scenic", _RAW, 527, 175_005_455, "computed from the code's shapes: about 175.0 M"),
        ),
    ),
)
