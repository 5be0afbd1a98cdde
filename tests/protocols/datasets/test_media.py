"""Decoding: picture and sound on one time line, and what is said about files that cannot be used."""

import numpy as np
import pytest

from protocols.datasets.media import decode, file_problem
from protocols.examples import DataError
from tests.protocols.datasets.conftest import write_media


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory, flash_and_beep):
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    write_media(path, *flash_and_beep)
    return path


def test_decodes_what_was_written(clip_file, flash_and_beep):
    clip = decode(clip_file)
    assert clip.frames.shape == (75, 144, 180) and clip.frames.dtype == np.uint8
    assert clip.samples.dtype == np.int16 and clip.fps == 25
    assert abs(len(clip.samples) - 48000) <= 1024
    tone = clip.samples[20000:40000].astype(float)
    assert np.sqrt(np.mean(tone**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


def test_sound_and_picture_keep_time(clip_file):
    clip = decode(clip_file)
    flash = np.argmax(clip.frames.mean(axis=(1, 2)) > 120) / clip.fps
    beep = np.argmax(np.abs(clip.samples.astype(int)) > 2000) / 16000
    assert flash == 1.0
    assert beep == pytest.approx(1.0, abs=0.01)


def test_decoding_twice_gives_the_same_bytes(clip_file):
    first, second = decode(clip_file), decode(clip_file)
    assert np.array_equal(first.frames, second.frames) and np.array_equal(first.samples, second.samples)


def test_a_late_audio_stream_is_moved_to_its_time(tmp_path, flash_and_beep):
    import av

    frames, samples = flash_and_beep
    write_media(tmp_path / "on_time.mp4", frames, samples)
    with av.open(str(tmp_path / "on_time.mp4")) as source, av.open(str(tmp_path / "late.mkv"), "w") as target:
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                packet.pts, packet.dts = packet.pts + 8000, packet.dts + 8000
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    beep = np.argmax(np.abs(decode(tmp_path / "late.mkv").samples.astype(int)) > 2000) / 16000
    assert beep == pytest.approx(1.5, abs=0.08)  # Matroska keeps the codec's 64 ms of priming


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.mp4: no such file\. Fetch"):
        decode(tmp_path / "gone.mp4")


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match=r"empty\.mp4: empty file\. Fetch"):
        decode(tmp_path / "empty.mp4")


def test_lfs_pointer(tmp_path):
    pointer = tmp_path / "clip.mp4"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 70000\n")
    with pytest.raises(DataError, match=r"clip\.mp4 is a Git LFS pointer.*git lfs pull"):
        decode(pointer)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.98])
def test_truncated_file(clip_file, tmp_path, kept):
    whole = clip_file.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"cut\.mp4: (truncated|not an MP4)"):
        decode(cut)


def test_truncated_file_whose_index_stands_in_front(clip_file, tmp_path, flash_and_beep):
    """FFmpeg opens such a file and decodes what is left of it."""
    import av

    front, cut = tmp_path / "front.mp4", tmp_path / "cut.mp4"
    with (
        av.open(str(clip_file)) as source,
        av.open(str(front), "w", options={"movflags": "faststart"}) as target,
    ):
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    whole = front.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat") and file_problem(front) is None
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(DataError, match=rf"cut\.mp4: truncated, {len(whole) * 3 // 4} bytes of at least {len(whole)}"):
        decode(cut)


def test_garbage(tmp_path):
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(DataError, match=r"noise\.mp4: not an MP4 file"):
        decode(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_overwritten_middle(clip_file, tmp_path, share):
    """All boxes are there, so only decoding shows the damage; FFmpeg would conceal most of it."""
    whole = bytearray(clip_file.read_bytes())
    begin = whole.index(b"mdat") + 4
    size = int.from_bytes(whole[begin - 8 : begin - 4], "big") - 8
    hole = slice(begin + 20, begin + 20 + int((size - 20) * share))
    whole[hole] = bytes(hole.stop - hole.start)
    path = tmp_path / "holes.mp4"
    path.write_bytes(whole)
    assert file_problem(path) is None
    with pytest.raises(DataError, match=r"holes\.mp4: (cannot be decoded|damaged|no frames|no sound)"):
        decode(path)


@pytest.mark.parametrize("absent", ["audio", "video"])
def test_a_stream_is_missing(tmp_path, flash_and_beep, absent):
    frames, samples = flash_and_beep
    write_media(tmp_path / "half.mp4", None if absent == "video" else frames, None if absent == "audio" else samples)
    with pytest.raises(DataError, match=rf"half\.mp4: no {absent} stream"):
        decode(tmp_path / "half.mp4")
