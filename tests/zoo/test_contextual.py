"""Contextual fusion, and what its relatives share with it: parity with the authors' code, recurrences, sizes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from zoo import spec
from zoo.recurrence import Products, gru, hard_sigmoid
from zoo.weights import WeightsError, import_weights

FAMILY = {"contextual_fusion": "none", "mu_sa": "mu_sa", "mmuu_sa": "mmuu_sa", "mmmu_ba": "mmmu_ba"}
PAIR = {"audio": 4, "video": 5}


def settings(name: str, **changed) -> dict:
    """Those of a preset in small, without dropout."""
    small = {"width": 5, "dense": 6, "input_dropout": 0.0, "recurrent_dropout": 0.0, "dropout": 0.0}
    return spec.load(name).settings | small | changed


def imported(name: str, weights: dict, folder: Path, **changed):
    """The model as a user gets it: a spec and a file of the authors' tensors."""
    save_file(weights, folder / "keras.safetensors")
    method = spec.MethodSpec(name="parity", method=name, settings=settings(name, **changed))
    return import_weights(method, folder / "keras.safetensors", per_step=True)


@pytest.mark.parametrize("name", FAMILY)
def test_parity_with_the_authors_code(name, tmp_path):
    case, groups = parity.case("mmmu_ba", FAMILY[name])
    config = case["config"]
    padding = {"attend_padding": True} if "attend_padding" in spec.load(name).settings else {}
    changed = {"width": config["gru"], "dense": config["dense"], **padding}
    model = imported(name, groups["weights"], tmp_path, **changed).model.eval()
    assert sum(p.numel() for p in model.parameters()) == case["parameters"]
    mask = torch.arange(config["utterances"]) < torch.tensor(config["lengths"])[:, None]
    ours = {}
    model.contexts.register_forward_hook(lambda _, __, y: ours.update({f"dense_{m}": x for m, x in y.items()}))
    model.head.register_forward_pre_hook(lambda _, args: ours.update(merged=args[0]))
    ours["prediction"] = model(groups["inputs"], dict.fromkeys(groups["inputs"], mask)).softmax(-1)
    assert set(ours) == set(groups["outputs"])
    for output, golden in groups["outputs"].items():
        # Keras 3, in which the reference was run, leaves a masked factor out of a product: on padded utterances the
        # attended part has no gate there. Nothing is read from those rows; before the attention they are compared.
        gated = output in ("merged", "prediction") and "attend_padding" in padding
        rows = mask if gated else torch.ones_like(mask)
        assert parity.close(ours[output][rows], golden[rows], case["tolerance"]["outputs"]), output
    head = model.head(groups["outputs"]["merged"]).softmax(-1)
    assert parity.close(head, groups["outputs"]["prediction"], case["tolerance"]["outputs"])


def test_a_width_that_is_not_the_files_is_refused(tmp_path):
    _, groups = parity.case("mmmu_ba", "none")
    with pytest.raises(WeightsError, match=r"head\.weight is \(2, 18\) in the file, \(2, 21\) in the model"):
        imported("contextual_fusion", groups["weights"], tmp_path, dense=7)


def test_hard_sigmoid_is_kerases():
    x = torch.tensor([-3.0, -2.5, -1.0, 0.0, 2.0, 9.0])
    torch.testing.assert_close(hard_sigmoid(x), torch.tensor([0.0, 0.0, 0.3, 0.5, 0.9, 1.0]))


def written_out(projected, recurrent, real, gate, drop):
    """The equations of one unit after the other, as a reader would write them."""
    steps, units, _, batch, width = projected.shape
    states = torch.zeros(steps, units, batch, width, dtype=projected.dtype)
    for n in range(units):
        h = torch.zeros(batch, width, dtype=projected.dtype)
        for t in range(steps):
            z = gate(projected[t, n, 0] + (h * drop[n, 0]) @ recurrent[n, 0])
            r = gate(projected[t, n, 1] + (h * drop[n, 1]) @ recurrent[n, 1])
            c = torch.tanh(projected[t, n, 2] + (r * h * drop[n, 2]) @ recurrent[n, 2])
            h = torch.where(real[t, n], z * h + (1 - z) * c, h)
            states[t, n] = h * real[t, n]
    return states


@pytest.mark.parametrize("gate", [hard_sigmoid, torch.sigmoid])
def test_recurrence_and_its_gradients_equal_the_equations(gate):
    torch.manual_seed(0)
    projected = torch.randn(4, 2, 3, 3, 5, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    drop = torch.rand(2, 3, 3, 5, dtype=torch.float64).round() * 2
    real = torch.rand(4, 2, 3, 1) < 0.7
    cotangent = torch.randn(4, 2, 3, 5, dtype=torch.float64)
    ours = gru(projected, recurrent, real, gate=gate, drop=drop)
    plain = written_out(projected, recurrent, real, gate, drop)
    torch.testing.assert_close(ours, plain)
    wanted = torch.autograd.grad((plain * cotangent).sum(), (projected, recurrent))
    for ours_, wanted_ in zip(
        torch.autograd.grad((ours * cotangent).sum(), (projected, recurrent)), wanted, strict=True
    ):
        torch.testing.assert_close(ours_, wanted_)


def test_one_product_makes_the_gradient_of_all_steps():
    torch.manual_seed(0)
    projected, x = torch.randn(4, 2, 1, 3, 6), torch.randn(4, 2, 1, 3, 5, requires_grad=True)
    weight = torch.randn(2, 1, 5, 6, requires_grad=True)
    products = Products(projected.requires_grad_(), weight)
    ours = torch.stack([products(t, x[t]) for t in range(4)])
    plain = projected + x @ weight
    torch.testing.assert_close(ours, plain)
    leaves, cotangent = (projected, x, weight), torch.randn(ours.shape)
    got, wanted = (torch.autograd.grad((y * cotangent).sum(), leaves) for y in (ours, plain))
    torch.testing.assert_close(got, wanted)


def test_dropout_on_inputs_and_states_is_the_same_at_all_steps():
    torch.manual_seed(0)
    model = zoo.build(
        "contextual_fusion", features={"text": 50}, outputs=2, **settings("contextual_fusion", input_dropout=0.5)
    )
    unit = model.contexts.gru["text"]
    projected = unit.project(torch.ones(2, 3, 50))  # equal inputs at all steps
    torch.testing.assert_close(projected[0], projected[2])
    assert not torch.equal(projected[:, :, :, 0], projected[:, :, :, 1])  # but not for two videos


@pytest.mark.parametrize("name", FAMILY)
def test_parameter_counts_of_the_card(name):
    for size in zoo.method(name).sizes:
        with torch.device("meta"):
            model = zoo.build(name, features=size.features, outputs=size.outputs, **spec.load(size.preset).settings)
        assert sum(p.numel() for p in model.parameters()) == size.parameters


@pytest.mark.parametrize("name", FAMILY)
def test_unequal_steps_are_refused(name):
    model = zoo.build(name, features=PAIR, outputs=2, **settings(name))
    inputs = {"audio": torch.zeros(2, 6, 4), "video": torch.zeros(2, 3, 5)}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    with pytest.raises(ValueError, match=r"equal steps: video mask \(2, 3\) differs from audio mask \(2, 6\)"):
        model(inputs, masks)


@pytest.mark.parametrize(("change", "said"), [({"activation": "gelu"}, "tanh, relu"), ({"width": 0}, "width is 0")])
def test_wrong_settings_are_named(change, said):
    with pytest.raises(ValueError, match=said):
        zoo.build("contextual_fusion", features=PAIR, outputs=2, **settings("contextual_fusion", **change))


def test_clip_level_scores_are_the_mean_of_the_utterances():
    torch.manual_seed(0)
    models = [
        zoo.build("contextual_fusion", features=PAIR, outputs=2, per_step=p, **settings("contextual_fusion")).eval()
        for p in (False, True)
    ]
    models[1].load_state_dict(models[0].state_dict())
    inputs = {m: torch.randn(1, 6, d) for m, d in PAIR.items()}
    masks = dict.fromkeys(PAIR, torch.arange(6)[None] < 4)
    clip, every = (model(inputs, masks) for model in models)
    torch.testing.assert_close(clip, every[:, :4].mean(1))
