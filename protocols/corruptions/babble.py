"""Other people talking.

==========  ==============================  ====================================================================
``babble``  power of the clip over that of  10 dB: a table away; 0 dB: as loud as the talker; -10 dB: a crowd that
            the voices together             drowns the talker
==========  ==============================  ====================================================================
"""

from collections.abc import Sequence

import numpy as np

from protocols.corruptions.alignment import to_length
from protocols.metrics import Undefined

VOICES = 4


def babble(
    waveform: np.ndarray, severity: float, rng: np.random.Generator, *, others: Sequence[np.ndarray]
) -> np.ndarray:
    """The waveform with four other clips at ``severity`` dB, exact: 10 log10(mean(x^2) / mean(babble^2)) = severity.

    Each voice is as loud as the others, begins at a place of its own, and is repeated or cut to the length of the
    clip. Digital silence has no power, so it stays silent.

    Args:
        waveform: (S,) samples, integer or float; nothing is clipped.
        others: waveforms of the other clips, in the same unit; four sounding ones are drawn, all if there are fewer.

    Returns:
        (S,) float32 in the unit of ``waveform``.

    Raises:
        Undefined: if there is no other clip that sounds.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    if not samples.any():
        return samples
    voices = []
    for k in rng.permutation(len(others)):
        voice = np.asarray(others[k], dtype=np.float32)
        voice = to_length(np.roll(voice, -rng.integers(len(voice))), len(samples))
        if power := _power(voice):
            voices.append(voice / np.float32(np.sqrt(power)))
        if len(voices) == VOICES:
            break
    mixed = np.sum(voices, axis=0) if voices else np.zeros(1)
    if not (loudness := _power(mixed)):
        raise Undefined("there is no other clip that sounds")
    return samples + mixed * np.float32(np.sqrt(_power(samples) / loudness * 10 ** (-severity / 10)))


def _power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))
