"""RGB frames as rows: what a method that cuts its own patches takes."""

import numpy as np


def pixels(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) RGB in 0..255, integer or float -> (T, H * W * 3) float32 within -1..1."""
    return frames.reshape(len(frames), -1).astype(np.float32) / np.float32(127.5) - 1
