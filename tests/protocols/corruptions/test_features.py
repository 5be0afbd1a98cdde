"""Noise on extracted features: the measured ratio is the stated one, for each example."""

import numpy as np
import pytest

from protocols.corruptions.features import feature_noise


def snr_db(clean, noisy):
    return 10 * np.log10(np.mean(np.square(clean)) / np.mean((noisy - clean) ** 2))


@pytest.mark.parametrize("severity", [20.0, 0.0, -10.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 500.0])
def test_measured_snr(severity, scale):
    rows = np.random.default_rng(2).normal(scale, scale, (200, 30)).astype(np.float32)
    noisy = feature_noise(rows, severity, np.random.default_rng(0))
    assert noisy.shape == rows.shape and noisy.dtype == np.float32
    assert snr_db(rows, noisy) == pytest.approx(severity, abs=0.25)


def test_lower_is_noisier():
    rows = np.random.default_rng(2).standard_normal((50, 30), dtype=np.float32)
    measured = [snr_db(rows, feature_noise(rows, s, np.random.default_rng(0))) for s in (20, 10, 0, -10)]
    assert measured == sorted(measured, reverse=True)


def test_same_randomness_same_noise():
    rows = np.ones((1, 100), np.float32)
    draws = [feature_noise(rows, 0.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_zeros_stay_zeros():
    assert not feature_noise(np.zeros((3, 4)), -10.0, np.random.default_rng(0)).any()
