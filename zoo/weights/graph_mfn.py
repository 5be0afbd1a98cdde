"""Key map of Graph-MFN: MMSA's state dict.

Source   thuiar/MMSA at a94e65d, models/singleTask/Graph_MFN.py. LSTMs, memory and head as in ``zoo.weights.mfn``; of
         the rest, theirs -> ours, modalities by number, 0 text, 1 audio, 2 video:

    {l,a,v}_transform                        single.{text,audio,video}
    graph_mfn.efficacy_model.{0,1.0,2}       graph.efficacies.{0,1,2}
    graph_mfn.t_network.{0,1.0}              graph.summary.{0,1}
    graph_mfn.vertex_networks.0-1.{0,1.0}    graph.networks.text+audio.{0,1}

The last are in no state dict of theirs: the module keeps them in a plain dict, ``graph_mfn.networks``, by tuples. A
file that names them is taken whole; else ours keep the values that they were drawn with, as theirs do.
"""

from torch import Tensor, nn

from zoo.weights import Format, Source
from zoo.weights.mfn import LETTERS, linear, recurrent, sizes

NETWORKS = {"memory.proposal": "att2", "memory.retain": "gamma1", "memory.update": "gamma2", "head": "out"}
VERTICES = "graph_mfn.vertex_networks."
MAPS = {"0": "0", "1": "1.0"}  # ours, theirs


def _state_dict(source: Source, model: nn.Module) -> dict[str, Tensor]:
    state = recurrent(source, NETWORKS)
    for m, letter in LETTERS.items():
        state |= linear(source, f"single.{m}", f"{letter}_transform")
    for ours, theirs in (MAPS | {"2": "2"}).items():
        state |= linear(source, f"graph.efficacies.{ours}", f"graph_mfn.efficacy_model.{theirs}")
    for ours, theirs in MAPS.items():
        state |= linear(source, f"graph.summary.{ours}", f"graph_mfn.t_network.{theirs}")
    return state


def _whole(source: Source, model: nn.Module) -> dict[str, Tensor]:
    state = _state_dict(source, model)
    for name in model.graph.networks:
        numbers = "-".join(str(list(LETTERS).index(m)) for m in name.split("+"))
        for ours, theirs in MAPS.items():
            state |= linear(source, f"graph.networks.{name}.{ours}", f"{VERTICES}{numbers}.{theirs}")
    return state


def _known(source: Source) -> bool:
    return "lstm_l.weight_ih" in source and "graph_mfn.t_network.0.weight" in source


FORMATS = (
    Format(
        name="MMSA, with the networks of the vertices",
        source="thuiar/MMSA at a94e65d: state_dict() of models/singleTask/Graph_MFN.py Graph_MFN, and each of its "
        "graph_mfn.networks as vertex_networks.<i>-<j>",
        recognises=lambda source: _known(source) and any(name.startswith(VERTICES) for name in source),
        sizes=sizes,
        translate=_whole,
    ),
    Format(
        name="MMSA",
        source="thuiar/MMSA at a94e65d: state_dict() of models/singleTask/Graph_MFN.py Graph_MFN",
        recognises=_known,
        sizes=sizes,
        translate=_state_dict,
        keeps="the networks of the vertices are outside the module that was saved",
    ),
)
