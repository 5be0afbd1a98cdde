"""Corruptions of frames."""

import numpy as np

from protocols.corruptions.audio import noise

WHITE = 255


def sensor_noise(frames: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, new in every pixel and frame, at ``severity`` dB below this clip's variance.

    The variance is over all pixels and frames, about their mean: brightness is no signal. What would be
    darker than black or brighter than white is clipped, as by a sensor, so less noise than stated is left
    where the SNR is low. A clip of one grey stays as it is.

    Args:
        frames: (T, H, W) grey or (T, H, W, 3) RGB in 0..255, integer or float.

    Returns:
        float32 in 0..255, of the same shape.
    """
    pixels = np.asarray(frames, dtype=np.float32)
    return np.clip(pixels + noise(pixels.shape, np.var(pixels, dtype=np.float64), severity, rng), 0, WHITE)
