"""White noise: the measured ratio is the stated one."""

import numpy as np
import pytest

from protocols.corruptions import parse_condition
from protocols.corruptions.audio import white_noise


@pytest.fixture
def speech():
    rng = np.random.default_rng(3)
    loudness = np.abs(np.sin(np.arange(16000) / 900))
    return (4000 * loudness * rng.standard_normal(16000)).astype(np.int16)


def snr_db(clean, noisy):
    noise = noisy.astype(float) - clean
    return 10 * np.log10(np.mean(np.square(clean, dtype=float)) / np.mean(noise**2))


@pytest.mark.parametrize("severity", [20, 5, 0, -5, -20])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_measured_snr(speech, severity, kind):
    noisy = white_noise(speech.astype(kind), severity, np.random.default_rng(0))
    assert noisy.shape == speech.shape and noisy.dtype == np.float32
    assert snr_db(speech, noisy) == pytest.approx(severity, abs=0.15)


def test_loud_sound_does_not_wrap_round():
    loud = np.full(16000, 32000, np.int16)
    noisy = white_noise(loud, 0.0, np.random.default_rng(0))
    assert snr_db(loud, noisy) == pytest.approx(0, abs=0.15) and noisy.max() > 32767


def test_noise_is_white_and_without_offset(speech):
    noise = white_noise(speech, 0.0, np.random.default_rng(1)) - speech
    assert abs(noise.mean()) < 0.03 * noise.std()
    for lag in (1, 2, 10):
        assert abs(np.corrcoef(noise[:-lag], noise[lag:])[0, 1]) < 0.03


def test_lower_is_noisier(speech):
    measured = [snr_db(speech, white_noise(speech, s, np.random.default_rng(0))) for s in (20, 10, 0, -10)]
    assert measured == sorted(measured, reverse=True)


def test_silence_stays_silent():
    assert not white_noise(np.zeros(800, np.int16), -10.0, np.random.default_rng(0)).any()


def test_same_randomness_same_noise(speech):
    condition = parse_condition("audio/white_noise/-5dB")
    draws = [condition.apply(speech, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert snr_db(speech, draws[0]) == pytest.approx(-5, abs=0.15)
