"""Modalities that are not there: the camera that failed, the muted microphone.

===============  =====================================  ======================================================
``missing``      a set of modalities, in every sample   one: a sensor that broke; all but one: what the last
                                                        one can do alone
``all/missing``  rate at which each modality of each    with two modalities, one is absent in 19 % of the
                 sample is absent                       samples at 10 pct, in 51 % at 30 pct, in 91 % at 70 pct
===============  =====================================  ======================================================

An absent modality is the training mean, with its length and mask, as in the protocols' own ``missing``.
"""

import numpy as np


def absent(rate: float, samples: int, modalities: int, rng: np.random.Generator) -> np.ndarray:
    """(samples, modalities) bool: which are absent, each independently, and never all of one sample.

    Where all would be, one stays that is drawn evenly. One modality is so absent at r - r^M / M, not r: 0.255 of
    the samples for r = 0.3 and M = 2.

    Args:
        rate: r, in [0, 1).
        modalities: M, at least 2.
    """
    drawn = rng.random((samples, modalities))
    gone = drawn < rate
    stays = drawn.argmax(1)  # given that all are below the rate, each is equally likely to be the largest
    gone[np.arange(samples), stays] &= ~gone.all(1)
    return gone
