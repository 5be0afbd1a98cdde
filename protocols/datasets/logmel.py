"""Log-mel spectrogram of 16 kHz speech: 25 ms Hann window, 10 ms hop, 512-point FFT, 40 HTK-mel filters.

Mel scale and triangular filters as in the HTK book: mel(f) = 2595 log10(1 + f / 700), peak height 1.
"""

import numpy as np

SAMPLE_RATE = 16000
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FFT = 512
FILTERS = 40
LOW_HZ, HIGH_HZ = 80.0, 7600.0
# Below the noise of 16-bit rounding in one filter, so it only keeps digital silence finite.
FLOOR = 1e-8
FULL_SCALE = 32768.0  # one, in int16 units


def _mel(hz):
    return 2595 * np.log10(1 + np.asarray(hz) / 700)


def _filters() -> np.ndarray:
    """(FFT // 2 + 1, FILTERS) triangles, evenly spaced in mel."""
    edges = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), FILTERS + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, None]
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)))


_FILTERS = _filters().astype(np.float32)
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def logmel(waveform: np.ndarray) -> np.ndarray:
    """(S,) samples in int16 units, integer or float -> (T, 40) float32, T = 1 + (S - 400) // 160.

    Sound shorter than one window is filled up with silence, so T is at least 1.
    """
    samples = np.asarray(waveform, dtype=np.float32) / FULL_SCALE
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * _HANN
    power = np.abs(np.fft.rfft(windows, FFT)).astype(np.float32) ** 2
    return np.log(np.maximum(power @ _FILTERS, FLOOR))
