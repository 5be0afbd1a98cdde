"""Graph-MFN: MFN with a dynamic fusion graph in place of its attention. Each set of modalities is a vertex.

Source   Zadeh et al., "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
         Graph", ACL 2018, doi:10.18653/v1/P18-1208, section 4; code CMU-MultiComp-Lab/CMU-MultimodalSDK at 4f2eadc
         (mmsdk/mmmodelsdk/fusion/dynamic_fusion_graph/model.py) and thuiar/MMSA at a94e65d
         (models/singleTask/Graph_MFN.py).
Differs  see ``differs`` of the card in ``zoo.METHODS``.
"""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from zoo.layers import accept_aligned, ordered, record
from zoo.mfn import GatedMemory, LSTMs, TwoLayers, before, read_out

HIDDEN = 100  # of every network of the graph, in both toolkits


class DynamicFusionGraph(nn.Module):
    """All non-empty sets of modalities as vertices, each fed by its subsets, and one summary fed by all of them.

    What runs along an edge is scaled by its efficacy, a number that a network reads off the single modalities at every
    step. Recorded are all efficacies of a step, in the order of ``edges``.

    Args:
        widths: d_m of the single modalities' vertices, (B, T, d_m) each.
        width: D of the other vertices and of the summary.
        bounded: whether efficacies pass a sigmoid, as in the paper; the code leaves them as they are.
    """

    def __init__(self, widths: Mapping[str, int], *, width: int, bounded: bool):
        super().__init__()
        if width < 1:
            raise ValueError(f"the graph's width is {width}; wanted 1 or more.")
        self.bounded = bounded
        sets = [chosen for size in range(1, len(widths) + 1) for chosen in combinations(widths, size)]
        names = ["+".join(chosen) for chosen in sets]
        sizes = {name: widths.get(name, width) for name in names}
        # vertex -> the vertices that feed it, in the order of their computation
        self.fed_by = {
            "+".join(chosen): [name for name, part in zip(names, sets, strict=True) if set(part) < set(chosen)]
            for chosen in sets[len(widths) :]
        }
        self.networks = nn.ModuleDict(
            {name: _two_maps(sum(sizes[s] for s in sources), width) for name, sources in self.fed_by.items()}
        )
        self.summary = _two_maps(sum(sizes.values()), width)
        self.edges = [(s, name) for name, sources in (self.fed_by | {"summary": names}).items() for s in sources]
        self.efficacies = nn.Sequential(*_two_maps(sum(widths.values()), width), nn.Linear(width, len(self.edges)))

    def forward(self, singles: Mapping[str, Tensor]) -> Tensor:
        """(B, T, d_m) for each modality -> the summary (B, T, D)."""
        efficacies = self.efficacies(torch.cat(list(singles.values()), dim=-1))  # (B, T, edges)
        if self.bounded:
            efficacies = efficacies.sigmoid()
        record("graph<-vertices/0:edges", efficacies.unsqueeze(1))
        scale = dict(zip(self.edges, efficacies.split(1, dim=-1), strict=True))
        vertices = dict(singles)
        for name, network in self.networks.items():
            vertices[name] = network(torch.cat([vertices[s] * scale[s, name] for s in self.fed_by[name]], dim=-1))
        return self.summary(torch.cat([x * scale[s, "summary"] for s, x in vertices.items()], dim=-1))


def _two_maps(inputs: int, outputs: int) -> nn.Sequential:
    """Two affine maps and, as published, no nonlinearity."""
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, outputs))


class GraphMFN(nn.Module):
    """Graph memory fusion network.

    Args:
        features: D_m of two or three modalities.
        outputs: K.
        per_step: the head reads outputs and memory of every step (ours), else those of the last real one.
        widths: H_m of the LSTM of text, audio and video, and of that modality's vertex.
        graph: width of the vertices of several modalities, and bounded: see ``DynamicFusionGraph``.
        memory: width, proposal, retain and update of ``GatedMemory``.
        head: hidden width and dropout of the network that reads the LSTMs' outputs and the memory.
    """

    def __init__(
        self,
        features: dict[str, int],
        outputs: int,
        *,
        per_step: bool = False,
        widths: dict[str, int],
        graph: dict,
        memory: dict,
        head: dict,
    ):
        super().__init__()
        self.features, self.per_step = ordered(features, outputs, at_least=2), per_step
        self.lstm = LSTMs(self.features, widths)
        singles = self.lstm.widths
        self.single = nn.ModuleDict({m: nn.Linear(2 * width, width) for m, width in singles.items()})
        self.graph = DynamicFusionGraph(singles, **graph)
        self.memory = GatedMemory(graph["width"], **memory)
        self.head = TwoLayers(sum(singles.values()) + memory["width"], outputs, **head)

    def forward(self, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """(B, T, D_m) and (B, T) bool, True = real step, per modality -> (B, K), or (B, T, K) per step."""
        streams, mask = accept_aligned(inputs, masks, self.features)
        outputs = self.lstm(streams)
        singles = {m: self.single[m](torch.cat((before(h), h), dim=-1)).relu() for m, h in outputs.items()}
        memory = self.memory(self.graph(singles))
        return self.head(read_out([*outputs.values(), memory], mask, self.per_step))
