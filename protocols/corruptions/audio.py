"""Corruptions of a waveform."""

import numpy as np


def white_noise(waveform: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """White Gaussian noise at ``severity`` dB below the power of this waveform.

    ``10 log10(mean(x^2) / variance of the noise) = severity``. Digital silence has no power, so it stays silent.

    Args:
        waveform: (S,) samples, integer or float; nothing is clipped, so samples may leave the integer's range.

    Returns:
        (S,) float32 in the unit of ``waveform``.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    power = np.mean(np.square(samples, dtype=np.float64))
    return samples + noise(samples.shape, power, severity, rng)


def noise(shape: tuple[int, ...], power: float, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise ``snr_db`` decibels below ``power``, float32."""
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(power * 10 ** (-snr_db / 10)))
