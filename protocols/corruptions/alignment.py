"""One stream against the others in time. Draws nothing.

===========  ==============================  =================================================================
``shift``    how much later a stream comes   40 ms: one frame of video, nobody notices; 80 ms: lip sync that
                                             viewers begin to notice; 160 ms: plainly wrong; 320 ms: a syllable
``advance``  how much earlier it comes       the same; sound before its picture is noticed sooner
===========  ==============================  =================================================================

In ``ms`` where the stream has a rate, in ``steps`` where it has none.
"""

import numpy as np

from protocols.metrics import Undefined


def shift(
    rows: np.ndarray, severity: float, rng: np.random.Generator, *, unit: str, rate_hz: float | None
) -> np.ndarray:
    """The stream ``severity`` later, in the same length: what falls behind its end is lost.

    Before its beginning a waveform is silent; frames and feature rows hold their first one. A shift past the end
    of a clip leaves nothing else.

    Args:
        rows: (T, ...), raw.
        unit: ``ms`` or ``steps``.
        rate_hz: rows a second, None where that has no meaning.

    Returns:
        (T, ...) of the same type.

    Raises:
        Undefined: for ms without a rate, steps with one, and ms that are no whole number of rows.
    """
    rows = np.asarray(rows)
    by = min(_rows_by(severity, unit, rate_hz), len(rows))
    return np.concatenate([_fill(rows[:1], by), rows[: len(rows) - by]])


def advance(
    rows: np.ndarray, severity: float, rng: np.random.Generator, *, unit: str, rate_hz: float | None
) -> np.ndarray:
    """``shift`` in the other direction: the stream ``severity`` earlier, its last row held."""
    rows = np.asarray(rows)
    by = min(_rows_by(severity, unit, rate_hz), len(rows))
    return np.concatenate([rows[by:], _fill(rows[-1:], by)])


def to_length(rows: np.ndarray, length: int) -> np.ndarray:
    """The first ``length`` rows, from the beginning again as often as it takes."""
    return rows[:length] if len(rows) >= length else rows[np.arange(length) % len(rows)]


def _fill(row: np.ndarray, count: int) -> np.ndarray:
    # a sample held would be a constant pressure, which no microphone records
    return np.repeat(np.zeros_like(row) if row.ndim == 1 else row, count, axis=0)


def _rows_by(severity: float, unit: str, rate_hz: float | None) -> int:
    if unit == "steps":
        if rate_hz:
            raise Undefined(f"this stream has {rate_hz:g} rows a second: say how many ms")
        return int(severity)
    if not rate_hz:
        raise Undefined("this stream has no rate: say how many steps")
    rows = severity * rate_hz / 1000
    if abs(rows - round(rows)) > 1e-6:
        raise Undefined(f"{severity:g} ms are {rows:g} rows at {rate_hz:g} Hz; wanted a whole number")
    return round(rows)
