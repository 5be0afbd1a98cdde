import numpy as np
import pytest

from protocols.corruptions.alignment import advance, shift, to_length
from protocols.metrics import Undefined

FRAMES = np.arange(1, 6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)


def first(rows):
    return rows.reshape(len(rows), -1)[:, 0].tolist()


@pytest.mark.parametrize(
    ("move", "severity", "unit", "rate", "expected"),
    (
        (shift, 2, "steps", None, [1, 1, 1, 2, 3]),
        (advance, 2, "steps", None, [3, 4, 5, 5, 5]),
        (shift, 40, "ms", 25.0, [1, 1, 2, 3, 4]),
        (advance, 80, "ms", 25.0, [3, 4, 5, 5, 5]),
        (shift, 9, "steps", None, [1, 1, 1, 1, 1]),  # past the end
        (advance, 9, "steps", None, [5, 5, 5, 5, 5]),
    ),
)
def test_rows_move_and_the_border_is_held(move, severity, unit, rate, expected):
    moved = move(FRAMES, float(severity), None, unit=unit, rate_hz=rate)
    assert first(moved) == expected and moved.shape == FRAMES.shape and moved.dtype == FRAMES.dtype


def test_sound_that_is_not_there_is_silence():
    sound = np.arange(1, 6, dtype=np.int16)
    assert shift(sound, 2.0, None, unit="ms", rate_hz=1000.0).tolist() == [0, 0, 1, 2, 3]
    assert advance(sound, 3.0, None, unit="ms", rate_hz=1000.0).tolist() == [4, 5, 0, 0, 0]
    assert not shift(sound, 99.0, None, unit="ms", rate_hz=1000.0).any()


def test_one_step_stays():
    assert first(shift(FRAMES[:1], 1.0, None, unit="steps", rate_hz=None)) == [1]


@pytest.mark.parametrize(
    ("severity", "unit", "rate", "reason"),
    (
        (40.0, "ms", None, "no rate: say how many steps"),
        (1.0, "steps", 25.0, "25 rows a second: say how many ms"),
        (50.0, "ms", 25.0, "50 ms are 1.25 rows at 25 Hz"),
    ),
)
def test_what_has_no_meaning_is_said(severity, unit, rate, reason):
    with pytest.raises(Undefined, match=reason):
        shift(FRAMES, severity, None, unit=unit, rate_hz=rate)


@pytest.mark.parametrize(
    ("length", "expected"), ((2, [1, 2]), (5, [1, 2, 3, 4, 5]), (12, [1, 2, 3, 4, 5] * 2 + [1, 2]))
)
def test_cut_or_repeated(length, expected):
    assert first(to_length(FRAMES, length)) == expected
