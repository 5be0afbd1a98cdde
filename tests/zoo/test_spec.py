"""Method specs: presets, and what a wrong file is told."""

import subprocess
import sys

import pytest

import zoo
from zoo import METHODS, spec
from zoo.spec import SpecError


@pytest.mark.parametrize("path", sorted(spec.SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_preset_builds(path):
    loaded = spec.load(path.stem)
    assert loaded.name == path.stem
    card = METHODS[loaded.method]
    model = zoo.build(loaded.method, features=dict.fromkeys(card.modalities, 5), outputs=2, **loaded.settings)
    assert sum(p.numel() for p in model.parameters()) > 0


def test_a_method_means_its_preset():
    assert spec.load("mult") == spec.load("mult-paper")
    assert spec.load("mult").settings["kernels"] == {"text": 1, "audio": 3, "video": 3}


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text("name: wide\nmethod: early_fusion\nsettings: {width: 80}\n", encoding="utf-8")
    assert spec.load(str(path)).settings == {"width": 80}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nmethod: early_fusion\nsetings: {}\n", r"unknown key 'setings'\. Did you mean 'settings'\?"),
        ("name: a\nmethod: erly_fusion\n", r"method: .*did you mean 'early_fusion'\?"),
        ("name: a\nmethod: early_fusion\nsettings: [1]\n", r"settings: .*dictionary"),
        ("name: A b\nmethod: early_fusion\n", r"name: .*got 'A b'"),
        ("method: early_fusion\n", r"name: Field required"),
        ("name: [\n", r"not YAML"),
        ("just words\n", r"top level"),
    ],
)
def test_wrong_files_are_told_what_and_where(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=said) as caught:
        spec.load(str(path))
    assert str(path) in str(caught.value)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SpecError, match="Did you mean 'mult-paper'"):
        spec.load("mult-papr")
    with pytest.raises(KeyError, match="Did you mean 'late_fusion'"):
        zoo.method("late_fuson")


def test_takes_in_order_or_gives_the_reason():
    assert zoo.takes("mult", ("text", "video", "audio")) == ("audio", "video", "text")
    assert zoo.takes("audio_only", ("video", "audio")) == ("audio",)
    with pytest.raises(ValueError, match="it needs at least 2 of audio, video, text; the protocol gives audio"):
        zoo.takes("mult", ("audio",))
    with pytest.raises(ValueError, match="it needs text; the protocol gives audio, video"):
        zoo.takes("text_only", ("audio", "video"))


def test_reading_the_table_costs_no_torch():
    code = "import sys, zoo.spec; zoo.spec.load('mult'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
