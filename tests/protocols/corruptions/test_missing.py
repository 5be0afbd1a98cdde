import numpy as np
import pytest

from protocols.corruptions.missing import absent


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("modalities", [2, 3])
def test_the_rate_is_kept_and_one_modality_stays(rate, modalities):
    gone = absent(rate, 20000, modalities, np.random.default_rng(0))
    assert gone.shape == (20000, modalities) and not gone.all(1).any()
    expected = rate - rate**modalities / modalities
    assert gone.mean(0) == pytest.approx([expected] * modalities, abs=0.015)
    if modalities == 3:  # independent of each other, where one is left anyway
        both = (gone[:, 0] & gone[:, 1]).mean()
        assert both == pytest.approx(rate**2 * (1 - rate) + rate**3 / 3, abs=0.015)


def test_nobody_is_absent_at_rate_0():
    assert not absent(0.0, 50, 2, np.random.default_rng(0)).any()
