"""What data sets of clips share: decoding by time, representations, what is told of missing and broken files."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from protocols.datasets import Card, clips, logmel, media, spectrogram
from protocols.datasets.clips import ABSENT, UNREADABLE, Clip, ClipSet, Listing
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import CODECS, RATE, quiet, tone, write_clip

CARD = Card(
    title="Made clips",
    folder="made",
    home="https://example.org",
    licence="CC0",
    citation="nobody",
    inputs=clips.INPUTS,
    targets=("kind",),
    counts={"clips": 3},
    layout="<id>.mp4",
    obtain="Make them again.",
    aligned=False,
)
SEQUENCES = {"audio": "logmel", "video": "movement"}


def listing(folder, target):
    names = ("a", "b", "c")
    return Listing(("x", "y"), tuple(Clip(name, k % 2, folder / f"{name}.mp4") for k, name in enumerate(names)))


MADE = ClipSet(CARD, listing, fps=10)


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("containers")
    return {suffix: write_clip(folder / f"clip{suffix}") for suffix in CODECS}


@pytest.fixture
def root(containers, tmp_path):
    folder = tmp_path / "data" / "made"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c"):
        shutil.copy(containers[".mp4"], folder / f"{name}.mp4")
    return folder.parent


@pytest.mark.parametrize("suffix", CODECS)
def test_picture_and_sound_are_of_one_time_in_every_container(containers, suffix):
    """Both begin in the middle, at 0.6 s; a muxer may move them by its encoder's delay, together."""
    samples = media.read_sound(containers[suffix], 10.0)
    assert len(samples) / RATE == pytest.approx(1.2, abs=0.1)
    assert np.argmax(np.abs(samples.astype(int)) > 4000) / RATE == pytest.approx(0.6, abs=0.05)
    times = np.arange(0, 1.19, 0.02)
    frames = media.read_pictures(containers[suffix], 10.0, lambda seconds: times, 48, grey=True)
    assert frames.shape == (len(times), 48, 48) and frames.dtype == np.uint8
    assert times[np.argmax(frames.mean(axis=(1, 2)) > 120)] == pytest.approx(0.6, abs=0.05)


def test_frames_are_chosen_by_time_whatever_the_rate(containers):
    rates = [
        media.read_pictures(
            containers[".mp4"], 10.0, lambda seconds, n=n: (np.arange(n) + 0.5) * 1.2 / n, 24, grey=True
        )
        for n in (4, 30)
    ]
    for frames in rates:
        bright = frames.mean(axis=(1, 2)) > 120
        assert bright.sum() == len(bright) / 2 and not bright[: len(bright) // 2].any()


def test_colour_is_red_green_blue(containers):
    frames = media.read_pictures(containers[".mp4"], 10.0, lambda seconds: np.array([1.0]), 32, grey=False)
    assert np.abs(frames[0].mean(axis=(0, 1)) - (230, 200, 180)).max() < 15


def test_only_the_seconds_that_count_are_kept(containers):
    assert len(media.read_sound(containers[".mp4"], 0.5)) == 0.5 * RATE
    told = []
    media.read_pictures(containers[".mp4"], 0.5, lambda seconds: told.append(seconds) or np.zeros(1), 24, grey=True)
    assert told == [0.5]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("read", ["sound", "pictures"])
def test_a_file_that_ends_too_early(containers, tmp_path, suffix, read):
    path = tmp_path / f"cut{suffix}"
    whole = write_clip(tmp_path / f"long{suffix}", seconds=4.0).read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match=f"cut.{suffix[1:]}: (truncated|damaged|cannot be decoded|no .* stream)"):
        if read == "sound":
            media.read_sound(path, 10.0)
        else:
            media.read_pictures(path, 10.0, lambda seconds: np.arange(0, seconds, 0.1), 24, grey=True)


def test_a_cut_wave_file(tmp_path):
    soundfile.write(tmp_path / "tone.wav", tone(3.0), RATE)
    assert np.array_equal(media.read_sound(tmp_path / "tone.wav", 10.0), tone(3.0))
    (tmp_path / "cut.wav").write_bytes((tmp_path / "tone.wav").read_bytes()[:40000])
    with pytest.raises(DataError, match=r"cut\.wav: truncated, 40000 bytes of at least 96044"):
        media.read_sound(tmp_path / "cut.wav", 10.0)


def test_a_clip_without_sound(tmp_path):
    with pytest.raises(DataError, match=r"silent\.mp4: no audio stream"):
        media.read_sound(write_clip(tmp_path / "silent.mp4", sound=False), 10.0)


def test_the_streams_of_a_set(root, tmp_path):
    examples = MADE.load(root, tmp_path, "kind", SEQUENCES, quiet)
    assert examples.ids == ("a", "b", "c") and examples.labels.tolist() == [0, 1, 0] and examples.classes == ("x", "y")
    audio, video = examples.streams["audio"], examples.streams["video"]
    assert (audio.kind, audio.rate_hz, video.kind, video.rate_hz) == ("waveform", 16000, "frames", 10)
    assert video.raw(0).shape == (12, 48, 48) and video.features(video.raw(0)).shape == (12, video.width)
    assert audio.features(audio.raw(2)).shape[1] == audio.width == logmel.FILTERS
    assert isinstance(audio.values, np.memmap)


def test_spectrogram_and_frames_have_the_shapes_of_mbt(root, tmp_path):
    streams = MADE.load(root, tmp_path, "kind", {"audio": "spectrogram", "video": "frames"}, quiet).streams
    for modality, shape in (("audio", (800, 128)), ("video", (8, 224 * 224 * 3))):
        rows = streams[modality].features(streams[modality].raw(1))
        assert rows.shape == shape and rows.dtype == np.float32 and streams[modality].width == shape[1]
    red = streams["video"].features(streams["video"].raw(0)).reshape(8, 224, 224, 3)[-1, ..., 0]
    assert -1 <= red.min() and red.max() <= 1 and red.mean() == pytest.approx(230 / 127.5 - 1, abs=0.1)


def test_a_spectrogram_is_of_the_middle_and_hears_the_pitch():
    long = np.concatenate([np.zeros(RATE, np.int16), tone(16.0, 1000.0)[8 * RATE :], np.zeros(RATE, np.int16)])
    rows = spectrogram.spectrogram(long)
    assert rows.shape == (800, 128) and (rows[5:-5].argmax(axis=1) == rows[400].argmax()).all()
    assert spectrogram._FILTERS.sum(axis=0).min() > 0
    short = spectrogram.spectrogram(tone(1.0))
    assert short.shape == (800, 128) and (short[100:] == short[-1]).all() and short[:100].max() > short[-1].max() + 5


def test_each_representation_is_decoded_once(root, tmp_path):
    decoded = []

    def watch(items, description):
        decoded.append(description)
        return items

    first = MADE.load(root, tmp_path, "kind", SEQUENCES, watch)
    again = MADE.load(root, tmp_path, "kind", SEQUENCES | {"audio": "spectrogram"}, watch)
    assert decoded == ["Decoding Made clips, sound", "Decoding Made clips, movement"]
    assert first.fingerprint != again.fingerprint
    shutil.copy(write_clip(tmp_path / "other.mp4", pitch_hz=900.0), root / "made" / "b.mp4")
    changed = MADE.load(root, tmp_path, "kind", SEQUENCES, watch)
    assert len(decoded) == 4 and changed.fingerprint != first.fingerprint


def test_a_missing_clip_is_named_and_can_be_declared(root, tmp_path):
    (root / "made" / "b.mp4").unlink()
    with pytest.raises(DataError, match=r"1 of 3 clips are missing, b; .*b\.mp4 for one\. Make them again\. To go on"):
        MADE.load(root, tmp_path, "kind", SEQUENCES, quiet)
    (root / "made" / ABSENT).write_text("b  # gone since 2024\n")
    assert MADE.load(root, tmp_path, "kind", SEQUENCES, quiet).ids == ("a", "c")
    assert MADE.check(root) == []


def test_a_wrong_count_is_refused(root, tmp_path):
    more = ClipSet(replace(CARD, counts={"clips": 5}), listing, fps=10)
    with pytest.raises(DataError, match=r"3 clips, expected 5 \(absent\.txt included\)"):
        more.load(root, tmp_path, "kind", SEQUENCES, quiet)
    assert "3 clips, expected 5" in more.check(root)[0]


def test_every_unreadable_clip_is_told_at_once(root, tmp_path):
    for name in ("a", "c"):
        path = root / "made" / f"{name}.mp4"
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"2 of 3 clips cannot be read: .*a\.mp4: truncated.*c\.mp4: truncated"):
        MADE.load(root, tmp_path / "cache", "kind", SEQUENCES, quiet)
    unreadable = tmp_path / "cache" / "made" / UNREADABLE
    assert unreadable.read_text() == "a\nc\n"
    assert [sentence.split(": ")[1][:9] for sentence in MADE.check(root)] == ["truncated", "truncated"]
    shutil.copy(unreadable, root / "made" / ABSENT)
    assert MADE.load(root, tmp_path / "cache", "kind", SEQUENCES, quiet).ids == ("b",)


def test_pointers_and_an_empty_root(root, tmp_path):
    (root / "made" / "a.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 200\n")
    assert "a.mp4 is a Git LFS pointer" in MADE.check(root)[0]
    (told,) = MADE.check(tmp_path / "nowhere")
    assert "does not exist" in told and CARD.home in told and CARD.licence in told


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"video": "mouth"}, "no video input 'mouth'.*Accepted: movement, frames"),
        ({"text": "words"}, "no modality 'text'"),
    ],
)
def test_what_no_clip_has(root, tmp_path, inputs, message):
    with pytest.raises(DataError, match=message):
        MADE.load(root, tmp_path, "kind", inputs, quiet)


def test_a_tenth_is_carved_by_names():
    assert sum(clips.by_hash(f"clip {k}") for k in range(2000)) == pytest.approx(200, abs=45)
