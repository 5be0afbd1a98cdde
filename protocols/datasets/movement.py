"""Frames of a talking face as features: pooled pixels less the example's own mean frame."""

import numpy as np

POOL = 2  # pixels averaged, each way


def movement(frames: np.ndarray) -> np.ndarray:
    """(T, H, W) grey in 0..255, integer or float -> (T, H / 2 * W / 2) float32 within -1..1.

    2 x 2 pixels averaged and scaled to 0..1, less the example's own mean frame: what is left is movement. Where
    the head was held says nothing about the word, and drowns it (a linear probe of the digit gains about .1).
    """
    rows = pool(frames).reshape(len(frames), -1) / np.float32(255)
    return rows - rows.mean(axis=0)


def pool(frames: np.ndarray) -> np.ndarray:
    """(T, H, W) -> (T, H / 2, W / 2) float32, each the mean of 2 x 2 pixels."""
    steps, height, width = frames.shape
    return frames.reshape(steps, height // POOL, POOL, width // POOL, POOL).mean(axis=(2, 4), dtype=np.float32)
