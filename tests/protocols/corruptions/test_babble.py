"""Babble: the stated ratio, exactly, and voices of equal strength."""

import numpy as np
import pytest

from protocols.corruptions.babble import VOICES, babble
from protocols.metrics import Undefined

LENGTH = 8000


def tone(cycles, loudness=1000):
    return loudness * np.sin(2 * np.pi * cycles * np.arange(LENGTH) / LENGTH)


@pytest.fixture
def others():
    return [tone(10 * (k + 1), 50 * 3**k) for k in range(6)]  # orthogonal, of very different strength


def snr_db(clean, noisy):
    return 10 * np.log10(np.mean(np.square(clean)) / np.mean((noisy.astype(float) - clean) ** 2))


@pytest.mark.parametrize("severity", [20.0, 0.0, -10.0])
def test_the_ratio_is_exact(severity, others):
    voice = np.random.default_rng(0).normal(0, 3000, LENGTH).astype(np.int16).astype(np.float32)
    heard = babble(voice, severity, np.random.default_rng(1), others=others)
    assert heard.dtype == np.float32
    assert snr_db(voice, heard) == pytest.approx(severity, abs=0.01)


def test_four_others_speak_equally_loud(others):
    voice = tone(7)
    added = babble(voice, 0.0, np.random.default_rng(1), others=others) - voice
    strengths = np.abs(np.fft.rfft(added))[[10 * (k + 1) for k in range(6)]]
    speaking = strengths > 1e-3 * strengths.max()
    assert speaking.sum() == VOICES
    assert strengths[speaking] == pytest.approx(strengths.max(), rel=1e-3)


def test_short_clips_are_repeated_and_begin_anywhere():
    ramp = np.arange(1, 101, dtype=np.float32)
    added = babble(np.ones(LENGTH), 0.0, np.random.default_rng(2), others=[ramp]) - 1
    assert added[:100] == pytest.approx(added[100:200], abs=1e-6)
    assert added.argmin() != 0 or added.argmax() != 99


def test_silence(others):
    assert not babble(np.zeros(LENGTH, np.int16), -10.0, np.random.default_rng(0), others=others).any()
    silent = [np.zeros(LENGTH)] * 5
    heard = babble(tone(7), 0.0, np.random.default_rng(0), others=[*silent, others[0]])
    assert snr_db(tone(7), heard) == pytest.approx(0, abs=0.01)
    for nobody in (silent, []):
        with pytest.raises(Undefined, match="no other clip that sounds"):
            babble(tone(7), 0.0, np.random.default_rng(0), others=nobody)
