"""Shapley values of windows against definitions, fixtures and the shap library; what a share is of."""

import itertools
import os

import numpy as np
import pytest

from protocols.metrics import METRICS, Undefined
from protocols.metrics.mm_shap import EXACT, design, exact, present, sampled, share
from tests import parity

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # shap's compilation takes longer than all tests here


def table(seed: int, players: int):
    """A random game: (R, P) bool -> (R,)."""
    values = np.random.default_rng(seed).standard_normal(2**players)
    return lambda coalitions: values[coalitions @ (1 << np.arange(players))]


def pairwise(seed: int, players: int):
    """A random game whose players meet in twos at most: a player's gains in an order and its reverse average out."""
    rng = np.random.default_rng(seed)
    alone, together = rng.standard_normal(players), rng.standard_normal((players, players))
    return lambda coalitions: coalitions @ alone + np.einsum("ri,rj,ij->r", coalitions, coalitions, together)


def credit(made, game) -> np.ndarray:
    return made.credit(game(made.coalitions))


def by_orders(game, players: int) -> np.ndarray:
    """Mean gain over every order of the players: the definition."""
    phi, orders = np.zeros(players), list(itertools.permutations(range(players)))
    for order in orders:
        walk = np.zeros((players + 1, players), dtype=bool)
        for step, player in enumerate(order):
            walk[step + 1 :, player] = True
        phi[list(order)] += np.diff(game(walk))
    return phi / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_exact_is_the_mean_over_all_orders(players):
    game, made = table(players, players), exact(players)
    assert len(made.coalitions) == 2**players
    np.testing.assert_allclose(credit(made, game), by_orders(game, players), atol=1e-12)


def test_the_fixtures():
    told = parity.told("shapley.json")
    for case in told["cases"]:
        made = exact(len(case["players"]))
        values = np.array([case["values"]["".join("01"[flag] for flag in row)] for row in made.coalitions.astype(int)])
        phi = made.credit(values)
        np.testing.assert_allclose(phi, case["shapley"], atol=told["tolerance"]["shapley"], rtol=0)
        np.testing.assert_allclose(phi, case["shap_exact"], atol=told["tolerance"]["shap_exact"], rtol=0)
        shares = {name: np.array([value]) for name, value in zip(case["players"], phi, strict=True)}
        for name, wanted in zip(case["players"], case["share_of_absolute"], strict=True):
            if wanted is None:
                with pytest.raises(Undefined, match="no player has credit"):
                    share(shares, name)
            else:
                assert share(shares, name) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("players", "pairs"), [(2, 1), (9, 1), (12, 4), (24, 4)])
def test_credit_adds_up_to_what_all_players_gain(players, pairs):
    made = sampled(players, pairs, np.random.default_rng(0))
    values = np.random.default_rng(1).standard_normal(len(made.coalitions))  # any game at all
    none, everyone = values[~made.coalitions.any(1)], values[made.coalitions.all(1)]
    assert made.credit(values).sum() == pytest.approx((everyone - none).item(), abs=1e-12)
    assert len(none) == len(everyone) == 1
    assert len(np.unique(made.coalitions, axis=0)) == len(made.coalitions) <= 2 + 2 * pairs * (players - 1)


@pytest.mark.parametrize("players", [4, 11])
def test_one_pair_of_orders_is_exact_where_players_meet_in_twos(players):
    game = pairwise(players, players)
    one = credit(sampled(players, 1, np.random.default_rng(5)), game)
    np.testing.assert_allclose(one, credit(exact(players), game), atol=1e-10)


def test_sampling_is_unbiased():
    game, rng = table(3, 6), np.random.default_rng(0)
    draws = np.stack([credit(sampled(6, 2, rng), game) for _ in range(400)])
    error = draws.std(0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - credit(exact(6), game)) < 4 * error).all()


def test_few_players_are_exact_and_orders_depend_on_the_generator_alone():
    assert len(design(EXACT, 1, np.random.default_rng(0)).coalitions) == 2**EXACT
    one, same, other = (design(EXACT + 1, 2, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.coalitions, same.coalitions)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert len(one.coalitions) < 2 ** (EXACT + 1)
    assert one.coalitions.shape != other.coalitions.shape or (one.coalitions != other.coalitions).any()


def test_the_shap_library_agrees():
    shap = pytest.importorskip("shap", reason="the shap library is not installed")
    for game, players in ((table(0, 6), 6), (pairwise(1, 10), 10)):

        def flags(rows, game=game):
            return game(np.asarray(rows) > 0.5)

        ones, background = np.ones((1, players)), np.zeros((1, players))
        exactly = shap.explainers.Exact(flags, background)(ones).values[0]
        np.testing.assert_allclose(credit(exact(players), game), exactly, atol=1e-9)
    # The last game has no more than pairs, for which an order and its reverse are exact in both.
    explainer = shap.explainers.Permutation(flags, background, seed=0)
    permuted = explainer(ones, max_evals=2 * players + 1, silent=True).values[0]
    np.testing.assert_allclose(credit(sampled(players, 1, np.random.default_rng(0)), game), permuted, atol=1e-9)


def test_both_samplers_have_the_same_spread():
    """On a game with every interaction: equal means within the sampling error, and equal variances."""
    shap = pytest.importorskip("shap", reason="the shap library is not installed")
    game, players, pairs, draws = table(7, 5), 5, 2, 200

    def flags(rows):
        return game(np.asarray(rows) > 0.5)

    rng = np.random.default_rng(0)
    ours = np.stack([credit(sampled(players, pairs, rng), game) for _ in range(draws)])
    explainer = shap.explainers.Permutation(flags, np.zeros((1, players)), seed=1)
    rows = np.ones((draws, players))
    theirs = explainer(rows, max_evals=pairs * (2 * players + 1), silent=True).values
    error = np.sqrt((ours.var(0) + theirs.var(0)) / draws)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * error).all()
    assert 0.7 < ours.std(0).mean() / theirs.std(0).mean() < 1.4


@pytest.mark.parametrize(("steps", "windows"), [(1, 1), (7, 7), (10, 4), (66, 8), (13, 8)])
def test_windows_are_contiguous_and_cover_every_step(steps, windows):
    alone = present(np.eye(windows, dtype=bool), steps)  # each window by itself
    np.testing.assert_array_equal(alone.sum(0), 1)
    assert set(alone.sum(1)) <= {steps // windows, -(-steps // windows)}
    assert (np.diff(alone.argmax(0)) >= 0).all()
    assert not present(np.zeros((1, windows), dtype=bool), steps).any()


def test_sum_and_mean_shares():
    credits = {"audio": np.array([0.3, -0.3]), "video": np.array([0.1, 0.0, -0.1, 0.2])}
    assert share(credits, "audio") == pytest.approx(0.6)
    assert share(credits, "video") == pytest.approx(0.4)
    assert share(credits, "audio", mean=True) == pytest.approx(0.3 / (0.3 + 0.1))
    assert share({"audio": np.array([0.2]), "video": np.zeros(3)}, "video") == 0.0
    assert METRICS["mm_shap"].score() is share


def test_a_share_that_does_not_exist_says_why():
    with pytest.raises(Undefined, match="needs two modalities; the model uses audio alone"):
        share({"audio": np.ones(3)}, "audio")
    with pytest.raises(Undefined, match="no player has credit"):
        share({"audio": np.array([1e-8]), "video": np.array([-1e-8])}, "audio")
    with pytest.raises(Undefined, match="not finite"):
        share({"audio": np.array([np.nan]), "video": np.ones(1)}, "audio")
