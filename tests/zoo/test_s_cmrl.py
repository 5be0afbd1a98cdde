"""S-CMRL: parity with the authors' code through the importer, neurons and losses by hand, pictures, what it refuses."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import zoo
from runners.criteria import cross_entropy
from tests import parity
from zoo.layers import record_attention
from zoo.s_cmrl import SCMRL, alignment
from zoo.spec import MethodSpec, SpecError, load
from zoo.spiking import PatchSplitting, SpikingAttention, fire
from zoo.weights import WeightsError, import_weights

VARIANTS = ("spatial_temporal_contrastive", "spatial_temporal", "spatial", "temporal", "no_cross")
FUSIONS = {"SpatialTemporal": "spatial_temporal", "Spatial": "spatial", "Temporal": "temporal"}
FEATURES = {"audio": 7, "video": (6, 8, 3)}
SMALL = {
    "patches": {m: {"side": 16, "size": 4} for m in FEATURES},
    "frames": 2,
    "timesteps": 4,
    "width": 16,
    "fusion": "spatial_temporal",
    "heads": 2,
    "residual": 1.5,
    "temperature": 0.07,
    "hidden": 24,
    "joined": "add",
}
PLAIN = {"temperature": None}


def settings_of(config: dict) -> dict:
    """The settings that a fixture's configuration means."""
    cut = {"side": config["img_size_h"], "size": 4 if config["shallow_sps"] else 16}
    return {
        "patches": dict.fromkeys(FEATURES, cut),
        "frames": 1,
        "timesteps": config["step"],
        "width": config["embed_dims"],
        "fusion": FUSIONS[config["attn_method"]] if config["cross_attn"] else "none",
        "heads": config["num_heads"],
        "residual": config["alpha"],
        "temperature": 0.07 if config["contrastive"] and config["cross_attn"] else None,
        "hidden": config["mlp_ratios"] * config["embed_dims"],
        "joined": config["interaction"].lower(),
    }


def imported(settings: dict, weights: dict[str, torch.Tensor], tmp_path):
    path = tmp_path / "authors.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return import_weights(MethodSpec(name="fixture", method="s_cmrl", settings=settings), path, features=FEATURES)


def our_name(theirs: str, fusion: str) -> str:
    """Of a tensor whose gradient a fixture holds, written from the facts and not from the key map."""
    alone = {"spatial": "tokens", "temporal": "timesteps"}.get(fusion)
    return {
        "audio_patch_embed.proj_conv.weight": "split.audio.stages.0.layer.weight",
        "block.0.attn.spatial_attn.v_conv.weight": "exchange.audio.attend.tokens.value.layer.weight",
        "block.0.attn.v_conv.weight": f"exchange.audio.attend.{alone}.value.layer.weight",
        "block.0.trans_linear.weight": "exchange.audio.align.weight",
        "mlp.0.mlp.fc1_conv.weight": "perceptron.audio.widen.layer.weight",
        "head.weight": "head.weight",
    }[theirs]


@pytest.mark.parametrize("variant", VARIANTS)
def test_parity_with_the_authors_code(variant, tmp_path):
    case, groups = parity.case("s_cmrl", variant)
    settings = settings_of(case["config"])
    done = imported(settings, groups["weights"], tmp_path)
    model = done.model.eval()
    pictures = {m: x.transpose(0, 1).requires_grad_() for m, x in groups["inputs"].items()}  # (T, B, C, H, W)
    tokens = model.tokens(pictures)
    fused = model.fuse(tokens)
    ours = {"logits": fused.scores} | {f"branch_{m}": x for m, x in fused.branches.items()}
    ours |= {f"tokens_{m}": x for m, x in tokens.items()}
    assert set(ours) == set(groups["outputs"])
    for name, golden in groups["outputs"].items():
        assert parity.close(ours[name], golden, case["tolerance"]["outputs"]), name
    sum((ours[name] * c).sum() for name, c in groups["cotangents"].items()).backward()
    parameters = dict(model.named_parameters())
    for name, golden in groups["grads"].items():
        kind, _, name = name.partition("/")
        if kind == "inputs":
            mine = pictures[name].grad.transpose(0, 1)
        else:
            mine = parameters[our_name(name, settings["fusion"])].grad
        assert parity.close(mine, golden, case["tolerance"]["grads"]), name
    dropped = done.provenance["dropped"]
    idle = [n for n, why in dropped.items() if why == "no output depends on it"]
    assert set(idle) <= set(case["weights_without_gradient"]) | {n for n in idle if ".running_" in n or ".num_" in n}
    unused = sum(w.numel() for n, w in groups["weights"].items() if n in case["weights_without_gradient"])
    assert sum(p.numel() for p in model.parameters()) == case["parameters"] - unused


def test_every_variant_is_tested():
    case = json.loads((parity.parity_root() / "s_cmrl" / "case.json").read_text(encoding="utf-8"))
    assert set(case["variants"]) == set(VARIANTS)


def test_a_file_of_the_training_script_is_read_and_another_threshold_refused(tmp_path):
    case, groups = parity.case("s_cmrl", "temporal")
    settings, weights = settings_of(case["config"]), groups["weights"]
    whole = {"state_dict." + name: tensor for name, tensor in weights.items()} | {"optimizer.step": torch.ones(2)}
    done, alone = imported(settings, whole, tmp_path), imported(settings, weights, tmp_path)
    assert done.provenance["dropped"]["optimizer.step"] == "of the training, not of the network"
    assert all(torch.equal(x, alone.model.state_dict()[name]) for name, x in done.model.state_dict().items())
    with pytest.raises(WeightsError, match=r"proj_lif1.threshold is 0.5; every neuron of ours has 1"):
        imported(settings, weights | {"audio_patch_embed.proj_lif1.threshold": torch.tensor(0.5)}, tmp_path)
    with pytest.raises(WeightsError, match=r"block.0.trans_linear.weight"):
        imported(settings | {"temperature": 0.07}, weights, tmp_path)


# ---- the baselines of the released code, from its equations on tensors under its names ----


def released(fusion: str) -> dict[str, torch.Tensor]:
    """A state dict of random numbers: patches of 4, width 16, perceptrons of 64."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape):
        return torch.randn(*shape, generator=generator) * 0.5

    def norm(at, width):
        made = {f"{at}.weight": random(width).abs() + 1.0, f"{at}.bias": random(width).abs()}
        made |= {f"{at}.running_mean": random(width) * 0.1, f"{at}.running_var": random(width).square() + 0.3}
        return made | {f"{at}.num_batches_tracked": torch.tensor(3)}

    def perceptron(at):
        made = {f"{at}.fc1_conv.weight": random(64, 16, 1), f"{at}.fc1_conv.bias": random(64)}
        made |= {f"{at}.fc2_conv.weight": random(16, 64, 1), f"{at}.fc2_conv.bias": random(16)}
        return made | norm(f"{at}.fc1_bn", 64) | norm(f"{at}.fc2_bn", 16)

    def linear(at, inputs, outputs):
        return {f"{at}.weight": random(outputs, inputs), f"{at}.bias": random(outputs)}

    made = {}
    for n, (name, channels) in enumerate((("audio", 1), ("visual", 3))):
        at = f"{name}_patch_embed"
        made |= {f"{at}.proj_conv.weight": random(8, channels, 3, 3)} | norm(f"{at}.proj_bn", 8)
        made |= {f"{at}.proj_conv1.weight": random(16, 8, 3, 3)} | norm(f"{at}.proj_bn1", 16)
        made |= {f"{at}.rpe_conv.weight": random(16, 16, 3, 3)} | norm(f"{at}.rpe_bn", 16)
        made |= {f"{at}.proj_lif1.threshold": torch.tensor(1.0), f"block.{n}.norm1.weight": random(16)}
        made |= perceptron(f"mlp.{n}.mlp")
        if fusion == "cmci":
            made |= linear(f"block.{n}.attn.fc1", 16, 16) | linear(f"block.{n}.attn.fc2", 16, 16)
            made |= perceptron(f"block.{n}.attn.mlp.mlp")
        else:
            made |= linear(f"block.{n}.attn.fc1", 32, 16) | linear(f"block.{n}.attn.fc2", 16, 1)
    if fusion == "cmci":
        return made | {k: v for i in range(3) for k, v in linear(f"head.{i}", 16, 6).items()}
    return made | linear("head", 16, 6)


def plain(w: dict[str, torch.Tensor], pictures: dict[str, torch.Tensor], fusion: str) -> list[torch.Tensor]:
    """Scores (B, 6) of the released network, those of its modalities after them."""

    def normalise(x, at):
        shape = (1, -1, *[1] * (x.ndim - 2))
        y = (x - w[f"{at}.running_mean"].view(shape)) / (w[f"{at}.running_var"].view(shape) + 1e-5).sqrt()
        return y * w[f"{at}.weight"].view(shape) + w[f"{at}.bias"].view(shape)

    def spikes(currents):
        v, found = 0.0, []
        for x in currents:
            u = v + (x - v) / 2
            found.append((u >= 1).to(x.dtype))
            v = u * (1 - found[-1])
        return torch.stack(found)

    def convolve(x, at, name):
        filters = w[f"{at}.{name.replace('_', '_conv')}.weight"]
        return spikes([normalise(F.conv2d(y, filters, padding=1), f"{at}.{name.replace('_', '_bn')}") for y in x])

    def split(x, at):
        for name in ("proj_", "proj_1"):
            x = torch.stack([F.max_pool2d(y, 3, 2, 1) for y in convolve(x, at, name)])
        return (x + convolve(x, at, "rpe_")).flatten(3)

    def perceptron(x, at):
        y = x
        for k in (1, 2):
            currents = [F.conv1d(z, w[f"{at}.fc{k}_conv.weight"], w[f"{at}.fc{k}_conv.bias"]) for z in y]
            y = spikes([normalise(z, f"{at}.fc{k}_bn") for z in currents])
        return x + y

    def apply(x, at):
        return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]

    audio, video = split(pictures["audio"], "audio_patch_embed"), split(pictures["video"], "visual_patch_embed")
    if fusion == "cmci":
        currents = apply(audio.transpose(2, 3), "block.0.attn.fc1") + apply(video.transpose(2, 3), "block.0.attn.fc2")
        joint = perceptron(spikes(list(currents.transpose(2, 3))), "block.0.attn.mlp.mlp")
        streams = [joint, perceptron(audio, "mlp.0.mlp"), perceptron(video, "mlp.1.mlp")]
        return [apply(x.mean(3).mean(0), f"head.{i}") for i, x in enumerate(streams)]
    after = []
    for n, (x, y) in enumerate(((audio, video), (video, audio))):
        both = torch.cat([x.mean(3), y.mean(3)], -1)
        weight = apply(apply(both, f"block.{n}.attn.fc1"), f"block.{n}.attn.fc2")
        after.append(perceptron(weight[..., None] * x, f"mlp.{n}.mlp").mean(3))
    return [apply((after[0] + after[1]).mean(0), "head")]


@pytest.mark.parametrize("fusion", ["cmci", "weight_attention"])
def test_a_baseline_of_the_released_code_becomes_the_whole_network(fusion, tmp_path):
    weights = released(fusion)
    settings = SMALL | PLAIN | {"fusion": fusion, "hidden": 64}
    done = imported(settings, weights, tmp_path)
    assert done.provenance["outputs"] == 6 and not done.provenance["initial"]
    generator = torch.Generator().manual_seed(6)
    shapes = {"audio": (4, 3, 1, 16, 16), "video": (4, 3, 3, 16, 16)}
    # In float64, where no rounding takes a neuron over its threshold.
    pictures = {m: 2 * torch.rand(shape, generator=generator, dtype=torch.float64) for m, shape in shapes.items()}
    model = done.model.double().eval()
    fused = model.fuse(model.tokens(pictures))
    told = plain({name: tensor.double() for name, tensor in weights.items()}, pictures, fusion)
    torch.testing.assert_close(fused.scores, told[0])
    assert list(fused.alone) == (["audio", "video"] if fusion == "cmci" else []) and not fused.branches
    for mine, golden in zip(fused.alone.values(), told[1:], strict=True):
        torch.testing.assert_close(mine, golden)
    assert fused.scores.std(0).min() > 0.01


# ---- neurons ----


def test_a_neuron_by_hand():
    """Half of the way to the current at each timestep; at 1 it fires, a tie too, and begins again at 0."""
    current = torch.tensor([[1.5, 2.0, 0.0], [1.5, 2.0, -1.0], [1.5, 0.5, 4.0], [1.5, 2.5, 1.0]])
    # u: .75 1.125 .75 1.125 | 1 1 .25 1.375 | 0 -.5 1.75 .5
    expected = torch.tensor([[0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 1, 0]]).float()
    assert torch.equal(fire(current), expected)
    assert torch.equal(fire(current.double()), expected.double())


def test_the_gradient_of_a_neuron_by_hand():
    """4 s (1 - s) / 2 with s = sigmoid(4 (u - 1)), of its own timestep alone."""
    current = torch.tensor([[1.5], [1.5], [1.5]], requires_grad=True)
    given = torch.tensor([[3.0], [5.0], [7.0]])
    (fire(current) * given).sum().backward()
    soft = [1 / (1 + math.exp(-4 * (u - 1))) for u in (0.75, 1.125, 0.75)]
    expected = [[g * 2 * s * (1 - s)] for g, s in zip((3.0, 5.0, 7.0), soft, strict=True)]
    torch.testing.assert_close(current.grad, torch.tensor(expected))


def test_attention_over_timesteps_keeps_the_order_of_the_released_code():
    """Heads lie before timesteps in memory and are read back as if they lay after them."""
    attention = SpikingAttention(4, 2, over="timesteps", label="audio<-video/1")
    spikes = {name: (torch.rand(2, 1, 4, 3) > 0.4).float() for name in ("query", "key", "value")}
    for name, given in spikes.items():
        setattr(attention, name, torch.nn.Module())
        getattr(attention, name).forward = lambda _, given=given: given
    attention.project = torch.nn.Identity()
    expected = torch.zeros(2, 1, 4, 3)
    for n in range(3):
        memory = []
        for h in range(2):
            q, k, v = (spikes[name][:, 0, 2 * h : 2 * h + 2, n] for name in ("query", "key", "value"))  # (T, 2)
            memory += (0.25 * q @ k.T @ v).flatten().tolist()
        expected[:, 0, :, n] = torch.tensor(memory).view(2, 4)
    x = torch.zeros(2, 1, 4, 3)
    assert torch.equal(attention(x, x), fire(expected))


def test_patches_halve_as_often_as_their_size_says():
    torch.manual_seed(0)
    tokens = PatchSplitting(3, 32, 16)(2 * torch.rand(2, 3, 3, 48, 48))
    assert tokens.shape == (2, 3, 32, 9) and set(tokens.unique().tolist()) <= {0.0, 1.0, 2.0}
    widths = [stage.layer.out_channels for stage in PatchSplitting(1, 32, 16).stages]
    assert widths == [4, 8, 16, 32]


# ---- the whole method on clips ----


def small(seed=0, **changes) -> SCMRL:
    torch.manual_seed(seed)
    return zoo.build("s_cmrl", features=FEATURES, outputs=5, **{**SMALL, **changes})


def clips(lengths=None):
    """Three clips with something to see and hear."""
    generator = torch.Generator().manual_seed(1)
    lengths = lengths or {"audio": (9, 4, 6), "video": (3, 5, 2)}
    inputs = {
        "audio": 3 * torch.randn(3, max(lengths["audio"]), 7, generator=generator),
        "video": 3 * torch.randn(3, max(lengths["video"]), 6, 8, 3, generator=generator),
    }
    masks = {m: torch.arange(max(n)) < torch.tensor(n)[:, None] for m, n in lengths.items()}
    return inputs, masks


def lively(seed=0, **changes) -> SCMRL:
    """A model whose neurons fire: new ones behind the attention or a linear layer are silent at this size."""
    model = small(seed, **changes).train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight *= 30
                module.bias += 1
            elif isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.bias += 1.2
        for _ in range(20):  # for the running statistics
            model(*clips())
    return model.eval()


@pytest.mark.parametrize(
    "changes",
    [{}, PLAIN | {"joined": "concat"}]
    + [PLAIN | {"fusion": f} for f in ("spatial", "temporal", "cmci", "weight_attention", "none")],
)
def test_shape_batch_and_padding(changes):
    model, (inputs, masks) = lively(**changes).double(), clips()
    inputs = {m: x.double() for m, x in inputs.items()}  # where no rounding takes a neuron over its threshold
    with torch.no_grad():
        scores = model(inputs, masks)
        assert scores.shape == (3, 5) and scores.isfinite().all() and scores.std(0).min() > 0
        longer = {m: F.pad(k, (0, 2), value=False) for m, k in masks.items()}
        padded = {m: torch.cat([x, x[:, :2]], 1) for m, x in inputs.items()}
        for m, k in longer.items():
            padded[m][~k] = math.nan
        torch.testing.assert_close(model(padded, longer), scores)
        for i in range(3):
            alone = {m: x[i : i + 1, : masks[m][i].sum()] for m, x in inputs.items()}
            full = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in alone.items()}
            torch.testing.assert_close(model(alone, full)[0], scores[i])
        alone["audio"] = torch.zeros_like(alone["audio"])  # a missing modality
        assert model(alone, full).isfinite().all()


@pytest.mark.parametrize(
    "changes", [{}, PLAIN, *(PLAIN | {"fusion": f} for f in ("spatial", "temporal", "cmci", "weight_attention"))]
)
def test_every_parameter_and_modality_has_a_gradient(changes):
    model, (inputs, masks) = lively(**changes).train(), clips()
    inputs = {m: x.requires_grad_() for m, x in inputs.items()}
    loss = model.training_loss(inputs, masks, torch.tensor([0, 3, 0]), cross_entropy)
    assert loss.ndim == 0 and loss.isfinite()
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    for m, x in inputs.items():
        assert x.grad[masks[m]].any() and not x.grad[~masks[m]].any(), m


def test_seed_and_saved_weights():
    one, same, other = (small(seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(x, same.state_dict()[name]) for name, x in one.state_dict().items())
    assert not torch.equal(one.head.weight, other.head.weight)
    trained = lively()
    other.load_state_dict(trained.state_dict())
    assert torch.equal(trained(*clips()), other.eval()(*clips()))


def test_what_neurons_are_shown():
    """Frames 0.. of 5: two of them, from the middle of each half, hold for two timesteps each; the sound throughout."""
    model = small(patches={m: {"side": 8, "size": 4} for m in FEATURES})
    frames = torch.arange(5.0)[None, :, None, None, None].expand(2, 5, 6, 8, 3)
    sound = torch.arange(7.0)[None, None].expand(2, 9, 7)
    masks = {"audio": torch.ones(2, 9, dtype=torch.bool), "video": torch.arange(5) < torch.tensor([[5], [3]])}
    shown = model.pictures({"audio": sound, "video": frames}, masks)
    assert shown["audio"].shape == (4, 2, 1, 8, 8) and shown["video"].shape == (4, 2, 3, 8, 8)
    assert shown["video"][:, 0, 0, 0, 0].tolist() == [1, 1, 3, 3]
    assert shown["video"][:, 1, 2, 7, 7].tolist() == [0, 0, 2, 2]
    assert torch.equal(shown["audio"][0], shown["audio"][3])
    rising = shown["audio"][0, 0, 0]  # frequency is the first axis of the picture, time the second
    assert (rising.diff(dim=0) > 0)[1:].all() and rising.diff(dim=1).abs().max() < 1e-5
    middle = small(frames=1).pictures({"audio": sound, "video": frames}, masks)["video"]
    assert middle[:, :, 0, 0, 0].tolist() == [[2, 1]] * 4


def test_many_pixels_are_averaged_when_a_picture_shrinks():
    model = small(frames=1)
    frames = torch.zeros(1, 1, 64, 64, 3)
    frames[:, :, ::2] = 2.0
    model.shapes["video"], model.features["video"] = (64, 64, 3), 64 * 64 * 3
    masks = {m: torch.ones(1, 1, dtype=torch.bool) for m in FEATURES}
    shown = model.pictures({"audio": torch.zeros(1, 1, 7), "video": frames}, masks)["video"]
    torch.testing.assert_close(shown[..., 2:-2, :], torch.ones_like(shown[..., 2:-2, :]), atol=0.1, rtol=0)


def test_the_alignment_by_hand():
    """Two pairs of one class, one of another: -mean over nine pairs of what log-softmax gives the same class."""
    audio = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    video = torch.tensor([[1.0, 1.0], [0.0, 2.0], [0.5, 0.0]])
    scores = [[1.0, 0.0, 0.5], [1.0, 2.0, 0.0], [2.0, 2.0, 0.5]]  # a_i . v_j
    total = 0.0
    for i, j in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1)):
        row = [math.exp(s / 0.5) for s in scores[i]]
        total += math.log(row[j] / sum(row))
    assert alignment(audio, video, torch.tensor([4, 1, 4]), 0.5).item() == pytest.approx(-total / 9, rel=1e-6)


def test_the_training_loss_adds_up():
    labels = torch.tensor([1, 1, 4])
    for changes in ({}, PLAIN, PLAIN | {"fusion": "cmci"}):
        model, (inputs, masks) = lively(**changes), clips()
        fused = model.fuse(model.tokens(model.pictures(inputs, masks)))
        expected = cross_entropy(fused.scores, labels) + sum(cross_entropy(s, labels) for s in fused.alone.values())
        if not changes:
            audio, video = (fused.branches[m].mean(0) for m in ("audio", "video"))
            assert audio.any() and video.any()
            expected = expected + alignment(audio, video, labels, 0.07)
        torch.testing.assert_close(model.training_loss(inputs, masks, labels, cross_entropy), expected)
    with pytest.raises(ValueError, match=r"labels are torch.float32 of shape \(3, 5\).*Set temperature to null"):
        small().training_loss(*clips(), torch.zeros(3, 5), cross_entropy)


def test_maps_of_both_attentions():
    model, (inputs, masks) = lively(), clips()
    with record_attention() as maps:
        recorded = model(inputs, masks)
    assert torch.equal(recorded, model(inputs, masks))
    shapes = {label: tuple(weights.shape) for label, weights in maps}
    assert shapes == {  # 4 timesteps or 16 tokens, 2 heads each
        "audio<-video/0": (3, 8, 16, 16),
        "audio<-video/1": (3, 32, 4, 4),
        "video<-audio/0": (3, 8, 16, 16),
        "video<-audio/1": (3, 32, 4, 4),
    }
    assert all((weights % 0.25 == 0).all() and weights.any() for _, weights in maps)


def test_presets_share_the_papers_size():
    paper = load("s_cmrl-paper").settings
    for name in ("s_cmrl-cmci", "s_cmrl-weight_attention"):
        differing = {key for key, value in load(name).settings.items() if value != paper[key]}
        assert differing == {"fusion", "temperature"}
    with pytest.raises(SpecError, match="no preset that fits any data; choose one of s_cmrl-cmci, s_cmrl-paper"):
        load("s_cmrl")


@pytest.mark.parametrize(
    ("changes", "features", "message"),
    [
        ({}, {"audio": 7}, "features names 1 modalities"),
        ({}, {**FEATURES, "text": 3}, "features names 3 modalities"),
        ({}, {"audio": 7, "text": 3}, r"text: one step has shape \(3,\); wanted audio of"),
        ({}, {"audio": 7, "video": 576}, r"video: one step has shape \(576,\).*spectrogram and frames"),
        ({}, {"audio": 7, "video": (6, 8, 1)}, r"video: one step has shape \(6, 8, 1\)"),
        ({"patches": {"audio": {"side": 16, "size": 4}}}, FEATURES, "wanted side and size for each of audio, video"),
        ({"patches": dict.fromkeys(FEATURES, {"side": 16})}, FEATURES, "wanted side and size for each"),
        ({"patches": dict.fromkeys(FEATURES, {"side": 18, "size": 4})}, FEATURES, "each size must divide its side"),
        ({"patches": dict.fromkeys(FEATURES, {"side": 18, "size": 6})}, FEATURES, "patches of size 6 at width 16"),
        ({"patches": SMALL["patches"] | {"audio": {"side": 8, "size": 4}}}, FEATURES, "same number of tokens"),
        ({"width": 15}, FEATURES, "patches of size 4 at width 15"),
        ({"heads": 3}, FEATURES, r"heads \(3\) must divide width \(16\)"),
        ({"frames": 3}, FEATURES, "frames 3 in 4 timesteps"),
        ({"frames": 5}, FEATURES, "frames 5 in 4 timesteps"),
        ({"timesteps": 0}, FEATURES, "frames 2 in 0 timesteps"),
        ({"fusion": "SCA"}, FEATURES, "fusion 'SCA' with joined 'add'; wanted spatial_temporal, spatial, temporal, w"),
        ({"joined": "mean"}, FEATURES, "with joined 'mean'"),
        ({"fusion": "cmci"}, FEATURES, "temperature 0.07 with fusion 'cmci'; wanted more than 0, and null"),
        ({"temperature": 0.0}, FEATURES, "temperature 0.0"),
        ({"per_step": True}, FEATURES, "per_step output needs scores for every step"),
    ],
)
def test_wrong_settings_are_named(changes, features, message):
    with pytest.raises(ValueError, match=message):
        zoo.build("s_cmrl", features=features, outputs=2, **{**SMALL, **changes})


def test_wrong_input_is_named():
    model, (inputs, masks) = small(), clips()
    with pytest.raises(ValueError, match=r"audio: inputs of shape \(3, 9, 6\); wanted \(B, T, 7\)"):
        model({**inputs, "audio": inputs["audio"][..., 1:]}, masks)
    with pytest.raises(ValueError, match=r"video: inputs of shape \(3, 5, 6, 7, 3\); wanted \(B, T, 144\)"):
        model({**inputs, "video": inputs["video"][..., 1:, :]}, masks)
    with pytest.raises(ValueError, match="video: mask .* without a real step"):
        model(inputs, {**masks, "video": masks["video"] & torch.tensor([[True], [False], [True]])})
    with pytest.raises(ValueError, match="the model takes audio, video"):
        model({"audio": inputs["audio"]}, {"audio": masks["audio"]})
