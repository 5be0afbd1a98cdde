"""Joint cross-attention: parity with the authors' code, fixed lengths, and what the length-free variant keeps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from zoo import METHODS, spec
from zoo.joint_cross_attention import overlaps
from zoo.layers import record_attention
from zoo.weights import Source, WeightsError, import_weights, recognise

# variant -> (its format, preset, settings where the fixture's sizes are not the preset's)
SMALL = {"steps": 6, "width": 20, "hidden": 12, "regressor_hidden": 20}
VARIANTS = {
    "tbiom_cam": ("T-BIOM cam.py", "jca-tbiom-code", {}),
    "cvprw_cam_regressor256": ("CVPRW cam.py", "jca-cvprw", {}),
    "cvprw_cam_small": ("CVPRW cam.py", "jca-cvprw", SMALL),
    "jcam_512": ("T-BIOM Jcam_512.py", "jcam-512", {}),
}


def grads(groups: dict, kind: str):
    """(name, gradient) of the inputs, or of the weights."""
    return [(key.removeprefix(f"{kind}/"), g) for key, g in groups["grads"].items() if key.startswith(f"{kind}/")]


def imported(variant: str, weights: dict[str, torch.Tensor], folder: Path):
    _, preset, sizes = VARIANTS[variant]
    path = folder / "released.safetensors"
    save_file(weights, path)
    said = spec.load(preset)
    return import_weights(said.model_copy(update={"settings": {**said.settings, **sizes}}), path, per_step=True)


def build(preset: str, features=None, outputs=1, per_step=False, **settings):
    said = spec.load(preset)
    features = features or {"audio": 12, "video": 9}
    return zoo.build(
        said.method, features=features, outputs=outputs, per_step=per_step, **{**said.settings, **settings}
    ).eval()


def full(steps: int, clips: int = 2):
    inputs = {"audio": torch.randn(clips, steps, 12), "video": torch.randn(clips, steps, 9)}
    return inputs, {m: torch.ones(clips, steps, dtype=torch.bool) for m in inputs}


@pytest.mark.parametrize("variant", VARIANTS)
def test_parity_with_the_authors_code(variant, tmp_path):
    case, groups = parity.case("jca", variant)
    got = imported(variant, groups["weights"], tmp_path)
    model = got.model.eval()
    assert got.provenance["format"] == VARIANTS[variant][0]
    assert sorted(got.provenance["dropped"]) == sorted(case["weights_without_gradient"])
    inputs = {m: x.requires_grad_() for m, x in groups["inputs"].items()}
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    read = []
    hook = model.regressors[0].register_forward_pre_hook(lambda _, args: read.append(args[0]))
    scores = model(inputs, masks)
    hook.remove()
    names = ("prediction",) if scores.shape[-1] == 1 else ("valence", "arousal")
    ours = {"regressor_input": read[0], **dict(zip(names, scores.split(1, dim=-1), strict=True))}
    assert ours.keys() == groups["outputs"].keys()
    for name, golden in groups["outputs"].items():
        assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[name] * weight).sum() for name, weight in groups["cotangents"].items()).backward()
    for m, golden in grads(groups, "inputs"):
        assert parity.close(inputs[m].grad, golden, case["tolerance"]["grads"]), m
    # No layout is turned, so the tensors that the key map hands on tell which of ours is which of theirs.
    source = Source(groups["weights"])
    state = recognise("joint_cross_attention", source).translate(source, model)
    theirs = {id(tensor): name for name, tensor in groups["weights"].items()}
    ours_by_theirs = {theirs[id(tensor)]: model.get_parameter(name) for name, tensor in state.items()}
    for name, golden in grads(groups, "weights"):
        assert parity.close(ours_by_theirs[name].grad, golden, case["tolerance"]["grads"]), name


def released(steps: int, features: int, width: int, hidden: int) -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of the CVPRW module, regressor as wide as its streams."""
    shapes = {f"encoder{i}.weight": (width, features) for i in (1, 2)} | {f"encoder{i}.bias": (width,) for i in (1, 2)}
    for letter in "av":
        shapes |= {f"affine_{letter}.weight": (steps, steps), f"W_{letter}.weight": (hidden, steps)}
        shapes |= {f"W_c{letter}.weight": (hidden, 2 * width), f"W_h{letter}.weight": (steps, hidden)}
    shapes |= {"regressor.0.weight": (width, 2 * width), "regressor.0.bias": (width,)}
    shapes |= {"regressor.2.weight": (1, width), "regressor.2.bias": (1,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_import_of_a_checkpoint_as_the_authors_save_it(tmp_path):
    weights = released(steps=5, features=7, width=4, hidden=3)
    path = tmp_path / "checkpoint.pt"
    torch.save({"net": weights, "best_Val_acc_epoch": 3}, path)
    said = spec.load("jca-cvprw")
    fits = {**said.settings, "steps": 5, "width": 4, "hidden": 3, "regressor_hidden": 4}
    model = import_weights(said.model_copy(update={"settings": fits}), path).model
    assert torch.equal(model.attend["audio"].correlation.weight, weights["W_ca.weight"])
    assert torch.equal(model.attend["video"].back.weight, weights["W_hv.weight"])
    with pytest.raises(WeightsError, match=r"attend.audio.joint.weight is \(5, 5\) in the file, \(6, 6\) in the model"):
        import_weights(said.model_copy(update={"settings": {**fits, "steps": 6}}), path)
    torch.save({"net": {**weights, "more.weight": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match="net.more.weight"):
        import_weights(said.model_copy(update={"settings": fits}), path)


@pytest.mark.parametrize("size", METHODS["joint_cross_attention"].sizes, ids=lambda size: size.preset)
def test_size(size):
    said = spec.load(size.preset)
    with torch.device("meta"):
        model = zoo.build(said.method, features=size.features, outputs=size.outputs, **said.settings)
    assert sum(p.numel() for p in model.parameters()) == size.parameters


def test_length_is_refused_with_the_remedy():
    model = build("jca-cvprw")
    for steps in (7, 9):
        with pytest.raises(ValueError, match=rf"audio: mask \(2, {steps}\).*exactly 8 steps.*Pool or cut.*length_free"):
            model(*full(steps))
    inputs, masks = full(8)
    masks["video"] = torch.arange(8) < torch.tensor([[8], [5]])
    with pytest.raises(ValueError, match=r"video: mask \(2, 8\) with 5 to 8 real steps"):
        model(inputs, masks)


@pytest.mark.parametrize("read", [["audio", "video"], ["attended text"], ["attended audio", "attended audio"], []])
def test_regressor_input_is_checked(read):
    with pytest.raises(ValueError, match="regressor_input .*wanted each at most once of audio, video, attended audio"):
        build("jca-cvprw", regressor_input=read)


@pytest.mark.parametrize("preset", ["jca-cvprw", "jca-tbiom-code", "jcam-512"])
def test_nothing_is_dead_and_clips_are_apart(preset):
    torch.manual_seed(0)
    model = build(preset, outputs=2, per_step=True)
    inputs, masks = full(model.steps, clips=3)
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    scores = model(inputs, masks)
    scores[1].square().sum().backward()
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]
    for x in inputs.values():
        assert x.grad[1].any() and not x.grad[[0, 2]].any()
    whole = build(preset, outputs=2)
    whole.load_state_dict(model.state_dict())
    torch.testing.assert_close(whole(inputs, masks), scores.mean(1), atol=1e-5, rtol=1e-4)


def test_maps_are_feature_by_feature():
    for preset, expected in (("jca-cvprw", ["audio", "video"]), ("jca-tbiom-code", ["video"])):
        model = build(preset, width=5)
        with record_attention() as maps:
            model(*full(model.steps))
        assert [label for label, _ in maps] == [f"{m}<-audio+video/0:features" for m in expected]
        assert all(weights.shape == (2, 1, 5, 10) and weights.abs().max() <= 1 for _, weights in maps)


def test_length_free_is_the_published_attention_where_lengths_agree():
    torch.manual_seed(0)
    published, free = build("jca-cvprw", per_step=True), build("jca-length-free", per_step=True, parts=8)
    state = {name.replace("regressors.0.", "regressor."): tensor for name, tensor in published.state_dict().items()}
    free.load_state_dict(state)
    inputs, masks = full(8)
    torch.testing.assert_close(free(inputs, masks), published(inputs, masks))
    whole = build("jca-length-free", parts=8)
    whole.load_state_dict(state)
    torch.testing.assert_close(whole(inputs, masks), published(inputs, masks).mean(1), atol=1e-6, rtol=1e-4)


def test_length_free_whole_clip_is_the_mean_step():
    torch.manual_seed(0)
    step, whole = build("jca-length-free", per_step=True), build("jca-length-free")
    whole.load_state_dict(step.state_dict())
    inputs, _ = full(11)
    masks = dict.fromkeys(inputs, torch.arange(11) < torch.tensor([[11], [3]]))
    scores = step(inputs, masks)
    means = torch.stack([scores[0].mean(0), scores[1, :3].mean(0)])
    torch.testing.assert_close(whole(inputs, masks), means, atol=1e-6, rtol=1e-4)


def test_length_free_does_not_see_how_finely_a_clip_is_cut():
    """Repeating every step leaves each part's mean, hence the scores: length as such carries nothing."""
    torch.manual_seed(0)
    model = build("jca-length-free", per_step=False)
    inputs, masks = full(10)
    finer = {m: x.repeat_interleave(3 if m == "audio" else 2, dim=1) for m, x in inputs.items()}
    finer_masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in finer.items()}
    torch.testing.assert_close(model(finer, finer_masks), model(inputs, masks), atol=1e-6, rtol=1e-4)


def test_overlaps_by_hand():
    """Three steps and two parts: the middle step is half in each. One real step is all of every part."""
    gather, spread = overlaps(torch.tensor([[True, True, True], [True, False, False]]), 2)
    third, half = 1 / 3, 1 / 2
    torch.testing.assert_close(gather[0], torch.tensor([[2 * third, third, 0.0], [0.0, third, 2 * third]]))
    torch.testing.assert_close(spread[0], torch.tensor([[1.0, 0.0], [half, half], [0.0, 1.0]]))
    assert gather[1].tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert spread[1].tolist() == [[half, half], [0.0, 0.0], [0.0, 0.0]]
    same = overlaps(torch.ones(1, 7, dtype=torch.bool), 7)
    assert all(torch.equal(share[0], torch.eye(7)) for share in same)
