"""Every page as Streamlit runs it, without a browser."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import leaderboard
import zoo.spec
from leaderboard import store
from protocols.spec import committed
from tests.leaderboard.html_tables import tables
from zoo import Method, Size
from zoo.spec import MethodSpec

PAGES = Path(leaderboard.__file__).parent / "pages"
ALL = ("ranking", "compare", "method", "robustness", "contribution", "attention", "cost", "protocol", "paper", "review")
ALL += ("download",)
GRID = "grid-digit-noisy@1"
METHODS, ENTRIES = zoo.METHODS, zoo.spec.entries  # before a test puts others in their place
CARD = Method(
    name="late",
    target="zoo.late:X",
    title="Late fusion",
    paper="a test",
    summary="Adds *scores*.",
    modalities=("audio", "video"),
    at_least=2,
    fusion_stage="late",
    attention="none",
    equations="none",
    code="",
    differs=("It is a test.",),
    evidence="generic",
    presets=("late",),
    sizes=(Size("late", {"audio": 4, "video": (2, 2, 3)}, 2, 1234, "by hand"),),
)


@pytest.fixture
def page(engine, bundles, monkeypatch):
    """Opens a page over whatever was ingested."""
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    monkeypatch.setenv("FUSEBOARD_BUNDLE_ROOT", str(bundles.root))
    monkeypatch.setattr(zoo, "METHODS", {"late": CARD})
    monkeypatch.setattr(zoo.spec, "entries", lambda: {"late": MethodSpec(name="late", method="late")})

    def run(name, **query):
        at = AppTest.from_file(PAGES / f"{name}.py", default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


@pytest.fixture
def filled(engine, bundles):
    for seed in range(5):
        folder = bundles.add("late-test", seed, 0.70 + seed / 100, settings={"width": 40})
        bundles.opened(folder.name, seed=seed)
        bundles.add("other-test", seed, 0.40 + seed / 100)
    bundles.add("late-test", 9, status="failed", reason="loss is not finite")
    store.ingest(engine, bundles.root)


def said(at):
    kinds = (at.title, at.markdown, at.caption, at.header, at.subheader, at.info, at.warning, at.error, at.code)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.mark.usefixtures("filled")
def test_ranking_shows_the_records(page):
    at = page("ranking")
    table = tables(at)[0]
    assert list(table["Accuracy"]) == ["72.0 ± 2.0 %", "42.0 ± 2.0 %"]
    assert list(table["Runs"]) == ["✓ verified"] * 2
    assert list(table["Method"]) == ["late-test1 failed", "other-test"]
    assert table.attrs["links"][0] == "method?method=late-test&protocol=unit-test%401"
    assert at.title[0].value == "A protocol of the tests"
    everywhere = tables(at)[1]
    assert everywhere.loc["late-test", "clean"] == "72.0 ± 2.0 %"
    assert list(everywhere.columns) == ["Method", "clean", "audio/missing", "video/missing"]


@pytest.mark.usefixtures("filled")
def test_ranking_follows_the_choices(page):
    at = page("ranking")
    at.selectbox(key="condition").set_value("audio/missing").run()
    assert tables(at)[0]["Accuracy"].iloc[0] == "64.8 ± 1.8 %"
    at.selectbox(key="metric").set_value("macro_f1").run()
    assert tables(at)[0]["Macro F1"].iloc[0] == "57.6 ± 1.6 %"
    assert "macro_f1" in at.query_params["metric"]


@pytest.mark.usefixtures("filled")
def test_an_address_opens_its_view(page):
    at = page("ranking", metric="macro_f1")
    assert at.selectbox(key="metric").value == "macro_f1"
    at = page("ranking", metric="nonsense")
    assert at.selectbox(key="metric").value == "accuracy"
    assert "metric that is not here" in at.warning[0].value


@pytest.mark.usefixtures("filled")
def test_method_tells_card_results_runs_and_openings(page):
    at = page("method", method="late-test")
    text = said(at)
    assert at.title[0].value == "Late fusion"
    assert r"Adds \*scores\*\." in text  # shown, not interpreted
    assert "It is a test" in text
    assert "opened 5 times by 5 runs" in text
    assert "width: 40" in text
    results, runs = tables(at)
    assert r"1\,234 as late with audio 4\, video 2×2×3 and 2 outputs" in text
    (graph,) = at.get("graphviz_chart")
    assert '"video" -> "audio" [label="2 × 4", style=solid]' in graph.proto.spec
    assert results["Accuracy"].iloc[0] == "72.0 ± 2.0 %"
    assert sorted(runs["Status"]) == ["completed"] * 5 + ["failed"]
    assert "loss is not finite" in set(runs["Reason"])


@pytest.mark.usefixtures("filled")
def test_download_offers_the_protocol(page):
    at = page("download", level="cells", format="parquet")
    text = said(at)
    assert "fuseboard export --protocol unit-test@1 --level cells --format parquet" in text
    assert "CC BY 4" in text
    assert list(at.dataframe[0].value.columns)[-4:] == ["mean", "low", "high", "n"]


@pytest.mark.usefixtures("filled")
def test_download_offers_every_level_in_its_formats(page):
    at = page("download", level="cells")
    assert at.selectbox(key="level").options[0] == "Seeds: every record of every run"
    assert at.selectbox(key="format").options == ["csv", "parquet", "json", "latex", "hf-eval", "croissant"]
    assert page("download", level="seeds").selectbox(key="format").options == ["csv", "parquet", "json", "croissant"]
    assert "fuseboard evaluate" in page("download", level="curves").info[0].value
    at = page("download", level="samples")
    at.button[0].click().run()  # predictions are read when they are asked for
    assert "The predictions of 10 of 10 runs are not here" in at.info[0].value.replace("\\", "")


@pytest.fixture
def evaluated(page, engine, bundles, evaluate, monkeypatch):
    """Real names of a protocol, of its suite and of methods."""
    monkeypatch.setattr(zoo, "METHODS", METHODS)
    monkeypatch.setattr(zoo.spec, "entries", ENTRIES)
    evaluate(bundles)
    store.ingest(engine, bundles.root)


@pytest.mark.usefixtures("evaluated")
def test_robustness_shows_curves_scores_and_reasons(page):
    at = page("robustness", protocol=GRID)
    assert at.multiselect(key="methods").value == [
        "cross_attention",
        "mult-paper",
        "late_fusion",
        "early_fusion",
        "audio_only",
    ]
    assert at.multiselect(key="sweeps").value == ["audio/white_noise", "video/sensor_noise"]
    scores, sweeps = tables(at)
    row = scores[(scores["Corruption"] == "audio: white noise") & (scores["Method"] == "mult-paper")].iloc[0]
    # clean 91 %, six severities down to 55 %: (91 + 55) / 2; late fusion errs 15 + 8 k, this one 9 + 6 k
    assert row["Area under the robustness curve"] == "73.0 ± 2.5 %"
    assert row["Score at the worst severity"] == "55.0 ± 2.5 %"
    errors = (
        [(9 - i) + 6 * k for i in (-1, 0, 1) for k in range(1, 7)],
        [(15 - i) + 8 * k for i in (-1, 0, 1) for k in range(1, 7)],
    )
    ratios = [sum(errors[0][6 * i : 6 * i + 6]) / sum(errors[1][6 * i : 6 * i + 6]) for i in range(3)]
    assert row["Corruption error"].startswith(f"{100 * sum(ratios) / 3:.1f} ±")
    assert row["Effective robustness"] == "7.0 ± 0.0 %"
    assert list(sweeps["Sweep"][:2]) == ["mean of all sweeps", "audio: white noise"]
    charts = [json.loads(chart.proto.spec) for chart in at.get("vega_lite_chart")]
    assert len(charts) == 6  # two sweeps, subsets, rates, conflicts, misalignment
    text = said(at)
    for heading in ("Without a modality", "missing at random", "contradicts", "wrong time", "Every sweep"):
        assert heading in text


@pytest.mark.usefixtures("evaluated")
def test_robustness_follows_the_choices(page):
    at = page("robustness", protocol=GRID, metric="macro_f1")
    at.multiselect(key="methods").set_value(["late_fusion"]).run()
    at.multiselect(key="sweeps").set_value(["video/jpeg"]).run()
    assert list(tables(at)[0]["Corruption"]) == ["video: jpeg"]
    assert "late_fusion" in at.query_params["methods"]
    assert "video/jpeg" in at.query_params["sweeps"]
    at.selectbox(key="score").set_value("corruption_error").run()
    assert set(tables(at)[1]["late_fusion"]) == {"100.0 ± 0.0 %"}
    at.multiselect(key="methods").set_value([]).run()
    assert not at.exception
    assert "Choose one method" in at.info[0].value


@pytest.mark.usefixtures("evaluated")
def test_a_curve_without_a_value_has_a_reason(page, engine, bundles):
    (folder,) = (
        f for f in bundles.root.glob(f"{GRID}/audio_only/*") if '"seed": 0' in (f / "manifest.json").read_text()
    )
    why = "the model's scores of 3 of 250 items are not finite"
    found = {("audio/babble/10dB", "accuracy"): why, ("audio/babble", "area/accuracy"): why}
    bundles.measure(folder, found, suite=f"{GRID}/suite1", created="2027-01-01T00:00:00+00:00")
    store.ingest(engine, bundles.root)
    reasons = tables(page("robustness", protocol=GRID))[2]
    assert why in set(reasons["Why"])


@pytest.mark.usefixtures("evaluated")
def test_cost_shows_the_front_the_table_and_why_not(page):
    at = page("cost", protocol=GRID)
    table, reasons = tables(at)
    row = table.set_index("Method").loc["mult-paper"]
    assert (row["Parameters"], row["MFLOPs"], row["p50 (ms)"]) == ("1,200,000", "120", "9.10 ± 0.25")
    assert list(reasons["Why"]) == ["this device reports no energy"]
    text = said(at)
    # Nobody beats these in accuracy and parameters.
    assert "**1** audio\\_only, **2** late\\_fusion, **3** cross\\_attention" in text
    assert "test\\, 2 cores" in text
    at.selectbox(key="cost").set_value("throughput").run()
    assert "Better is right" in said(at)
    at.selectbox(key="condition").set_value("clean").run()
    assert tables(at)[0]["Accuracy"].iloc[0] == "91.0 ± 2.5 %"


@pytest.mark.parametrize("name", ["robustness", "cost"])
def test_without_an_evaluation_the_page_names_the_command(page, engine, bundles, name):
    bundles.add("late_fusion", spec=committed()[GRID])
    store.ingest(engine, bundles.root)
    assert f"fuseboard evaluate <method> --protocol {GRID}" in said(page(name))


@pytest.mark.usefixtures("filled")
def test_ranking_tells_ties_badges_and_what_it_can_detect(page, engine, bundles):
    bundles.add("third-test", 0, 0.3)
    store.ingest(engine, bundles.root)
    at = page("ranking")
    table = tables(at)[0]
    assert list(table["Runs"]) == ["✓ verified", "✓ verified", "1 of 5 runs"]
    # One run of the third tells it from nobody, nor two methods from it.
    assert list(table["Tie group"]) == ["1", "1", "1"]
    text = said(at)
    assert "all 5 runs that the protocol asks for" in text and "a number from a paper, not ours" in text
    # Equal differences at every seed: any difference would be found.
    assert "Smallest detectable difference: 0.0 percent points" in text


@pytest.mark.usefixtures("evaluated")
def test_ranking_filters_by_kind_and_the_address_holds_it(page):
    at = page("ranking", protocol=GRID, modalities="audio + video")
    assert "audio_only" not in {name for name in methods_of(at)}
    assert len(tables(at)[0]) == 4
    at.multiselect(key="attention").set_value(["cross-attention"]).run()
    assert sorted(methods_of(at)) == ["cross_attention", "mult-paper"]
    assert "cross-attention" in at.query_params["attention"]
    assert "Shown: 2 of 5 methods" in said(at)
    at.multiselect(key="stage").set_value(["late"]).run()
    assert "No method is of this kind" in at.info[0].value


def methods_of(at):
    return [re.search("method=([^&]*)", address)[1] for address in tables(at)[0].attrs["links"]]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_store_names_the_next_command(page, name):
    wanted = "fuseboard reproduce" if name == "paper" else "fuseboard run" if name != "protocol" else "Nobody opened it"
    assert wanted in said(page(name))


@pytest.mark.parametrize("name", ALL)
def test_one_method_alone_is_no_reason_to_fail(page, engine, bundles, name):
    bundles.add("late-test", 0, 0.7)
    store.ingest(engine, bundles.root)
    text = said(page(name))
    if name == "compare":
        assert "nothing to compare it with" in text and "fuseboard run late_fusion --protocol unit-test@1" in text
    if name == "ranking":
        assert "Smallest detectable difference: not known" in text


@pytest.mark.parametrize("name", ALL)
def test_runs_that_only_failed_are_no_reason_to_fail(page, engine, bundles, name):
    bundles.add(status="failed", reason="out of memory")
    store.ingest(engine, bundles.root)
    page(name)


@pytest.mark.usefixtures("page")
def test_a_database_that_goes_away_is_told(engine, bundles):
    bundles.add()
    store.ingest(engine, bundles.root)
    at = AppTest.from_file(PAGES.parent / "app.py", default_timeout=60).run()
    assert at.title[0].value == "A protocol of the tests"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE runs")
    at = AppTest.from_file(PAGES.parent / "app.py", default_timeout=60).run()
    assert not at.exception
    assert "Nothing is lost" in at.error[0].value and "fuseboard ingest" in at.error[0].value


def test_a_method_that_was_not_run_has_a_card_and_the_next_command(page):
    text = said(page("method"))
    assert "Late fusion" in text
    assert "fuseboard run late --protocol synthetic@1" in text


def test_a_protocol_where_everything_failed_says_so(page, engine, bundles):
    bundles.add(status="failed", reason="out of memory")
    store.ingest(engine, bundles.root)
    at = page("ranking")
    assert "out of memory" in tables(at)[0]["Why"].iloc[0]


def test_text_of_users_is_never_html(page, engine, bundles, monkeypatch):
    hostile = "<img src=x onerror=alert(1)>"
    bundles.add(hostile, base=hostile, status="failed", reason=f"**{hostile}**")
    bundles.add(hostile, seed=1, base=hostile)
    store.ingest(engine, bundles.root)
    for name in ALL:
        at = page(name)
        texts = [element.value for kind in (at.title, at.markdown, at.header, at.warning) for element in kind]
        assert not any(re.search(r"(?<!\\)(<img|\*\*<)", text) for text in texts)
        assert not any(element.allow_html for element in at.markdown)


@pytest.mark.parametrize(
    ("url", "wanted"), [("", "fuseboard serve"), ("postgresql://127.0.0.1:1/x", "Nothing is lost")]
)
def test_a_store_that_cannot_be_opened_is_explained(page, monkeypatch, url, wanted):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", url)
    assert wanted in said(page("ranking"))


def test_the_app_opens_the_ranking(page, monkeypatch):
    at = AppTest.from_file(PAGES.parent / "app.py", default_timeout=60).run()
    assert not at.exception
    assert "No results yet" in at.info[0].value


def test_pages_load_no_torch_ray_or_mlflow(engine, bundles):
    """In a process of its own: others in this one may have imported them."""
    bundles.add()
    store.ingest(engine, bundles.root)
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"for name in {ALL!r}:\n"
        f"    at = AppTest.from_file(f'{PAGES}/{{name}}.py', default_timeout=60).run()\n"
        "    assert not at.exception, at.exception\n"
        "print(sorted({'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    environment = os.environ | {"FUSEBOARD_DATABASE_URL": str(engine.url), "PYTHONPATH": str(PAGES.parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
