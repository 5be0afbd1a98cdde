"""MulT."""

from zoo.cards import Method, Size

FACTS = "computed from the shapes of the released code"

CARDS = (
    Method(
        name="mult",
        target="zoo.mult:MulT",
        title="MulT",
        paper="Tsai et al. 2019, ACL, doi:10.18653/v1/P19-1656, arXiv:1906.00295",
        summary="Every ordered pair of modalities has a crossmodal transformer; a self-attention memory for each "
        "target reads its last step into a residual head.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="cross-attention",
        equations="section 3: temporal convolution and positions (1-2), crossmodal attention (3), crossmodal "
        "transformer (4); widths, depth, heads, kernels and dropout of table 5 (MOSEI)",
        code="yaohungt/Multimodal-Transformer at a670936: src/models.py, modules/transformer.py, "
        "modules/multihead_attention.py, modules/position_embedding.py",
        differs=(
            "Batches are padded on the right and padding is masked; the code pads on the left and attends to it. "
            "The last real step is read, and the mask's offset is taken from each clip's real lengths.",
            "The causal mask is the code's default; whether the paper's own runs used one is unverified.",
            "Convolutions keep the length by zero padding; sizes above 1 are the paper's, the code has size 1.",
            "The convolution is applied even where the feature width equals the model width. The code skips it there, "
            "though the weight exists; an import makes ours the identity and drops theirs.",
            "Single targets: the code builds all memories and runs one; here the others do not exist. Two of three "
            "targets, which the code cannot run, work here.",
            "Attention dropout of mult-paper is one rate for all, as table 5 has it; mult-code has the code's, 0.1 for "
            "text targets and for memories, 0 for audio and video targets.",
            "Keys and values of all layers of one source are one product with that source, normalised once, and the "
            "last layer of a memory has one query: equal up to rounding.",
            "Two modalities: one crossmodal transformer for each target, memory width D, head width 2 D (ours).",
            "Per-step output reads every step's memory instead of the last (ours).",
        ),
        evidence="parity",
        presets=("mult-paper", "mult-code"),
        sizes=(
            Size("mult-code", {"text": 300, "audio": 74, "video": 35}, 1, 1_073_731, FACTS),
            Size("mult-code", {"text": 300, "audio": 5, "video": 20}, 1, 1_071_211, FACTS),
            Size("mult-code", {"text": 300, "audio": 74, "video": 35}, 8, 1_074_998, FACTS),
            Size("mult-paper", {"text": 300, "audio": 74, "video": 35}, 1, 1_549_321, FACTS),
            Size("mult-paper", {"text": 300, "audio": 5, "video": 20}, 1, 1_539_241, FACTS),
        ),
    ),
)
