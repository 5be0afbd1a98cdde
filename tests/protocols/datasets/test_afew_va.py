"""AFEW-VA in its own layout: a label for each frame, folds by actor, or a refusal with file and frame."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from protocols.datasets import afew_va
from protocols.examples import DataError

SQUARE = [[20 + 40 * (i % 2), 10 + 40 * (i // 34)] for i in range(68)]  # columns 20 and 60, rows 10 and 50


def png(picture: np.ndarray) -> bytes:
    import av

    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = picture.shape
    codec.pix_fmt, codec.time_base = "gray", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture, format="gray")
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def write_clip(folder: Path, clip: str, labels: list, actor: str = "someone", picture: bytes = b"", **changes) -> Path:
    home = folder / clip
    home.mkdir(parents=True, exist_ok=True)
    frames = {f"{n:05d}": {"landmarks": SQUARE, "valence": v, "arousal": a} for n, (v, a) in enumerate(labels)}
    said = {"video_id": clip, "actor": actor, "frames": frames} | changes
    for name in frames if picture else ():
        (home / f"{name}.png").write_bytes(picture)
    (home / f"{clip}.json").write_text(json.dumps(said, indent=1))
    return home / f"{clip}.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """An AFEW-VA folder with two clips; pictures are dark on the left and bright on the right."""
    folder = tmp_path_factory.mktemp("made") / "afew_va"
    picture = np.full((60, 80), 20, np.uint8)
    picture[:, 40:] = 220
    write_clip(folder, "001", [(3, -2), (4.0, -10)], picture=png(picture))
    write_clip(folder, "002", [(0, 0), (1, 1), (10, 2)], actor="another", picture=png(picture))
    return folder


def load(folder: Path, cache: Path, kept: str = "landmarks"):
    clips = sorted(path.name for path in folder.iterdir())
    return afew_va.load_clips(folder, cache, clips, "valence_arousal", {"video": kept}, lambda items, _: items)


def test_every_frame_is_a_step(made, tmp_path):
    examples = load(made, tmp_path)
    assert examples.ids == ("001", "002") and examples.task == "regression" and examples.per_step
    assert [own.tolist() for own in examples.labels] == [[[3, -2], [4, -10]], [[0, 0], [1, 1], [10, 2]]]
    rows = examples.streams["video"].raw(1)
    assert rows.shape == (3, 136) and rows.dtype == np.float32
    np.testing.assert_allclose(rows[0].reshape(68, 2)[:2], [[-1, -1], [1, -1]], atol=1e-5)
    assert load(made, tmp_path).fingerprint == examples.fingerprint


def test_the_face_is_the_box_around_the_landmarks(made, tmp_path):
    rows = load(made, tmp_path, "face_blocks").streams["video"].raw(0).reshape(2, 12, 12)
    np.testing.assert_allclose(rows[:, :, :5] * 255, 20, atol=1)  # the box is 56 wide, its middle at column 40
    np.testing.assert_allclose(rows[:, :, 7:] * 255, 220, atol=1)


def test_a_box_beyond_the_edge_repeats_it():
    points = np.array([[-30.0, -30.0], [10.0, 10.0]])
    np.testing.assert_allclose(afew_va.face(np.full((40, 40), 51, np.uint8), points), 0.2, atol=1e-6)


def test_an_actor_is_in_one_fold():
    actors = {f"{n:03d}": name for n, name in enumerate("aaaabbbccddefgh")}
    found = afew_va.folds(actors)
    assert set(found.values()) == {1, 2, 3, 4, 5}
    assert all(len({found[clip] for clip in found if actors[clip] == name}) == 1 for name in "abcdefgh")
    assert max(list(found.values()).count(fold) for fold in range(1, 6)) == 4


def test_the_split_reads_the_actors(made):
    assert afew_va.split(made.parent, "actors", ("001", "002")) == {"002": "1", "001": "2"}


@pytest.mark.parametrize(
    ("labels", "changes", "said"),
    (
        ([(11, 0)], {}, "frame 00000: valence is 11; accepted are numbers from -10 to 10"),
        ([(0, 0), (0, None)], {}, "frame 00001: arousal is None"),
        ([(0, True)], {}, "frame 00000: arousal is True"),
        (
            [],
            {"frames": {"00000": {"valence": 1, "arousal": 1, "landmarks": [[1, 2]]}}},
            r"landmarks \(1, 2\); wanted 68",
        ),
        ([], {"frames": []}, "wanted the keys actor and frames"),
        ([], {}, "no frame in it"),
    ),
)
def test_wrong_frames_are_named(tmp_path, labels, changes, said):
    write_clip(tmp_path, "007", labels, **changes)
    with pytest.raises(DataError, match=rf"007\.json: .*{said}"):
        afew_va.read_clip(tmp_path, "007")


def test_broken_json_is_named_with_its_line(tmp_path):
    path = write_clip(tmp_path, "007", [(0, 0)])
    path.write_text(path.read_text().replace('"actor": "someone",', '"actor": "someone"'))
    with pytest.raises(DataError, match=r"007\.json:4: not JSON"):
        afew_va.read_clip(tmp_path, "007")


def test_missing_pictures_and_other_counts_are_refused(made, tmp_path):
    (said,) = afew_va.check(made.parent)
    assert "2 clips, expected 600" in said
    with pytest.raises(DataError, match="2 clips, expected 600"):
        afew_va.load(made.parent, tmp_path, "valence_arousal", {"video": "landmarks"}, lambda items, _: items)
    write_clip(tmp_path / "afew_va", "001", [(0, 0)])
    assert "00000.png: no such file" in afew_va.check(tmp_path)[0]
    with pytest.raises(DataError, match="00000.png: no such file"):
        load(tmp_path / "afew_va", tmp_path / "cache", "face_blocks")
    assert "no such folder" in afew_va.check(tmp_path / "nowhere")[0]
