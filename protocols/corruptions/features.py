"""Corruptions of extracted features, for data sets that come without their media."""

import numpy as np

from protocols.corruptions.audio import noise


def feature_noise(rows: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise at ``severity`` dB below the mean square of this example's features.

    All columns get noise of one variance, so it is applied to standardised features.

    Args:
        rows: (T, D).

    Returns:
        (T, D) float32.
    """
    rows = np.asarray(rows, dtype=np.float32)
    power = np.mean(np.square(rows, dtype=np.float64))
    return rows + noise(rows.shape, power, severity, rng)
