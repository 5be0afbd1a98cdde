"""Partial information decomposition against the gates, the authors' code and a general optimiser."""

import time

import numpy as np
import pytest
from scipy.optimize import minimize

from protocols.metrics import Undefined, pid
from tests import parity

GATES = {
    "and": (lambda a, b: a & b, (0.31127812445913283, 0.0, 0.0, 0.5)),
    "or": (lambda a, b: a | b, (0.31127812445913283, 0.0, 0.0, 0.5)),
    "xor": (lambda a, b: a ^ b, (0.0, 0.0, 0.0, 1.0)),
    "copy of both": (lambda a, b: 2 * a + b, (0.0, 1.0, 1.0, 0.0)),
    "only the first": (lambda a, b: a, (0.0, 1.0, 0.0, 0.0)),
    "only the second": (lambda a, b: b, (0.0, 0.0, 1.0, 0.0)),
}


def cases() -> list[dict]:
    return parity.told("pid.json")["cases"]


def random_counts(seed: int, shape=(3, 4, 3), items: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = np.zeros(shape)
    np.add.at(counts, tuple(rng.integers(n, size=items) for n in shape), 1)
    return counts


@pytest.mark.parametrize("name", GATES)
def test_gates_are_exact(name):
    gate, bits = GATES[name]
    joint = np.zeros((2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            joint[a, b, gate(a, b)] = 1
    np.testing.assert_allclose(pid.decompose(joint), bits, atol=1e-9)


def test_the_same_bit_twice_is_redundant():
    np.testing.assert_allclose(pid.decompose([[[1, 0], [0, 0]], [[0, 0], [0, 1]]]), (1.0, 0.0, 0.0, 0.0), atol=1e-9)


def test_parity_with_the_authors_code_and_a_tight_solver():
    for case in cases():
        found = pid.decompose(np.array(case["joint"]))
        np.testing.assert_allclose(found, list(case["reference_code_bits"].values()), atol=1e-3)
        np.testing.assert_allclose(found, list(case["tight_solver_bits"].values()), atol=1e-6, err_msg=case["name"])
        if case["exact_bits"]:
            np.testing.assert_allclose(found, list(case["exact_bits"].values()), atol=1e-9)
        assert sum(found) == pytest.approx(case["total_information_bits"], abs=1e-9)


def least_by_scipy(counts: np.ndarray) -> float:
    """min I_q(X1, X2; Y) of (2, 2, K) counts, where one number for each y is free."""
    p = counts / counts.sum()
    first, second = p.sum(1), p.sum(0)  # (2, K)
    low, high = np.maximum(0, first[0] + second[0] - first.sum(0)), np.minimum(first[0], second[0])

    def information(place) -> float:
        corner = low + place * (high - low)
        q = np.array([[corner, first[0] - corner], [second[0] - corner, first[1] - second[0] + corner]]).clip(1e-15)
        apart = q.sum(2, keepdims=True) * q.sum((0, 1))
        return float((q * np.log2(q / apart)).sum())

    starts = np.random.default_rng(0).random((8, counts.shape[2]))
    found = [minimize(information, s, bounds=[(0, 1)] * len(s), method="Nelder-Mead", tol=1e-12) for s in starts]
    return min(f.fun for f in found)


@pytest.mark.parametrize("seed", range(6))
def test_a_general_optimiser_finds_the_same(seed):
    counts = random_counts(seed, (2, 2, 3)) + 0.5
    found = pid.decompose(counts)
    p = counts / counts.sum()
    least = least_by_scipy(counts)
    assert found.unique1 == pytest.approx(max(0.0, least - pid._information(p.sum(0))), abs=1e-6)
    assert found.unique2 == pytest.approx(max(0.0, least - pid._information(p.sum(1))), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_sparse_tables_of_few_items_are_solved_too(seed):
    counts = random_counts(seed, items=5 + seed)
    found = pid.decompose(counts)
    assert min(found) >= 0
    p = counts / counts.sum()
    assert sum(found) == pytest.approx(pid._information(p.reshape(-1, 3)), abs=1e-9)
    mirrored = pid.decompose(counts.transpose(1, 0, 2))
    np.testing.assert_allclose(mirrored, [found[0], found[2], found[1], found[3]], atol=1e-9)
    np.testing.assert_allclose(pid.decompose(3 * np.pad(counts, 1)), found, atol=1e-9)


def test_a_large_table_takes_less_than_a_second():
    counts = random_counts(0, (10, 10, 10), items=250)
    started = time.process_time()
    pid.decompose(counts)
    assert time.process_time() - started < 1.0


def test_a_search_that_ends_early_is_not_a_value(monkeypatch):
    monkeypatch.setattr(pid, "STEPS", 3)
    with pytest.raises(Undefined, match="only found to .* nats"):
        pid.decompose(random_counts(0))


def test_a_constant_target_has_a_reason():
    with pytest.raises(Undefined, match="never varies"):
        pid.decompose(np.ones((2, 2, 1)))
    with pytest.raises(Undefined, match="never varies"):
        pid.decompose(pid.joint_counts(np.arange(4), np.arange(4), np.full(4, 7)))


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 2)), np.zeros((2, 2, 2)), -np.ones((2, 2, 2)), np.full((2, 2, 2), np.nan)]
)
def test_what_is_no_table_of_counts_is_refused(wrong):
    with pytest.raises(ValueError, match="wants"):
        pid.decompose(wrong)


def test_counts_of_symbols():
    counts = pid.joint_counts(np.array([5, 5, 9]), np.array([0, 1, 1]), np.array([2, 2, 3]))
    assert counts.tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]


def test_clusters_find_what_was_planted():
    rng = np.random.default_rng(0)
    planted = rng.integers(4, size=200)
    rows = 10 * np.eye(4)[planted] @ rng.standard_normal((4, 30)) + 0.1 * rng.standard_normal((200, 30))
    found = pid.discretised(rows, 4, np.random.default_rng(1))
    assert len({*zip(planted.tolist(), found.tolist(), strict=True)}) == 4  # one to one
    assert (found == pid.discretised(rows, 4, np.random.default_rng(1))).all()


def test_fewer_distinct_rows_than_clusters_are_their_own_clusters():
    rows = np.repeat(np.array([[0.0, 1.0], [2.0, 3.0]]), 3, axis=0)
    assert pid.discretised(rows, 10, np.random.default_rng(0)).tolist() == [0, 0, 0, 1, 1, 1]
    assert pid.discretised(np.ones((4, 2)), 2, np.random.default_rng(0)).tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="finite"):
        pid.discretised(np.full((4, 2), np.nan), 2, np.random.default_rng(0))
