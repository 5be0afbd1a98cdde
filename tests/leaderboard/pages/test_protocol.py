"""The page Protocol as Streamlit runs it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
from leaderboard import store
from protocols.spec import committed
from tests.leaderboard.answered import answers, with_predictions
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "protocol.py"
MOSI = "mosi-utterance@1"


@pytest.fixture
def page(engine, bundles, monkeypatch):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    monkeypatch.setenv("FUSEBOARD_BUNDLE_ROOT", str(bundles.root))

    def run(**query):
        at = AppTest.from_file(PAGE, default_timeout=120)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


def said(at):
    kinds = (at.title, at.header, at.markdown, at.caption, at.warning, at.info)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def test_a_protocol_has_its_card_parts_and_ledger(page, engine, bundles):
    for method, times in {"early_fusion": 2, "late_fusion": 1}.items():
        for seed in range(3):
            folder = bundles.add(method, seed, spec=committed()[MOSI])
            with_predictions(folder, answers(seed, 0.8))
            for time in range(times):
                bundles.opened(folder.name, method, MOSI, seed=seed, at=f"2026-01-0{1 + seed}T0{time}:00:00+00:00")
    store.ingest(engine, bundles.root)
    at = page(protocol=MOSI)
    conditions, parts, tested, counts = tables(at)
    openings = at.dataframe[0].value
    text = said(at)
    assert at.title[0].value.replace("\\", "") == "CMU-MOSI utterance sentiment"
    assert "features: MIT; CMU-MOSI: research use" in text and "learning rate 0.0005" in text
    assert "zeros after standardisation" in text and "558 of 686 test utterances leak" in text
    assert list(conditions["Condition"]) == list(committed()[MOSI].conditions)
    assert parts["Examples"].to_dict() == {"train": "49", "validation": "13", "test": "31"}
    assert tested.loc["test", "Scored items"] == "183"
    assert counts["Openings"].to_dict() == {"early_fusion": "6", "late_fusion": "3"}
    assert openings["Opened (UTC)"][0] == "2026-01-03 01:00:00" and len(openings) == 9
    at.selectbox(key="opened_by").set_value("late_fusion").run()
    assert set(at.dataframe[0].value["Method"]) == {"late_fusion"}
    assert "late_fusion" in at.query_params["opened_by"]


def test_protocols_without_a_run_have_a_page_and_leaks_are_told(page):
    at = page(protocol="mosi-hfusion-replica@2")
    assert "the epoch is chosen on the test part" in said(at)
    assert "Nobody opened it yet" in said(at)
    shared = page(protocol="crema-d-shared-actor@1")
    assert "People of the training part are in the test part" in said(shared)
    assert tables(shared)[1]["Examples"].to_dict() == {"train": "6,698", "test": "744"}
    assert "come with the data" in said(page(protocol="vggsound@1"))
