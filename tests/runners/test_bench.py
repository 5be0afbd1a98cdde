"""The bench: its plain MulT is MulT, its figures are sane, and its options are refused with a reason."""

import json
import subprocess

import pytest
import torch
import typer
from torch.nn.attention import SDPBackend, sdpa_kernel
from typer.testing import CliRunner

import zoo
from runners.bench import Case, Times, Trained, alternate, measure, peak_memory
from runners.bench.cuda import Stacked
from runners.bench.plain_mult import PlainMulT
from runners.bench_cli import bench
from runners.criteria import cross_entropy
from runners.train import training_loss
from zoo import spec

FEATURES = {"text": 6, "audio": 4, "video": 5}
STEPS = {"text": 4, "audio": 9, "video": 7}
NO_DROPOUT = dict.fromkeys(
    ("embed_dropout", "attention_dropout", "relu_dropout", "residual_dropout", "output_dropout"), 0.0
)


def quiet(items, description):
    return items


def case(method="early_fusion", features=FEATURES, steps=None, batch=3, **changed) -> Case:
    """A small case of a preset, with some settings changed."""
    preset = spec.load(method)
    preset = preset.model_copy(update={"settings": preset.settings | changed})
    return Case(preset, features, steps or dict.fromkeys(features, 8), batch, outputs=3)


@pytest.mark.parametrize(
    ("preset", "features", "changed"),
    [
        ("mult-code", FEATURES, {}),
        ("mult-paper", FEATURES, {}),
        ("mult-paper", {"audio": 4, "video": 5}, {"layers": 1}),
        ("mult-code", FEATURES, {"targets": ["text"], "causal_mask": False, "width": 15}),
    ],
    ids=["code", "paper", "two", "text-target"],
)
def test_plain_mult_is_mult(preset, features, changed):
    small = case(preset, features, {m: STEPS[m] for m in features}, **NO_DROPOUT | changed)
    model, data = small.model(), small.data()
    with torch.no_grad():  # what starts at 0 and 1 hides errors
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    data.inputs["audio"][0, :2] = 0.0  # two steps without a position
    copy = PlainMulT(model)
    with torch.no_grad():
        assert (model.eval()(data.inputs, data.masks) - copy.eval()(data.inputs, data.masks)).abs().max() < 1e-5
    gradients = []
    for network in (model.double(), copy.double()):  # in which a ReLU near 0 is on the same side in both
        inputs = {m: x.double().requires_grad_() for m, x in data.inputs.items()}
        scores = network.train()(inputs, data.masks)
        assert scores.shape == (3, 3)
        cotangent = torch.linspace(-1, 1, 9, dtype=torch.float64).view(3, 3)
        gradients.append(torch.autograd.grad(scores, [*inputs.values(), *network.parameters()], cotangent))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-9, rtol=1e-7)


def test_plain_mult_drops_out_at_every_place():
    small = case("mult-code")
    data, copy = small.data(), PlainMulT(small.model())
    assert {type(m) for m in copy.modules() if isinstance(m, torch.nn.Dropout)} == {torch.nn.Dropout}
    assert not torch.equal(copy.train()(data.inputs, data.masks), copy(data.inputs, data.masks))
    copy.eval()
    assert torch.equal(copy(data.inputs, data.masks), copy(data.inputs, data.masks))


def test_plain_mult_refuses_what_the_published_one_has_not():
    small = case("mult-code")
    data = small.data()
    data.masks["audio"][0, -1] = False
    with pytest.raises(ValueError, match="knows no padding"):
        PlainMulT(small.model())(data.inputs, data.masks)
    with pytest.raises(ValueError, match="per_step=False"):
        PlainMulT(zoo.build("mult", features=FEATURES, outputs=2, per_step=True, **spec.load("mult").settings))


def test_figures_of_a_small_case():
    report = measure(case("early_fusion"), rounds=3, progress=quiet)
    assert "plain" not in report
    assert report["parameters"] == sum(p.numel() for p in case("early_fusion").model().parameters())
    assert report["streams"]["text"] == [8, 6]
    step, evaluation = report["training step"], report["evaluation"]
    assert step["cpu_ms"] > evaluation["cpu_ms"] > 0
    assert step["fastest_ms"] <= step["cpu_ms"] <= step["slowest_ms"]
    assert 2.5 < step["gflop"] / evaluation["gflop"] < 3.5  # forward, and two products backward for each
    assert report["gemm_peak_gflop_per_second"] > step["gflop_per_second"]
    assert step["clips_per_second"] == pytest.approx(3 / (step["cpu_ms"] / 1e3), rel=0.05)
    assert 0 < report["peak_memory_mb"] < 500
    json.dumps(report)


def test_flops_are_those_of_the_products():
    """One Linear on 8 steps of 3 clips, and the head of the last one: nothing else multiplies."""
    from runners.bench import _flops

    linear = torch.nn.Linear(6, 10)
    assert _flops(lambda: linear(torch.randn(3, 8, 6))) == 2 * 3 * 8 * 6 * 10
    q = torch.randn(2, 3, 8, 4)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert _flops(lambda: attention(q, q, q)) == 2 * (2 * 2 * 3 * 8 * 8 * 4)


def test_memory_sees_what_a_step_keeps():
    small, large = (peak_memory(case("early_fusion", batch=b), "step") for b in (2, 1024))
    assert large > small + (8 << 20)


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="measuring memory failed: .*wanted odd|measuring memory failed: .*odd size"):
        peak_memory(case("mult-code", kernels={"text": 2, "audio": 1, "video": 1}), "step")


def test_a_process_that_is_killed_is_said_to_be(monkeypatch):
    killed = subprocess.CompletedProcess([], returncode=-15, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: killed)
    with pytest.raises(RuntimeError, match="measuring memory failed: the process ended with -15"):
        peak_memory(case("early_fusion"), "step")


def test_things_are_timed_in_turns():
    order = []
    times, peak = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, quiet)
    assert order == ["a", "b"] * 3
    assert len(times["a"].rounds) == len(times["b"].rounds) == 2
    assert peak > 1e8
    assert Times((2.0, 9.0, 4.0)).over(Times((1.0, 3.0, 2.0))) == 2.0


def test_a_case_survives_the_way_to_another_process():
    raw = case("early_fusion", features={"audio": 4, "video": (2, 3)}, steps={"audio": 3, "video": 5})
    assert Case.from_json(raw.as_json()) == raw
    assert raw.data().inputs["video"].shape == (3, 5, 2, 3)


def test_stacked_seeds_are_the_seeds_apart():
    small = case(
        "mult-code", **NO_DROPOUT | {"heads": 3}
    )  # heads of 10 channels: PyTorch's attention, which vmap knows
    data = small.data()
    stacked = Stacked([small.model(seed) for seed in (1, 2)], data)
    apart = [Trained(small.model(seed), data) for seed in (1, 2)]
    for _ in range(2):
        expected = torch.stack([training_loss(one.model.train(), data, cross_entropy) for one in apart])
        with sdpa_kernel(SDPBackend.MATH):  # of which PyTorch has a batched form on a CPU too
            torch.testing.assert_close(stacked.losses(), expected)
            stacked.step()
        for one in apart:
            one.step()
    for name, weight in stacked.weights.items():
        for seed, one in enumerate(apart):
            ours = dict(one.model.named_parameters())[name.removeprefix("model.")]
            torch.testing.assert_close(weight[seed], ours, atol=1e-4, rtol=1e-3)


app = typer.Typer()
app.command()(bench)


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_command_prints_json_and_a_card():
    small = ("mult-code", "--batch", "2", "--steps", "audio=6,video=4,text=3", "--features", "audio=4,video=5,text=6")
    done = run(*small, "--rounds", "1", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["streams"]["audio"] == [6, 4] and report["batch"] == 2
    assert report["plain"]["evaluation ratio"] > 0
    assert "rounds" in done.stderr
    done = run("audio_only", "--batch", "2", "--steps", "audio=6", "--rounds", "1")
    assert done.exit_code == 0, done.output
    for line in ("audio 6 x 74", "training step", "clips a second", "GFLOP/s", "in a fresh process"):
        assert line in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mult", "--features", "audio=x"), "--features: 'audio=x' is not modality=number"),
        (("mult", "--features", "audio=0,video=3"), "--features: 'audio=0'; wanted 1 or more"),
        (("mult", "--steps", "smell=3"), "--steps names smell"),
        (("mult", "--steps", "audio=3x4"), "--steps audio: wanted one number"),
        (("audio_only", "--features", "audio=3,video=4"), "--features names video; the method takes audio"),
        (("mult", "--features", "audio=4"), "at least 2 of audio, video, text"),
        (("mbt-paper",), "Give other streams with --features and --steps"),
        (("mult", "--per-step", "--steps", "audio=3"), "per_step output needs equal steps"),
    ],
)
def test_options_are_refused_with_a_reason(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
