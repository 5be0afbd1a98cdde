"""What rooms, microphones and lines do to a waveform. Draws nothing where nothing is random.

=================  =====================================  ====================================================
``reverberation``  time until sound has died by 60 dB     200 ms: a car or a studio; 500 ms: a living room;
                   (RT60), the talker as loud directly    1000 ms: a lecture hall; 3000 ms: a church
                   as by reflections
``clipping``       share of samples cut to one level      10 pct: the loudest vowels rasp; 30 pct: plainly
                                                          distorted; 60 pct: close to a square wave
``band_limit``     -3 dB edge of a low-pass               4000 Hz: a telephone's upper edge; 2000 Hz: without
                                                          fricatives; 1000 Hz: first formants only
``drop_out``       share of time lost in packets of       20 pct: a poor line; 40 pct: hard to follow; 60 pct:
                   20 ms                                  more gap than speech
=================  =====================================  ====================================================

Waveforms are (S,) samples, integer or float, of any scale; what returns is (S,) float32 in the same unit. Digital
silence stays silent.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from protocols.metrics import Undefined

ORDER = 8  # of the low-pass: 48 dB an octave
RINGING = 20  # periods of the edge after which that low-pass has rung out, by 200 dB
PACKET_MS = 20.0  # what a packet of voice over IP usually holds


def reverberation(waveform: np.ndarray, severity: float, rng: np.random.Generator, *, rate_hz: float) -> np.ndarray:
    """The waveform in a room of ``severity`` ms RT60, as loud as before; what would ring on after its end is lost.

    Args:
        rng: draws the room: every example sounds in one of its own.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    room = impulse_response(severity, rate_hz, rng)[: len(samples)]
    size = next_fast_len(len(samples) + len(room) - 1, real=True)
    return _as_loud(irfft(rfft(samples, size) * rfft(room, size), size)[: len(samples)], samples)


def impulse_response(rt60_ms: float, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """(rows,) float32: the direct sound, 1, and a tail of Gaussian noise that falls by 60 dB in ``rt60_ms``.

    Exponentially decaying noise is the statistical room of Polack; it ends where it has died by 60 dB. The tail
    has the energy of the direct sound, as at the critical distance of a room.
    """
    rows = max(2, round(rt60_ms * rate_hz / 1000))
    tail = rng.standard_normal(rows, dtype=np.float32) * 10 ** (-3 * np.arange(rows, dtype=np.float32) / rows)
    tail[0] = 0
    tail /= np.sqrt(np.sum(np.square(tail, dtype=np.float64)))
    tail[0] = 1
    return tail


def clipping(waveform: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """``severity`` pct of the samples, the largest ones, cut to one level; as loud as before.

    The n = round(S * severity / 100) samples of largest magnitude lie at the level: more where others equal the
    smallest of them, fewer where fewer than n samples sound at all.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    count = round(len(samples) * severity / 100)
    magnitudes = np.abs(samples)
    if not count or not magnitudes.any():
        return samples
    level = np.partition(magnitudes, len(samples) - count)[len(samples) - count]
    level = max(level, magnitudes[magnitudes > 0].min())
    return _as_loud(np.clip(samples, -level, level), samples)


def band_limit(waveform: np.ndarray, severity: float, rng: np.random.Generator, *, rate_hz: float) -> np.ndarray:
    """The waveform below ``severity`` Hz: the magnitude of a Butterworth low-pass of order 8, without its delay.

    Power at f is divided by 1 + (f / severity)^16. Before and after the clip there is silence.

    Raises:
        Undefined: for an edge that is not below half the sampling rate.
    """
    if severity >= rate_hz / 2:
        raise Undefined(f"{severity:g} Hz is not below half the sampling rate, {rate_hz / 2:g} Hz")
    samples = np.asarray(waveform, dtype=np.float64)
    size = next_fast_len(len(samples) + int(RINGING * rate_hz / severity), real=True)
    gain = 1 / np.sqrt(1 + (rfftfreq(size, 1 / rate_hz) / severity) ** (2 * ORDER))
    return irfft(rfft(samples, size) * gain, size)[: len(samples)].astype(np.float32)


def drop_out(waveform: np.ndarray, severity: float, rng: np.random.Generator, *, rate_hz: float) -> np.ndarray:
    """``severity`` pct of the samples lost, whole packets of 20 ms in random places, and part of a last one."""
    samples = np.array(waveform, dtype=np.float32)
    count, packet = round(len(samples) * severity / 100), max(1, round(PACKET_MS * rate_hz / 1000))
    starts = rng.permutation(np.arange(0, len(samples), packet))
    lost = (starts[:, None] + np.arange(packet)).ravel()
    samples[lost[lost < len(samples)][:count]] = 0
    return samples


def _as_loud(changed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """``changed`` at the power of ``samples``: distortion is measured, not the distance to the loudspeaker."""
    wanted, found = (np.mean(np.square(x, dtype=np.float64)) for x in (samples, changed))
    return changed * np.float32(np.sqrt(wanted / found)) if found else changed
