"""Key map of MFN: the released code's state dict, which MMSA's code shares.

Source   pliang279/MFN at b0453fb, test_mosi.py; thuiar/MMSA at a94e65d, models/singleTask/MFN.py. Theirs -> ours:

    lstm_{l,a,v}            lstm.{text,audio,video}
    att1_fc{1,2}            fusion.attention.{0,3}
    att2_fc{1,2}            fusion.memory.proposal.{0,3}
    gamma{1,2}_fc{1,2}      fusion.memory.{retain,update}.{0,3}
    out_fc{1,2}             head.{0,3}
"""

from collections.abc import Mapping

from torch import Tensor, nn

from zoo.weights import Format, Source

LETTERS = {"text": "l", "audio": "a", "video": "v"}
NETWORKS = {
    "fusion.attention": "att1",
    "fusion.memory.proposal": "att2",
    "fusion.memory.retain": "gamma1",
    "fusion.memory.update": "gamma2",
    "head": "out",
}


def recurrent(source: Source, networks: Mapping[str, str]) -> dict[str, Tensor]:
    """The LSTMs and the networks of two layers, by our name -> theirs."""
    state = {}
    for m, letter in LETTERS.items():
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            state[f"lstm.{m}.{part}_l0"] = source.take(f"lstm_{letter}.{part}")
    for ours, theirs in networks.items():
        for layer, number in ((0, 1), (3, 2)):
            state |= linear(source, f"{ours}.{layer}", f"{theirs}_fc{number}")
    return state


def linear(source: Source, ours: str, theirs: str) -> dict[str, Tensor]:
    return {f"{ours}.{part}": source.take(f"{theirs}.{part}") for part in ("weight", "bias")}


def sizes(source: Source) -> tuple[dict[str, int], int]:
    return {m: source[f"lstm_{x}.weight_ih"].shape[1] for m, x in LETTERS.items()}, len(source["out_fc2.bias"])


def _translate(source: Source, model: nn.Module) -> dict[str, Tensor]:
    return recurrent(source, NETWORKS)


FORMATS = (
    Format(
        name="released code",
        source="state_dict() of MFN in pliang279/MFN at b0453fb, test_mosi.py, or thuiar/MMSA at a94e65d, "
        "models/singleTask/MFN.py",
        recognises=lambda source: "lstm_l.weight_ih" in source and "att1_fc1.weight" in source,
        sizes=sizes,
        translate=_translate,
    ),
)
