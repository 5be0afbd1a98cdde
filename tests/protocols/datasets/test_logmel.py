"""Log-mel spectrogram against what the definition says about tones, silence and short sound."""

import numpy as np
import pytest

from protocols.datasets.logmel import FILTERS, FLOOR, logmel


def tone(hz, samples=16000, amplitude=8000):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / 16000)).astype(np.int16)


@pytest.mark.parametrize("samples, steps", [(1, 1), (399, 1), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_steps(samples, steps):
    rows = logmel(tone(440, samples))
    assert rows.shape == (steps, FILTERS) and rows.dtype == np.float32


@pytest.mark.parametrize("hz", [300, 1000, 2500, 6000])
def test_a_tone_lies_in_the_filter_of_its_frequency(hz):
    mel = 2595 * np.log10(1 + np.array([80, 7600, hz]) / 700)
    centres = np.linspace(mel[0], mel[1], FILTERS + 2)[1:-1]
    assert set(logmel(tone(hz)).argmax(axis=1)) == {np.abs(centres - mel[2]).argmin()}


def test_a_whole_frame_by_the_definition():
    """One window, written out: Hann, Fourier sum, triangles."""
    samples = np.random.default_rng(0).normal(0, 3000, 400)
    n, k = np.arange(400), np.arange(257)[:, None]
    windowed = samples / 32768 * (0.5 - 0.5 * np.cos(2 * np.pi * n / 400))
    power = np.abs((windowed * np.exp(-2j * np.pi * k * n / 512)).sum(axis=1)) ** 2
    mel = 2595 * np.log10(1 + np.array([80, 7600]) / 700)
    edges = np.linspace(*mel, FILTERS + 2)
    bins = 2595 * np.log10(1 + np.arange(257) * 16000 / 512 / 700)
    expected = [np.log(power @ np.interp(bins, edges[j : j + 3], [0, 1, 0])) for j in range(FILTERS)]
    assert logmel(samples)[0] == pytest.approx(np.array(expected), abs=1e-3)


def test_silence_is_finite():
    assert logmel(np.zeros(800, np.int16)) == pytest.approx(np.full((3, FILTERS), np.log(FLOOR)))


def test_twice_as_loud_is_a_step_up():
    quiet, loud = logmel(tone(1000, amplitude=4000)), logmel(tone(1000, amplitude=8000))
    best = quiet.argmax(axis=1)[0]
    assert (loud - quiet)[:, best] == pytest.approx(np.log(4), abs=1e-2)
