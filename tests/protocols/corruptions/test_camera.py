"""Lenses, things in the way, dim rooms and encoders: the measured size of each effect is the stated one."""

import io

import numpy as np
import pytest
from scipy.fft import dctn

from protocols.corruptions.camera import blur, face_occlusion, frame_drop, jpeg, low_light, mouth_occlusion

EVERY = (
    (blur, 2.0),
    (mouth_occlusion, 50.0),
    (face_occlusion, 40.0),
    (low_light, 10.0),
    (frame_drop, 40.0),
    (jpeg, 20),
)


@pytest.fixture
def frames():
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:36, :48]
    waves = 128 + 60 * np.sin(rows / 4)[None] * np.cos(columns / 5 + np.arange(15)[:, None, None])
    return np.clip(waves + rng.normal(0, 6, (15, 36, 48)), 1, 255).astype(np.uint8)


def seed(k=0):
    return np.random.default_rng(k)


@pytest.mark.parametrize(("corrupt", "severity"), EVERY)
@pytest.mark.parametrize("shape", [(1, 36, 48), (15, 36, 48), (2, 5, 3)])
def test_shape_range_randomness_and_black(corrupt, severity, shape, frames):
    clip = frames[: shape[0], : shape[1], : shape[2]]
    before = clip.copy()
    seen = corrupt(clip, severity, seed())
    assert seen.shape == shape and seen.dtype == np.float32 and 0 <= seen.min() and seen.max() <= 255
    assert np.array_equal(seen, corrupt(clip, severity, seed())) and np.array_equal(clip, before)
    assert not corrupt(np.zeros(shape, np.uint8), severity, seed()).any()


@pytest.mark.parametrize(("corrupt", "severity"), [pair for pair in EVERY if pair[0] not in (mouth_occlusion, jpeg)])
def test_a_colour_is_treated_as_grey_is(corrupt, severity, frames):
    """Each channel of a coloured clip becomes what it becomes as a clip of its own."""
    clip = np.stack([frames, frames // 2, 255 - frames], axis=-1)
    seen = corrupt(clip, severity, seed())
    assert seen.shape == clip.shape and seen.dtype == np.float32
    for channel in range(3):
        assert np.array_equal(seen[..., channel], corrupt(clip[..., channel], severity, seed()))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_a_point_becomes_a_gaussian_of_the_stated_width(sigma):
    point = np.zeros((2, 61, 61), np.float32)
    point[0, 30, 30] = 255
    spot = blur(point, sigma, seed())
    assert spot[0].sum() == pytest.approx(255, rel=1e-4) and not spot[1].any()  # no frame leaks into the next
    away = np.arange(61) - 30
    assert np.sqrt((spot[0].sum(0) * away**2).sum() / 255) == pytest.approx(sigma, rel=0.02)


def test_blur_keeps_one_grey_and_nothing_at_zero(frames):
    grey = np.full((2, 9, 9), 90, np.uint8)
    assert blur(grey, 4.0, seed()) == pytest.approx(90, abs=1e-3)
    assert np.array_equal(blur(frames, 0.0, seed()), frames)


@pytest.mark.parametrize("share", [0.0, 20.0, 25.0, 50.0, 100.0])
@pytest.mark.parametrize("corrupt", [mouth_occlusion, face_occlusion])
def test_the_covered_share_is_exact_and_one_block(corrupt, share, frames):
    covered = corrupt(frames, share, seed()) == 0
    assert (covered == covered[0]).all()  # the same in every frame
    count = round(36 * 48 * share / 100)
    assert covered[0].sum() == count
    if count:
        rows, columns = (np.flatnonzero(covered[0].any(axis)) for axis in (1, 0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert box - count < 36 + 48  # a rectangle, but for its last row and column
    assert np.array_equal(np.where(covered, 0, frames), corrupt(frames, share, seed()))


def test_the_mouth_is_covered_from_its_centre(frames):
    rows, columns = np.nonzero(mouth_occlusion(frames, 25.0, seed())[0] == 0)
    assert (rows.mean(), columns.mean()) == pytest.approx((17.5, 23.5), abs=0.6)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx((18, 24), abs=1)


def test_the_face_is_covered_anywhere(frames):
    places = np.array([np.mean(np.nonzero(face_occlusion(frames, 20.0, seed(k))[0] == 0), axis=1) for k in range(300)])
    reach = np.array([36, 48]) * (1 - np.sqrt(0.2)) / 2
    assert np.abs(places - [17.5, 23.5]).max(0) == pytest.approx(reach, rel=0.08)
    assert places.mean(0) == pytest.approx([17.5, 23.5], abs=1.5)


def test_a_tenth_of_the_light_is_a_third_of_the_pixel_value(frames):
    dark = low_light(frames, 10.0, seed())
    assert np.array_equal(dark, np.rint(dark))
    light = (dark / 255.0) ** 2.2 / (frames / 255.0) ** 2.2
    assert np.median(light) == pytest.approx(0.1, rel=0.03)
    assert np.array_equal(low_light(frames, 100.0, seed()), frames) and not low_light(frames, 0.0, seed()).any()
    assert len(np.unique(low_light(frames, 3.0, seed()))) < len(np.unique(frames)) / 3  # levels are lost


@pytest.mark.parametrize("share", [0.0, 20.0, 40.0, 60.0, 100.0])
def test_lost_frames_show_the_last_one_seen(share, frames):
    shown = frame_drop(frames, share, seed())
    came = [np.flatnonzero((frames == frame).all((1, 2)))[0] for frame in shown]
    lost = came != np.arange(15)
    assert lost.sum() == min(round(15 * share / 100), 14) and not lost[0]
    assert came == [max(t for t in range(now + 1) if not lost[t]) for now in range(15)]


def levels(frame, table):
    """(blocks, 8, 8): cosine transform of whole blocks, in steps of the quantisation."""
    height, width = (n // 8 for n in frame.shape)
    blocks = frame[: height * 8, : width * 8].reshape(height, 8, width, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return dctn(blocks - 128.0, axes=(1, 2), norm="ortho") / table


@pytest.mark.parametrize("quality", [90, 75, 50, 20, 5])
@pytest.mark.parametrize("size", [(36, 48), (33, 41)])
def test_jpeg_is_what_an_encoder_writes(quality, size, frames):
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the user interface")
    clip = frames[:3, : size[0], : size[1]]
    for frame, ours in zip(clip, jpeg(clip, quality, seed()), strict=True):
        file = io.BytesIO()
        image.fromarray(frame).save(file, "jpeg", quality=quality)
        read = image.open(file)
        theirs, table = np.asarray(read, np.float32), np.reshape(read.quantization[0], (8, 8))
        assert np.abs(theirs - ours).mean() < 1
        # Their transform has three binary places, so it may round to the other side where we are next to a half.
        apart = np.rint(levels(theirs, table)) != np.rint(levels(ours, table))
        assert apart.mean() < 0.02
        halves = np.abs(levels(frame, table)[apart]) % 1
        assert halves == pytest.approx(0.5, abs=0.05)


def test_lower_quality_is_further_away(frames):
    away = [np.abs(jpeg(frames, q, seed()) - frames).mean() for q in (100, 90, 50, 20, 5, 1)]
    assert away == sorted(away) and away[0] < 0.5
