import math

import pytest

from leaderboard.figures import decimals, interval_text, metric_title, ranks_text, value_text

NAN = float("nan")


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.71234, 0.0243, "71.2 ± 2.4 %"),
        (0.71234, 0.00243, "71.23 ± 0.24 %"),
        (0.71234, 0.000996, "71.23 ± 0.10 %"),  # rounds up to 0.10: no third digit
        (0.71234, 0.123, "71 ± 12 %"),
        (0.71234, 0.0, "71.2 ± 0.0 %"),
        (0.71234, 1e-16, "71.2 ± 0.0 %"),  # what rounding leaves of nothing
        (0.71234, NAN, "71.2 % (one run)"),
        (NAN, NAN, "–"),
    ],
)
def test_the_interval_sets_the_digits(mean, half, text):
    assert interval_text({"mean": mean, "low": mean - half, "high": mean + half}, "accuracy") == text


def test_decimals_have_an_end():
    assert decimals(1e-9) == 3


@pytest.mark.parametrize(
    ("best", "worst", "text"), [(2, 2, "2"), (1, 3, "1–3"), (math.nan, math.nan, "–"), (None, None, "–")]
)
def test_ranks(best, worst, text):
    assert ranks_text({"best": best, "worst": worst}) == text


def test_values_and_titles():
    assert value_text(0.125, "accuracy/majority_class") == "12.5 %"
    assert metric_title("macro_f1") == "Macro F1"
    assert metric_title("accuracy/majority_class") == "Accuracy (majority_class)"
