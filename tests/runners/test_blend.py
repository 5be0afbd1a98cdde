"""Weights of Gradient-Blending read off finished runs."""

import json

import pytest
from typer.testing import CliRunner

from protocols.spec import committed
from runners.blend_cli import estimates
from runners.cli import app
from zoo.remedies.keys import GradientBlending
from zoo.spec import load

SPEC = committed()["ravdess-actors@1"]
# Gap 0 -> 0.1, 0.2, 0.4 while the validation loss falls by 0.4: weights as 16, 4, 1.
CURVES = {"audio_only": 0.1, "video_only": 0.2, "late_fusion": 0.4}


def write(root, name, fold, overfitting):
    """What ``estimates`` reads of a bundle."""
    place = root / SPEC.key / name / f"{name}{fold}"
    place.mkdir(parents=True)
    told = {"status": "completed", "method": load(name).model_dump(mode="json"), "seed": 0, "fold": fold}
    (place / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    curve = f"epoch,train_loss,validation_loss\n1,1.0,1.0\n2,{0.6 - overfitting},0.6\n3,0.0,0.9\n"
    (place / "history.csv").write_text(curve, encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    for name, overfitting in CURVES.items():
        for fold in (1, 2):
            write(tmp_path, name, fold, overfitting)
    write(tmp_path, "late_fusion", 3, 0.3)  # a fold that the others lack
    return tmp_path


def test_each_fold_that_all_have_gives_the_published_weights(root):
    found = estimates(root, ["late_fusion", "video_only", "audio_only"], SPEC)
    assert [row["run"] for row in found] == ["fold 1", "fold 2"]
    for row in found:
        assert list(row) == ["run", "audio", "video", "joint"]
        assert row["audio"] == pytest.approx(16 / 21) and row["joint"] == pytest.approx(1 / 21)


def test_what_is_printed_is_a_remedy(root):
    import yaml

    command = ["blend", *CURVES, "--protocol", SPEC.key, "--bundle-root", str(root)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    remedy = yaml.safe_load(done.stdout.splitlines()[-1])["remedy"]
    assert GradientBlending.model_validate(remedy).weights == {"audio": 0.762, "video": 0.19, "joint": 0.048}
    asked = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert asked["weights"] == remedy["weights"] and len(asked["runs"]) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["audio_only", "late_fusion"], "takes audio, video; the others named take audio alone"),
        (["late_fusion"], "the others named take no modality alone"),
        (["audio_only", "video_only"], "name the joint method too"),
        (["audio_only", "video_only", "late_fusion", "late_fusion"], "two runs of joint with fold 1"),
        (["audio_only", "video_onyl", "late_fusion"], "no run 'video_onyl'"),
    ],
)
def test_runs_that_do_not_make_a_blend_are_refused(root, names, said):
    done = CliRunner().invoke(app, ["blend", *names, "--protocol", SPEC.key, "--bundle-root", str(root)])
    assert done.exit_code == 2 and said in done.stderr


def test_networks_of_different_folds_are_refused(root, tmp_path):
    other = tmp_path / "other"
    for fold, name in enumerate(CURVES, 1):
        write(other, name, fold, 0.1)
    with pytest.raises(ValueError, match="no seed or fold of ravdess-actors@1 was run with all of"):
        estimates(other, list(CURVES), SPEC)


def test_a_network_that_does_not_overfit_has_no_weight(tmp_path):
    for name in CURVES:
        write(tmp_path, name, 1, 0.0 if name == "video_only" else 0.1)
    with pytest.raises(ValueError, match="video: no overfitting was measured"):
        estimates(tmp_path, list(CURVES), SPEC)
