"""The page Contribution as Streamlit runs it, over made-up evaluations with real names."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
import zoo.spec
from leaderboard import store
from leaderboard.contributions import score_name
from protocols.spec import committed
from protocols.suite import suites
from tests.leaderboard.evaluated import DIGITS, fill
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "contribution.py"
KEY = "grid-digit-noisy@1"
TWO, THREE = ("audio", "video"), ("audio", "video", "text")
RUNS = {"mult-paper": (TWO, 0.6), "late_fusion": (TWO, 0.5), "audio_only": (("audio",), 0.3)}


def run(engine, monkeypatch, **query):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    at = AppTest.from_file(PAGE, default_timeout=120)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def ran(bundles, key, runs, seeds=5):
    entries = zoo.spec.entries()
    methods = {
        name: {
            "base": entries[name].method,
            "settings": dict(entries[name].settings),
            "accuracy": accuracy,
            "modalities": modalities,
            "maps": name.startswith("mult"),
        }
        for name, (modalities, accuracy) in runs.items()
    }
    fill(bundles, committed()[key], suites()[key], methods, seeds)


@pytest.fixture(scope="module")
def filled(bundles_at, tmp_path_factory):
    """Made once: no test writes into it."""
    root = tmp_path_factory.mktemp("filled")
    bundles = bundles_at(root / "bundles")
    ran(bundles, KEY, RUNS)
    engine = store.connect(f"sqlite:///{root}/board.db")
    store.ingest(engine, bundles.root)
    yield engine
    engine.dispose()


def said(at):
    kinds = (at.markdown, at.caption, at.header, at.subheader, at.info, at.warning, at.error, at.code)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_the_page_shows_scores_with_intervals(filled, monkeypatch):
    at = run(filled, monkeypatch)
    assert at.multiselect(key="methods").value == ["mult-paper", "late_fusion"]
    assert at.multiselect(key="methods").options == ["mult-paper", "late_fusion", "audio_only"]
    table = tables(at)[0]
    assert list(table.columns) == ["Score", "mult-paper", "late_fusion"]
    assert table.loc[score_name("shapley_share/audio"), "mult-paper"].startswith("50")
    assert re.fullmatch(r"[\d.]+ ± [\d.]+ %", table.loc[score_name("emap_gap"), "late_fusion"])
    unique = table.loc[score_name("pid/unique/video"), "mult-paper"]
    assert re.fullmatch(r"[\d.]+ ± [\d.]+ \(0\.050\)", unique)  # in brackets: of shuffled predictions
    assert table.loc["Fusion gain over audio_only", "mult-paper"].startswith("30.0")
    assert not any("class=" in score for score in table.index)
    assert not any("zeros" in score or "other sample" in score for score in table.index)
    imbalance = tables(at)[1]
    assert "Under-optimisation of audio against audio_only" in imbalance.index
    assert score_name("ogr") in imbalance.index


def test_every_chart_is_drawn(filled, monkeypatch):
    at = run(filled, monkeypatch)
    # shares, values, rules of two modalities, severities of two methods, classes of two modalities, inside
    assert len(at.get("vega_lite_chart")) == 2 + 2 + 2 + 2 + 1
    text = said(at)
    for heading in ("Share of the prediction", "Part of the accuracy", "With the severity", "Class by class"):
        assert heading in text


def test_choices_stand_in_the_address(filled, monkeypatch):
    at = run(filled, monkeypatch, methods=["late_fusion"], condition="audio/white_noise/-10dB")
    assert list(tables(at)[0].columns) == ["Score", "late_fusion"]
    assert at.selectbox(key="condition").value == "audio/white_noise/-10dB"
    at.multiselect(key="methods").set_value(["audio_only", "mult-paper"]).run()
    assert at.query_params["methods"] == ["mult-paper", "audio_only"]
    at.multiselect(key="methods").set_value([]).run()
    assert "Choose one method at least" in said(at)


def test_what_is_undefined_has_its_reason(filled, monkeypatch):
    at = run(filled, monkeypatch, methods=["audio_only"])
    why = tables(at)[-1]
    assert "the model uses one modality, so there is nothing to share out." in set(why["Why"])
    assert set(why["Runs"]) == {"5"}


def test_the_page_says_what_scores_cannot_see(filled, monkeypatch):
    meaning = tables(run(filled, monkeypatch))[-2]
    assert "no better than guessing" in meaning.loc["Shapley value of the score", "Cannot see"]


def test_three_modalities_have_no_pid_but_everything_else(engine, bundles, monkeypatch):
    ran(bundles, "mosi-utterance@1", {"mult-paper": (THREE, 0.7)}, seeds=2)
    store.ingest(engine, bundles.root)
    at = run(engine, monkeypatch)
    table = tables(at)[0]
    assert score_name("shapley/text") in table.index
    assert not any(score.startswith("PID") for score in table.index)
    assert any("defined for two modalities" in why for why in tables(at)[-1]["Why"])


def test_folds_are_paired_by_fold(engine, bundles, monkeypatch):
    ran(bundles, "ravdess-actors@1", {"late_fusion": (TWO, 0.6), "video_only": (("video",), 0.5)})
    store.ingest(engine, bundles.root)
    table = tables(run(engine, monkeypatch))[0]
    assert table.loc["Fusion gain over video_only", "late_fusion"].startswith("10.0")


def test_one_run_has_no_interval(engine, bundles, monkeypatch):
    ran(bundles, KEY, {"mult-paper": (TWO, 0.6)}, seeds=1)
    store.ingest(engine, bundles.root)
    table = tables(run(engine, monkeypatch))[0]
    assert "(one run)" in table.loc[score_name("shapley/audio"), "mult-paper"]


def test_classes_that_were_found_are_shown(filled, monkeypatch):
    heat = run(filled, monkeypatch).get("vega_lite_chart")[6]
    assert all(f'"{digit}"' in heat.proto.spec for digit in DIGITS)


def test_without_an_evaluation_the_command_is_named(engine, bundles, monkeypatch):
    bundles.add("late_fusion", base="compose", spec=committed()[KEY])
    store.ingest(engine, bundles.root)
    assert f"fuseboard evaluate <method> --protocol {KEY}" in said(run(engine, monkeypatch))


def test_without_a_suite_the_page_says_which_protocols_have_one(engine, bundles, monkeypatch):
    bundles.add()
    store.ingest(engine, bundles.root)
    text = said(run(engine, monkeypatch))
    assert "no evaluation suite for unit" in text
    assert KEY in text


def test_an_empty_store_names_the_next_command(engine, monkeypatch):
    assert "fuseboard ingest" in said(run(engine, monkeypatch))
