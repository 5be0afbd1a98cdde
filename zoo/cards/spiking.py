"""Spiking networks: S-CMRL (He et al. 2025)."""

from zoo.cards import Method, Size

_CLIP = {"audio": 128, "video": (224, 224, 3)}

CARDS = (
    Method(
        name="s_cmrl",
        target="zoo.s_cmrl:SCMRL",
        title="S-CMRL",
        paper="He et al. 2025, arXiv:2502.12488",
        summary="Spiking neurons see a picture and a spectrogram at every timestep; the tokens of each modality gain, "
        "scaled, what spiking attention over tokens and over timesteps reads of the other, and classes align it.",
        modalities=("audio", "video"),
        at_least=2,
        fusion_stage="intermediate",
        attention="cross-attention",
        equations="as the code has them: u_t = v_{t-1} + (x_t - v_{t-1}) / 2, a spike where u_t >= 1; spikes of "
        "0.25 Q K^T V; X + 1.5 E with E from mean over tokens of A_space times mean over timesteps of A_time; loss + "
        "mean over pairs of -[same class] log softmax(E_a E_v^T / temperature)",
        code="Brain-Cog-Lab/S-CMRL at 3be3df72: braincog/model_zoo/spikformer.py (AudioVisualSpikformer), "
        "braincog/base/node/node.py (MyNode), SNN/train_snn.py (class_contrastive_loss), "
        "braincog/datasets/datasets.py (CREMADDataset)",
        differs=(
            "The code, not the paper's text, was read.",
            "On CREMA-D the code draws one of a clip's frames, once and for all, and shows it at every timestep. Here "
            "that is the middle one of the frames that a protocol gives. s_cmrl-small shows a frame of its own at each "
            "timestep (ours), evenly spread over the clip, as the code does with event streams alone.",
            "In training the code cuts and mirrors pictures at random; in its test it brings the shorter side to 256 "
            "and cuts 128 x 128 out of the middle. Here the whole frame is brought to 128 x 128, and nothing is drawn.",
            "The code's sound is the logarithm of an STFT of the whole clip, 257 bins up to 11 kHz, as a picture. Here "
            "it is the spectrogram of the protocol, with mel bins and, after short clips, silence; each clip's real "
            "steps alone become the picture, so clips may have any length and padding changes nothing.",
            "Pictures are resized with pixels averaged, as in the code, by PyTorch in place of Pillow.",
            "The code gives neurons of attention and alignment a threshold of 0.5, which their class ignores: it is 1 "
            "there, and here.",
            "The code reads the result of attention over timesteps with heads and timesteps in the wrong order, and so "
            "does this.",
            "Without alignment the product of two means goes into the residual as it is, no spike, as in the code.",
            "The alignment takes bare products, asks of sound for pictures only, and averages over all pairs of a "
            "batch instead of those of one class, as in the code.",
            "Drop-out of 0.2, layer norms and a channel attention that the code builds and never uses are left out, "
            "and so is the second block of CMCI, whose result the code throws away.",
            "SCA is left out: one of its two directions adds random numbers, drawn anew in every pass, to its scores.",
            "The unimodal networks of the code are left out.",
            "Maps are products of spikes without a softmax: rows have no sum. Their cells are patches or timesteps, "
            "the heads of all timesteps or patches side by side.",
            "AdamW with warm-up and cosine, label smoothing of 0.1 and 100 epochs are no part of the method.",
        ),
        evidence="parity",
        presets=(),
        exceptions={
            "attention-rows": "weights are products of spikes, without a softmax: rows have no sum",
            "dropout": "there is none",
            "per-step": "a clip has one simulation and one score",
        },
        sizes=(
            Size("s_cmrl-paper", _CLIP, 6, 4_204_038, "released module: 4,231,206, of which 27,168 are unused"),
            Size("s_cmrl-cmci", _CLIP, 6, 3_678_482, "released module: 4,365,362, of which 686,880 are unused"),
            Size(
                "s_cmrl-weight_attention", _CLIP, 6, 3_278_856, "released module: 3,306,024, of which 27,168 are unused"
            ),
        ),
    ),
)
