"""Aff-Wild2 in the challenge's layout: labelled frames alone, parts by folder, or a refusal with file and line."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import affwild2
from protocols.datasets.affwild2_videos import annotation_paths, frame_times, read_annotation, sound_rows
from protocols.datasets.stills import blocks, read_still
from protocols.examples import DataError
from tests.protocols.datasets.brought_clips import write_clip

BOTH = {"video": "face_blocks", "audio": "logmel_frames"}
FRAMES = 75  # of the film


def write_jpg(path: Path, picture: np.ndarray) -> None:
    import av

    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = picture.shape
    codec.pix_fmt, codec.color_range = "yuvj420p", 2
    codec.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p", dst_color_range=2)
    path.write_bytes(b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None))))


@pytest.fixture(scope="module")
def film(made_clips) -> Path:
    """75 frames at 25 a second with sound: silence, and a tone from frame 26 on."""
    return made_clips / "s1" / "bbaf2n.mp4"


def annotate(folder: Path, part: str, video: str, *lines: str) -> Path:
    path = folder / "VA_Estimation_Challenge" / part / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in ("valence,arousal", *lines)))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, film) -> Path:
    """An Aff-Wild2 folder with two people of one recording and one of another; frame 3 has no face."""
    folder = tmp_path_factory.mktemp("made") / "affwild2"
    (folder / "videos").mkdir(parents=True)
    annotate(folder, "Train_Set", "talk_left", *["0.5,-0.25"] * 2, "-5,-5", "-5,0.1", *["-0.1,1.0"] * (FRAMES - 4))
    annotate(folder, "Train_Set", "talk_right", *["-5,-5"] * FRAMES)
    annotate(folder, "Validation_Set", "walk", "0,0", "1,-1", "0.2,0.3")
    for video in ("talk_left", "talk_right", "walk"):
        home = folder / "cropped_aligned" / video
        home.mkdir(parents=True)
        for frame in (1, 2, 4, 5):
            write_jpg(home / f"{frame:05d}.jpg", np.full((112, 112), 10 * frame, np.uint8))
    for recording in ("talk", "walk"):
        shutil.copy(film, folder / "videos" / f"{recording}.mp4")
    return folder


def load(folder: Path, cache: Path, inputs=None):
    videos = {name: path for name, (_, path) in annotation_paths(folder, affwild2.CARD).items()}
    return affwild2.load_videos(folder, cache, videos, "valence_arousal", inputs or BOTH, lambda items, _: items)


def test_only_labelled_frames_are_steps(made, tmp_path):
    examples = load(made, tmp_path)
    assert examples.ids == ("talk_left/00001", "walk/00001")  # talk_right has no label at all
    assert examples.classes == ("valence", "arousal") and examples.per_step and examples.aligned
    left, walk = examples.labels
    assert left.shape == (FRAMES - 2, 2) and left.dtype == np.float32
    np.testing.assert_allclose(left[:3], [[0.5, -0.25], [0.5, -0.25], [-0.1, 1.0]])  # frame 4 lacks valence
    np.testing.assert_allclose(walk, [[0, 0], [1, -1], [0.2, 0.3]])
    faces = examples.streams["video"].raw(1)
    assert faces.shape == (3, 128)
    np.testing.assert_allclose(faces[:, 0] * 255, [10, 20, 0], atol=3)  # frame 3 has no picture
    np.testing.assert_allclose(faces[:, 64] * 255, [0, 10, -20], atol=3)
    assert load(made, tmp_path).fingerprint == examples.fingerprint


def test_sound_lies_at_its_frame(made, film):
    times, heard = frame_times(film)
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-6)
    assert heard
    loudness = sound_rows(made, "walk", np.arange(1, FRAMES + 1)).max(axis=1)
    assert loudness[:20].max() < loudness[30:].min() - 5  # the tone begins with frame 26


def test_a_recording_without_a_sound_track_is_silent(tmp_path):
    write_clip(tmp_path / "videos" / "mute.mp4", sound=False)
    rows = sound_rows(tmp_path, "mute_left", np.arange(1, 13))
    assert rows.shape == (12, 40) and rows.std() < 1e-5 and rows.max() == pytest.approx(np.log(1e-8), abs=1e-3)


def test_long_videos_are_cut_into_stretches(made, tmp_path, monkeypatch):
    monkeypatch.setattr(affwild2, "STRETCH", 2)
    examples = load(made, tmp_path, {"video": "face_blocks"})
    assert examples.ids[-2:] == ("walk/00001", "walk/00003") and [len(own) for own in examples.labels[-2:]] == [2, 1]
    assert sum(map(len, examples.labels)) == FRAMES - 2 + 3


def test_missing_media_are_named(made, tmp_path):
    folder = tmp_path / "affwild2"
    shutil.copytree(made, folder)
    (folder / "cropped_aligned" / "walk" / "00002.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"00002\.jpg: "):
        load(folder, tmp_path, {"video": "face_blocks"})
    shutil.rmtree(folder / "cropped_aligned" / "walk")
    with pytest.raises(DataError, match="cropped_aligned/walk: No such file"):
        load(folder, tmp_path, {"video": "face_blocks"})
    annotate(folder, "Validation_Set", "walk", *["0,0"] * (FRAMES + 1))
    with pytest.raises(DataError, match="75 frames, but frame 76 of walk has a label"):
        load(folder, tmp_path, {"audio": "logmel_frames"})
    (folder / "videos" / "walk.mp4").unlink()
    with pytest.raises(DataError, match="walk.mp4: no such file, nor one ending in .avi"):
        load(folder, tmp_path, {"audio": "logmel_frames"})


@pytest.mark.parametrize(
    ("lines", "said"),
    (
        (["0.1"], r":2: '0.1'; wanted two numbers with a comma"),
        (["0,0", "0.1,good"], r":3: '0.1,good'; wanted two numbers"),
        (["0,0", "", "1,1"], r":3: ''; wanted two numbers"),
        (["0,0", "0,0", "1.5,0"], r":4: '1.5,0'; accepted are -1 to 1, and -5"),
        (["nan,0"], r":2: 'nan,0'; a label is not finite"),
    ),
)
def test_malformed_lines_are_named(tmp_path, lines, said):
    path = annotate(tmp_path, "Train_Set", "one", *lines)
    with pytest.raises(DataError, match=r"one\.txt" + said):
        read_annotation(path)


def test_another_header_is_refused(tmp_path):
    (tmp_path / "one.txt").write_text("0,0\n")
    with pytest.raises(DataError, match=r"one\.txt:1: '0,0'; wanted the header 'valence,arousal'"):
        read_annotation(tmp_path / "one.txt")


def test_a_video_is_in_one_part(tmp_path):
    annotate(tmp_path, "Train_Set", "one", "0,0")
    annotate(tmp_path, "Validation_Set", "one", "0,0")
    with pytest.raises(DataError, match="this video is in Train_Set too"):
        annotation_paths(tmp_path, affwild2.CARD)


@pytest.fixture
def release(tmp_path) -> Path:
    """A data root whose annotation files are as many as those of ABAW3."""
    folder = tmp_path / "affwild2"
    for number in range(340):
        annotate(folder, "Train_Set", f"train{number}", "0,0")
    annotate(folder, "Train_Set", "train0_left", "0,0")
    for number in range(71):
        annotate(folder, "Validation_Set", f"official{number}", "0,0")
    return tmp_path


def test_the_official_validation_part_is_tested(release):
    ids = tuple(f"{video}/00001" for video in annotation_paths(release / "affwild2", affwild2.CARD))
    parts = affwild2.split(release, "abaw3", ids)
    assert {parts[f"official{n}/00001"] for n in range(71)} == {"test"}
    assert parts["train0/00001"] == parts["train0_left/00001"]  # one recording
    assert 20 < list(parts.values()).count("validation") < 50 and list(parts.values()).count("test") == 71


def test_other_counts_are_refused(release):
    with pytest.raises(DataError, match="341 training and 71 validation files; abaw6 has 356 and 76"):
        affwild2.split(release, "abaw6", ())
    with pytest.raises(DataError, match="no release 'abaw5'. Known: abaw3, abaw6"):
        affwild2.split(release, "abaw5", ())
    said = affwild2.check(release)
    assert len(said) == 1 and "official0.mp4: no such file" in said[0]
    annotate(release / "affwild2", "Train_Set", "extra", "0,0")
    with pytest.raises(DataError, match="342 training and 71 validation files. Wanted the files of one release"):
        affwild2.load(release, release / "cache", "valence_arousal", BOTH, lambda items, _: items)


def test_nothing_there_says_what_to_bring(tmp_path):
    (said,) = affwild2.check(tmp_path)
    assert "Train_Set: no such folder" in said and "agreement" in said and affwild2.CARD.home in said


def test_blocks_are_means(tmp_path):
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_allclose(blocks(picture, 2) * 255, [[0.5, 2.5], [6.5, 8.5]])
    write_jpg(tmp_path / "a.jpg", np.full((20, 30), 128, np.uint8))
    assert (
        read_still(tmp_path / "a.jpg").shape == (20, 30) and abs(int(read_still(tmp_path / "a.jpg").mean()) - 128) < 3
    )
