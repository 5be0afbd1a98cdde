"""Recursive joint attention: parity with the authors' code, the recursion, and what it refuses."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import zoo
from tests import parity
from zoo import spec
from zoo.layers import record_attention
from zoo.spec import MethodSpec
from zoo.weights import WeightsError, import_weights

SMALL = {"positions": 49, "width": 24, "layers": 1, "recursions": 1, "steps": 16, "kernel": None, "dropout": 0.6}
SMALL |= {"temporal_layers": 2, "temporal_dropout": 0.1, "head_width": 12, "head_dropout": 0.6}
# The gradients that the fixture gives, by the reference's names and by ours.
GRADIENTS = {
    "Joint.linear.weight": "temporal.project.weight",
    "aregressor.3.weight": "head.1.3.weight",
    "audio_extract.init_hidden": "audio_temporal.first",
    "coattn.dcn_layers.0.dense_coattn.key1_linear.weight": "coattention.0.keys.video.weight",
    "video_extract.rnn.weight_ih_l0": "video_temporal.ahead.0.weight_ih_l0",
}


def imported(path: Path, weights: dict[str, torch.Tensor], method="recursive_joint_attention", **changed):
    save_file(weights, path)
    return import_weights(
        MethodSpec(name="reference", method=method, settings={**SMALL, **changed}), path, per_step=True
    )


def test_parity_with_the_authors_code(tmp_path):
    case, groups = parity.case("jca", "rja_orig_cam_small")
    done = imported(tmp_path / "weights.safetensors", groups["weights"])
    assert not done.provenance["dropped"] and not done.provenance["initial"]
    model = done.model.eval()
    seen = {}
    model.project.register_forward_hook(lambda module, args, out: seen.update(attended_video=out))
    model.temporal.register_forward_hook(lambda module, args, out: seen.update(joint=out))
    model.coattention[0].register_forward_hook(
        lambda module, args, out: seen.update({f"coattended_{m}": x for m, x in out.items()})
    )
    inputs = {m: x.requires_grad_() for m, x in groups["inputs"].items()}
    scores = model(inputs, {m: torch.ones(2, 16, dtype=torch.bool) for m in inputs})
    outputs = {"valence": scores[..., 0], "arousal": scores[..., 1], **seen}
    assert set(outputs) == set(groups["outputs"])
    for name, golden in groups["outputs"].items():
        assert parity.close(outputs[name], golden, case["tolerance"]["outputs"]), name
    sum((outputs[k] * c).sum() for k, c in groups["cotangents"].items()).backward()
    ours, golden = dict(model.named_parameters()), groups["grads"]
    assert set(golden) == {f"weights/{name}" for name in GRADIENTS} | {f"inputs/{m}" for m in inputs}
    for name, gradient in golden.items():
        kind, _, name = name.partition("/")
        mine = inputs[name] if kind == "inputs" else ours[GRADIENTS[name]]
        assert parity.close(mine.grad, gradient, case["tolerance"]["grads"]), name


def test_weights_of_another_shape_are_refused_by_name(tmp_path):
    _, groups = parity.case("jca", "rja_orig_cam_small")
    with pytest.raises(WeightsError, match=r"coattn\.dcn_layers\.0.* has no counterpart|dcn_layers\.1"):
        imported(tmp_path / "weights.safetensors", groups["weights"], layers=2)
    with pytest.raises(WeightsError, match="Use the settings it was trained with"):
        imported(tmp_path / "weights.safetensors", groups["weights"], head_width=10)


def test_the_network_is_not_that_of_the_other_repository(tmp_path):
    """The files differ by two BiLSTMs: neither is taken for the other."""
    _, groups = parity.case("jca", "rja_orig_cam_small")
    save_file(groups["weights"], tmp_path / "weights.safetensors")
    other = spec.load("dense-coattention-tbiom")
    with pytest.raises(WeightsError, match="not a checkpoint of dense_coattention"):
        import_weights(other, tmp_path / "weights.safetensors")


def small(recursions: int, layers: int = 1, seed: int = 0):
    torch.manual_seed(seed)
    settings = {**spec.load("rja-length-free").settings, "recursions": recursions, "layers": layers}
    return zoo.build("recursive_joint_attention", features={"audio": 5, "video": 7}, outputs=3, **settings).eval()


def streams(steps: int = 6):
    generator = torch.Generator().manual_seed(1)
    return {m: torch.randn(2, steps, 32, generator=generator) for m in ("video", "audio")}


def test_a_recursion_reads_what_came_out_before():
    once, twice = small(1), small(2)
    twice.load_state_dict(once.state_dict())
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    expected = once.coattend(once.coattend(streams(), mask), mask)
    for m, x in twice.coattend(streams(), mask).items():
        torch.testing.assert_close(x[mask], expected[m][mask])


def test_recursion_shares_weights_and_layers_do_not():
    count = [sum(p.numel() for p in m.parameters()) for m in (small(1), small(3), small(1, layers=2))]
    assert count[0] == count[1] < count[2]
    with record_attention() as maps:
        small(2, layers=2).coattend(streams(), torch.ones(2, 6, dtype=torch.bool))
    assert [label for label, _ in maps] == [
        f"{m}<-video+audio/{number}:features" for number in range(4) for m in ("video", "audio")
    ]


def test_a_committed_size_refuses_another_length():
    model = zoo.build("recursive_joint_attention", features={"audio": 5, "video": 98}, outputs=2, **SMALL)
    inputs = {"audio": torch.zeros(1, 8, 5), "video": torch.zeros(1, 8, 98)}
    masks = dict.fromkeys(inputs, torch.ones(1, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"audio: .*\(1, 8, 5\).*exactly 16.*length-free"):
        model(inputs, masks)


def test_recursions_below_one_are_refused():
    with pytest.raises(ValueError, match="recursions is 0"):
        small(0)
