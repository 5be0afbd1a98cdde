"""Log-mel spectrogram of fixed size, as MBT takes it: 128 bins, 25 ms windows every 10 ms, 8 s of 16 kHz sound.

Source   Nagrani et al. 2021, section 4.2 (arXiv:2107.00135). Window, filters and floor are those of ``logmel``, because
         the paper does not say them; the transform is longer, so that each of the narrow filters meets a bin.
"""

import numpy as np

from protocols.datasets.logmel import FLOOR, FULL_SCALE, HIGH_HZ, HOP, LOW_HZ, SAMPLE_RATE, WINDOW

STEPS, BINS = 800, 128
FFT = 2048
SAMPLES = WINDOW + (STEPS - 1) * HOP


def _filters() -> np.ndarray:
    """(FFT // 2 + 1, BINS) triangles, evenly spaced in HTK mel."""
    mel = 2595 * np.log10(1 + np.array([LOW_HZ, HIGH_HZ]) / 700)
    edges = np.linspace(*mel, BINS + 2)
    bins = 2595 * np.log10(1 + np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT / 700)[:, None]
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)))


_FILTERS = _filters().astype(np.float32)
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def spectrogram(waveform: np.ndarray) -> np.ndarray:
    """(S,) samples in int16 units, integer or float -> (800, 128) float32 of the 8 s in the middle.

    Shorter sound is followed by silence.
    """
    cut = max(0, len(waveform) - SAMPLES) // 2
    samples = np.asarray(waveform[cut : cut + SAMPLES], dtype=np.float32) / FULL_SCALE
    samples = np.pad(samples, (0, SAMPLES - len(samples)))
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * _HANN
    power = np.abs(np.fft.rfft(windows, FFT)).astype(np.float32) ** 2
    return np.log(np.maximum(power @ _FILTERS, FLOOR))
