"""HFusion and CHFusion: the paper's equations by hand, and what context may reach."""

import math

import pytest
import torch

import zoo
from zoo import spec
from zoo.hierarchical_fusion import ContextGRU, Unit, pairs

FEATURES = {"audio": 3, "video": 4, "text": 5}
SMALL = {
    "hfusion": {"width": 6},
    "chfusion": {
        "context_width": 3,
        "width": 6,
        "bimodal_width": 5,
        "trimodal_width": 7,
        "input_dropout": 0.4,
        "output_dropout": 0.5,
    },
}


def build(name, features=FEATURES, per_step=True):
    torch.manual_seed(0)
    return zoo.build(name, features=features, outputs=2, per_step=per_step, **SMALL[name]).eval()


def video(steps=6, lengths=(6, 4)):
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(len(lengths), steps, d, generator=generator) for m, d in FEATURES.items()}
    return inputs, dict.fromkeys(inputs, torch.arange(steps) < torch.tensor(lengths)[:, None])


def parameters(name, features):
    with torch.device("meta"):
        model = zoo.build(name, features=features, outputs=2, **spec.load(name).settings)
    return sum(p.numel() for p in model.parameters())


def test_a_unit_is_one_neuron_for_each_dimension():
    unit = Unit(2, 2)
    with torch.no_grad():
        unit.weight.copy_(torch.tensor([[0.5, -1.0], [2.0, 0.25]]))
        unit.bias.copy_(torch.tensor([0.1, -0.2]))
    fused = unit(torch.tensor([[1.0, 2.0]]), torch.tensor([[-0.5, 4.0]]))
    expected = [math.tanh(0.5 * 1 + 2 * -0.5 + 0.1), math.tanh(-1 * 2 + 0.25 * 4 - 0.2)]
    torch.testing.assert_close(fused, torch.tensor([expected]))


def test_first_weights_of_units_follow_the_code():
    torch.manual_seed(0)
    two, three = Unit(2, 10_000), Unit(3, 10_000)
    assert two.weight.abs().max() <= 0.1 and 0.03 < two.weight.std() < 0.05  # normal, cut at two deviations
    bound = math.sqrt(3 / 100)
    assert 0.99 * bound < three.weight.abs().max() <= bound


def test_recurrence_by_hand():
    gru = ContextGRU(1, 1)
    weights = {"enter.weight": [[0.3], [-0.7], [1.1]], "gates.weight": [[0.4], [0.9]], "candidate.weight": [[-0.6]]}
    weights |= {"leave.weight": [[1.5]], "leave.bias": [0.2]}
    gru.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})

    def sigmoid(a):
        return 1 / (1 + math.exp(-a))

    state, expected = 0.0, []
    for x in (0.8, -1.2, 0.5):
        z, r = sigmoid(0.3 * x + 0.4 * state), sigmoid(-0.7 * x + 0.9 * state)
        h = math.tanh(1.1 * x - 0.6 * state * r)
        given = math.tanh(1.5 * h + 0.2)
        state = (1 - z) * given + z * state
        expected.append(given)
    torch.testing.assert_close(gru(torch.tensor([[[0.8], [-1.2], [0.5]]])).flatten(), torch.tensor(expected))


def test_gradient_of_the_recurrence():
    """Its weight gradients are made by hand, of all steps at once."""
    torch.manual_seed(0)
    gru = ContextGRU(3, 2).double()
    names, weights = zip(*gru.named_parameters(), strict=True)

    def outputs(x, *values):
        return torch.func.functional_call(gru, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(outputs, (torch.randn(2, 4, 3).double().requires_grad_(), *weights))


def test_hierarchy_by_hand():
    """HFusion is its equations 1 to 3, the trimodal unit and a linear layer."""
    model, (inputs, masks) = build("hfusion"), video()
    weights = model.state_dict()

    def dense(m):
        return torch.tanh(inputs[m] @ weights[f"equalise.{m}.weight"].T + weights[f"equalise.{m}.bias"])

    def unit(name, *sources):
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return torch.tanh(sum(w[k] * x for k, x in enumerate(sources)) + b)

    a, v, t = (dense(m) for m in ("audio", "video", "text"))
    va, at, vt = (
        unit(f"bimodal.{p}", *x) for p, x in (("video+audio", (v, a)), ("audio+text", (a, t)), ("video+text", (v, t)))
    )
    z = unit("trimodal", va, at, vt)
    expected = z @ weights["head.weight"].T + weights["head.bias"]
    real = masks["audio"]
    torch.testing.assert_close(model(inputs, masks)[real], expected[real])


def test_parameters_of_hfusion():
    trimodal = 2 * 101 * 400 + 74 * 400 + 3 * 3 * 400 + 4 * 400 + 401 * 2
    assert parameters("hfusion", {"text": 100, "audio": 73, "video": 100}) == trimodal == 116_402
    assert parameters("hfusion", {"text": 100, "video": 100}) == 2 * 101 * 400 + 3 * 400 + 401 * 2 == 82_802


def test_parameters_of_chfusion():
    def recurrence(d, width):  # Uz, Ur, Uh; Wz, Wr, Wh; Ux, ux
        return 3 * d * width + 3 * width**2 + width**2 + width

    contexts = 2 * recurrence(100, 100) + recurrence(73, 100) + 3 * 101 * 400
    fusion = 3 * 3 * 400 + 3 * recurrence(400, 500) + 4 * 500 + recurrence(500, 550) + 551 * 2
    assert parameters("chfusion", {"text": 100, "audio": 73, "video": 100}) == contexts + fusion == 7_167_152
    pair = 2 * recurrence(100, 100) + 2 * 101 * 400 + 3 * 400 + recurrence(400, 500) + 501 * 2
    assert parameters("chfusion", {"text": 100, "video": 100}) == pair == 1_823_702


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("present", [("audio", "video"), ("audio", "text"), ("video", "text")])
def test_two_modalities_have_one_pair_and_no_level_above(name, present):
    features = {m: FEATURES[m] for m in present}
    model = build(name, features)
    assert len(model.bimodal) == 1 and model.trimodal is None
    assert pairs(features) == list(model.bimodal)
    inputs, masks = video()
    assert model({m: inputs[m] for m in present}, {m: masks[m] for m in present}).shape == (2, 6, 2)


def test_context_is_what_came_before():
    inputs, masks = video()
    changed = {m: x.clone() for m, x in inputs.items()}
    changed["text"][0, 3] += 1.0
    for name, reached in (("hfusion", [3]), ("chfusion", [3, 4, 5])):
        model = build(name)
        difference = (model(changed, masks) - model(inputs, masks)).abs().amax(-1)
        assert (difference[0] > 1e-7).nonzero().flatten().tolist() == reached, name
        assert not difference[1].any(), name


def test_clip_of_hfusion_is_the_mean_utterance():
    inputs, masks = video()
    means = {m: torch.stack([x[0].mean(0), x[1, :4].mean(0)]).unsqueeze(1) for m, x in inputs.items()}
    one = dict.fromkeys(means, torch.ones(2, 1, dtype=torch.bool))
    expected = build("hfusion")(means, one).squeeze(1)
    torch.testing.assert_close(build("hfusion", per_step=False)(inputs, masks), expected)


def test_clip_of_chfusion_is_its_last_real_utterance():
    inputs, masks = video()
    every = build("chfusion")(inputs, masks)
    torch.testing.assert_close(build("chfusion", per_step=False)(inputs, masks), every[torch.arange(2), [5, 3]])


def test_chfusion_refuses_unequal_steps():
    inputs, masks = video()
    inputs["video"], masks["video"] = inputs["video"][:, :5], masks["video"][:, :5]
    with pytest.raises(ValueError, match=r"equal steps: video mask \(2, 5\) differs from audio mask \(2, 6\)"):
        build("chfusion", per_step=False)(inputs, masks)


def test_dropout_masks_all_steps_of_a_clip_alike():
    torch.manual_seed(0)
    dropped = build("chfusion").train()._drop(torch.ones(2, 6, 50))
    assert (dropped == 0).any() and torch.equal(dropped, dropped[:, :1].expand(-1, 6, -1))
    assert not torch.equal(dropped[0], dropped[1])
