"""Spread of maps by hand, rollout against the authors' numbers, drift against SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from protocols.metrics import METRICS, Undefined
from protocols.metrics.attention import (
    Round,
    divergence,
    drift,
    drift_area,
    effective_cells,
    entropy,
    modality_share,
    rollout,
    share_drift,
    sparsity,
)
from tests import parity

ALL = np.ones((1, 2), bool)


def real(*lengths, width):
    return np.arange(width) < np.array(lengths)[:, None]


def weights(*rows):
    """(1, 1, rows, keys)."""
    return np.array(rows, dtype=float)[None, None]


def test_uniform_attention_has_entropy_one_and_all_cells():
    w, keys = weights([0.25] * 4, [0.25] * 4), np.ones((1, 4), bool)
    assert entropy(w, ALL, keys) == pytest.approx([1.0], abs=1e-15)
    assert effective_cells(w, ALL, keys) == pytest.approx([4.0], abs=1e-14)
    assert sparsity(w, ALL, keys).tolist() == [0.0]


def test_one_cell_has_entropy_zero():
    w, keys = weights([0, 1, 0, 0], [1, 0, 0, 0]), np.ones((1, 4), bool)
    assert entropy(w, ALL, keys).tolist() == [0.0]
    assert effective_cells(w, ALL, keys).tolist() == [1.0]
    assert sparsity(w, ALL, keys).tolist() == [0.75]


def test_a_row_worked_by_hand():
    w, keys = weights([0.5, 0.25, 0.25], [1, 0, 0]), np.ones((1, 3), bool)
    one = 1.5 * np.log(2)
    assert entropy(w, ALL, keys) == pytest.approx([one / np.log(3) / 2], abs=1e-15)
    assert effective_cells(w, ALL, keys) == pytest.approx([(np.exp(one) + 1) / 2], abs=1e-15)


def test_padded_keys_and_rows_count_for_nothing():
    rng = np.random.default_rng(0)
    w = rng.random((2, 3, 5, 6))
    rows, keys = real(5, 3, width=5), real(6, 4, width=6)
    w[1, :, :, 4:] = 0
    w /= w.sum(-1, keepdims=True)
    junk = w.copy()
    junk[1, :, 3:] = rng.random((3, 2, 6))  # of padded queries
    for metric in (entropy, effective_cells, sparsity):
        np.testing.assert_array_equal(metric(w, rows, keys), metric(junk, rows, keys))
        alone = metric(w[1:, :, :3, :4], rows[1:, :3], keys[1:, :4])
        assert metric(w, rows, keys)[1] == pytest.approx(alone[0], abs=1e-14)
        if metric is not effective_cells:  # cells of no weight do not change exp(H)
            counted = metric(w, rows, np.ones_like(keys))  # what a metric that counts padding says
            assert abs(counted[1] - alone[0]) > 1e-2


def test_weight_on_padding_is_left_out_and_the_rest_brought_to_one():
    w, keys = weights([0.2, 0.2, 0.6], [0.2, 0.2, 0.6]), real(2, width=3)
    assert entropy(w, ALL, keys) == pytest.approx([1.0], abs=1e-15)


def test_what_has_no_entropy():
    with pytest.raises(Undefined, match="one key"):
        entropy(weights([1.0], [1.0]), ALL, np.ones((1, 1), bool))
    assert effective_cells(weights([1.0], [1.0]), ALL, np.ones((1, 1), bool)).tolist() == [1.0]
    with pytest.raises(Undefined, match="signs"):
        entropy(weights([0.5, -0.5], [0.5, 0.5]), ALL, np.ones((1, 2), bool))
    with pytest.raises(Undefined, match="no weight"):
        effective_cells(weights([0, 0, 1], [1, 0, 0]), ALL, real(2, width=3))


@pytest.mark.parametrize("case", range(3))
def test_rollout_as_the_authors_code_computes_it(case):
    told = parity.told("attention_rollout.json")
    golden = told["cases"][case]
    maps = np.array(golden["attention"])
    for residual, key in ((True, "rollout_with_residual"), (False, "rollout_without_residual")):
        for depth, wanted in enumerate(golden[key], 1):
            rounds = [Round({"x": {"x": layer}}) for layer in maps[:depth]]
            found = rollout(rounds, {"x": np.eye(maps.shape[1])}, ["x"], residual=residual)["x"]
            np.testing.assert_allclose(found, wanted, rtol=0, atol=told["tolerance"])


def stack(seed=0):
    """Two layers of a block matrix [[AA, AV], [VA, VV]] over 3 audio and 2 video cells."""
    rng = np.random.default_rng(seed)
    sizes = {"audio": 3, "video": 2}
    return [{q: {k: rng.random((a, b)) for k, b in sizes.items()} for q, a in sizes.items()} for _ in range(2)]


def dense(layers, residual=True):
    """The same product on whole matrices."""
    total = np.eye(5)
    for blocks in layers:
        matrix = np.block([[blocks[q][k] for k in ("audio", "video")] for q in ("audio", "video")])
        matrix /= matrix.sum(1, keepdims=True)
        if residual:
            matrix = (matrix + np.eye(5)) / 2
        total = matrix @ total
    return {"audio": total[:3], "video": total[3:]}


def rolled(rounds, residual=True):
    """The whole matrix of each stream: rows of it, columns of audio and then of video."""
    sizes = {"audio": 3, "video": 2}
    found = {}
    for m, size in sizes.items():
        rows = rollout(rounds, {m: np.eye(size)}, list(sizes), residual=residual)
        found[m] = np.hstack([rows.get(k, np.zeros((size, sizes[k]))) for k in sizes])
    return found


@pytest.mark.parametrize("residual", [True, False])
def test_blocks_roll_out_like_the_whole_matrix(residual):
    layers = stack()
    found = rolled([Round(blocks) for blocks in layers], residual)
    for m, wanted in dense(layers, residual).items():
        np.testing.assert_allclose(found[m], wanted, rtol=0, atol=1e-14)
        np.testing.assert_allclose(found[m].sum(-1), 1, atol=1e-14)


def test_swapped_labels_give_another_rollout():
    layers = stack()
    swapped = [b | {"video": {"audio": b["video"]["audio"][::-1], "video": b["video"]["video"]}} for b in layers]
    assert np.abs(rolled([Round(b) for b in swapped])["video"] - dense(layers)["video"]).max() > 1e-3


def test_a_stream_without_a_map_stays_as_it_is():
    found = rolled([Round({"audio": {"video": np.ones((3, 2))}})])
    np.testing.assert_array_equal(found["video"], [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    wanted = [[0.5, 0, 0, 0.25, 0.25], [0, 0.5, 0, 0.25, 0.25], [0, 0, 0.5, 0.25, 0.25]]
    np.testing.assert_allclose(found["audio"], wanted)


def test_one_row_keeps_the_cell_that_it_rewrites():
    one = Round({"audio": {"video": np.ones((1, 2))}}, rows={"audio": np.eye(3)[2:]})
    found = rollout([one], {"audio": np.eye(1)}, ["audio", "video"])
    np.testing.assert_allclose(found["audio"], [[0, 0, 0.5]])
    np.testing.assert_allclose(found["video"], [[0.25, 0.25]])


def test_a_new_stream_has_nothing_to_keep():
    rounds = [Round({"global": {"audio": np.eye(3)[:1]}}), Round({"global": {"video": np.eye(2)[1:]}})]
    found = rollout(rounds, {"global": np.eye(1)}, ["audio", "video"])
    np.testing.assert_allclose(found["audio"], [[0.5, 0, 0]])
    np.testing.assert_allclose(found["video"], [[0, 0.5]])
    with pytest.raises(KeyError, match="no round before makes fused"):
        rollout([Round({"audio": {"fused": np.eye(3)}})], {"audio": np.eye(3)}, ["audio"])


def test_shares():
    found = modality_share({"audio": np.array([[1.0, 2, 0]]), "video": np.array([[1.0]])})
    assert {m: v.tolist() for m, v in found.items()} == {"audio": [0.75], "video": [0.25]}
    with pytest.raises(Undefined, match="one modality"):
        modality_share({"audio": np.ones((1, 2))})
    with pytest.raises(Undefined, match="no cell"):
        modality_share({"audio": np.zeros((1, 2)), "video": np.zeros((1, 2))})


def test_divergence_against_scipy():
    rng = np.random.default_rng(1)
    p, q = rng.random((2, 20, 7))
    p[:, 5:] = 0  # padding, and cells that only one of them has
    wanted = jensenshannon(p, q, base=2, axis=1) ** 2
    np.testing.assert_allclose(divergence(p, q), wanted, rtol=0, atol=1e-13)


def test_ends_of_the_drift():
    p = np.random.default_rng(2).random((4, 9))
    assert drift(p, p.copy()) == 0.0
    assert drift(np.eye(2), np.eye(2)[::-1]) == 1.0
    with pytest.raises(Undefined, match="one step"):
        drift(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(Undefined, match="zero everywhere"):
        drift(np.eye(2), np.zeros((2, 2)))
    with pytest.raises(Undefined, match="no example"):
        drift(np.zeros((0, 3)), np.zeros((0, 3)))


def test_area_over_ranks_of_severity():
    assert drift_area([1.0]) == 0.5
    assert drift_area([0.2, 0.4]) == pytest.approx(0.2)
    assert drift_area([0.5, 0.5, 0.5]) == pytest.approx(2.5 / 6)
    with pytest.raises(Undefined):
        drift_area([])


def test_share_drift():
    assert share_drift(np.array([[1.0, 0], [0.5, 0.5]]), np.array([[0.0, 1], [0.5, 0.5]])) == 0.5


def test_every_metric_of_the_family_is_here():
    for name, metric in METRICS.items():
        if metric.target.startswith(("protocols.metrics.attention", "protocols.metrics.faithfulness")):
            assert callable(metric.score()), name
