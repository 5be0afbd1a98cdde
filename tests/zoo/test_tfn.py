"""TFN: parity with MMSA's code, the product by hand, and what normalisation sees of a batch."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from tests.zoo.trimodal import FEATURES, batch
from zoo import spec
from zoo.tfn import Norm, tensor
from zoo.weights import Source, WeightsError, import_weights, recognise

SMALL = {"widths": {"audio": 2, "video": 3, "text": 4}, "text_lstm": 6, "fusion": 7}
SMALL |= {"dropout": 0.0, "fusion_dropout": 0.0}


def build(modalities=tuple(FEATURES), per_step=False, **changed):
    torch.manual_seed(0)
    features = {m: FEATURES[m] for m in modalities}
    return zoo.build("tfn", features=features, outputs=2, per_step=per_step, **SMALL | changed)


def imported(variant: str, weights: dict[str, torch.Tensor], folder: Path):
    """The model as a user gets it, at a fixture's sizes."""
    case, _ = parity.case("tfn", variant)
    args = case["config"]["args"]
    text_lstm, audio, video = args["hidden_dims"]
    settings = {"widths": {"audio": audio, "video": video, "text": args["text_out"]}, "text_lstm": text_lstm}
    settings |= {"fusion": args["post_fusion_dim"], "dropout": 0.0, "fusion_dropout": 0.0}
    save_file(weights, folder / "mmsa.safetensors")
    method = spec.MethodSpec(name="parity", method="tfn", settings=settings)
    return case, import_weights(method, folder / "mmsa.safetensors")


@pytest.mark.parametrize("variant", ["regression", "classes"])
def test_parity_with_mmsas_code(variant, tmp_path):
    _, groups = parity.case("tfn", variant)
    case, done = imported(variant, groups["weights"], tmp_path)
    assert set(done.provenance["dropped"]) == {"output_range", "output_shift"} == set(case["weights_without_gradient"])
    model = done.model.eval()
    assert sum(p.numel() for p in model.parameters()) == case["parameters"] - 2
    inputs = {m: x.requires_grad_() for m, x in groups["inputs"].items()}
    ours = {}
    for letter, m in (("t", "text"), ("a", "audio"), ("v", "video")):
        model.embed[m].register_forward_hook(lambda _, __, z, name=f"feature_{letter}": ours.update({name: z}))
    model.head.register_forward_pre_hook(lambda _, args: ours.update(feature_f=args[0]))
    scores = model(inputs, {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()})
    ours["prediction"] = 6 * scores.sigmoid() - 3 if variant == "regression" else scores
    assert set(ours) == set(groups["outputs"])
    for name, golden in groups["outputs"].items():
        assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[name] * c).sum() for name, c in groups["cotangents"].items()).backward()
    theirs = {id(tensor): name for name, tensor in groups["weights"].items()}
    state = recognise("tfn", Source(groups["weights"])).translate(Source(groups["weights"]), model)
    ours_by_theirs = {theirs[id(x)]: name for name, x in state.items()}
    for key, golden in groups["grads"].items():
        kind, _, name = key.partition("/")
        mine = inputs[name] if kind == "inputs" else model.get_parameter(ours_by_theirs[name])
        assert parity.close(mine.grad, golden, case["tolerance"]["grads"]), key


def test_another_file_is_refused_by_name(tmp_path):
    _, groups = parity.case("tfn", "classes")
    weights = {name: x for name, x in groups["weights"].items() if name != "text_subnet.linear_1.bias"}
    with pytest.raises(WeightsError, match=r"the file has no text_subnet\.linear_1\.bias"):
        imported("classes", weights, tmp_path)


def test_the_product_holds_every_part_by_hand():
    a, v, t = torch.tensor([[2.0]]), torch.tensor([[3.0, 5.0]]), torch.tensor([[7.0]])
    one_two_three = [1, 7, 3, 21, 5, 35, 2, 14, 6, 42, 10, 70]  # text runs fastest, then video, then audio
    assert tensor([a, v, t]).tolist() == [one_two_three]
    assert tensor([a, t]).tolist() == [[1, 7, 2, 14]]


@pytest.mark.parametrize("present", [("audio", "video"), ("audio", "text"), ("video", "text"), tuple(FEATURES)])
def test_the_network_by_hand(present):
    model, (inputs, masks) = build(present).eval(), batch(modalities=present)
    w = {name: x.double() for name, x in model.state_dict().items()}

    def dense(x, at):
        return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]

    expected = []
    for clip, length in enumerate((6, 4)):
        product = torch.ones(1, dtype=torch.float64)
        for m in present:
            x = inputs[m][clip, :length].double()
            if m == "text":
                h = c = torch.zeros(6, dtype=torch.float64)
                for step in x:
                    gates = w["embed.text.lstm.weight_ih_l0"] @ step + w["embed.text.lstm.bias_ih_l0"]
                    gates = gates + w["embed.text.lstm.weight_hh_l0"] @ h + w["embed.text.lstm.bias_hh_l0"]
                    i, f, g, o = gates.chunk(4)
                    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * c.tanh()
                z = dense(h, "embed.text.embed")
            else:
                z = x.mean(0) / (1 + 1e-5) ** 0.5  # a fresh normalisation: mean 0, variance 1
                for layer in (2, 4, 6):
                    z = dense(z, f"embed.{m}.{layer}").relu()
            product = torch.outer(product, torch.cat([torch.ones(1, dtype=torch.float64), z])).flatten()
        y = product
        for layer in (1, 3):
            y = dense(y, f"head.{layer}").relu()
        expected.append(dense(y, "head.5"))
    torch.testing.assert_close(model(inputs, masks), torch.stack(expected).float(), atol=1e-6, rtol=1e-5)


def test_a_step_is_scored_as_a_clip_of_its_own():
    model, (inputs, masks) = build(per_step=True).eval(), batch()
    clips = build().eval()
    real = masks["audio"]
    alone = {m: x[real].unsqueeze(1) for m, x in inputs.items()}
    expected = clips(alone, dict.fromkeys(alone, torch.ones(10, 1, dtype=torch.bool)))
    scores = model(inputs, masks)
    torch.testing.assert_close(scores[real], expected)
    assert not scores[~real].any()


@pytest.mark.parametrize("per_step", [False, True])
def test_normalisation_sees_real_steps_alone(per_step):
    model, (inputs, masks) = build(per_step=per_step).train(), batch((6, 4, 5))
    norm = model.embed["audio"][0]
    padded = {
        m: torch.nn.functional.pad(x.masked_fill(~masks[m].unsqueeze(-1), 1e3), (0, 0, 0, 2), value=9.0)
        for m, x in inputs.items()
    }
    longer = {m: torch.nn.functional.pad(mask, (0, 2)) for m, mask in masks.items()}
    model(padded, longer)
    x, mask = inputs["audio"], masks["audio"]
    seen = x[mask] if per_step else torch.stack([clip[real].mean(0) for clip, real in zip(x, mask, strict=True)])
    torch.testing.assert_close(norm.running_mean, 0.1 * seen.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * seen.var(0))


def test_one_row_is_held_against_the_running_statistics():
    norm, x = Norm(3).train(), torch.randn(1, 3)
    with torch.no_grad():
        norm.running_mean += 2.0
        norm.running_var *= 4.0
    kept = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    torch.testing.assert_close(norm(x), (x - 2) / (4 + 1e-5) ** 0.5)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in norm.state_dict().items())


@pytest.mark.parametrize("per_step", [False, True])
def test_a_batch_with_one_row_can_be_learned_from(per_step):
    model, (inputs, masks) = build(per_step=per_step).train(), batch((1,))
    model(inputs, masks).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("per_step", "at_rest"), [(False, []), (True, ["embed.text.lstm.weight_hh_l0"])])
def test_what_learns(per_step, at_rest):
    model, (inputs, masks) = build(per_step=per_step, widths={"audio": 9, "video": 9, "text": 9}), batch()
    model(inputs, masks).square().sum().backward()
    assert [name for name, p in model.named_parameters() if not p.grad.any()] == at_rest


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"widths": {"audio": 2, "video": 3}}, "a width for each of audio, video, text"),
        ({"widths": SMALL["widths"] | {"smell": 3}}, "widths is .*'smell': 3"),
        ({"widths": SMALL["widths"] | {"text": 0}}, "wanted 1 or more"),
        ({"text_lstm": 0}, "text_lstm 0"),
        ({"fusion": 0}, "fusion 0"),
    ],
)
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(ValueError, match=said):
        build(**changed)
