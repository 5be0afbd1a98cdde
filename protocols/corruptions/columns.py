"""What a broken extractor does to features, for data sets that come without their media.

====================  ==============================  ========================================================
``feature_drop_out``  share of columns lost           20 pct: a few detectors failed; 60 pct: most of them
``feature_scaling``   what is left of each value's    75 pct: a gain off by 2.5 dB; 50 pct: by 6 dB; 25 pct:
                      distance from the training      by 12 dB; above 100 pct the stream shouts
                      mean
====================  ==============================  ========================================================

Rows are (T, D) standardised features, so zero is the training mean; what returns is (T, D) float32.
"""

import numpy as np


def feature_drop_out(rows: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """round(D * severity / 100) columns at the training mean, the same ones in all steps of an example."""
    rows = np.array(rows, dtype=np.float32)
    width = rows.shape[1]
    rows[:, rng.permutation(width)[: round(width * severity / 100)]] = 0
    return rows


def feature_scaling(rows: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Every value at ``severity`` pct of its distance from the training mean. Draws nothing."""
    return np.asarray(rows, dtype=np.float32) * np.float32(severity / 100)
