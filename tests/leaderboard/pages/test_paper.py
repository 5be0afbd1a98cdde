"""The page Paper as Streamlit runs it; it needs no store."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "paper.py"


@pytest.fixture
def page():
    def run(**query):
        at = AppTest.from_file(PAGE, default_timeout=120)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


def said(at):
    kinds = (at.title, at.header, at.subheader, at.markdown, at.caption, at.code)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def test_a_recomputed_table_has_verdicts_files_and_its_command(page):
    at = page(paper="hfusion2018", table="2-mosi")
    layout, verdicts, claims, needed, every = tables(at)
    assert layout.loc["own features: HFusion", "A+V (%) ↑"] == "56.8 → 56.58 ± 0.29 (10) ✓"
    row = every[(every["Row"] == "own features: HFusion") & (every["Column"] == "T+V")].iloc[0]
    assert (row["Printed"], row["Ours"], row["Verdict"]) == ("77.8", "74.68 ± 0.73 (10)", "not reproduced")
    assert (row["Who ran it"], row["Read at"]) == ("the paper's own", "paper: Table 2, page read by eye")
    text = said(at)
    assert "5 not reproduced" in text and verdicts["Because"].str.startswith("The interval lies below").sum() == 5
    assert "What running it again showed" in text and not verdicts["Because"].str.contains("..", regex=False).any()
    assert claims.index.tolist().count("Three modalities beat two") == 2
    assert "https://doi.org/10.1016/j.knosys.2018.07.041" in text
    assert "fuseboard reproduce hfusion2018 --table 2-mosi --seeds 10" in text
    labels = [button.proto.label for button in at.get("download_button")]
    assert labels[0] == "The whole report (HTML)" and "Its cells (CSV)" in labels
    assert set(needed["Numbers"]) == {"3", "4", "12"}


def test_a_table_without_a_report_says_what_it_would_need(page):
    at = page(paper="hfusion2018", table="3-iemocap")
    text, needs = said(at), tables(at)[1]
    assert "Not recomputed yet" in text and "nothing here was measured by us" in text
    assert "fuseboard reproduce hfusion2018 --table 3-iemocap" in text
    assert any("Licence" in how.replace("\\", "") for how in needs["How, or why not"])
    assert not at.get("download_button")


def test_the_choice_of_paper_opens_its_own_tables(page):
    at = page()
    assert "(recomputed)" in at.selectbox(key="paper").options[0]
    at.selectbox(key="paper").set_value("mbt2021").run()
    assert not at.exception
    assert "Attention Bottlenecks" in said(at)
    assert "mbt2021" in at.query_params["paper"]
