"""TFN."""

from zoo.cards import Method, Size

COUNTED = "counted in MMSA's code, without the two constants of its range"

CARDS = (
    Method(
        name="tfn",
        target="zoo.tfn:TFN",
        title="TFN",
        paper="Zadeh et al. 2017, EMNLP, doi:10.18653/v1/D17-1115, arXiv:1707.07250",
        summary="Each modality becomes one vector; their outer product, with a 1 before each, holds every product of "
        "one, two and three modalities and goes through a dense network.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="none",
        equations="section 4: embedding subnetworks, the three-fold product of [z ; 1], inference subnetwork",
        code="thuiar/MMSA at a94e65d: models/singleTask/TFN.py, models/subNets/FeatureNets.py (SubNet, TextSubNet), "
        "config/config_regression.json",
        differs=(
            "The layers are the code's: batch normalisation of audio and video before their three dense layers, one "
            "linear layer after the text's LSTM, dropout on the normalised inputs and on the tensor. The paper has no "
            "normalisation, two ReLU layers after the LSTM, and dropout 0.15 on all hidden layers.",
            "The outputs are plain scores, with any number of targets or classes; for one target the code gives 6 "
            "sigmoid(y) - 3, the paper a sigmoid.",
            "Audio and video are averaged over their real steps here; the code gets them as averages. Text is read up "
            "to its last real step; the code reads the padding too.",
            "Per-step output scores every step by itself, its text a sequence of one, so that the LSTM's recurrent "
            "weights rest (ours). Padded steps are taken out before the normalisation.",
            "A batch with a single real row is normalised by the running statistics, where PyTorch refuses (ours).",
            "Two modalities: the product of two vectors. The code always takes three.",
            "The ranked sizes are MMSA's for CMU-MOSI; tfn-paper has the paper's.",
            "The L2 term of the paper (0.01) is left to the protocol's weight decay.",
        ),
        evidence="parity",
        presets=("tfn",),
        sizes=(Size("tfn", {"text": 300, "audio": 5, "video": 20}, 1, 9_257_427, COUNTED),),
        exceptions={
            "parameter-gradient": "per step, a text is a sequence of one: the LSTM's recurrent weights meet a state of "
            "zeros"
        },
    ),
)
