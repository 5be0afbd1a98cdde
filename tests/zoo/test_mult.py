"""MulT: parity with the authors' code, its published size, and the rules that are its own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from zoo import layers, spec
from zoo.mult import embed, visible
from zoo.weights import Imported, WeightsError, import_weights
from zoo.weights.mult import key_map

LETTERS = {"l": "text", "a": "audio", "v": "video"}
INPUTS = {"text": "text", "audio": "audio", "vision": "video"}
VARIANTS = ("aligned_d30", "unaligned", "no_mask", "left_padded", "text_only_target", "bypass")
NO_DROPOUT = dict.fromkeys(
    ("embed_dropout", "attention_dropout", "relu_dropout", "residual_dropout", "output_dropout"), 0.0
)


def imported(case: dict, weights: dict[str, torch.Tensor], folder: Path) -> Imported:
    """The model as a user gets it: a spec and a file of the authors' tensors."""
    config = case["config"]
    targets = [m for letter, m in LETTERS.items() if config[f"{letter}only"]]
    settings = {
        "targets": "all" if len(targets) == 3 else targets,
        "width": config["d"],
        "heads": config["num_heads"],
        "layers": config["layers"],
        "kernels": dict.fromkeys(LETTERS.values(), 1),
        "causal_mask": config["attn_mask"],
    }
    save_file(weights, folder / "mult.safetensors")
    method = spec.MethodSpec(name="mult-parity", method="mult", settings=settings | NO_DROPOUT)
    return import_weights(method, folder / "mult.safetensors")


@pytest.mark.parametrize("variant", VARIANTS)
def test_parity_with_the_authors_code(variant, tmp_path):
    case, groups = parity.case("mult", variant)
    model = imported(case, groups["weights"], tmp_path).model.eval()
    inputs = {INPUTS[k]: v.requires_grad_() for k, v in groups["inputs"].items()}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    hidden = []
    model.residual1.register_forward_pre_hook(lambda module, args: hidden.append(args[0]))
    ours = {"prediction": model(inputs, masks), "last_hidden": hidden[0]}
    for name, golden in groups["outputs"].items():
        if not name.startswith("aux_"):
            assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    parameters = dict(model.named_parameters())
    names = {theirs: name for name, theirs in key_map(model).items()}
    checked = 0
    for name, golden in groups["grads"].items():
        kind, _, name = name.partition("/")
        gradient = inputs[INPUTS[name]].grad if kind == "inputs" else parameters[names[name]].grad
        assert parity.close(gradient, golden, case["tolerance"]["grads"]), name
        checked += 1
    assert checked >= 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_right_padding_leaves_the_authors_outputs(variant, tmp_path):
    """Garbage behind the real steps must not move a number of the reference."""
    case, groups = parity.case("mult", variant)
    model = imported(case, groups["weights"], tmp_path).model.eval()
    inputs, masks = {}, {}
    for extra, (name, x) in enumerate(groups["inputs"].items(), start=1):
        inputs[INPUTS[name]] = torch.cat([x, torch.full((len(x), extra, x.shape[2]), 7.0)], dim=1)
        masks[INPUTS[name]] = (torch.arange(x.shape[1] + extra) < x.shape[1]).expand(len(x), -1)
    assert parity.close(model(inputs, masks), groups["outputs"]["prediction"], case["tolerance"]["outputs"])


def test_what_the_import_leaves_out_is_said(tmp_path):
    case, groups = parity.case("mult", "text_only_target")
    dropped = imported(case, groups["weights"], tmp_path).provenance["dropped"]
    assert {name.split(".")[0] for name in dropped} == {"trans_a_mem", "trans_v_mem"}
    case, groups = parity.case("mult", "bypass")
    buffers = {"trans_l_mem.version": torch.ones(1), "trans_l_mem.embed_positions._float_tensor": torch.ones(1)}
    dropped = imported(case, groups["weights"] | buffers, tmp_path).provenance["dropped"]
    assert set(dropped) == {"proj_a.weight", *buffers}
    assert "identity" in dropped["proj_a.weight"]


def test_a_file_of_another_network_is_refused(tmp_path):
    """MMSA gives its own network the same tensor names; only its kernels tell it apart."""
    tensors = {f"proj_{letter}.weight": torch.ones(4, 3, size) for letter, size in (("l", 3), ("a", 1), ("v", 5))}
    save_file(tensors | {"out_layer.weight": torch.ones(1, 24)}, tmp_path / "mmsa.safetensors")
    with pytest.raises(WeightsError, match="not a checkpoint of mult.*released code"):
        import_weights(spec.load("mult-code"), tmp_path / "mmsa.safetensors")


def test_a_depth_that_is_not_the_files_is_refused(tmp_path):
    case, groups = parity.case("mult", "no_mask")
    case["config"]["layers"] = 1
    with pytest.raises(WeightsError, match=r"trans_l_with_a\.layers\.1\.fc1\.bias \(60,\) has no counterpart"):
        imported(case, groups["weights"], tmp_path)


@pytest.mark.parametrize("size", zoo.method("mult").sizes, ids=lambda s: f"{s.preset}-{s.parameters}")
def test_parameter_counts_of_the_card(size):
    with torch.device("meta"):
        model = zoo.build("mult", features=size.features, outputs=size.outputs, **spec.load(size.preset).settings)
    assert sum(p.numel() for p in model.parameters()) == size.parameters


@pytest.mark.parametrize(
    ("features", "outputs", "kernels", "count"),
    [
        ({"text": 300, "audio": 74, "video": 35}, 1, {"text": 3, "audio": 3, "video": 3}, 1_573_321),
        ({"text": 300, "audio": 74, "video": 35}, 8, {"text": 3, "audio": 5, "video": 3}, 1_580_928),
    ],
    ids=["mosei-kernel-3", "iemocap"],
)
def test_parameter_counts_of_the_papers_other_kernels(features, outputs, kernels, count):
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


def build(preset="mult-paper", features=None, outputs=2, per_step=False, **changed):
    features = features or {"audio": 4, "video": 4, "text": 5}
    return zoo.build(
        "mult", features=features, outputs=outputs, per_step=per_step, **spec.load(preset).settings | changed
    )


def test_attention_dropout_for_each_target():
    model = build("mult-code")
    rates = {name: {layer.attention.dropout for layer in e.layers} for name, e in model.crossmodal.items()}
    assert rates["text_from_audio"] == rates["text_from_video"] == {0.1}
    assert rates["audio_from_text"] == rates["video_from_audio"] == {0.0}
    assert {layer.attention.dropout for e in model.memory.values() for layer in e.layers} == {0.1}
    rates = {"text": 0.1, "audio": 0.0, "video": 0.0, "memory": 0.1}
    for wrong in ({**rates, "smell": 0.1}, {m: r for m, r in rates.items() if m != "video"}, {"text": 0.1}):
        with pytest.raises(ValueError, match=r"attention_dropout is .*each target \(text, audio, video\)"):
            build(attention_dropout=wrong)
    with pytest.raises(ValueError, match="attention_dropout {'memory': 1.5}: a rate is"):
        build(attention_dropout={**rates, "memory": 1.5})


def test_targets_choose_what_is_refined():
    assert list(build().memory) == ["text", "audio", "video"]
    model = build(targets=["video", "audio"])
    assert list(model.memory) == ["audio", "video"]
    assert list(model.crossmodal) == ["audio_from_text", "audio_from_video", "video_from_text", "video_from_audio"]
    for wrong in ("text", [], ["text", "text"], ["smell"]):
        with pytest.raises(ValueError, match="targets is .* wanted"):
            build(targets=wrong)
    with pytest.raises(ValueError, match="targets is .'text'.*some of audio, video"):
        build(features={"audio": 4, "video": 4}, targets=["text"])


def test_recorded_labels_and_shapes():
    model = build("mult-code", targets=["text"]).eval()
    inputs = {m: torch.randn(2, t, w) for m, t, w in (("audio", 6, 4), ("video", 4, 4), ("text", 3, 5))}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    with layers.record_attention() as maps:
        model(inputs, masks)
    shapes = {label: tuple(weights.shape) for label, weights in maps}
    assert len(shapes) == len(maps) == 3 * 5
    assert shapes["text<-audio/0"] == (2, 5, 3, 6) and shapes["text<-video/4"] == (2, 5, 3, 4)
    assert shapes["text memory<-text memory/0"] == (2, 5, 3, 3)
    assert shapes["text memory<-text memory/4"] == (2, 5, 1, 3)


def test_keys_and_values_are_dropped_apart_in_training():
    """Two masks on the source: with one, keys and values would vanish together."""
    torch.manual_seed(0)
    encoder = build(embed_dropout=0.5).crossmodal["text_from_audio"].train()
    drawn = []
    encoder.embed_drop.register_forward_hook(lambda module, args, output: drawn.append(output))
    source = torch.randn(2, 5, 40)
    encoder.cross(torch.randn(2, 3, 40), source, None)
    assert [x.shape[1] for x in drawn] == [3, 5, 5]
    assert not torch.equal(drawn[1] == 0, drawn[2] == 0)
    drawn.clear()
    encoder.eval().cross(torch.randn(2, 3, 40), source, None)
    assert [x.shape[1] for x in drawn] == [3, 5]
