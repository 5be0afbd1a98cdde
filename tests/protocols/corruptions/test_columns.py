import numpy as np
import pytest

from protocols.corruptions.columns import feature_drop_out, feature_scaling

ROWS = np.random.default_rng(0).normal(1, 1, (7, 40)).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 20.0, 60.0, 100.0])
def test_the_lost_columns_are_exact_and_the_same_in_all_steps(share):
    left = feature_drop_out(ROWS, share, np.random.default_rng(1))
    gone = (left == 0).all(0)
    assert gone.sum() == round(40 * share / 100) and left.dtype == np.float32
    assert np.array_equal(left[:, ~gone], ROWS[:, ~gone]) and ROWS.all()


def test_same_randomness_same_columns():
    draws = [feature_drop_out(ROWS, 40.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize("share", [0.0, 25.0, 100.0, 300.0])
def test_scaling(share):
    assert feature_scaling(ROWS, share, np.random.default_rng(0)) == pytest.approx(ROWS * share / 100)
