"""The page Compare as Streamlit runs it."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
import zoo.spec
from leaderboard import store
from protocols.spec import committed
from tests.leaderboard.answered import answers, with_predictions
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "compare.py"
RAVDESS, DIGITS = "ravdess-actors@1", "grid-digit-noisy@1"
RIGHT = {"hybrid_fusion": 0.9, "late_fusion": 0.7, "audio_only": 0.5, "hfusion": 0.5, "mbt-small": 0.4}


@pytest.fixture(scope="module")
def compared(bundles_at, evaluate, tmp_path_factory):
    """Made once: runs with predictions under one protocol, evaluated ones without under another."""
    root = tmp_path_factory.mktemp("compared")
    bundles, spec = bundles_at(root / "bundles"), committed()[RAVDESS]
    for method, right in RIGHT.items():
        preset = zoo.spec.entries()[method]
        for seed, fold in spec.runs():
            values = {("clean", "accuracy"): right + 0.01 * (fold % 3), ("clean", "accuracy/majority_class"): 0.2}
            folder = bundles.add(
                method, seed, base=preset.method, spec=spec, fold=fold, settings=dict(preset.settings), values=values
            )
            if method != "mbt-small":
                frame = answers(fold, right, 12)
                with_predictions(folder, frame.assign(id=f"fold{fold}-" + frame["id"]))
    evaluate(bundles, DIGITS)
    engine = store.connect(f"sqlite:///{root}/board.db")
    store.ingest(engine, bundles.root)
    engine.dispose()
    return root


@pytest.fixture
def page(compared, monkeypatch):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", f"sqlite:///{compared}/board.db")
    monkeypatch.setenv("FUSEBOARD_BUNDLE_ROOT", str(compared / "bundles"))

    def run(**query):
        at = AppTest.from_file(PAGE, default_timeout=120)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


def test_pairs_classes_and_what_is_missing(page):
    at = page(protocol=RAVDESS)
    assert at.multiselect(key="compare").value == ["hybrid_fusion", "late_fusion", "audio_only"]
    scores, pairs, classes = tables(at)
    assert list(scores["Method"]) == ["hybrid_fusion", "late_fusion", "audio_only"]
    first = pairs.iloc[0]
    assert (first["First"], first["Second"], first["So"]) == ("hybrid_fusion", "late_fusion", "hybrid_fusion is better")
    assert first["Over folds (percent points)"].startswith("+20.0 [") and first["n"] == "6"
    assert first["Over examples × folds (percent points)"].startswith("+")
    assert list(classes["Class"]) == ["class 0", "class 1", "class 2"]
    assert set(classes["Items"]) == {"78"}
    charts = [json.loads(chart.proto.spec) for chart in at.get("vega_lite_chart")]
    assert len(charts) == 2
    assert "fuseboard evaluate hybrid_fusion" in at.code[0].value  # no curves without an evaluation


def test_an_address_opens_its_methods_and_no_more_than_four(page):
    at = page(protocol=RAVDESS, compare=list(RIGHT))
    assert len(at.multiselect(key="compare").value) == 4
    at = page(protocol=RAVDESS, compare=["audio_only", "mbt-small"], class_score="f1")
    assert at.query_params["compare"] == ["audio_only", "mbt-small"]
    pair = tables(at)[1].iloc[0]
    assert pair["Over examples × folds (percent points)"] == "no predictions are stored"
    assert "mbt\\-small\\: 6 of 6 runs\\: no predictions are stored here" in at.warning[0].value
    assert list(tables(at)[2].columns) == ["Class", "Items", "audio_only", "mbt-small"]
    at.multiselect(key="compare").set_value(["audio_only"]).run()
    assert not at.exception
    assert "Choose two methods" in at.info[0].value


def test_curves_of_the_picked_methods_stand_side_by_side(page):
    at = page(protocol=DIGITS, compare=["mult-paper", "late_fusion"])
    assert "FUSEBOARD_BUNDLE_ROOT" in at.info[0].value  # no predictions, so no classes
    charts = [json.loads(chart.proto.spec) for chart in at.get("vega_lite_chart")]
    curves = [chart for chart in charts if "transform" in str(chart) and chart["height"] == 380]
    assert [chart["encoding"]["x"]["title"] for chart in curves] == ["signal-to-noise ratio (dB)"] * 2
    assert curves[0]["encoding"]["color"]["scale"]["domain"] == ["mult-paper", "late_fusion"]
    assert curves[0]["encoding"]["y"]["title"] == "Accuracy (higher is better)"
