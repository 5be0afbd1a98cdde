"""MulT: parity with the authors' code, its published size, and the rules that are its own."""

import json
import os
from pathlib import Path

import pytest
import torch

import zoo
from zoo import spec
from zoo.mult import MulT, embed, visible

LETTERS = {"l": "text", "a": "audio", "v": "video"}
INPUTS = {"text": "text", "audio": "audio", "vision": "video"}
# What the reference calls a part of a layer -> what we call it. Buffers are dropped.
PARTS = {
    "self_attn": "attention",
    "fc1": "feed_forward.0",
    "fc2": "feed_forward.3",
    "layer_norms.0": "norm0",
    "layer_norms.1": "norm1",
    "layer_norm": "norm",
}
HEADS = {"proj1": "residual1", "proj2": "residual2", "out_layer": "head"}
# The variant with one target alone has no counterpart: no published run of the paper uses it.
VARIANTS = ("aligned_d30", "unaligned", "no_mask", "left_padded", "bypass")
NO_DROPOUT = dict.fromkeys(
    ("embed_dropout", "attention_dropout", "relu_dropout", "residual_dropout", "output_dropout"), 0.0
)


def our_name(reference: str) -> str:
    """``trans_l_with_a.layers.0.fc1.bias`` -> ``crossmodal.text_from_audio.layers.0.feed_forward.0.bias``."""
    first, rest = reference.split(".", 1)
    if first in HEADS:
        return f"{HEADS[first]}.{rest}"
    if first.startswith("proj_"):
        return f"project.{LETTERS[first[-1]]}.{rest}"
    _, target, *source = first.split("_")
    place = f"memory.{LETTERS[target]}" if source == ["mem"] else f"crossmodal.{LETTERS[target]}_from_"
    place += "" if source == ["mem"] else LETTERS[source[1]]
    if rest.startswith("layers."):
        _, number, rest = rest.split(".", 2)
        place += f".layers.{number}"
    part = next(p for p in PARTS if rest.startswith(f"{p}."))
    return f"{place}.{PARTS[part]}{rest.removeprefix(part)}"


def fixture(variant: str):
    root = os.environ.get("FUSEBOARD_PARITY_ROOT")
    if not root:
        pytest.skip("FUSEBOARD_PARITY_ROOT is not set: no outputs of the authors' code to compare with")
    from safetensors.torch import load_file

    case = json.loads((Path(root) / "mult" / "case.json").read_text(encoding="utf-8"))["variants"][variant]
    tensors = load_file(Path(root) / "mult" / case["file"])
    groups = {}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    return case, groups


def imported(config: dict, weights: dict[str, torch.Tensor]) -> MulT:
    widths = {m: config[f"orig_d_{letter}"] for letter, m in LETTERS.items()}
    model = MulT(
        widths,
        config["output_dim"],
        width=config["d"],
        heads=config["num_heads"],
        layers=config["layers"],
        kernels=dict.fromkeys(widths, 1),
        causal_mask=config["attn_mask"],
        **NO_DROPOUT,
    )
    state = {our_name(k): v for k, v in weights.items()}
    for m, d in widths.items():
        if d == config["d"]:  # the reference skips this projection; the identity does the same
            state[f"project.{m}.weight"] = torch.eye(d).unsqueeze(-1)
    model.load_state_dict(state)
    return model.eval()


def close(ours: torch.Tensor, golden: torch.Tensor, tolerance: float) -> bool:
    assert ours.shape == golden.shape
    return (ours - golden).abs().max().item() <= tolerance * max(0.01, golden.abs().max().item())


@pytest.mark.parametrize("variant", VARIANTS)
def test_parity_with_the_authors_code(variant):
    case, groups = fixture(variant)
    model = imported(case["config"], groups["weights"])
    inputs = {INPUTS[k]: v.requires_grad_() for k, v in groups["inputs"].items()}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    hidden = []
    model.residual1.register_forward_pre_hook(lambda module, args: hidden.append(args[0]))
    ours = {"prediction": model(inputs, masks), "last_hidden": hidden[0]}
    for name, golden in groups["outputs"].items():
        if not name.startswith("aux_"):
            assert close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    parameters = dict(model.named_parameters())
    checked = 0
    for name, golden in groups["grads"].items():
        kind, _, name = name.partition("/")
        gradient = inputs[INPUTS[name]].grad if kind == "inputs" else parameters[our_name(name)].grad
        assert close(gradient, golden, case["tolerance"]["grads"]), name
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_right_padding_leaves_the_authors_outputs(variant):
    """Garbage behind the real steps must not move a number of the reference."""
    case, groups = fixture(variant)
    model = imported(case["config"], groups["weights"])
    inputs, masks = {}, {}
    for extra, (name, x) in enumerate(groups["inputs"].items(), start=1):
        inputs[INPUTS[name]] = torch.cat([x, torch.full((len(x), extra, x.shape[2]), 7.0)], dim=1)
        masks[INPUTS[name]] = (torch.arange(x.shape[1] + extra) < x.shape[1]).expand(len(x), -1)
    assert close(model(inputs, masks), groups["outputs"]["prediction"], case["tolerance"]["outputs"])


@pytest.mark.parametrize(
    ("features", "outputs", "kernels", "count"),
    [
        ({"text": 300, "audio": 74, "video": 35}, 1, {"text": 1, "audio": 3, "video": 3}, 1_549_321),
        ({"text": 300, "audio": 74, "video": 35}, 1, {"text": 3, "audio": 3, "video": 3}, 1_573_321),
        ({"text": 300, "audio": 5, "video": 20}, 1, {"text": 1, "audio": 3, "video": 3}, 1_539_241),
    ],
    ids=["mosei", "mosei-kernel-3", "mosi"],
)
def test_parameter_count_of_the_paper(features, outputs, kernels, count):
    settings = {**spec.load("mult-paper").settings, "kernels": kernels}
    model = zoo.build("mult", features=features, outputs=outputs, **settings)
    assert sum(p.numel() for p in model.parameters()) == count


def test_mask_offset_follows_real_lengths():
    query, key = torch.ones(2, 3, dtype=torch.bool), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=torch.bool)
    first, second = visible(query, key, True).int().tolist()
    assert first == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]  # lengths 3 and 4: j <= i + 1
    assert second == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]  # lengths 3 and 3: j <= i
    assert torch.equal(visible(query, key, False), key.unsqueeze(1))


def test_a_step_whose_first_channel_is_zero_has_no_position():
    x = torch.ones(1, 3, 4)
    x[0, 1, 0] = 0.0
    y = embed(x)
    assert torch.equal(y[0, 1], 2 * x[0, 1])
    whole = embed(torch.ones(1, 3, 4))
    assert torch.equal(y[0, [0, 2]], whole[0, [0, 2]])  # the steps after it keep their number


def test_depth_of_memory_and_shared_norm():
    settings = {**spec.load("mult-paper").settings, "layers": 1}
    model = zoo.build("mult", features={"audio": 4, "video": 4}, outputs=2, **settings)
    assert [len(e.layers) for e in model.memory.values()] == [3, 3]
    assert [len(e.layers) for e in model.crossmodal.values()] == [1, 1]
    assert model.head.in_features == 80


def test_per_step_agrees_with_the_last_step():
    """The shortcut for the last step and the full last layer are one computation."""
    settings = spec.load("mult-paper").settings
    torch.manual_seed(0)
    models = [
        zoo.build("mult", features={"audio": 4, "text": 5}, outputs=3, per_step=p, **settings).eval()
        for p in (False, True)
    ]
    models[1].load_state_dict(models[0].state_dict())
    inputs = {"audio": torch.randn(2, 6, 4), "text": torch.randn(2, 6, 5)}
    masks = dict.fromkeys(inputs, torch.arange(6) < torch.tensor([[6], [4]]))
    last, every = (model(inputs, masks) for model in models)
    torch.testing.assert_close(last, every[torch.arange(2), torch.tensor([5, 3])], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernels", [{"audio": 3}, {"audio": 2, "video": 3}, {"audio": 0, "video": 3}])
def test_kernels_must_be_odd_and_complete(kernels):
    settings = {**spec.load("mult-paper").settings, "kernels": kernels}
    with pytest.raises(ValueError, match=r"kernels\['(audio|video)'\] is .* odd"):
        zoo.build("mult", features={"audio": 4, "video": 4}, outputs=2, **settings)
