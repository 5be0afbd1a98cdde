"""The ranking as HTML: every row with its interval on one axis, ties parted by a line."""

import re

import pytest

from leaderboard.ranking_table import domain, html, tick_text, ticks
from tests.leaderboard.html_tables import tables_of

NAN = float("nan")
ROW = {"best": 1, "worst": 1, "failed": 0, "parameters": 98820, "fit_seconds": 100.9}
ROWS = [
    ROW | {"method": "late_fusion", "unimodal": False, "mean": 0.7, "low": 0.65, "high": 0.75, "n": 5, "group": 1},
    ROW
    | {"method": "<b>", "unimodal": True, "mean": 0.5, "low": NAN, "high": NAN, "n": 1, "group": 2, "failed": 3}
    | {"parameters": NAN, "fit_seconds": NAN, "best": NAN, "worst": NAN},
]


def drawn(majority=0.25, lines=True, rows=ROWS):
    badges, links = ["✓ verified", "1 of 5 runs"][: len(rows)], ["method?a", "method?b"][: len(rows)]
    return html(rows, "accuracy", badges, links, majority, "guess", lines=lines)


def test_every_method_has_its_numbers_and_its_link():
    (found,) = tables_of(drawn())
    assert found["Rank"].tolist() == ["1", "–"]
    assert found["Method"].tolist() == ["late_fusion", "<b>one modality3 failed"]
    assert found["Accuracy"].tolist() == ["70.0 ± 5.0 %", "50.0 % (one run)"]
    assert found["Runs"].tolist() == ["✓ verified", "1 of 5 runs"]
    assert found["Parameters"].tolist() == ["98,820", "–"]
    assert found["Training"].tolist() == ["101 s", "–"]
    assert found.attrs["links"] == ["method?a", "method?b"]


def test_a_line_parts_tie_groups_where_rows_stand_by_rank():
    assert drawn().count('class="apart"') == 1
    assert drawn(lines=False).count('class="apart"') == 0


def test_intervals_stand_on_one_axis_with_the_answer_without_a_model():
    body = drawn()
    low, high = domain([0.65, 0.75, 0.5, NAN], 0.25)
    assert (low, high) == pytest.approx((0.23, 0.77))
    assert f'class="dot fusion" style="left:{100 * (0.7 - low) / (high - low):.2f}%"' in body
    assert "guess 25.0 %" in body and "Accuracy (higher is better)" in body
    assert 'class="trivial"' not in drawn(majority=None)
    assert set(re.findall(r">(\d+%)</i>", body)) == {"30%", "40%", "50%", "60%", "70%"}


def test_one_value_alone_still_has_an_axis():
    row = ROWS[0] | {"low": NAN, "high": NAN}
    assert "70.0 % (one run)" in drawn(majority=None, rows=[row]).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("ends", "marks"), [((0.23, 0.77), [0.3, 0.4, 0.5, 0.6, 0.7]), ((-0.1, 1.1), [0, 0.2, 0.4, 0.6, 0.8, 1.0])]
)
def test_ticks_are_round(ends, marks):
    assert ticks(*ends) == pytest.approx(marks)


def test_ticks_have_as_many_decimals_as_tell_them_apart():
    assert [tick_text(mark, "accuracy", [0.3, 0.35]) for mark in (0.3, 0.35)] == ["30%", "35%"]
    assert [tick_text(mark, "accuracy", [0.3, 0.305]) for mark in (0.3, 0.305)] == ["30.0%", "30.5%"]
    assert tick_text(0.25, "mae", [0.25, 0.3]) == "0.25"
