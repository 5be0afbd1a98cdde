import numpy as np
import pytest

from protocols.datasets.movement import movement


def test_pixels_are_pooled_and_centred():
    frames = np.zeros((2, 4, 6), np.uint8)
    frames[1, :2, 2:4] = [[255, 255], [255, 0]]
    rows = movement(frames)
    assert rows.shape == (2, 6) and rows.dtype == np.float32
    assert rows[1] - rows[0] == pytest.approx([0, 0.75, 0, 0, 0, 0])
    assert rows.sum(axis=0) == pytest.approx(np.zeros(6))
