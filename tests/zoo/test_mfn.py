"""MFN: parity with the released code, its equations by hand, its ablations and its sizes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from tests.zoo.trimodal import FEATURES, batch
from zoo import spec
from zoo.layers import record_attention
from zoo.mfn import LSTMs
from zoo.weights import Source, WeightsError, import_weights, recognise

SMALL = {
    "widths": {"text": 4, "audio": 2, "video": 3},
    "fusion": {
        "window": 2,
        "attention": {"hidden": 5, "dropout": 0.0},
        "memory": {
            "width": 6,
            "proposal": {"hidden": 4, "dropout": 0.0},
            "retain": {"hidden": 3, "dropout": 0.0},
            "update": {"hidden": 5, "dropout": 0.0},
        },
    },
    "head": {"hidden": 7, "dropout": 0.0},
}
ORDER = ("text", "audio", "video")


def build(modalities=tuple(FEATURES), per_step=False, **changed):
    torch.manual_seed(0)
    features = {m: FEATURES[m] for m in modalities}
    return zoo.build("mfn", features=features, outputs=2, per_step=per_step, **SMALL | changed)


def network(told: dict) -> dict:
    return {"hidden": told["shapes"], "dropout": told["drop"]}


def imported(weights: dict[str, torch.Tensor], folder: Path):
    """The model as a user gets it, at the fixture's sizes."""
    case, _ = parity.case("mfn", "regression")
    args = case["config"]["args"]
    memory = {"width": args["memsize"], "proposal": network(args["NN2Config"])}
    memory |= {"retain": network(args["gamma1Config"]), "update": network(args["gamma2Config"])}
    settings = {
        "widths": dict(zip(ORDER, args["hidden_dims"], strict=True)),
        "fusion": {"window": args["windowsize"], "attention": network(args["NN1Config"]), "memory": memory},
        "head": network(args["outConfig"]),
    }
    save_file(weights, folder / "released.safetensors")
    method = spec.MethodSpec(name="parity", method="mfn", settings=settings)
    return case, import_weights(method, folder / "released.safetensors")


def test_parity_with_the_released_code(tmp_path):
    _, groups = parity.case("mfn", "regression")
    case, done = imported(groups["weights"], tmp_path)
    assert not done.provenance["dropped"] and not done.provenance["initial"]
    model = done.model.eval()
    assert sum(p.numel() for p in model.parameters()) == case["parameters"]
    inputs, ours = {m: x.requires_grad_() for m, x in groups["inputs"].items()}, {}
    model.head.register_forward_pre_hook(lambda _, args: ours.update(last_hidden=args[0]))
    ours["prediction"] = model(inputs, {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()})
    assert set(ours) == set(groups["outputs"])
    for name, golden in groups["outputs"].items():
        assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[name] * c).sum() for name, c in groups["cotangents"].items()).backward()
    theirs = {id(tensor): name for name, tensor in groups["weights"].items()}
    state = recognise("mfn", Source(groups["weights"])).translate(Source(groups["weights"]), model)
    ours_by_theirs = {theirs[id(x)]: name for name, x in state.items()}
    for key, golden in groups["grads"].items():
        kind, _, name = key.partition("/")
        mine = inputs[name] if kind == "inputs" else model.get_parameter(ours_by_theirs[name])
        assert parity.close(mine.grad, golden, case["tolerance"]["grads"]), key


def test_another_file_is_refused_by_name(tmp_path):
    _, groups = parity.case("mfn", "regression")
    with pytest.raises(WeightsError, match=r"gamma3_fc1\.weight \(2, 2\) has no counterpart"):
        imported(groups["weights"] | {"gamma3_fc1.weight": torch.zeros(2, 2)}, tmp_path)


def written_out(model, inputs, window):
    """One clip, step by step from the equations: h and u of every step, and the attention's coefficients."""
    w = model.state_dict()

    def two_layers(x, at):
        hidden = (w[f"{at}.0.weight"] @ x + w[f"{at}.0.bias"]).relu()
        return w[f"{at}.3.weight"] @ hidden + w[f"{at}.3.bias"]

    h, c = ({m: torch.zeros(SMALL["widths"][m]) for m in inputs} for _ in range(2))
    u, states, coefficients = torch.zeros(6), [], []
    for t in range(len(next(iter(inputs.values())))):
        held = torch.cat([c[m] for m in inputs])
        for m, x in inputs.items():
            at = f"lstm.{m}"
            gates = w[f"{at}.weight_ih_l0"] @ x[t] + w[f"{at}.bias_ih_l0"]
            i, f, g, o = (gates + w[f"{at}.weight_hh_l0"] @ h[m] + w[f"{at}.bias_hh_l0"]).chunk(4)
            c[m] = f.sigmoid() * c[m] + i.sigmoid() * g.tanh()
            h[m] = o.sigmoid() * c[m].tanh()
        now = torch.cat([c[m] for m in inputs])
        seen = torch.cat([held, now]) if window == 2 else now
        coefficients.append(two_layers(seen, "fusion.attention").softmax(0))
        attended = coefficients[-1] * seen
        proposal = two_layers(attended, "fusion.memory.proposal").tanh()
        both = torch.cat([attended, u])
        retain, update = (two_layers(both, f"fusion.memory.{gate}").sigmoid() for gate in ("retain", "update"))
        u = retain * u + update * proposal
        states.append(torch.cat([*h.values(), u]))
    return torch.stack(states), torch.stack(coefficients)


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("present", [("text", "audio"), ("text", "video"), ("audio", "video"), ORDER])
def test_the_equations_by_hand(present, window):
    model = build(present, per_step=True, fusion=SMALL["fusion"] | {"window": window}).eval()
    clips = build(present, fusion=SMALL["fusion"] | {"window": window}).eval()
    inputs, masks = batch(modalities=present)
    with record_attention() as maps:
        scores = model(inputs, masks)
    ((label, shares),) = maps
    assert label == f"memory<-{'+'.join(present)}/0:modalities" and shares.shape == (2, 1, 6, len(present))
    last = clips(inputs, masks)
    for clip, length in enumerate((6, 4)):
        states, coefficients = written_out(model, {m: inputs[m][clip, :length] for m in present}, window)
        expected = model.head(states)
        torch.testing.assert_close(scores[clip, :length], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(last[clip], expected[-1], atol=1e-6, rtol=1e-5)
        sides = coefficients.unflatten(1, (window, -1)).sum(1).split([SMALL["widths"][m] for m in present], dim=1)
        told = torch.stack([side.sum(1) for side in sides], 1)
        torch.testing.assert_close(shares[clip, 0, :length], told, atol=1e-6, rtol=1e-5)


def test_the_cells_beside_torchs_own_outputs():
    torch.manual_seed(0)
    lstms, (inputs, _) = LSTMs(FEATURES, SMALL["widths"]).double(), batch()
    inputs = {m: x.double() for m, x in inputs.items()}
    outputs, cells = lstms.states(inputs)
    for m, own in lstms(inputs).items():
        torch.testing.assert_close(outputs[m], own)
    final = torch.cat([lstms[m](inputs[m])[1][1][0] for m in ORDER], -1)
    torch.testing.assert_close(cells[:, -1], final)


def test_a_step_sees_nothing_later():
    model, (inputs, masks) = build(per_step=True).eval(), batch()
    changed = {m: x.clone() for m, x in inputs.items()}
    changed["text"][0, 3] += 1.0
    difference = (model(changed, masks) - model(inputs, masks)).abs().amax(-1)
    assert (difference[0] > 0).nonzero().flatten().tolist() == [3, 4, 5] and not difference[1].any()


@pytest.mark.parametrize("per_step", [False, True])
def test_without_memory_the_lstms_are_disjoint(per_step):
    model, (inputs, masks) = build(per_step=per_step, fusion=None).eval(), batch()
    inputs = {m: x * masks[m].unsqueeze(-1) for m, x in inputs.items()}
    outputs = torch.cat([model.lstm[m](inputs[m])[0] for m in ORDER], -1)
    read = outputs if per_step else outputs[torch.arange(2), torch.tensor([5, 3])]
    assert model.fusion is None
    torch.testing.assert_close(model(inputs, masks), model.head(read))


@pytest.mark.parametrize("m", ORDER)
def test_one_modality_is_one_lstm(m):
    model, (inputs, masks) = build((m,)).eval(), batch(modalities=(m,))
    assert model.fusion is None and list(model.lstm) == [m]
    torch.testing.assert_close(model(inputs, masks), model.head(model.lstm[m](inputs[m])[0][[0, 1], [5, 3]]))
    assert spec.load("mfn").takes((m,), aligned=True) == (m,)


def test_presets_of_the_papers_ablations():
    whole, no_delta, no_memory = (spec.load(name).settings for name in ("mfn", "mfn-no_delta", "mfn-no_memory"))
    assert no_delta == whole | {"fusion": whole["fusion"] | {"window": 1}}
    assert no_memory == whole | {"fusion": None}
    assert spec.load("mfn-no_memory").card.attention == "none"


def test_size_of_mmsas_settings():
    """Counted in MMSA's code at its settings for CMU-MOSI."""
    memory = {"width": 400, "proposal": {"hidden": 64, "dropout": 0.0}}
    memory |= {"retain": {"hidden": 256, "dropout": 0.7}, "update": {"hidden": 32, "dropout": 0.5}}
    settings = {
        "widths": {"text": 256, "audio": 32, "video": 256},
        "fusion": {"window": 2, "attention": {"hidden": 32, "dropout": 0.2}, "memory": memory},
        "head": {"hidden": 128, "dropout": 0.0},
    }
    with torch.device("meta"):
        model = zoo.build("mfn", features={"text": 300, "audio": 5, "video": 20}, outputs=1, **settings)
    assert sum(p.numel() for p in model.parameters()) == 1_693_425


def changed_memory(**told):
    return {"fusion": SMALL["fusion"] | {"memory": SMALL["fusion"]["memory"] | told}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"widths": {"text": 4, "audio": 2}}, "widths is .* for each of audio, video, text"),
        ({"widths": SMALL["widths"] | {"smell": 1}}, "widths is .*'smell'"),
        ({"widths": SMALL["widths"] | {"text": 0}}, "wanted 1 or more"),
        ({"fusion": SMALL["fusion"] | {"window": 3}}, "window is 3; wanted 2, or 1"),
        ({"fusion": {"window": 2}}, "missing 2 required keyword-only arguments: 'attention' and 'memory'"),
        (changed_memory(width=0), "the memory's width is 0"),
        (changed_memory(retain={"hidden": 0, "dropout": 0.0}), "hidden is 0"),
        (changed_memory(retain={"hidden": 3}), "missing 1 required keyword-only argument: 'dropout'"),
        ({"head": {"hidden": 7, "dropout": 1.5}}, "between 0 and 1, but got 1.5"),
    ],
)
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        build(**changed)


def test_unequal_steps_are_refused_with_the_remedy():
    inputs, masks = batch()
    inputs["video"], masks["video"] = inputs["video"][:, :5], masks["video"][:, :5]
    with pytest.raises(ValueError, match=r"equal steps: video mask \(2, 5\) differs from audio mask \(2, 6\)\. Align"):
        build()(inputs, masks)
