"""RJCMA: parity of its co-attention with the authors' code, its temporal networks, its sizes, and what it refuses."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import zoo
from tests import parity
from zoo import spec
from zoo.rjcma import CausalConvolution, StepNorm, TemporalConvolution
from zoo.spec import MethodSpec
from zoo.weights import import_weights

ORDER = ("video", "audio", "text")
SMALL = {"channels": {"video": [8, 6], "audio": [4, 4], "text": [6, 5]}, "convolution": 3, "temporal_dropout": 0.1}
SMALL |= {"layers": 2, "steps": 18, "kernel": None, "dropout": 0.6, "head_width": 7, "bounded": True}
FEATURES = {"audio": 5, "video": 8, "text": 9}


def seeded(recipe: dict, seed: int, *, scaled: bool) -> dict[str, torch.Tensor]:
    """Tensors that a fixture describes by seed, with its checksums tested."""
    rng = np.random.Generator(np.random.PCG64(seed))
    made = {}
    for name in sorted(recipe):
        shape = recipe[name]["shape"]
        x = rng.standard_normal(shape, dtype=np.float32)
        if scaled:
            x = x / np.float32(np.sqrt(shape[-1])) if len(shape) > 1 else x * np.float32(0.1)
        assert np.isclose(x.astype(np.float64).sum(), recipe[name]["sum"], rtol=1e-9, atol=1e-6), name
        assert np.isclose((x.astype(np.float64) ** 2).sum(), recipe[name]["sum_of_squares"], rtol=1e-9), name
        made[name] = torch.from_numpy(x)
    return made


def imported(tmp_path, settings: dict, weights: dict[str, torch.Tensor], **given):
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    return import_weights(MethodSpec(name="reference", method="rjcma", settings=settings), path, **given)


def test_parity_of_the_coattention_layers(tmp_path):
    case, groups = parity.case("jca", "rjcma_dcn_small")
    settings = {**SMALL, "channels": {"video": [24], "audio": [16], "text": [12]}}
    done = imported(tmp_path, settings, groups["weights"], features=FEATURES, outputs=1)
    assert set(done.provenance["dropped"]) == set(case["weights_without_gradient"])
    model = done.model.eval()
    inputs = {m: groups["inputs"][m].requires_grad_() for m in ORDER}
    outputs = model.coattend(inputs, torch.ones(2, 18, dtype=torch.bool))
    assert set(outputs) == set(groups["outputs"])
    for m, golden in groups["outputs"].items():
        assert parity.close(outputs[m], golden, case["tolerance"]["outputs"]), m
    sum((outputs[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    ours = dict(model.named_parameters())
    names = {
        "dcn_layers.0.dense_coattn.key3_linear.weight": "coattention.0.keys.text.weight",
        "dcn_layers.1.dense_coattn.value1_linear.weight": "coattention.1.values.video.weight",
        "dcn_layers.1.linears.2.0.weight": "coattention.1.back.text.weight",
    }
    assert set(groups["grads"]) == {f"weights/{name}" for name in names} | {f"inputs/{m}" for m in ORDER}
    for name, gradient in groups["grads"].items():
        kind, _, name = name.partition("/")
        mine = inputs[name] if kind == "inputs" else ours[names[name]]
        assert parity.close(mine.grad, gradient, case["tolerance"]["grads"]), name


def test_parity_of_the_coattention_layers_at_the_released_size(tmp_path):
    case, groups = parity.case("jca", "rjcma_dcn_full_seeded")
    weights = seeded(case["weights_recipe"], case["config"]["weights_seed"], scaled=True)
    inputs = seeded(case["inputs_recipe"], case["config"]["inputs_seed"], scaled=False)
    settings = {**spec.load("rjcma-released").settings, "channels": {"video": [256], "audio": [128], "text": [128]}}
    done = imported(tmp_path, settings, weights, features=FEATURES, outputs=1)
    with torch.no_grad():
        outputs = done.model.eval().coattend({m: inputs[m] for m in ORDER}, torch.ones(1, 300, dtype=torch.bool))
    for m, golden in groups["outputs"].items():
        assert parity.close(outputs[m], golden, case["tolerance"]["outputs"]), m


def released(channels: dict[str, list[int]], kernel: int, steps: int, head: int) -> dict[str, torch.Tensor]:
    """A state dict of random numbers under the released code's names, frozen backbones and second names included."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator) * 0.4

    made = {"spatial.visual.backbone.weight": random(3, 3), "spatial.audio.backbone.bias": random(3)}
    for theirs, m in {"video": "video", "logmel": "audio", "bert": "text"}.items():
        widths = [FEATURES[m], *channels[m]]
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            at = f"temporal.{theirs}.network.{i}."
            for n, inputs, again in ((1, before, "net.0"), (2, after, "net.4")):
                for name, x in (
                    ("weight_g", random(after, 1, 1)),
                    ("weight_v", random(after, inputs, kernel)),
                    ("bias", random(after)),
                ):
                    made[f"{at}conv{n}.{name}"], made[f"{at}{again}.{name}"] = x, x.clone()
            if before != after:
                made |= {f"{at}downsample.weight": random(after, before, 1), f"{at}downsample.bias": random(after)}
        made |= norm(f"bn.{theirs}", widths[-1], random)
    sizes = [channels[m][-1] for m in ORDER]
    for i in range(2):
        at, total = f"coattn.dcn_layers.{i}.", sum(sizes)
        made |= linear(f"{at}dense_coattn.query_linear", total, total, random)
        for n, d in enumerate(sizes):
            made |= linear(f"{at}dense_coattn.key{n + 1}_linear", steps, steps, random)
            made |= linear(f"{at}dense_coattn.value{n + 1}_linear", d, d, random)
            made |= linear(f"{at}linears.{n}.0", total, d, random)
    made |= linear("regressor1", sum(sizes), head, random) | norm("bn1", head, random)
    return made | linear("regressor2", head, 1, random)


def linear(name, inputs, outputs, random):
    return {f"{name}.weight": random(outputs, inputs), f"{name}.bias": random(outputs)}


def norm(name, width, random):
    made = {f"{name}.{part}": random(width) for part in ("weight", "bias", "running_mean")}
    return made | {f"{name}.running_var": random(width).square() + 0.5, f"{name}.num_batches_tracked": torch.tensor(3)}


def plain(w: dict[str, torch.Tensor], inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The released network from its equations, on its own tensors: (B, 18, 1)."""

    def convolve(x, at, dilation):
        v = w[f"{at}.weight_v"]
        filters = torch.stack(
            [g * row / row.square().sum().sqrt() for g, row in zip(w[f"{at}.weight_g"], v, strict=True)]
        )
        past = torch.zeros(*x.shape[:2], (v.shape[2] - 1) * dilation)
        return F.leaky_relu(F.conv1d(torch.cat([past, x], 2), filters, w[f"{at}.bias"], dilation=dilation), 0.01)

    def normalise(x, at):  # over the last axis
        y = (x - w[f"{at}.running_mean"]) / (w[f"{at}.running_var"] + 1e-5).sqrt()
        return y * w[f"{at}.weight"] + w[f"{at}.bias"]

    def apply(x, at):
        return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]

    streams = []
    for theirs, m in {"video": "video", "logmel": "audio", "bert": "text"}.items():
        x = inputs[m].transpose(1, 2)
        for i in range(2):
            at = f"temporal.{theirs}.network.{i}"
            y = convolve(convolve(x, f"{at}.conv1", 2**i), f"{at}.conv2", 2**i)
            if f"{at}.downsample.weight" in w:
                x = F.conv1d(x, w[f"{at}.downsample.weight"], w[f"{at}.downsample.bias"])
            x = F.leaky_relu(x + y, 0.01)
        streams.append(normalise(x.transpose(1, 2), f"bn.{theirs}"))
    for i in range(2):
        at, joint, after = f"coattn.dcn_layers.{i}.", torch.cat(streams, -1), []
        for n, x in enumerate(streams):
            key = apply(x.transpose(1, 2), f"{at}dense_coattn.key{n + 1}_linear")
            scores = (key @ joint / joint.shape[-1] ** 0.5).tanh()
            seen = (apply(x, f"{at}dense_coattn.value{n + 1}_linear") @ scores).tanh().relu()
            after.append(x + apply(seen, f"{at}linears.{n}.0").relu())
        streams = after
    y = F.leaky_relu(normalise(apply(torch.cat(streams, -1), "regressor1"), "bn1"), 0.01)
    return apply(y, "regressor2").tanh()


def test_a_released_checkpoint_becomes_the_whole_network(tmp_path):
    weights = released(SMALL["channels"], SMALL["convolution"], SMALL["steps"], SMALL["head_width"])
    done = imported(tmp_path, SMALL, weights, per_step=True)
    assert done.provenance["features"] == {"video": 8, "audio": 5, "text": 9} and done.provenance["outputs"] == 1
    reasons = done.provenance["dropped"]
    assert reasons["coattn.dcn_layers.1.dense_coattn.query_linear.bias"].startswith("computed and never used")
    assert reasons["temporal.bert.network.1.net.4.weight_v"] == "the same tensor under a second name"
    assert reasons["spatial.visual.backbone.weight"].startswith("frozen backbone")
    assert not done.provenance["initial"]
    inputs = {m: torch.randn(2, 18, d) for m, d in FEATURES.items()}
    masks = {m: torch.ones(2, 18, dtype=torch.bool) for m in inputs}
    torch.testing.assert_close(done.model.eval()(inputs, masks), plain(weights, inputs), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("features", "channels", "count"),
    [
        (512, [256, 256, 128, 128, 128], 2_379_648),
        (128, [128, 128, 64, 64, 64], 481_088),
        (768, [256, 256, 128, 128], 2_608_512),
    ],
)
def test_sizes_of_the_temporal_networks(features, channels, count):
    """Counted in the authors' code: video, logmel and bert of its ``tcn_settings``."""
    with torch.device("meta"):
        network = TemporalConvolution(features, channels, 5, dropout=0.1)
    assert sum(p.numel() for p in network.parameters()) == count


def test_sizes_of_the_coattention_and_the_head():
    """Counted in the authors' code; its unused projection of the joint representation is 512 x 512 + 512."""
    with torch.device("meta"):
        model = zoo.build(
            "rjcma",
            features={"audio": 128, "video": 512, "text": 768},
            outputs=1,
            **spec.load("rjcma-released").settings,
        )

    def count(*modules):
        return sum(p.numel() for m in modules for p in m.parameters())

    assert [count(layer) + 512 * 513 for layer in model.coattention] == [895_028, 895_028]
    assert count(model.hidden, model.hidden_norm, model.head) == 132_097


def test_temporal_networks_see_no_later_step():
    torch.manual_seed(0)
    network = TemporalConvolution(3, [4, 5], 3, dropout=0.1).eval()
    x = torch.randn(1, 3, 20)
    later = x.clone()
    later[:, :, 12:] = 9.0
    changed = (network(x) != network(later)).any(1)[0]
    assert not changed[:12].any() and changed[12]
    earlier = x.clone()
    earlier[:, :, 0] = 9.0
    changed = (network(x) != network(earlier)).any(1)[0]
    assert changed[12] and not changed[13:].any()  # two convolutions of 3 taps, dilations 1 and 2: 4 + 8 steps back


def test_filters_start_as_pytorchs_and_keep_their_length():
    torch.manual_seed(0)
    convolution = CausalConvolution(3, 4, 5, 2)
    torch.manual_seed(0)
    torch.testing.assert_close(convolution.direction, torch.nn.Conv1d(3, 4, 5).weight)
    x = torch.randn(2, 3, 9)
    before = convolution(x)
    with torch.no_grad():
        convolution.direction.mul_(7)
    torch.testing.assert_close(convolution(x), before)


def test_batch_statistics_leave_padding_out():
    x, mask = torch.randn(2, 4, 3), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    x[1, 2:] = 100.0
    y = StepNorm(3)(x, mask)
    torch.testing.assert_close(y[mask].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(y[mask].var(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert not y[~mask].any()


def test_only_bounded_scores_end_with_tanh():
    inputs = {m: torch.randn(2, 18, d) for m, d in FEATURES.items()}
    masks = {m: torch.ones(2, 18, dtype=torch.bool) for m in inputs}
    models = [zoo.build("rjcma", features=FEATURES, outputs=3, **{**SMALL, "bounded": b}).eval() for b in (False, True)]
    models[1].load_state_dict(models[0].state_dict())
    free, bounded = (model(inputs, masks) for model in models)
    torch.testing.assert_close(bounded, free.tanh())
    assert not torch.allclose(bounded, free)


def test_another_length_is_refused_with_the_remedy():
    model = zoo.build("rjcma", features=FEATURES, outputs=1, **SMALL)
    inputs = {m: torch.zeros(2, 20, d) for m, d in FEATURES.items()}
    masks = {m: torch.arange(20).expand(2, -1) < 18 for m in inputs}
    with pytest.raises(ValueError, match=r"audio: .*\(2, 20, 5\) with 18 to 18 real steps.*18 x 18.*length-free"):
        model(inputs, masks)


@pytest.mark.parametrize(
    ("changed", "features", "message"),
    [
        ({}, {"audio": 5, "video": 8}, "features names 2 modalities"),
        ({"channels": {"video": [8]}}, FEATURES, "channels is .* one block or more for each of video, audio, text"),
        ({"channels": {"video": [8], "audio": [], "text": [3]}}, FEATURES, "one block or more"),
        ({"convolution": 0}, FEATURES, "convolution is 0"),
        ({"layers": 0}, FEATURES, "layers is 0"),
        ({"steps": 0}, FEATURES, "steps is 0"),
    ],
)
def test_wrong_settings_are_named(changed, features, message):
    with pytest.raises(ValueError, match=message):
        zoo.build("rjcma", features=features, outputs=2, **{**SMALL, **changed})
