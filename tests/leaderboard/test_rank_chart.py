"""Critical-difference diagrams: the groups by hand, and what is drawn of them."""

import pytest

from leaderboard.rank_chart import groups, rank_chart, rank_svg
from protocols.statistics import CriticalDifference


@pytest.fixture
def found():
    """Four methods; two differ where they are more than 1.2 ranks apart."""
    return CriticalDifference({"late": 3.0, "early": 1.5, "co": 2.2, "film": 3.3}, 1.2, 0.04)


def test_groups_are_the_largest_sets_that_are_not_told_apart(found):
    assert groups(found) == [("early", "co"), ("co", "late", "film")]
    assert groups(found._replace(difference=0.1)) == []
    assert groups(found._replace(difference=9.0)) == [("early", "co", "late", "film")]


def test_the_chart_has_a_point_a_method_and_a_bar_a_group(found):
    scale, bars, points, names = rank_chart(found)["layer"]
    assert [row["method"] for row in points["data"]["values"]] == ["early", "co", "late", "film"]
    assert [(row["method"], row["last"]) for row in bars["data"]["values"]] == [("early", "co"), ("co", "film")]
    low, high = points["encoding"]["x"]["scale"]["domain"]
    assert all(4.0 < row["rank"] < high for row in bars["data"]["values"]), "bars stand beyond the worst rank"
    order = ["critical difference: 1.2 ranks", "early", "co", "late", "film"]
    assert [row["method"] for row in names["data"]["values"]] == order
    assert all(layer["encoding"]["y"]["scale"]["domain"] == order for layer in (scale, bars, points, names))
    (line,) = scale["data"]["values"]
    assert line["end"] - line["rank"] == pytest.approx(1.2)


def test_the_drawing_says_the_numbers_too(found):
    drawing = rank_svg(found)
    assert drawing.count("<circle") == 4 and "critical difference: 1.2 ranks" in drawing
    assert "film&#8195;3.3" in drawing
