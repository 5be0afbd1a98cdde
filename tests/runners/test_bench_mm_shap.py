"""The bench of MM-SHAP: both explainers play the same game, and ours is the faster one."""

import json
import os
import sys

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from protocols.measuring import cost
from runners.bench import Case, _flops, mm_shap
from runners.bench_cli import bench
from zoo import spec

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # shap's compilation takes longer than all tests here
FEATURES, STEPS = {"audio": 5, "video": 4}, {"audio": 12, "video": 9}
app = typer.Typer()
app.command()(bench)


def quiet(items, description):
    return items


def case(method="late_fusion", features=FEATURES, steps=STEPS, **settings) -> Case:
    return Case(spec.load(method), features, steps, batch=1, outputs=3, **settings)


def run(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def shap():
    return pytest.importorskip("shap", reason="the shap library is not installed")


def test_both_explain_the_same_game(shap):
    """Their own orders average out; what all players gain together does not depend on orders."""
    small = case(per_step=True, steps={"audio": 9, "video": 9})
    model, clip = small.model().eval(), {m: x[0].numpy() for m, x in small.data().inputs.items()}
    with torch.inference_mode():
        ours, theirs = ([e(clip, n) for n in range(6)] for e in list(mm_shap._explainers(model).values())[::2])
    flat = [np.array([np.concatenate(list(credit.values())) for credit in side]) for side in (ours, theirs)]
    np.testing.assert_allclose(flat[0].sum(1), flat[1].sum(1), atol=1e-6)
    error = np.sqrt((flat[0].var(0) + flat[1].var(0)) / 6)
    assert (np.abs(flat[0].mean(0) - flat[1].mean(0)) < 5 * error + 1e-7).all()
    assert (flat[0].std(0) > 0).any()  # sampled, not exact


def test_the_report(shap):
    report = mm_shap.measure(case(), rounds=3, progress=quiet)
    assert report["players"] == {"audio": 8, "video": 8} and report["rounds"] == 3
    assert report["times as fast"] > 0  # speed is for the bench itself
    assert report["mean difference from shap"] < 10 * report["mean difference of two of ours"]
    for told in report["shares"].values():
        assert told["ours"] == pytest.approx(told["shap"], abs=0.1)
    assert sum(told["ours"] for told in report["shares"].values()) == pytest.approx(1, abs=1e-3)
    json.dumps(report)


def test_the_command(shap):
    small = ("early_fusion", "--metric", "mm_shap", "--features", "audio=3,video=3", "--steps", "audio=6,video=5")
    done = run(*small, "--rounds", "1")
    assert done.exit_code == 0, done.output
    for line in ("players: audio 6, video 5", "times as fast", "share of video", "ms CPU time a clip"):
        assert line in done.stdout
    done = run(*small, "--rounds", "1", "--json")
    assert json.loads(done.stdout)["metric"] == "mm_shap"


def test_without_the_library_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    done = run("late_fusion", "--metric", "mm_shap", "--features", "audio=3,video=3", "--rounds", "1")
    assert done.exit_code == 1
    assert "the shap library is not installed, against which this is timed: pip install shap" in done.stderr


def test_one_modality_is_refused():
    done = run("audio_only", "--metric", "mm_shap", "--features", "audio=3", "--rounds", "1")
    assert done.exit_code == 2
    assert "the method takes one alone" in done.stderr


def test_the_bench_and_an_evaluation_count_the_same_products():
    lstm, x = torch.nn.LSTM(6, 4, batch_first=True), torch.randn(3, 7, 6, requires_grad=True)
    with torch.no_grad():
        forward = _flops(lambda: lstm(x))
    assert forward == cost.flops(lambda: lstm(x)) == 2 * 3 * 7 * 4 * 4 * (6 + 4)
    assert _flops(lambda: lstm(x)[0].sum().backward()) == 3 * forward  # two products backward for each
