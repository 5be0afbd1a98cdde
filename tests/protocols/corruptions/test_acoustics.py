"""Rooms, microphones and lines: the measured size of each effect is the stated one."""

import numpy as np
import pytest

from protocols.corruptions.acoustics import band_limit, clipping, drop_out, impulse_response, reverberation
from protocols.metrics import Undefined

RATE = 16000
EVERY = (
    lambda x, rng: reverberation(x, 500.0, rng, rate_hz=RATE),
    lambda x, rng: clipping(x, 30.0, rng),
    lambda x, rng: band_limit(x, 2000.0, rng, rate_hz=RATE),
    lambda x, rng: drop_out(x, 40.0, rng, rate_hz=RATE),
)


@pytest.fixture
def speech():
    rng = np.random.default_rng(3)
    return (4000 * np.abs(np.sin(np.arange(16000) / 900)) * rng.standard_normal(16000)).astype(np.int16)


def power(x):
    return np.mean(np.square(x, dtype=float))


def seed(k=0):
    return np.random.default_rng(k)


@pytest.mark.parametrize("rt60", [200.0, 500.0, 1000.0])
def test_sound_dies_by_60_db_in_the_stated_time(rt60):
    click = np.zeros(24000, np.float32)
    click[0] = 1000
    heard = reverberation(click, rt60, seed(), rate_hz=RATE)[1:]  # the tail alone
    decay = np.cumsum(np.square(heard[::-1], dtype=float))[::-1]  # Schroeder's backward integration
    level = 10 * np.log10(decay[decay > 0] / decay[0])
    fitted = (level < -5) & (level > -35)
    slope = np.polyfit(np.flatnonzero(fitted) / RATE, level[fitted], 1)[0]
    assert -60 / slope == pytest.approx(rt60 / 1000, rel=0.05)


def test_reflections_are_as_strong_as_the_direct_sound_and_the_clip_as_loud_as_before(speech):
    room = impulse_response(500.0, RATE, seed())
    assert room[0] == 1 and np.sum(np.square(room[1:], dtype=float)) == pytest.approx(1, rel=1e-5)
    assert power(reverberation(speech, 500.0, seed(), rate_hz=RATE)) == pytest.approx(power(speech), rel=1e-4)


def test_a_room_answers_after_the_sound_and_the_echo_of_a_short_clip_is_cut():
    late = np.zeros(1000, np.float32)
    late[600] = 1
    heard = reverberation(late, 2000.0, seed(), rate_hz=RATE)
    assert heard.shape == late.shape and np.abs(heard[:600]).max() < 1e-6 < np.abs(heard[601:]).max()


@pytest.mark.parametrize("share", [0.0, 10.0, 30.0, 60.0, 100.0])
def test_the_clipped_share_is_exact(share):
    sound = np.random.default_rng(1).standard_normal(7919).astype(np.float32)
    cut = clipping(sound, share, seed())
    at_the_rail = np.isclose(np.abs(cut), np.abs(cut).max(), rtol=1e-6).sum()
    assert at_the_rail == (round(7919 * share / 100) or 1)
    assert power(cut) == pytest.approx(power(sound), rel=1e-4)
    assert np.array_equal(np.sign(cut), np.sign(sound))


def test_clipping_of_few_levels_and_of_mostly_silence():
    steps = np.array([0, 0, 0, 0, 1, -1, 2, 3], np.int16)
    assert np.unique(np.abs(clipping(steps, 60.0, seed()))).size == 2  # all that sounds is at one level
    assert np.count_nonzero(clipping(steps, 60.0, seed())) == 4


@pytest.mark.parametrize("hz", [500, 1800, 2000, 2500, 3500])
def test_attenuation_is_that_of_a_butterworth_low_pass(hz):
    tone = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    left = band_limit(tone, 2000.0, seed(), rate_hz=RATE)
    inside = slice(2000, -2000)
    assert 10 * np.log10(power(left[inside]) / power(tone[inside])) == pytest.approx(
        -10 * np.log10(1 + (hz / 2000) ** 16), abs=0.02
    )
    if hz < 2000:  # nothing is delayed
        assert np.corrcoef(left[inside], tone[inside])[0, 1] > 0.9999


def test_the_low_pass_does_not_run_round_the_ends():
    click = np.zeros(500, np.float32)
    click[-1] = 1000
    assert np.abs(band_limit(click, 1000.0, seed(), rate_hz=RATE)[:150]).max() < 1e-3


def test_an_edge_above_what_the_rate_holds_is_no_edge(speech):
    with pytest.raises(Undefined, match="8000 Hz is not below half the sampling rate, 8000 Hz"):
        band_limit(speech, 8000.0, seed(), rate_hz=RATE)


@pytest.mark.parametrize("share", [0.0, 20.0, 40.0, 60.0, 100.0])
def test_the_lost_share_is_exact_and_lost_in_packets(share):
    sound = np.ones(8011, np.float32)
    left = drop_out(sound, share, seed(), rate_hz=RATE)
    assert (left == 0).sum() == round(8011 * share / 100)
    whole = (left[: 25 * 320].reshape(25, 320) == 0).sum(1)
    assert ((whole > 0) & (whole < 320)).sum() <= 1
    assert (sound == 1).all()  # the caller's samples are left alone


@pytest.mark.parametrize("corrupt", EVERY)
@pytest.mark.parametrize("length", [1, 7, 16000])
def test_shape_kind_randomness_and_silence(corrupt, length, speech):
    sound = speech[:length]
    heard = corrupt(sound, seed())
    assert heard.shape == sound.shape and heard.dtype == np.float32 and np.isfinite(heard).all()
    assert np.array_equal(heard, corrupt(sound, seed()))
    assert not corrupt(np.zeros(length, np.int16), seed()).any()


def test_another_seed_is_another_room_and_other_packets(speech):
    for corrupt in (EVERY[0], EVERY[3]):
        assert not np.array_equal(corrupt(speech, seed(1)), corrupt(speech, seed(2)))
