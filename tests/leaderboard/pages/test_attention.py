"""The page Attention as Streamlit runs it, over made-up evaluations with real names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
import zoo.spec
from leaderboard import store
from leaderboard.contributions import score_name
from protocols.spec import committed
from protocols.suite import suites
from tests.leaderboard.evaluated import fill
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "attention.py"
KEY = "grid-digit-noisy@1"
TWO, THREE = ("audio", "video"), ("audio", "video", "text")
NOISE = "audio/white_noise/-10dB"
SHOWN = ({"audio": 50, "video": 13}, {"bbaf2n": "two", "bbaf3s": "three"})  # as long as bbaf2n


def ran(bundles, key, methods, seeds=3):
    entries = zoo.spec.entries()
    told = {
        name: {"base": entries[name].method, "settings": dict(entries[name].settings), **more}
        | {"accuracy": 0.6 - place / 10}
        for place, (name, more) in enumerate(methods.items())
    }
    fill(bundles, committed()[key], suites()[key], told, seeds)


@pytest.fixture(scope="module")
def filled(bundles_at, tmp_path_factory):
    """Made once: no test writes into it."""
    root = tmp_path_factory.mktemp("filled")
    bundles = bundles_at(root / "bundles")
    methods = {
        "mult-paper": {"modalities": TWO, "maps": True, "exhibits": SHOWN},
        "mbt-small": {"modalities": TWO, "maps": True, "exhibits": SHOWN},
        "late_fusion": {"modalities": TWO, "maps": False, "exhibits": SHOWN},
        "audio_only": {"modalities": ("audio",), "maps": False},
    }
    ran(bundles, KEY, methods)
    engine = store.connect(f"sqlite:///{root}/board.db")
    store.ingest(engine, bundles.root)
    yield engine
    engine.dispose()


@pytest.fixture
def page(monkeypatch):
    def run(engine, data=None, **query):
        monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
        monkeypatch.setenv("FUSEBOARD_BUNDLE_ROOT", str(Path(engine.url.database).parent / "bundles"))
        monkeypatch.setenv("FUSEBOARD_DATA_ROOT", str(data or ""))
        at = AppTest.from_file(PAGE, default_timeout=120)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


def said(at):
    kinds = (at.markdown, at.caption, at.header, at.subheader, at.info, at.warning, at.error, at.code)
    return "\n".join(element.value for kind in kinds for element in kind)


def specs(at):
    return [chart.proto.spec for chart in at.get("vega_lite_chart")]


def pictures(at):
    return [*at.get("image"), *at.get("imgs")]  # the name differs between versions of Streamlit


def over_steps(at):
    """Charts of saliency over steps alone."""
    return [spec for spec in specs(at) if '"share of audio"' in spec or '"share of video"' in spec]


def test_the_page_shows_maps_drift_and_faithfulness_with_intervals(filled, page):
    at = page(filled)
    assert at.multiselect(key="methods").value == ["mult-paper", "mbt-small"]
    maps, drift, ranks = tables(at)[:3]
    assert maps.loc[score_name("attention_share/audio"), "mult-paper"] == "50.0 ± 0.0 %"
    assert "±" in maps.loc[score_name("attention_entropy/video<-audio"), "mbt-small"]
    assert drift.loc[f"{score_name('drift_area/video')}, audio/white_noise", "mult-paper"] == "8.0 ± 0.0 %"
    assert drift.loc[f"{score_name('drift/video/retest')}, clean", "mult-paper"] == "0.0 ± 0.0 %"
    assert ranks.loc[score_name("random_tau/gradient"), "mult-paper"] == "0.1 ± 0.0"
    text = said(at)
    assert "No drift can mean a robust model, or a path between the modalities that carries nothing" in text
    assert "no better than random" in text


def test_every_method_has_its_drift_with_controls(filled, page):
    charts = [spec for spec in specs(page(filled)) if "drift" in spec]
    together, mult, mbt = charts
    assert '"mult-paper"' in together
    for control in ("same answer", "other answer", "gradients", "itself", "untrained"):
        assert f'"{control}"' in mult
        assert f'"{control}"' in mbt
    assert "audio/white_noise, mild to severe" in together


def test_another_disturbance_watches_the_other_modality(filled, page):
    at = page(filled, sweep="video/sensor_noise")
    assert at.selectbox(key="watched").value == "audio"
    assert "audio" in at.query_params["watched"]


def test_a_method_without_attention_says_so(filled, page):
    at = page(filled, methods=["late_fusion"])
    assert "None of these methods has attention" in said(at)
    assert "the model has no attention." in set(tables(at)[-1]["Why"])
    at = page(filled, left="late_fusion", right="mult-paper")
    assert "No attention weights over the steps of video in this model." in said(at)
    assert "No share of each modality by attention rollout." in said(at)


def test_without_data_saliency_is_drawn_over_steps(filled, page):
    at = page(filled)
    text = said(at)
    assert r"FUSEBOARD\_DATA\_ROOT" in text
    assert r"mult\-paper\, seed 0" in text
    assert len(over_steps(at)) == 4  # two modalities of two methods
    assert not at.get("video")


@pytest.mark.data
def test_with_data_saliency_lies_over_the_clip(filled, page):
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    if not root:
        pytest.skip("FUSEBOARD_DATA_ROOT names no folder with GRID")
    pytest.importorskip("av", reason="PyAV is not installed")
    at = page(filled, data=root, condition=NOISE)
    text = said(at)
    assert "bin blue at f **two** now" in text
    assert "1.52 s to 2.04 s" in text
    assert rf"Under {NOISE.replace('/', chr(92) + '/').replace('_', chr(92) + '_').replace('-', chr(92) + '-')}" in text
    assert len(pictures(at)) == 2
    assert len(at.get("video")) == len(at.get("audio")) == 1
    assert sum("data:image/png;base64," in spec for spec in specs(at)) == 2


def test_saliency_of_another_length_is_not_laid_over_the_clip(engine, bundles, page):
    """A clip of another cut than the run's would put every step in a wrong place."""
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    wrong = ({"audio": 7, "video": 5}, {"bbaf2n": "two"})
    ran(bundles, KEY, {"mult-paper": {"modalities": TWO, "maps": True, "exhibits": wrong}}, seeds=1)
    store.ingest(engine, bundles.root)
    at = page(engine, data=root)
    assert not pictures(at)
    assert len(over_steps(at)) == 4


def test_three_modalities_and_a_step_of_its_own(engine, bundles, page):
    shown = ({"audio": 9, "video": 9, "text": 9}, {"2WGyTLYerpo": "positive"})
    methods = {name: {"modalities": THREE, "maps": True, "exhibits": shown} for name in ("mult-paper", "mbt-small")}
    ran(bundles, "mosi-utterance@1", methods, seeds=2)
    store.ingest(engine, bundles.root)
    at = page(engine)
    assert "without picture or sound" in said(at)
    assert len(over_steps(at)) == 4
    assert set(at.selectbox(key="watched").options) <= set(THREE)


def test_one_step_is_not_drawn_in_time(engine, bundles, page):
    shown = ({"audio": 1, "video": 1}, {"01-01-01-01-01-01-01": "neutral"})
    methods = {name: {"modalities": TWO, "maps": True, "exhibits": shown} for name in ("mult-paper", "mbt-small")}
    ran(bundles, "ravdess-actors@1", methods)
    store.ingest(engine, bundles.root)
    at = page(engine)
    assert "one step only" in said(at)
    assert r"mult\-paper\, fold1" in said(at)


def test_altered_exhibits_are_named_and_the_rest_is_shown(engine, bundles, page):
    methods = {name: {"modalities": TWO, "maps": True, "exhibits": SHOWN} for name in ("mult-paper", "mbt-small")}
    ran(bundles, KEY, methods, seeds=2)
    store.ingest(engine, bundles.root)
    first = sorted(bundles.root.glob("*/mult-paper/*/evaluation/exhibits.json"))[0]
    first.write_text("[]")
    at = page(engine)
    assert "exhibits" in at.warning[0].value
    assert at.selectbox(key="left").value == "mult-paper"


def test_without_an_evaluation_the_command_is_named(engine, bundles, page):
    bundles.add("late_fusion", base="compose", spec=committed()[KEY])
    store.ingest(engine, bundles.root)
    assert f"fuseboard evaluate <method> --protocol {KEY}" in said(page(engine))


def test_an_empty_store_names_the_next_command(engine, page):
    assert "fuseboard ingest" in said(page(engine))


def test_exhibits_load_no_torch(filled):
    """In a process of its own: others in this one may have imported it."""
    root = Path(filled.url.database).parent
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({str(PAGE)!r}, default_timeout=120)\n"
        f"at.query_params['condition'] = {NOISE!r}\n"
        "assert not at.run().exception\n"
        "print('torch' in sys.modules)"
    )
    places = {"FUSEBOARD_DATABASE_URL": str(filled.url), "FUSEBOARD_BUNDLE_ROOT": str(root / "bundles")}
    environment = os.environ | places | {"PYTHONPATH": str(PAGE.parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200)
    assert done.stdout.strip() == "False", done.stderr[-2000:]
