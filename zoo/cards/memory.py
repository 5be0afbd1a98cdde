"""MFN and Graph-MFN: LSTMs side by side, and a gated memory of what happens across them."""

from zoo.cards import Method, Size

WORDS = {"text": 300, "audio": 5, "video": 20}  # of the released MFN checkpoints, and of MulT's files
MMSA = "thuiar/MMSA at a94e65d"
CHECKPOINT = "the tensors of {} in pliang279/MFN at b0453fb, by their shapes"
SHAPES = "computed from the shapes of MMSA's code, the vertex networks that it does not register included"

CARDS = (
    Method(
        name="mfn",
        target="zoo.mfn:MFN",
        title="MFN",
        paper="Zadeh et al. 2018, AAAI, arXiv:1802.00927",
        summary="Each modality has an LSTM; attention over what all cells held one step before and hold now feeds a "
        "gated memory, which is read beside the LSTMs' outputs.",
        modalities=("audio", "video", "text"),
        at_least=1,
        fusion_stage="intermediate",
        attention="delta-memory attention",
        equations="(1-6) system of LSTMs, (7, 8) delta-memory attention, (9-11) multi-view gated memory",
        code=f"pliang279/MFN at b0453fb: test_mosi.py (MFN); {MMSA}: models/singleTask/MFN.py",
        differs=(
            "The memory's gates read the memory beside what is attended, as in the code; equation 10 has the latter "
            "alone. What an LSTM proposes goes through tanh, as in the code; equation 4 prints none.",
            "Padding stands on the right, and the last real step is read; the code reads the last of all steps.",
            "The paper names no sizes; those of the ranked preset are a released checkpoint's.",
            "One modality is an LSTM alone, as the paper describes its rows of one view.",
            "Two modalities: the same network with two LSTMs (ours).",
            "Per-step output reads every step's outputs and memory (ours).",
            "Recorded attention is added up by modality: a wider LSTM has more coefficients.",
        ),
        evidence="parity",
        presets=("mfn",),
        aligned=True,
        sizes=(
            Size("mfn", WORDS, 1, 292_657, CHECKPOINT.format("best/mfn_mae.pt")),
            Size("mfn-acc", WORDS, 1, 839_549, CHECKPOINT.format("best/mfn_acc.pt")),
        ),
    ),
    Method(
        name="graph_mfn",
        target="zoo.graph_mfn:GraphMFN",
        title="Graph-MFN",
        paper="Zadeh et al. 2018, ACL, doi:10.18653/v1/P18-1208",
        summary="MFN with a graph in place of its attention: every set of modalities is a vertex fed by its subsets, "
        "and each edge is scaled by an efficacy that is computed at every step.",
        modalities=("audio", "video", "text"),
        at_least=2,
        fusion_stage="intermediate",
        attention="graph-efficacy attention",
        equations="sections 4.1 (dynamic fusion graph) and 4.2 (Graph-MFN); memory as in MFN, (9-11)",
        code="CMU-MultiComp-Lab/CMU-MultimodalSDK at 4f2eadc: mmsdk/mmmodelsdk/fusion/dynamic_fusion_graph/model.py; "
        f"{MMSA}: models/singleTask/Graph_MFN.py, config/config_regression.json",
        differs=(
            "Efficacies pass a sigmoid, as in the paper; in both code bases they are linear and can be negative "
            "(graph_mfn-code).",
            "The networks of the vertices learn and are saved. Both code bases keep them in a plain dict, so that "
            "these stay as they were drawn and are in no checkpoint.",
            "The paper's network that updates the LSTMs from the graph's summary is in neither code base, nor here.",
            "The networks of the graph are the code's, two affine maps through 100 units without a nonlinearity; the "
            "paper calls them deep.",
            "Padding stands on the right, and the last real step is read; the code reads the last of all steps.",
            "The paper names no sizes; those here are MMSA's for CMU-MOSEI.",
            "Two modalities: three vertices, five edges (ours).",
            "Per-step output reads every step's outputs and memory (ours).",
        ),
        evidence="parity",
        presets=("graph_mfn",),
        aligned=True,
        sizes=(Size("graph_mfn", WORDS, 1, 681_440, SHAPES),),
        exceptions={"attention-rows": "efficacies scale the edges of a graph one by one: a row has no sum"},
    ),
)
