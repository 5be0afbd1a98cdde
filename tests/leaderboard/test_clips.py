"""Clips behind exhibits: what is drawn and played is what a model was given, sample by sample."""

import builtins
import os
from pathlib import Path

import numpy as np
import pytest

from leaderboard import clips
from protocols.spec import committed

SPEC = committed()["grid-digit-noisy@1"]
NOISE = "audio/white_noise/-10dB"


@pytest.fixture(scope="module")
def root():
    if not (place := os.environ.get("FUSEBOARD_DATA_ROOT")):
        pytest.skip("FUSEBOARD_DATA_ROOT names no folder with GRID")
    pytest.importorskip("av", reason="PyAV is not installed")
    return Path(place)


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    """One clip as the runner reads it."""
    from protocols.datasets import grid

    return grid.load_clips(
        root / "grid", tmp_path_factory.mktemp("cache"), ["bbaf2n"], SPEC.target, SPEC.inputs, lambda items, _: items
    )


@pytest.mark.data
@pytest.mark.parametrize("condition", ["clean", NOISE])
def test_sound_and_frames_are_those_that_a_model_is_given(root, examples, condition):
    from protocols.batches import seeded
    from protocols.corruptions import parse_condition

    clip = clips.read(root, SPEC, "bbaf2n", condition)
    raw = examples.streams["audio"].raw(0)
    if condition == NOISE:
        raw = parse_condition(condition).apply(raw, seeded(SPEC.key, "test", condition, "bbaf2n"))
    np.testing.assert_array_equal(clip.samples, np.asarray(raw, np.float32))
    np.testing.assert_array_equal(clip.frames[:, *clip.seen], examples.streams["video"].raw(0))
    assert len(clip.spectrogram) == len(examples.streams["audio"].features(raw))
    assert clip.unlike == ""


@pytest.mark.data
def test_the_picture_is_altered_where_the_condition_is_about_it(root):
    plain, noisy = (clips.read(root, SPEC, "bbaf2n", c) for c in ("clean", "video/sensor_noise/0dB"))
    outside = np.ones(plain.frames.shape[1:], bool)
    outside[plain.seen] = False
    assert (plain.frames[:, outside] == noisy.frames[:, outside]).all()
    assert (plain.frames[:, *plain.seen] != noisy.frames[:, *plain.seen]).mean() > 0.9
    np.testing.assert_array_equal(plain.samples, noisy.samples)


@pytest.mark.data
def test_times_lie_on_the_clock_of_the_clip(root):
    clip = clips.read(root, SPEC, "bbaf2n", "clean")
    (word, start, stop) = clip.words[clip.spoken]
    assert (word, clip.begin <= start < stop <= clip.end) == ("two", True)
    for modality, steps in (("video", len(clip.frames)), ("audio", len(clip.spectrogram))):
        begins, ends = clip.times(modality)
        assert len(begins) == len(ends) == steps
        assert clip.begin <= begins[0]
        assert ends[-1] <= clip.end + 1e-9


@pytest.mark.data
def test_what_cannot_be_made_again_is_said(root):
    clip = clips.read(root, SPEC, "bbaf2n", "audio/missing")
    assert "audio/missing" in clip.unlike


@pytest.mark.data
def test_without_pyav_the_remedy_is_named(root, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "av":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(clips.NoClip, match=r"fuseboard\[media\]"):
        clips.read(root, SPEC, "bbaf2n", "clean")


@pytest.mark.parametrize("place", [None, Path("nowhere")])
def test_without_data_the_page_learns_how_to_bring_them(place):
    with pytest.raises(clips.NoClip, match="FUSEBOARD_DATA_ROOT.*fuseboard serve"):
        clips.read(place, SPEC, "bbaf2n", "clean")


def test_data_sets_without_media_say_so():
    with pytest.raises(clips.NoClip, match="without picture or sound"):
        clips.read(None, committed()["ravdess-actors@1"], "01-01-01-01-01-01-01", "clean")


@pytest.mark.parametrize("name", ["../../x", "bbaf2", "bbaf2n/"])
def test_a_name_never_leaves_the_folder(tmp_path, name):
    (tmp_path / "grid").mkdir()
    with pytest.raises(clips.NoClip, match="not the name of a GRID clip"):
        clips.read(tmp_path, SPEC, name, "clean")


def test_a_clip_that_is_not_there_is_named(tmp_path):
    (tmp_path / "grid").mkdir()
    with pytest.raises(clips.NoClip, match="bbaf2n.mp4: no such file"):
        clips.read(tmp_path, SPEC, "bbaf2n", "clean")
