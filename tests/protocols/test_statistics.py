import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protocols.statistics import (
    bootstrap_interval,
    critical_difference,
    equivalence,
    holm,
    minimum_detectable_difference,
    paired_bootstrap,
    paired_p,
    random_effects,
    rank_ranges,
    t_interval,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_t_interval_by_hand():
    """Values 1, 2, 3: mean 2, s = 1, and t(0.975, 2) = 4.302653 from the printed table."""
    found = t_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.n == 3
    assert found.high - 2.0 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-6)
    assert 2.0 - found.low == pytest.approx(found.high - 2.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.sampled_from([0.9, 0.95, 0.99]))
def test_t_interval_agrees_with_scipy(values, confidence):
    wanted = stats.sem(values)
    found = t_interval(values, confidence)
    low, high = (
        stats.t.interval(confidence, len(values) - 1, np.mean(values), wanted) if wanted > 0 else (found.mean,) * 2
    )
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_one_run_has_a_mean_and_no_interval():
    found = t_interval([0.7])
    assert (found.mean, found.n) == (0.7, 1)
    assert np.isnan([found.low, found.high]).all()


def test_no_run_is_an_error():
    with pytest.raises(ValueError, match="one for each run"):
        t_interval([])


def test_bootstrap_matches_the_normal_limit():
    """1,000 examples, 70% right: the interval is near p -+ 1.96 sqrt(p (1 - p) / N)."""
    correct = np.repeat([1, 0], [700, 300])
    found = bootstrap_interval(correct, np.random.default_rng(0), draws=20_000)
    half = 1.959964 * np.sqrt(0.7 * 0.3 / 1000)
    assert found.mean == pytest.approx(0.7)
    assert (found.low, found.high) == (pytest.approx(0.7 - half, abs=2e-3), pytest.approx(0.7 + half, abs=2e-3))


def test_bootstrap_matches_scipy_on_scores_that_are_not_binary():
    scores = np.random.default_rng(1).gamma(2.0, size=60)
    found = bootstrap_interval(scores, np.random.default_rng(2), draws=20_000)
    wanted = stats.bootstrap(
        (scores,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (found.low, found.high) == (pytest.approx(wanted.low, abs=0.01), pytest.approx(wanted.high, abs=0.01))


def test_bootstrap_repeats_itself_and_refuses_tables():
    correct = np.array([1, 0, 1, 1])
    first, second = (bootstrap_interval(correct, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        bootstrap_interval(np.ones((2, 2)), np.random.default_rng(0))


def test_paired_p_agrees_with_scipy():
    rng = np.random.default_rng(0)
    first = rng.normal(size=7)
    second = first + rng.normal(0.4, 0.5, size=7)
    assert paired_p(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-10)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ([0.9, 0.9], [0.1, 0.2], 1.0),  # two pairs never separate
        ([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], 1.0),
        ([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], 0.0),  # the same gain every time
    ],
)
def test_paired_p_at_its_edges(first, second, p):
    assert paired_p(first, second) == p


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.20 times 4, 3, 2, 1, never decreasing: 0.04, 0.06, 0.06, 0.20."""
    np.testing.assert_allclose(holm([0.20, 0.01, 0.03, 0.02]), [0.20, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]


def test_methods_that_nothing_separates_share_their_ranks():
    values = {
        "clear": dict(enumerate([0.90, 0.91, 0.92, 0.90, 0.91])),
        "first": dict(enumerate([0.70, 0.75, 0.72, 0.68, 0.74])),
        "second": dict(enumerate([0.72, 0.71, 0.74, 0.70, 0.71])),
        "last": dict(enumerate([0.20, 0.22, 0.21, 0.19, 0.24])),
    }
    found = rank_ranges(values, higher_is_better=True)
    assert found == {"clear": (1, 1), "first": (2, 3), "second": (2, 3), "last": (4, 4)}
    upside_down = rank_ranges(values, higher_is_better=False)
    assert upside_down == {"clear": (4, 4), "first": (2, 3), "second": (2, 3), "last": (1, 1)}


def test_only_shared_seeds_are_compared():
    """Without shared seeds nothing is known of the difference, however large the means differ."""
    values = {"a": {0: 0.9, 1: 0.91, 2: 0.9}, "b": {3: 0.1, 4: 0.1, 5: 0.11}}
    assert rank_ranges(values, higher_is_better=True) == {"a": (1, 2), "b": (1, 2)}


def test_ranks_of_one_method_and_of_none():
    assert rank_ranges({"a": {0: 1.0}}, higher_is_better=True) == {"a": (1, 1)}
    assert rank_ranges({}, higher_is_better=True) == {}


def test_false_separations_stay_rare():
    """Six equal methods, five seeds, 200 boards: any separation at all on about 5% of the boards, never 10%."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        values = {str(m): dict(enumerate(rng.normal(size=5))) for m in range(6)}
        wrong += any(r != (1, 6) for r in rank_ranges(values, higher_is_better=True).values())
    assert wrong <= 20


def test_equivalence_agrees_with_two_one_sided_t_tests(rng):
    from scipy.stats import ttest_1samp

    a, b = rng.normal(0.80, 0.01, 12), rng.normal(0.801, 0.01, 12)
    found = equivalence(a, b, 0.02)
    upper = ttest_1samp(a - b, 0.02, alternative="less").pvalue
    lower = ttest_1samp(a - b, -0.02, alternative="greater").pvalue
    assert found.p == pytest.approx(max(upper, lower), rel=1e-9)
    assert (found.p < 0.05) == (-0.02 < found.low and found.high < 0.02)
    with pytest.raises(ValueError, match="3 or more"):
        equivalence([1, 2], [1, 2], 0.1)


def test_minimum_detectable_difference_agrees_with_statsmodels():
    from statsmodels.stats.power import TTestPower

    for n in (3, 5, 20):
        wanted = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="two-sided")
        assert minimum_detectable_difference(2.5, n) == pytest.approx(2.5 * wanted, rel=1e-4)


def test_paired_bootstrap_cancels_what_both_share(rng):
    hard = rng.random(400) < 0.5
    first = np.broadcast_to(hard, (5, 400)).astype(float)
    found = paired_bootstrap(first, first, rng)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    better = first.copy()
    better[:, :40] = 1
    gain = paired_bootstrap(better, first, rng)
    assert gain.low > 0 and gain.low < gain.mean < gain.high


def test_paired_bootstrap_covers_the_truth(rng):
    """Difference of 0.05 between two independent Bernoulli scores: 95 % of intervals hold it, within noise."""
    inside = 0
    for _ in range(200):
        a, b = (rng.random((4, 150)) < p for p in (0.75, 0.70))
        found = paired_bootstrap(a, b, rng, draws=300)
        inside += found.low <= 0.05 <= found.high
    assert 180 <= inside <= 200


def test_critical_difference_agrees_with_scipy_and_the_printed_table(rng):
    from scipy.stats import friedmanchisquare

    table = rng.normal(size=(4, 10)).round(1)
    found = critical_difference({str(i): row for i, row in enumerate(table)}, True)
    assert found.p == pytest.approx(friedmanchisquare(*table).pvalue, rel=1e-9)
    # q(0.05) of Nemenyi's test is 2.569 for 4 methods and 2.343 for 3 (Demsar 2006, table 5).
    assert found.difference == pytest.approx(2.569 * np.sqrt(4 * 5 / 60), abs=1e-3)
    assert sum(found.ranks.values()) == pytest.approx(10)
    for k in (3, 12, 40):
        apart = critical_difference({str(i): [i, -i] for i in range(k)}, True).difference
        quantile = stats.studentized_range.ppf(0.95, k, np.inf)
        assert apart == pytest.approx(quantile / np.sqrt(2) * np.sqrt(k * (k + 1) / 12), rel=1e-4)
    with pytest.raises(ValueError, match="3 or more"):
        critical_difference({"a": [1, 2], "b": [2, 1]}, True)


def test_random_effects_agrees_with_statsmodels():
    from statsmodels.stats.meta_analysis import combine_effects

    effects, variances = [0.02, 0.05, -0.01, 0.04, 0.09], [0.0004, 0.0001, 0.0009, 0.0002, 0.0003]
    found = random_effects(effects, variances)
    wanted = combine_effects(np.array(effects), np.array(variances), method_re="dl", use_t=True)
    assert found.mean == pytest.approx(wanted.mean_effect_re, rel=1e-9)
    assert found.tau2 == pytest.approx(wanted.tau2, rel=1e-9)
    assert found.i2 == pytest.approx(wanted.i2, rel=1e-9)
    plain = 1 / np.sqrt(np.sum(1 / (np.array(variances) + wanted.tau2)))
    error = max(wanted.sd_eff_w_re_hksj, plain)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * error, rel=1e-9)


def test_random_effects_of_equal_studies_has_no_heterogeneity():
    found = random_effects([0.1, 0.1, 0.1], [0.01, 0.02, 0.03])
    assert found.tau2 == 0 and found.i2 == 0 and found.mean == pytest.approx(0.1)
    plain = 1 / np.sqrt(100 + 50 + 100 / 3)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 2) * plain)  # agreeing by chance is no proof
