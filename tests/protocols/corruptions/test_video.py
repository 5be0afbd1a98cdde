"""Sensor noise: the measured ratio is the stated one, and pixels stay pixels."""

import numpy as np
import pytest

from protocols.corruptions.video import sensor_noise


@pytest.fixture
def frames():
    return np.clip(np.random.default_rng(4).normal(128, 12, (15, 36, 48)), 0, 255).astype(np.uint8)


def snr_db(clean, noisy):
    return 10 * np.log10(np.var(clean.astype(float)) / np.mean((noisy.astype(float) - clean) ** 2))


@pytest.mark.parametrize("severity", [20.0, 5.0, 0.0, -5.0])
def test_measured_snr(frames, severity):
    noisy = sensor_noise(frames, severity, np.random.default_rng(0))
    assert noisy.shape == frames.shape and noisy.dtype == np.float32
    assert snr_db(frames, noisy) == pytest.approx(severity, abs=0.15)


def test_brightness_is_no_signal(frames):
    brighter = frames + np.uint8(20)
    noise = [sensor_noise(clip, 5.0, np.random.default_rng(0)) - clip for clip in (frames, brighter)]
    assert noise[0] == pytest.approx(noise[1], abs=1e-3)


def test_black_and_white_are_the_ends(frames):
    noisy = sensor_noise(frames, -25.0, np.random.default_rng(0))
    assert noisy.min() == 0 and noisy.max() == 255


def test_lower_is_noisier(frames):
    measured = [snr_db(frames, sensor_noise(frames, s, np.random.default_rng(0))) for s in (20, 10, 0, -10, -20)]
    assert measured == sorted(measured, reverse=True)


def test_same_randomness_same_noise(frames):
    draws = [sensor_noise(frames, 0.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_one_grey_stays_as_it_is():
    grey = np.full((2, 4, 4), 90, np.uint8)
    assert np.array_equal(sensor_noise(grey, -10.0, np.random.default_rng(0)), grey)
