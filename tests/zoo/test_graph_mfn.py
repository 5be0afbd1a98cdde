"""Graph-MFN: parity with MMSA's code, the graph by hand, its efficacies and its sizes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from tests.zoo.trimodal import FEATURES, batch
from zoo import METHODS, spec
from zoo.graph_mfn import DynamicFusionGraph
from zoo.layers import record_attention
from zoo.weights import Source, WeightsError, import_weights, recognise

ORDER = ("text", "audio", "video")
SMALL = {
    "widths": {"text": 4, "audio": 2, "video": 3},
    "graph": {"width": 5, "bounded": True},
    "memory": {
        "width": 6,
        "proposal": {"hidden": 4, "dropout": 0.0},
        "retain": {"hidden": 3, "dropout": 0.0},
        "update": {"hidden": 5, "dropout": 0.0},
    },
    "head": {"hidden": 7, "dropout": 0.0},
}
VERTICES = "graph_mfn.vertex_networks."


def build(modalities=tuple(FEATURES), per_step=False, **changed):
    torch.manual_seed(0)
    features = {m: FEATURES[m] for m in modalities}
    return zoo.build("graph_mfn", features=features, outputs=2, per_step=per_step, **SMALL | changed)


def network(told: dict) -> dict:
    return {"hidden": told["shapes"], "dropout": told["drop"]}


def imported(variant: str, weights: dict[str, torch.Tensor], folder: Path):
    """The model as a user gets it, at a fixture's sizes."""
    case, _ = parity.case("graph_mfn", variant)
    args = case["config"]["args"]
    memory = {"width": args["memsize"], "proposal": network(args["NNConfig"])}
    memory |= {"retain": network(args["gamma1Config"]), "update": network(args["gamma2Config"])}
    settings = {
        "widths": dict(zip(ORDER, args["hidden_dims"], strict=True)),
        "graph": {"width": args["inner_node_dim"], "bounded": False},
        "memory": memory,
        "head": network(args["outConfig"]),
    }
    save_file(weights, folder / "mmsa.safetensors")
    method = spec.MethodSpec(name="parity", method="graph_mfn", settings=settings)
    return case, import_weights(method, folder / "mmsa.safetensors")


@pytest.mark.parametrize("variant", ["regression", "classes"])
def test_parity_with_mmsas_code(variant, tmp_path):
    _, groups = parity.case("graph_mfn", variant)
    case, done = imported(variant, groups["weights"], tmp_path)
    assert not done.provenance["dropped"] and not done.provenance["initial"]
    model = done.model.eval()
    assert sum(p.numel() for p in model.parameters()) == case["parameters"]
    inputs = {m: x.requires_grad_() for m, x in groups["inputs"].items()}
    with record_attention() as maps:
        prediction = model(inputs, {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()})
    ((label, efficacies),) = maps
    assert label == "graph<-vertices/0:edges"
    for ours, name in ((prediction, "prediction"), (efficacies[:, 0], "aux_efficacies")):
        assert parity.close(ours, groups["outputs"][name], case["tolerance"]["outputs"]), name
    (prediction * groups["cotangents"]["prediction"]).sum().backward()
    theirs = {id(tensor): name for name, tensor in groups["weights"].items()}
    state = recognise("graph_mfn", Source(groups["weights"])).translate(Source(groups["weights"]), model)
    ours_by_theirs = {theirs[id(x)]: name for name, x in state.items()}
    for key, golden in groups["grads"].items():
        kind, _, name = key.partition("/")
        mine = inputs[name] if kind == "inputs" else model.get_parameter(ours_by_theirs[name])
        assert parity.close(mine.grad, golden, case["tolerance"]["grads"]), key


def test_a_state_dict_of_the_code_leaves_the_vertices_as_drawn(tmp_path):
    _, groups = parity.case("graph_mfn", "classes")
    saved = {name: x for name, x in groups["weights"].items() if not name.startswith(VERTICES)}
    _, done = imported("classes", saved, tmp_path)
    assert done.provenance["format"] == "MMSA" and done.provenance["initial"]["why"].startswith("the networks of the")
    names = ("text+audio", "text+video", "audio+video", "text+audio+video")
    assert set(done.provenance["initial"]["tensors"]) == {
        f"graph.networks.{name}.{i}.{part}" for name in names for i in (0, 1) for part in ("weight", "bias")
    }
    del saved["a_transform.bias"]
    with pytest.raises(WeightsError, match=r"the file has no a_transform\.bias"):
        imported("classes", saved, tmp_path)


def test_edges_of_three_and_of_two_modalities():
    graph = DynamicFusionGraph(SMALL["widths"], **SMALL["graph"])
    singles, pairs = list(ORDER), ["text+audio", "text+video", "audio+video"]
    expected = [(m, pair) for pair in pairs for m in pair.split("+")]
    expected += [(s, "text+audio+video") for s in singles + pairs]
    expected += [(s, "summary") for s in [*singles, *pairs, "text+audio+video"]]
    assert graph.edges == expected and len(expected) == 19
    two = DynamicFusionGraph({"audio": 2, "video": 3}, **SMALL["graph"])
    into_pair = [("audio", "audio+video"), ("video", "audio+video")]
    assert two.edges == into_pair + [(s, "summary") for s in ("audio", "video", "audio+video")]


def written_out(model, inputs):
    """One clip, step by step and vertex by vertex: h and u of every step, and the efficacies."""
    w, present = model.state_dict(), list(inputs)

    def linear(x, at):
        return w[f"{at}.weight"] @ x + w[f"{at}.bias"]

    def two_layers(x, at):
        return linear(linear(x, f"{at}.0").relu(), f"{at}.3")

    def two_maps(x, at):
        return linear(linear(x, f"{at}.0"), f"{at}.1")

    h, c = ({m: torch.zeros(SMALL["widths"][m]) for m in inputs} for _ in range(2))
    u, states, efficacies = torch.zeros(6), [], []
    for t in range(len(inputs[present[0]])):
        vertices = {}
        for m, x in inputs.items():
            at, held = f"lstm.{m}", h[m]
            gates = w[f"{at}.weight_ih_l0"] @ x[t] + w[f"{at}.bias_ih_l0"]
            i, f, g, o = (gates + w[f"{at}.weight_hh_l0"] @ h[m] + w[f"{at}.bias_hh_l0"]).chunk(4)
            c[m] = f.sigmoid() * c[m] + i.sigmoid() * g.tanh()
            h[m] = o.sigmoid() * c[m].tanh()
            vertices[m] = linear(torch.cat([held, h[m]]), f"single.{m}").relu()
        alpha = linear(two_maps(torch.cat(list(vertices.values())), "graph.efficacies"), "graph.efficacies.2")
        alpha = alpha.sigmoid() if model.graph.bounded else alpha
        efficacies.append(alpha)
        left = iter(alpha)
        if len(present) == 3:
            text, audio, video = present
            for first, second in ((text, audio), (text, video), (audio, video)):
                fed = torch.cat([next(left) * vertices[first], next(left) * vertices[second]])
                vertices[f"{first}+{second}"] = two_maps(fed, f"graph.networks.{first}+{second}")
        whole = "+".join(present)
        fed = torch.cat([next(left) * x for x in vertices.values()])
        vertices[whole] = two_maps(fed, f"graph.networks.{whole}")
        z = two_maps(torch.cat([next(left) * x for x in vertices.values()]), "graph.summary")
        assert not list(left)
        proposal, both = two_layers(z, "memory.proposal").tanh(), torch.cat([z, u])
        u = two_layers(both, "memory.retain").sigmoid() * u + two_layers(both, "memory.update").sigmoid() * proposal
        states.append(torch.cat([*h.values(), u]))
    return torch.stack(states), torch.stack(efficacies)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("present", [("text", "audio"), ("text", "video"), ("audio", "video"), ORDER])
def test_the_equations_by_hand(present, bounded):
    graph = SMALL["graph"] | {"bounded": bounded}
    model, clips = build(present, per_step=True, graph=graph).eval(), build(present, graph=graph).eval()
    inputs, masks = batch(modalities=present)
    with record_attention() as maps:
        scores = model(inputs, masks)
    ((_, efficacies),) = maps
    assert efficacies.shape == (2, 1, 6, 19 if len(present) == 3 else 5)
    assert not bounded or (0 < efficacies).all() and (efficacies < 1).all()
    last = clips(inputs, masks)
    for clip, length in enumerate((6, 4)):
        states, alpha = written_out(model, {m: inputs[m][clip, :length] for m in present})
        expected = model.head(states)
        torch.testing.assert_close(scores[clip, :length], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(last[clip], expected[-1], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(efficacies[clip, 0, :length], alpha, atol=1e-6, rtol=1e-5)


def test_the_networks_of_the_vertices_learn():
    model, (inputs, masks) = build(), batch()
    model(inputs, masks).sum().backward()
    named = dict(model.named_parameters())
    for name in ("text+audio", "text+video", "audio+video", "text+audio+video"):
        assert named[f"graph.networks.{name}.0.weight"].grad.any(), name


def test_presets_differ_in_the_bound_alone():
    ours, code = spec.load("graph_mfn").settings, spec.load("graph_mfn-code").settings
    assert code == ours | {"graph": ours["graph"] | {"bounded": False}} and ours["graph"]["bounded"]


def test_size_of_mmsas_settings():
    """Counted in MMSA's code at its settings for CMU-MOSI, which leaves the vertices' networks out."""
    memory = {"width": 300, "proposal": {"hidden": 32, "dropout": 0.0}}
    memory |= {"retain": {"hidden": 128, "dropout": 0.5}, "update": {"hidden": 64, "dropout": 0.5}}
    settings = {"widths": {"text": 256, "audio": 32, "video": 256}, "graph": {"width": 64, "bounded": False}}
    settings |= {"memory": memory, "head": {"hidden": 256, "dropout": 0.0}}
    with torch.device("meta"):
        model = zoo.build("graph_mfn", features={"text": 300, "audio": 5, "video": 20}, outputs=1, **settings)
    left_out = sum(p.numel() for p in model.graph.networks.parameters())
    assert sum(p.numel() for p in model.parameters()) - left_out == 1_631_392


def test_size_of_the_ranked_preset_by_hand():
    def two_maps(inputs):
        return 101 * 128 + 100 * (inputs + 1)

    lstms = sum(4 * h * (d + h + 2) for d, h in ((300, 64), (5, 16), (20, 64)))
    singles = sum(h * (2 * h + 1) for h in (64, 16, 64))
    graph = two_maps(80) + two_maps(128) + two_maps(80) + two_maps(144 + 3 * 128) + two_maps(144 + 4 * 128)
    efficacies = two_maps(144) + 19 * 129
    memory = sum(h * (d + 1) + 300 * (h + 1) for d, h in ((128, 32), (428, 64), (428, 256)))
    head = 128 * (144 + 300 + 1) + 129
    (size,) = METHODS["graph_mfn"].sizes
    assert size.parameters == lstms + singles + graph + efficacies + memory + head


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"widths": {"text": 4}}, "widths is .* for each of audio, video, text"),
        ({"graph": {"width": 0, "bounded": True}}, "the graph's width is 0"),
        ({"graph": {"width": 5}}, "missing 1 required keyword-only argument: 'bounded'"),
        ({"memory": SMALL["memory"] | {"width": 0}}, "the memory's width is 0"),
    ],
)
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        build(**changed)
