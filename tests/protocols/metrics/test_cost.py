import numpy as np
import pytest

from protocols.metrics import Undefined, cost


def test_parameters_are_numbers_in_tensors():
    assert cost.parameters([(3, 4), (4,), ()]) == 12 + 4 + 1
    assert cost.parameters([]) == 0


def test_latency_is_a_percentile_of_single_passes():
    seconds = np.arange(1, 22) / 1000  # 1 to 21 ms
    assert cost.latency(seconds[::-1], 50) == pytest.approx(0.011)
    assert cost.latency(seconds, 95) == pytest.approx(0.020)
    assert cost.latency(np.array([0.0, 1.0]), 95) == pytest.approx(0.95)  # between neighbours


def test_throughput_is_of_the_median_pass():
    assert cost.throughput(np.array([0.1, 0.2, 9.0]), 32) == pytest.approx(160)


def test_energy_of_one_example():
    assert cost.energy(12.0, 48) == pytest.approx(0.25)
    with pytest.raises(Undefined, match="did not move"):
        cost.energy(0.0, 48)


def test_spiking_energy_worked_by_hand():
    told = cost.spiking_energy(
        100, np.array([1000.0, 500.0]), np.array([0.1, 0.2]), steps=4, joules_mac=3.0, joules_accumulate=0.5
    )
    assert told == pytest.approx(100 * 3 + 4 * (100 + 100) * 0.5)
    with pytest.raises(ValueError, match="one firing rate in"):
        cost.spiking_energy(1, np.ones(2), np.ones(3), steps=1, joules_mac=1, joules_accumulate=1)
    with pytest.raises(ValueError, match="one firing rate in"):
        cost.spiking_energy(1, np.ones(1), np.array([1.5]), steps=1, joules_mac=1, joules_accumulate=1)
