"""Tables as HTML: what stands in them, how it is marked, and that text of users stays text."""

import pandas as pd
import pytest

from leaderboard.tables import html, kind_of
from tests.leaderboard.html_tables import tables_of

HOSTILE = "<script>alert(1)</script>"
TABLE = pd.DataFrame({"Method": ["late_fusion", HOSTILE], "n": [1200, None], "Score": ["71.0 ± 2.5 %", "–"]})


def test_cells_are_texts_with_dashes_and_thousands():
    (found,) = tables_of(html(TABLE, "Scores"))
    assert found.values.tolist() == [["late_fusion", "1,200", "71.0 ± 2.5 %"], [HOSTILE, "–", "–"]]


def test_a_named_index_heads_the_rows():
    body = html(TABLE.set_index("Method"), "Scores")
    assert body.count('scope="row"') == 2 and 'data-term="Method"' not in body


def test_text_of_users_is_escaped_everywhere():
    frame = pd.DataFrame({HOSTILE: [HOSTILE], "a": [HOSTILE]})
    body = html(frame, HOSTILE, links={"a": ["method?method=" + '"><b>']}, marks=pd.DataFrame({"a": ['"><b>']}))
    assert "<script" not in body and "<b>" not in body


def test_links_stand_in_their_column_alone():
    body = html(TABLE, "Scores", links={"Method": ["method?method=late_fusion", "method?method=x"]})
    assert tables_of(body)[0].attrs["links"] == ["method?method=late_fusion", "method?method=x"]
    assert "href" not in html(TABLE, "Scores")


def test_marks_are_classes_of_cells():
    body = html(TABLE, "Scores", marks=pd.DataFrame({"n": ["", ""], "Score": ["reproduced", ""]}))
    assert body.count(' reproduced"') == 1
    assert '<td class="number reproduced" data-term="Score">' in body


def test_a_wide_table_is_reached_by_a_keyboard():
    assert 'tabindex="0"' in html(TABLE, "Scores") and "tabindex" not in html(TABLE, "Scores", cards=True)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["83.6 ± 2.1 %", "–"], "number"),
        (["1–23", "2"], "number"),
        (["< 0.001", "0.208"], "number"),
        (["81.51 → 79.02 ± 0.26 (10) ✗", "81.25"], "number pair"),
        (["177,490", "1,254 ± 280"], "number"),
        (["completed", "failed"], "text short"),
        (["2.0 and more than that, which is a sentence"], "text"),
        (["–", ""], "text short"),
    ],
)
def test_columns_are_numbers_short_texts_or_sentences(column, kind):
    assert kind_of(column) == kind
