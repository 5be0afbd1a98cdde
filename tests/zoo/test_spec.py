"""Method specs: presets, and what a wrong file is told."""

import subprocess
import sys

import pytest

import zoo
from zoo import METHODS, spec
from zoo.spec import SpecError


@pytest.mark.parametrize("path", sorted(spec.SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_preset_is_named_as_its_file_and_belongs_to_a_method(path):
    loaded = spec.load(path.stem)
    assert loaded.name == path.stem
    assert loaded.method in METHODS and loaded.card.title


def test_a_family_of_attention_has_one_name():
    """A board filters by these names: ``bottleneck`` beside ``bottleneck attention`` would be two families."""
    families = {entry.card.attention for entry in spec.entries().values()} - {"none"}
    assert [name for name in families if not name.endswith(("-attention", " attention"))] == []
    bare = [name.removesuffix("attention").rstrip("- ") for name in families]
    assert len(bare) == len(set(bare))


def test_a_method_means_its_preset():
    assert spec.load("mult") == spec.load("mult-paper")
    assert spec.load("mult").settings["kernels"] == {"text": 1, "audio": 3, "video": 3}


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text("name: wide\nmethod: mult\nsettings: {width: 80}\n", encoding="utf-8")
    assert spec.load(str(path)).settings == {"width": 80}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nmethod: mult\nsetings: {}\n", r"unknown key 'setings'\. Did you mean 'settings'\?"),
        ("name: a\nmethod: multt\n", r"method: .*did you mean 'mult'\?"),
        ("name: a\nmethod: mult\nsettings: [1]\n", r"settings: .*dictionary"),
        ("name: A b\nmethod: mult\n", r"name: .*got 'A b'"),
        ("method: mult\n", r"name: Field required"),
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
    with pytest.raises(SpecError, match="Did you mean 'late_fusion'"):
        spec.load("late_fuson")
    with pytest.raises(KeyError, match="Did you mean 'mult'"):
        zoo.method("multi")


@pytest.mark.parametrize(
    ("name", "available", "aligned", "taken"),
    [
        ("mult", ("text", "video", "audio"), False, ("audio", "video", "text")),
        ("audio_only", ("video", "audio"), False, ("audio",)),
        ("mmmu_ba", ("text", "audio"), True, ("audio", "text")),
    ],
)
def test_takes_in_the_order_of_modalities(name, available, aligned, taken):
    assert spec.load(name).takes(available, aligned=aligned) == taken


@pytest.mark.parametrize(
    ("name", "available", "aligned", "reason"),
    [
        ("mult", ("audio",), True, "it needs at least 2 of audio, video, text; the protocol gives audio."),
        ("late_fusion", ("audio",), True, "it needs at least 2 of audio, video, text; the protocol gives audio."),
        ("text_only", ("audio", "video"), True, "it needs text; the protocol gives audio, video."),
        (
            "mmmu_ba",
            ("audio", "video"),
            False,
            "it fuses step by step, .*audio and video have unequal",
        ),
    ],
)
def test_who_cannot_take_part_is_told_why(name, available, aligned, reason):
    with pytest.raises(ValueError, match=reason):
        spec.load(name).takes(available, aligned=aligned)


def test_a_spec_may_ask_for_some_modalities(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text("name: two\nmethod: mult\nmodalities: [text, audio]\n", encoding="utf-8")
    two = spec.load(str(path))
    assert two.takes(("audio", "video", "text"), aligned=True) == ("audio", "text")
    with pytest.raises(ValueError, match="it needs text, audio; the protocol gives audio, video"):
        two.takes(("audio", "video"), aligned=True)
    path.write_text("name: two\nmethod: mult\nmodalities: [smell]\n", encoding="utf-8")
    with pytest.raises(SpecError, match="modalities: .*no modality 'smell'"):
        spec.load(str(path))


def test_a_method_without_a_preset_for_any_data_names_those_it_has():
    with pytest.raises(SpecError, match="choose one of .*jca-cvprw"):
        spec.load("joint_cross_attention")


def test_reading_the_table_costs_no_torch():
    code = "import sys, zoo.spec; zoo.spec.load('mult'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
