"""Dense co-attention: parity with the authors' code, its band over time, its BiLSTM, and what it refuses."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo
from tests import parity
from zoo import spec
from zoo.dense_coattention import BiLSTM, CoAttention, TimeBand, TimeMatrix
from zoo.layers import record_attention
from zoo.spec import MethodSpec
from zoo.weights import import_weights

SMALL = {"positions": 49, "width": 32, "layers": 1, "steps": 16, "kernel": None, "dropout": 0.6}
SMALL |= {"temporal_layers": 2, "head_width": 16, "head_dropout": 0.6}


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


def imported(tmp_path, method: str, settings: dict, weights: dict[str, torch.Tensor], **given):
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    return import_weights(MethodSpec(name="reference", method=method, settings=settings), path, **given)


def outputs_of(model: nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scores of every step, and what the reference gives besides, from the places where it stands in our model."""
    seen = {}
    handles = [
        model.project.register_forward_hook(lambda module, args, out: seen.update(attended_video=out)),
        model.temporal.register_forward_hook(lambda module, args, out: seen.update(joint=out)),
        model.coattention[-1].register_forward_hook(
            lambda module, args, out: seen.update({f"coattended_{m}": x for m, x in out.items()})
        ),
    ]
    masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    scores = model(inputs, masks)
    for handle in handles:
        handle.remove()
    return {"valence": scores[..., 0], "arousal": scores[..., 1], **seen}


def check(case, groups, outputs, inputs, gradients: dict[str, torch.Tensor | None]):
    """Outputs, and where the fixture has them the gradients of inputs and weights (by the reference's names)."""
    assert set(outputs) >= set(groups["outputs"])
    for name, golden in groups["outputs"].items():
        assert parity.close(outputs[name], golden, case["tolerance"]["outputs"]), name
    if "cotangents" not in groups:
        return
    sum((outputs[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    golden = groups["grads"]
    assert {f"inputs/{m}" for m in inputs} == {name for name in golden if name.startswith("inputs/")}
    for m, x in inputs.items():
        assert parity.close(x.grad, golden[f"inputs/{m}"], case["tolerance"]["grads"]), m
    weights = {name.removeprefix("weights/"): g for name, g in golden.items() if name.startswith("weights/")}
    assert weights
    for name, gradient in weights.items():
        assert parity.close(gradients[name].grad, gradient, case["tolerance"]["grads"]), name


def parameters(model, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Our parameters by the reference's names."""
    ours = dict(model.named_parameters())
    return {theirs: ours[our] for theirs, our in names.items()}


BLOCK = "coattn.dcn_layers.0.dense_coattn."
GRADIENTS = {
    "Joint.init_hidden": "temporal.first",
    "Joint.rnn.weight_hh_l1_reverse": "temporal.behind.1.weight_hh_l0",
    f"{BLOCK}key1_linear.weight": "coattention.0.keys.video.weight",
    f"{BLOCK}query_linear.weight": "coattention.0.joint.weight",
    "video_attn.attn.affine_video.weight": "guide.video.weight",
    "vregressor.3.weight": "head.0.3.weight",
}


def test_parity_of_the_network(tmp_path):
    case, groups = parity.case("jca", "orig_cam_small")
    done = imported(tmp_path, "dense_coattention", SMALL, groups["weights"], per_step=True)
    assert not done.provenance["dropped"] and not done.provenance["initial"]
    model = done.model.eval()
    inputs = {m: x.requires_grad_() for m, x in groups["inputs"].items()}
    check(case, groups, outputs_of(model, inputs), inputs, parameters(model, GRADIENTS))


def test_parity_at_the_released_size(tmp_path):
    case, groups = parity.case("jca", "orig_cam_full_seeded")
    weights = seeded(case["weights_recipe"], case["config"]["weights_seed"], scaled=True)
    inputs = seeded(case["inputs_recipe"], case["config"]["inputs_seed"], scaled=False)
    settings = spec.load("dense-coattention-tbiom").settings
    # as the training script saves it
    weights = {f"net.{name}": x for name, x in weights.items()}
    done = imported(tmp_path, "dense_coattention", settings, weights, per_step=True)
    with torch.no_grad():
        check(case, groups, outputs_of(done.model.eval(), inputs), inputs, {})


def test_parity_of_two_layers_alone(tmp_path):
    case, groups = parity.case("jca", "dcn_two_modalities")
    settings = {**SMALL, "width": 24, "layers": 2}
    given = {"features": {"video": 49, "audio": 20}, "outputs": 2}
    done = imported(tmp_path, "dense_coattention", settings, groups["weights"], **given)
    assert done.provenance["initial"]["why"] == "the file holds the co-attention layers alone"
    assert not [name for name in done.provenance["initial"]["tensors"] if name.startswith("coattention.")]
    model = done.model.eval()
    inputs = {m: groups["inputs"][m].requires_grad_() for m in ("video", "audio")}
    ours = model.coattend(inputs, torch.ones(2, 16, dtype=torch.bool))
    names = {
        "dcn_layers.0.dense_coattn.query_linear.weight": "coattention.0.joint.weight",
        "dcn_layers.1.dense_coattn.key2_linear.weight": "coattention.1.keys.audio.weight",
    }
    check(case, groups, ours, inputs, parameters(model, names))


def test_a_band_over_its_own_steps_is_a_banded_matrix():
    torch.manual_seed(0)
    band, matrix = TimeBand(3, 6), TimeMatrix(6)
    x, mask = torch.randn(2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    with torch.no_grad():
        matrix.weight.zero_()
        for t in range(6):
            for k in range(3):
                if 0 <= t + k - 1 < 6:
                    matrix.weight[t, t + k - 1] = band.weight[k]
        band.bias.fill_(0.3)
        matrix.bias.fill_(0.3)
    torch.testing.assert_close(band(x, mask), matrix(x, mask))


def test_a_band_over_half_the_steps_counts_twice():
    band = TimeBand(1, 6)
    x = torch.randn(1, 6, 4)
    y = band(x, torch.arange(6).expand(1, -1) < 3)
    torch.testing.assert_close(y[:, :3], 2 * band.weight * x[:, :3])
    assert not y[:, 3:].any()


def test_scores_are_tanh_between_features():
    torch.manual_seed(0)
    layer = CoAttention({"video": 3, "audio": 2}, joint=nn.Linear(5, 5), steps=4, kernel=None, dropout=0.0)
    streams = {"video": torch.randn(2, 4, 3), "audio": torch.randn(2, 4, 2)}
    with record_attention() as maps:
        layer(streams, torch.ones(2, 4, dtype=torch.bool), 7)
    (first, weights), (second, _) = maps
    assert (first, second) == ("video<-video+audio/7:features", "audio<-video+audio/7:features")
    joint = layer.joint(torch.cat(list(streams.values()), -1))
    key = torch.einsum("st,btd->bsd", layer.keys["video"].weight, streams["video"])
    key = key + layer.keys["video"].bias[:, None]
    torch.testing.assert_close(weights[:, 0], torch.einsum("btd,bte->bde", key, joint).div(5**0.5).tanh())


def test_the_bilstm_is_that_of_torch():
    torch.manual_seed(0)
    ours, theirs = BiLSTM(5, 6, 2, dropout=0.0), nn.LSTM(5, 3, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for i in range(2):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(theirs, f"{kind}_l{i}").copy_(getattr(ours.ahead[i], f"{kind}_l0"))
                getattr(theirs, f"{kind}_l{i}_reverse").copy_(getattr(ours.behind[i], f"{kind}_l0"))
    x, lengths = torch.randn(3, 7, 5), torch.tensor([7, 1, 4])
    mask = torch.arange(7) < lengths[:, None]
    first = ours.first.unsqueeze(1).expand(-1, 3, -1).contiguous()
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, _ = theirs(packed, (first[:4], first[4:]))
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    expected = nn.functional.normalize(ours.project(torch.cat([x, y], -1)), dim=-1)
    torch.testing.assert_close(ours(x, mask)[mask], expected[mask])
    assert not ours(x, mask)[~mask].any()


def test_audio_decides_which_positions_are_read():
    torch.manual_seed(0)
    settings = {**SMALL, "positions": 4, "width": 6}
    model = zoo.build("dense_coattention", features={"audio": 5, "video": 12}, outputs=2, **settings).eval()
    inputs = {"audio": torch.randn(2, 16, 5), "video": torch.randn(2, 16, 12)}
    masks = {m: torch.ones(2, 16, dtype=torch.bool) for m in inputs}
    found = []
    for audio in (inputs["audio"], -inputs["audio"]):
        with record_attention() as maps:
            model({**inputs, "audio": audio}, masks)
        found.append(dict(maps)["audio<-video map/0"])
    assert found[0].shape == (2, 1, 16, 4)
    torch.testing.assert_close(found[0].sum(-1), torch.ones(2, 1, 16))
    assert not torch.allclose(*found)


def test_each_output_has_its_own_regressor():
    settings = spec.load("dense-coattention-length-free").settings
    model = zoo.build("dense_coattention", features={"audio": 4, "video": 6}, outputs=3, **settings)
    assert [tuple(r[0].weight.shape) for r in model.head] == [(16, 32)] * 3


@pytest.mark.parametrize(("steps", "real"), [(15, 15), (17, 17), (16, 12)])
def test_another_length_is_refused_with_the_remedy(steps, real):
    model = zoo.build("dense_coattention", features={"audio": 5, "video": 98}, outputs=2, **SMALL)
    inputs = {"audio": torch.zeros(2, steps, 5), "video": torch.zeros(2, steps, 98)}
    masks = dict.fromkeys(inputs, torch.arange(steps).expand(2, -1) < real)
    message = (
        rf"audio: inputs of shape \(2, {steps}, 5\) with {real} to {real} real steps.*16 x 16.*exactly 16.*length-free"
    )
    with pytest.raises(ValueError, match=message):
        model(inputs, masks)


@pytest.mark.parametrize(
    ("changed", "features", "message"),
    [
        ({}, {"audio": 5, "video": 100}, "100 features, which 49 positions do not divide"),
        ({}, {"audio": 5, "text": 98}, "features names audio, text; wanted audio and video"),
        ({"kernel": 4}, {"audio": 5, "video": 98}, "kernel is 4; wanted an odd number"),
        ({"kernel": 0}, {"audio": 5, "video": 98}, "kernel is 0; wanted an odd number"),
        ({"layers": 0}, {"audio": 5, "video": 98}, "layers is 0"),
        ({"width": 5}, {"audio": 5, "video": 98}, "width 5 .* even width"),
    ],
)
def test_wrong_settings_are_named(changed, features, message):
    with pytest.raises(ValueError, match=message):
        zoo.build("dense_coattention", features=features, outputs=2, **{**SMALL, **changed})
