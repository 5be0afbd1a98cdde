"""GRID: bad input on clips made here, counts and signal on the real ones."""

import csv
import os
import pickle
import shutil
import time
from collections import Counter

import numpy as np
import pytest

from protocols.datasets import grid
from protocols.datasets.grid_clips import SLOTS, read_alignment
from protocols.datasets.media import decode
from protocols.examples import DataError

CLIPS = ["bbaf2n", "lgwaza", "srbz9p"]
INPUTS = {"audio": "logmel", "video": "mouth"}


def quiet(items, description):
    return items


@pytest.fixture
def folder(made_clips, tmp_path):
    """A copy of the made clips that a test may spoil."""
    return shutil.copytree(made_clips, tmp_path / "root" / "grid")


@pytest.fixture(scope="module")
def made(made_clips, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {
        (target, video): grid.load_clips(made_clips, cache, CLIPS, target, {"audio": "logmel", "video": video}, quiet)
        for target in grid.TARGETS
        for video in grid.CARD.inputs["video"]
    }


def split():
    with open(grid.SPLIT, newline="", encoding="utf-8") as rows:
        return {row["id"]: row["part"] for row in csv.DictReader(rows)}


# The committed split


def test_split_is_balanced_and_disjoint():
    with open(grid.SPLIT, newline="", encoding="utf-8") as rows:
        ids = [row["id"] for row in csv.DictReader(rows)]
    assert ids == sorted(set(ids)) and len(ids) == grid.CARD.counts["clips"]
    parts = split()
    assert Counter(parts.values()) == {"train": 600, "validation": 150, "test": 250}
    for part, per_letter, per_digit in (("train", 24, 60), ("validation", 6, 15), ("test", 10, 25)):
        clips = [clip for clip, its in parts.items() if its == part]
        assert Counter(c[3] for c in clips) == dict.fromkeys(SLOTS["letter"], per_letter)
        assert Counter(c[4] for c in clips) == dict.fromkeys(SLOTS["digit"], per_digit)


def test_split_follows_the_rule_beside_it():
    pairs = {}
    for clip, part in split().items():
        pairs.setdefault((list(SLOTS["letter"]).index(clip[3]), list(SLOTS["digit"]).index(clip[4])), []).append(part)
    for (i, j), parts in pairs.items():
        expected = ["train"] * 4
        expected[(i + j) % 4] = "test"
        if (i + j) % 5 < 3:
            expected[(i + j + 3) % 4] = "validation"
        assert parts == expected


def test_split_spreads_the_other_words():
    parts = split()
    for part in ("train", "validation", "test"):
        clips = [clip for clip, its in parts.items() if its == part]
        for slot in (0, 1, 2, 5):
            of_all = Counter(clip[slot] for clip in parts)
            for letter, count in Counter(clip[slot] for clip in clips).items():
                assert count / len(clips) == pytest.approx(of_all[letter] / len(parts), abs=0.031)


# Clips made here


def test_examples_hold_the_word_and_its_margin(made):
    digit, letter = made["digit", "mouth"], made["letter", "mouth"]
    assert digit.ids == letter.ids == tuple(CLIPS)
    assert [digit.classes[k] for k in digit.labels] == ["two", "zero", "nine"]
    assert [letter.classes[k] for k in letter.labels] == ["f", "a", "z"]
    # digit: frames 33 to 41.5 -> 30 to 45; letter: frames 25.5 to 31.75 -> 22 to 35
    for examples, steps in ((digit, 15), (letter, 13)):
        for i in range(3):
            assert examples.streams["video"].raw(i).shape == (steps, 36, 48)
            assert examples.streams["audio"].raw(i).shape == (steps * 640,)
    assert digit.fingerprint != letter.fingerprint


def test_sound_and_frames_of_an_example_are_of_one_time(made):
    """The letter's example spans the flash and the beep, both after 3 of its frames."""
    streams = made["letter", "mouth"].streams
    brightness = streams["video"].raw(1).mean(axis=(1, 2))
    loudness = np.abs(streams["audio"].raw(1).astype(int)).reshape(-1, 640).max(axis=1)
    assert np.argmax(brightness > 120) == np.argmax(loudness > 4000) == 3


@pytest.mark.parametrize("video, width", [("mouth", 432), ("face", 576)])
def test_features_have_the_declared_width(made, video, width):
    streams = made["digit", video].streams
    for modality, steps in (("audio", 4 * 15 - 2), ("video", 15)):
        stream = streams[modality]
        rows = stream.features(stream.raw(0))
        assert rows.shape == (steps, stream.width) and rows.dtype == np.float32 and np.isfinite(rows).all()
    assert (streams["audio"].width, streams["video"].width) == (40, width)


def test_features_of_floats_are_those_of_integers(made):
    """Corruptions return floats."""
    for stream in made["digit", "mouth"].streams.values():
        raw = stream.raw(0)
        assert np.allclose(stream.features(raw), stream.features(raw.astype(np.float32)), atol=1e-5)


def test_examples_can_be_sent_to_a_worker(made):
    stream = made["digit", "mouth"].streams["audio"]
    assert pickle.loads(pickle.dumps(stream.features)) is stream.features


def test_decoded_once_and_again_when_a_file_changed(folder, tmp_path):
    decoded = []

    def watch(items, description):
        decoded.append(len(items))
        return items

    for _ in range(2):
        grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, watch)
    assert decoded == [3]
    os.utime(folder / "s1" / "lgwaza.mp4", ns=(1, 1))
    grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, watch)
    assert decoded == [3, 3]


def test_the_fingerprint_follows_the_words(folder, tmp_path):
    before = grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, quiet).fingerprint
    edit_alignment(folder, "33000 41500", "33000 42500").write_text(
        alignment(folder).read_text().replace("41500 50000", "42500 50000")
    )
    after = grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, quiet).fingerprint
    assert before != after


def alignment(folder):
    return folder / "align" / "s1" / "bbaf2n.align"


def edit_alignment(folder, old, new):
    path = alignment(folder)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("33000 41500 two\n", "", r"digit: the word is 'now', but the clip's name 'bbaf2n' says 'two'"),
        ("41500 50000 now\n", "", r"adverb: there is no word, only 5 of 6"),
        (" two", " three", r"digit: the word is 'three', but the clip's name 'bbaf2n' says 'two'"),
        (" f\n", " g\n", r"letter: the word is 'g'"),
        ("33000 41500 two", "33000 two", r"bbaf2n\.align:7: '33000 two' has 2 fields; wanted `start stop word`"),
        ("33000 41500 two", "33000.5 41500 two", r"align:7: .* whole thousandths"),
        ("33000 41500 two", "41500 33000 two", r"align:7: .* runs backwards"),
        ("33000 41500 two", "30000 41500 two", r"align:7: .* the line before, which ends at 33000"),
        ("50000 74500 sil", "50000 74500 soon", r"7 words \(.*\); a GRID sentence has 6"),
        ("41500 50000 now\n50000", "80000 90000 now\n90000", r"runs backwards"),
        ("41500 50000 now\n50000 74500", "80000 90000 now\n90000 91000", r"'now' starts after the clip's 75 frames"),
    ],
)
def test_alignments_that_cannot_be_right(folder, tmp_path, old, new, message):
    edit_alignment(folder, old, new)
    with pytest.raises(DataError, match=message):
        grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, quiet)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_alignment_is_missing_or_a_pointer(folder):
    alignment(folder).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 200\n")
    with pytest.raises(DataError, match=r"bbaf2n\.align is a Git LFS pointer"):
        read_alignment(alignment(folder))
    alignment(folder).unlink()
    with pytest.raises(DataError, match=r"bbaf2n\.align: no such file"):
        read_alignment(alignment(folder))


def test_a_name_that_is_no_clip(folder):
    other = alignment(folder).rename(alignment(folder).with_name("bbaw2n.align"))
    with pytest.raises(DataError, match=r"'bbaw2n' is not the name of a GRID clip"):
        read_alignment(other)


def test_a_damaged_clip_leaves_nothing_behind(folder, tmp_path):
    clip = folder / "s1" / "srbz9p.mp4"
    clip.write_bytes(clip.read_bytes()[:9000])
    with pytest.raises(DataError, match=r"srbz9p\.mp4: truncated, 9000 bytes"):
        grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, quiet)
    assert [path.suffix for path in (tmp_path / "cache" / "grid").iterdir()] == [".lock"]


def test_frames_of_another_size(folder, tmp_path):
    from tests.protocols.datasets.conftest import write_media

    write_media(folder / "s1" / "bbaf2n.mp4", np.zeros((75, 288, 360), np.uint8), np.zeros(48000, np.int16))
    with pytest.raises(DataError, match=r"bbaf2n\.mp4: 360x288 pixels at 25 frames a second; wanted 180x144 at 25"):
        grid.load_clips(folder, tmp_path / "cache", CLIPS, "digit", INPUTS, quiet)


def test_wrong_counts(folder, tmp_path):
    (folder / "s1" / "bbaf2n.mp4").rename(folder / "s1" / "holiday.mp4")
    sentences = grid.check(folder.parent)
    missing = 1000 - len(set(CLIPS[1:]) & set(split()))
    assert f"3 clips, expected 1000; {missing} missing: bbaf2n, bbaf3s and more. Download" in sentences[0]
    assert "not part of GRID s1: holiday" in sentences[1]
    with pytest.raises(DataError, match="3 clips, expected 1000"):
        grid.load(folder.parent, tmp_path, "digit", INPUTS, quiet)


def test_an_empty_data_root(tmp_path):
    assert [grid.CARD.home in sentence for sentence in grid.check(tmp_path)] == [True]
    with pytest.raises(DataError, match=r"grid/s1: no such folder\. Wanted grid/s1/<id>\.mp4"):
        grid.load(tmp_path, tmp_path, "digit", INPUTS, quiet)


def test_check_names_every_spoilt_file(folder):
    (folder / "s1" / "bbaf2n.mp4").write_text("version https://git-lfs.github.com/spec/v1\n")
    edit_alignment(folder, " two", " three")
    found = " ".join(grid.check(folder.parent))
    assert "bbaf2n.mp4 is a Git LFS pointer" in found and "bbaf2n.align: digit: the word is 'three'" in found


@pytest.mark.parametrize(
    "target, inputs, message",
    [
        ("colour", INPUTS, r"no target 'colour'.*Accepted: digit, letter"),
        ("digit", {"video": "lips"}, r"no video input 'lips'.*Accepted: mouth, face"),
        ("digit", {"text": "words"}, r"no modality 'text'.*Accepted: audio, video"),
    ],
)
def test_what_grid_does_not_have(made_clips, tmp_path, target, inputs, message):
    with pytest.raises(DataError, match=message):
        grid.load_clips(made_clips, tmp_path, CLIPS, target, inputs, quiet)


# The real clips


@pytest.mark.data
def test_real_counts_and_balance(data_root, grid_digit):
    assert grid.check(data_root) == []
    assert set(grid_digit.ids) == set(split()) and len(grid_digit.ids) == 1000
    assert np.bincount(grid_digit.labels).tolist() == [100] * 10
    assert len(grid_digit.streams["video"].values) in range(74 * 1000, 75 * 1000 + 1)


@pytest.mark.data
def test_real_segments_are_words(grid_digit):
    audio, video = grid_digit.streams["audio"], grid_digit.streams["video"]
    steps = video.stops - video.starts
    print(f"\nT_v {steps.min()} / {steps.mean():.1f} / {steps.max()}")
    assert steps.min() >= 2 * grid.MARGIN + 2 and steps.max() <= 2 * grid.MARGIN + 25
    assert np.array_equal(audio.stops - audio.starts, 640 * steps)


@pytest.mark.data
def test_real_sound_follows_the_alignment(data_root):
    """Loudness agrees best with the aligned words where neither is moved: the container adds no offset."""
    lags = np.arange(-12, 13)  # of 10 ms
    agreement = np.zeros(len(lags))
    for clip in sorted(split())[::50]:
        samples = decode(data_root / "grid" / "s1" / f"{clip}.mp4").samples.astype(float)
        loudness = np.log(1 + np.square(samples[: len(samples) // 160 * 160]).reshape(-1, 160).mean(axis=1))
        spoken = np.zeros(len(loudness))
        for word in read_alignment(data_root / "grid" / "align" / "s1" / f"{clip}.align"):
            spoken[round(word.start / 250) : round(word.stop / 250)] = 1
        agreement += [np.corrcoef(np.roll(spoken, lag), loudness)[0, 1] for lag in lags]
    assert abs(lags[agreement.argmax()]) <= 5


@pytest.mark.data
def test_real_prepared_set_opens_fast(data_root, grid_cache, grid_digit):
    began = time.perf_counter()
    again = grid.load(data_root, grid_cache, "digit", INPUTS, quiet)
    print(f"\nprepared GRID opened in {time.perf_counter() - began:.2f} s")
    assert again.fingerprint == grid_digit.fingerprint
    assert all(isinstance(stream.values, np.memmap) for stream in again.streams.values())


@pytest.mark.data
@pytest.mark.parametrize("modality, at_least", [("audio", 0.9), ("video", 0.45)])
def test_a_linear_probe_reads_the_digit(grid_digit, modality, at_least):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    stream, parts = grid_digit.streams[modality], split()
    rows = [stream.features(stream.raw(i)) for i in range(len(grid_digit.ids))]
    points = np.stack([row[np.linspace(0, len(row) - 1, 8).round().astype(int)].ravel() for row in rows])
    part = np.array([parts[clip] for clip in grid_digit.ids])
    fit, judge = part == "train", part == "validation"
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
    accuracy = probe.fit(points[fit], grid_digit.labels[fit]).score(points[judge], grid_digit.labels[judge])
    print(f"\nlinear probe, digit from {modality}: {accuracy:.3f}")
    assert accuracy > at_least
