"""Games with known values: enumeration, the shap library, the fixtures, and the published rows of SHAPE."""

from itertools import combinations, permutations

import numpy as np
import pytest

from protocols.metrics import Undefined, contribution
from tests import parity

# Accuracy, both S and C in percent as printed: tables 1 to 3 of the SHAPE paper; share of the most frequent class.
PUBLISHED = {
    "B-T4SA": (33.33, [(95.01, 0.52, 64.4, 1.04), (95.22, 0.0, 65.0, 0.0), (94.97, 0.24, 64.66, 0.48)]),
    "B-T4SA, dynamic": (33.33, [(95.36, 0.01, 65.04, 0.01)]),
    "CMU-MOSEI": (71.04, [(80.22, -0.01, 11.46, -0.02), (80.67, 0.04, 11.89, 0.09), (79.04, 0.19, 9.93, 0.38)]),
    "CMU-MOSEI, dynamic": (71.04, [(80.05, -0.21, 11.47, -0.42)]),
    "SNLI": (33.33, [(82.47, 21.34, 38.25, 42.52), (69.77, 6.41, 45.82, 10.55), (84.91, 25.49, 35.26, 50.95)]),
    "SNLI, dynamic": (33.33, [(85.02, 25.61, 35.19, 52.06)]),
}
ROWS = [(majority, *row) for majority, rows in PUBLISHED.values() for row in rows]


def fixture(name: str) -> dict:
    return parity.told(name)


def array(values: dict[str, float | list[float]]) -> np.ndarray:
    """``{"01": v, ...}`` as a game."""
    first = np.asarray(next(iter(values.values())))
    found = np.empty((2,) * len(next(iter(values))) + first.shape)
    for flags, value in values.items():
        found[tuple(map(int, flags))] = value
    return found


def random_game(players: int, seed: int = 0, items: int | None = None) -> np.ndarray:
    return np.random.default_rng(seed).random((2,) * players + (() if items is None else (items,)))


def by_orders(values: np.ndarray, players: int) -> np.ndarray:
    """Shapley values as they are told: what each adds on entering, over all orders of entering."""
    found = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        present = [0] * players
        for m in order:
            before = values[tuple(present)]
            present[m] = 1
            found[m] += values[tuple(present)] - before
    return found / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 4])
def test_shapley_is_the_mean_over_all_orders(players):
    values = random_game(players)
    found = contribution.shapley(values, players)
    np.testing.assert_allclose(found, by_orders(values, players), atol=1e-14)
    assert found.sum() == pytest.approx(values.flat[-1] - values.flat[0])


def test_a_wrong_weight_is_caught(monkeypatch):
    monkeypatch.setattr(contribution, "factorial", lambda n: 1)
    with pytest.raises(AssertionError):
        test_shapley_is_the_mean_over_all_orders(3)


@pytest.mark.slow  # the library compiles itself when it is imported
@pytest.mark.parametrize("players", [2, 3, 4])
def test_shap_library_agrees(players):
    shap = pytest.importorskip("shap", reason="the shap library is not installed")
    values = random_game(players, seed=1)

    def play(rows):
        return np.array([values[tuple(row.astype(int))] for row in rows])

    explained = shap.explainers.Exact(play, np.zeros((1, players)))(np.ones((1, players)))
    np.testing.assert_allclose(contribution.shapley(values, players), explained.values[0], atol=1e-9)


def test_items_are_games_of_their_own():
    values = random_game(3, items=5)
    together = contribution.interaction_matrix(values, 3)
    for i in range(5):
        np.testing.assert_allclose(together[..., i], contribution.interaction_matrix(values[..., i], 3), atol=1e-15)


def test_parity_of_shapley_values_and_interactions():
    for case in fixture("shapley.json")["cases"]:
        values, count = array(case["values"]), len(case["players"])
        matrix = contribution.interaction_matrix(values, count)
        np.testing.assert_allclose(contribution.shapley(values, count), case["shapley"], atol=1e-12)
        np.testing.assert_allclose(contribution.shapley(values, count), case["shap_exact"], atol=1e-9)
        np.testing.assert_allclose(matrix - np.diag(np.diag(matrix)), case["interaction_index"], atol=1e-12)
        cooperation = contribution.cooperation(values, count, values.flat[0])
        assert cooperation == pytest.approx(case["shape_cooperation"], abs=1e-12)
        try:
            shares, _ = contribution.shapley_share(values[..., None], count)
        except Undefined:
            assert case["share_of_absolute"][0] is None
        else:
            np.testing.assert_allclose(shares, case["share_of_absolute"], atol=1e-12)


def test_parity_of_intershap():
    for case in fixture("intershap.json")["cases"]:
        values, count = array(case["coalition_values"]), case["modalities"]
        matrix = contribution.interaction_matrix(values, count)
        np.testing.assert_allclose(np.moveaxis(matrix, -1, 0), case["interaction_matrix"], atol=1e-9)
        np.testing.assert_allclose(contribution.shapley(values, count).T, case["shapley"], atol=1e-9)
        for i, local in enumerate(case["local"]):
            assert contribution.intershap_local(values[..., [i]], count)[0] == pytest.approx(local, abs=1e-9)
        assert contribution.intershap_local(values, count)[0] == pytest.approx(np.mean(case["local"]), abs=1e-9)
        assert contribution.intershap(values, count) == pytest.approx(case["global_score"], abs=1e-9)
        mean = values.mean(-1)
        found = contribution.cooperation(mean, count, mean.flat[0])
        assert found == pytest.approx(case["shape"]["SHAPE"], abs=1e-9)
        relative = case["shape"]["SHAPE_rel"]
        assert found / (mean.flat[-1] - mean.flat[0]) == pytest.approx(relative, abs=1e-9)


def test_parity_of_the_additive_projection():
    emap = fixture("intershap.json")["emap"]
    projected = contribution.additive_projection(np.array(emap["logits"])[..., None])
    np.testing.assert_allclose(projected[:, 0], emap["projected"], atol=1e-9)


def implied(majority: float, accuracy: float, first: float, second: float, raw: float) -> dict[str, float]:
    """Accuracies of the single modalities, in percent, from S and an undivided C."""
    difference, total = (first - second) * accuracy / 100, accuracy + majority - raw
    return {"10": (total + difference) / 2, "01": (total - difference) / 2}


@pytest.mark.parametrize("majority, accuracy, first, second, together", ROWS)
def test_published_rows_of_shape(majority, accuracy, first, second, together):
    """S and C come back from the accuracies that they imply; of the weaker modality that is the majority's."""
    assert first + second == pytest.approx(100 * (accuracy - majority) / accuracy, abs=0.02)
    alone = implied(majority, accuracy, first, second, together * accuracy / 100)
    assert min(alone.values()) == pytest.approx(majority, abs=0.8)
    values = array({"00": 0.0, "11": accuracy} | alone) / 100
    found = contribution.shape(values, 2, majority / 100)
    np.testing.assert_allclose(100 * found, [first, second], atol=0.02)
    divided = contribution.shape_cooperation(values, 2, majority / 100)
    assert 100 * divided == pytest.approx(together, abs=0.02)
    assert contribution.cooperation(values, 2, majority / 100) == pytest.approx(divided * accuracy / 100)


@pytest.mark.parametrize("row", [row for row in ROWS if row[-1] > 40])
def test_the_printed_cooperation_is_divided_by_the_accuracy(row):
    """Read as the equation stands, the weaker modality would be well below always guessing the same."""
    assert min(implied(*row).values()) < row[0] - 3


def test_shape_of_three_has_the_published_weights():
    v = random_game(3, seed=2)
    by_hand = 2 * (v[1, 1, 1] - v[0, 1, 1]) + v[1, 1, 0] - v[0, 1, 0] + v[1, 0, 1] - v[0, 0, 1]
    by_hand = (by_hand + 2 * (v[1, 0, 0] - 0.25)) / 6 / v[1, 1, 1]
    assert contribution.shape(v, 3, 0.25)[0] == pytest.approx(by_hand)
    assert contribution.shape(v, 3, 0.25).sum() == pytest.approx((v[1, 1, 1] - 0.25) / v[1, 1, 1])


def test_cooperation_of_a_pair_is_its_interaction_index():
    """The recursive axiom of Grabisch and Roubens is SHAPE's definition."""
    values = random_game(3, seed=3)
    for pair in combinations(range(3), 2):
        found = contribution.cooperation(values, 3, values.flat[0], pair)
        assert found == pytest.approx(contribution.interaction(values, *pair, 3))
        assert found == pytest.approx(contribution.interaction(values, *pair[::-1], 3))


def test_shares_leave_out_items_that_nothing_moves():
    values = np.full((2, 2, 3), 0.5)
    values[1, :, 0], values[1, 1, 1] = 0.9, 0.9  # the first modality alone; both only together; none
    shares, counted = contribution.shapley_share(values, 2)
    assert counted == 2
    np.testing.assert_allclose(shares, [0.75, 0.25])
    local, counted = contribution.intershap_local(values, 2)
    assert (local, counted) == (pytest.approx(0.5), 2)


def test_rounding_of_a_float32_model_is_no_contribution():
    values = np.full((2, 2, 4), 0.5) + 1e-7 * random_game(2, items=4)
    with pytest.raises(Undefined, match="no modality changes"):
        contribution.shapley_share(values, 2)
    with pytest.raises(Undefined, match="no modality changes"):
        contribution.intershap_local(values, 2)
    with pytest.raises(Undefined, match="no modality changes"):
        contribution.intershap(values, 2)


def test_an_additive_model_has_no_emap_gap_and_exclusive_or_has_half():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((6, 1, 3)) + rng.standard_normal((1, 6, 3))
    labels = rng.integers(3, size=6)
    np.testing.assert_allclose(contribution.additive_projection(table), np.einsum("iik->ik", table), atol=1e-12)
    assert contribution.emap_gap(table, labels) == 0
    first, second = np.array([-1, -1, 1, 1]), np.array([-1, 1, -1, 1])
    score = first[:, None] * second
    table = np.stack([score, -score], -1)  # class 1 where the bits differ
    assert contribution.emap_gap(table, (first * second < 0).astype(int)) == 0.5


def test_perceptual_score_is_the_mean_over_all_permutations():
    """Draws of ``rearranged`` meet what enumerating all permutations gives."""
    right = np.random.default_rng(0).random((4, 4)) < 0.5  # item i with the modality of item j
    orders = np.array(list(permutations(range(4))))
    expected = right[np.arange(4), orders].mean()
    assert expected == pytest.approx(right.mean())
    rng = np.random.default_rng(1)
    drawn = [right[np.arange(4), contribution.rearranged(np.zeros(4), "all", rng)].mean() for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(expected, abs=0.02)
    assert contribution.perceptual(0.8, [0.5, 0.3]) == pytest.approx(0.5)


def test_partners_within_and_across_classes():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        within = contribution.rearranged(labels, "within", rng)
        assert sorted(within) == list(range(7)) and (labels[within] == labels).all()
        assert (labels[contribution.rearranged(labels, "across", rng)] != labels).all()
        assert sorted(contribution.rearranged(labels, "all", rng)) == list(range(7))
    with pytest.raises(Undefined, match="same class"):
        contribution.rearranged(np.zeros(3), "across", np.random.default_rng(0))


def test_what_has_no_value_says_why():
    nothing_right = np.zeros((2, 2))
    with pytest.raises(Undefined, match="score of the full model is 0"):
        contribution.shape(nothing_right, 2, 0.5)
    with pytest.raises(Undefined, match="score of the full model is 0"):
        contribution.shape_cooperation(nothing_right, 2, 0.5)
    with pytest.raises(Undefined, match="two modalities"):
        contribution.cooperation(random_game(1), 1, 0.5)
    with pytest.raises(Undefined, match="two modalities"):
        contribution.intershap(random_game(1, items=3), 1)
    with pytest.raises(Undefined, match="score is 0"):
        contribution.perceptual(0.0, [0.0])
    with pytest.raises(Undefined, match="score is 0"):
        contribution.utilisation(0.0, 0.5)
    with pytest.raises(Undefined, match="fewer than two"):
        contribution.absence_gap([0.5])
    assert contribution.absence_gap([0.5, 0.2, 0.4]) == pytest.approx(0.3)
    assert contribution.utilisation(0.8, 0.6) == pytest.approx(0.25)


def test_coalitions_and_their_game():
    sets = contribution.coalitions(("audio", "video"))
    assert sets == [(), ("audio",), ("video",), ("audio", "video")]
    values = contribution.game({s: float(i) for i, s in enumerate(sets)}, ("audio", "video"))
    assert values.tolist() == [[0.0, 2.0], [1.0, 3.0]]
