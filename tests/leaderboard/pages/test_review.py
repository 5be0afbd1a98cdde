"""The page Review as Streamlit runs it, the store's answers to the review, and the document."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from streamlit.testing.v1 import AppTest

import leaderboard
import zoo.spec
from leaderboard import review as found
from leaderboard import store
from leaderboard.forest_chart import POOLED, domain, forest_chart, forest_svg, overview_rows, rows
from leaderboard.review_document import blocks
from protocols.review import review
from protocols.spec import committed
from protocols.suite import suites
from tests.leaderboard.evaluated import fill
from tests.leaderboard.html_tables import tables

PAGE = Path(leaderboard.__file__).parent / "pages" / "review.py"
GRID, MOSI, RAVDESS = "grid-digit-noisy@1", "mosi-utterance@1", "ravdess-actors@1"
TWO = ("audio", "video")
# Scores by seed: what hybrid fusion is above late fusion, on each data set.
GAINS = {GRID: [0.05, 0.06, 0.04, 0.05, 0.07], MOSI: [0.01, 0.03, 0.02, 0.04, 0.02]}


def add(bundles, key, method, scores):
    spec, preset = committed()[key], zoo.spec.entries()[method]
    for (seed, fold), score in zip(spec.runs(len(scores)), scores, strict=False):
        values = {(spec.conditions[0], "accuracy"): score}
        settings = dict(preset.settings)
        bundles.add(method, seed, base=preset.method, spec=spec, fold=fold, settings=settings, values=values)


@pytest.fixture(scope="module")
def filled(bundles_at, tmp_path_factory):
    """Made once: evaluated runs under one protocol, plain ones under another."""
    root = tmp_path_factory.mktemp("filled")
    bundles = bundles_at(root / "bundles")
    entries = zoo.spec.entries()
    methods = {
        name: {
            "base": entries[name].method,
            "settings": dict(entries[name].settings),
            "accuracy": 0.5,
            "modalities": TWO,
            "maps": name != "early_fusion",
        }
        for name in ("early_fusion", "hierarchical_cross_modal_attention")
    }
    fill(bundles, committed()[GRID], suites()[GRID], methods)
    base = np.array([0.60, 0.62, 0.58, 0.61, 0.59])
    for key, gains in GAINS.items():
        add(bundles, key, "late_fusion", base)
        add(bundles, key, "hybrid_fusion", base + gains)
    add(bundles, MOSI, "text_only", base - 0.01)
    add(bundles, MOSI, "audio_only", base - 0.2)
    engine = store.connect(f"sqlite:///{root}/board.db")
    store.ingest(engine, bundles.root)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def answers(filled):
    return {answer.question.key: answer for answer in found.answers(filled, review())}


def test_an_effect_is_the_mean_paired_difference_with_its_squared_error(answers):
    for effect in answers["hybrid-over-late"].effects:
        gains = np.array(GAINS[effect.protocol])
        assert effect.mean == pytest.approx(gains.mean())
        assert effect.variance == pytest.approx(gains.var(ddof=1) / 5)
        assert effect.n == 5
        assert (effect.low, effect.high) == pytest.approx(stats.t.interval(0.95, 4, gains.mean(), stats.sem(gains)))


def test_effects_are_pooled_and_corrected_over_the_questions(answers):
    answer = answers["hybrid-over-late"]
    assert answer.pooled.n == 2
    assert answer.pooled.mean == pytest.approx(0.039, abs=0.002)
    half = (answer.pooled.high - answer.pooled.low) / 2
    error = half / stats.t.ppf(0.975, 1)
    pooled = [a for a in answers.values() if a.pooled]
    assert len(pooled) == 1  # so Holm leaves p as it is
    assert answer.p == pytest.approx(2 * stats.t.sf(answer.pooled.mean / error, 1))
    assert answer.left_out == {RAVDESS: "hybrid_fusion, late_fusion was not run"}


def test_a_question_with_fewer_than_two_protocols_says_so(answers):
    answer = answers["early-over-late"]
    assert [e.protocol for e in answer.effects] == [GRID]
    assert answer.says == "not answered: 1 of the two protocols that it takes"
    assert answer.pooled is None and answer.p is None


def test_the_best_single_modality_is_the_best_under_that_protocol(answers):
    (effect,) = answers["late-over-unimodal"].effects
    assert (effect.protocol, effect.over) == (MOSI, ("text_only",))
    assert effect.mean == pytest.approx(0.01)


def test_equal_differences_are_shown_and_not_pooled(answers):
    answer = answers["late-over-unimodal"]
    assert answer.effects[0].variance == 0
    assert answer.left_out[MOSI].startswith("the differences are all equal")


def test_pairing_matters():
    """Runs paired in the wrong order have another error: the check of the effect would see it."""
    base = np.array([0.60, 0.62, 0.58, 0.61, 0.59])
    wrong = (base + GAINS[GRID]) - base[::-1]
    assert not math.isclose(wrong.var(ddof=1), np.var(GAINS[GRID], ddof=1), rel_tol=0.1)


def test_a_forest_plot_has_every_protocol_and_a_diamond(answers):
    drawn = rows(answers["hybrid-over-late"])
    assert [row["row"] for row in drawn] == [GRID, MOSI, POOLED]
    assert drawn[0]["said"] == "+5.4 ± 1.4 (n 5)"
    low, high = domain(drawn)
    assert low < 0 < high and all(low < row["mean"] < high for row in drawn)
    assert all(low < row[end] < high for row in drawn[:2] for end in ("low", "high"))
    shapes = [layer["mark"].get("shape") for layer in forest_chart(drawn, "points")["layer"]]
    assert shapes.count("diamond") == 1
    assert forest_svg(drawn, "points").count("<polygon") == 3
    (whole,) = overview_rows(list(answers.values()))
    assert whole["row"] == "Does hybrid fusion beat late fusion?"
    assert rows(answers["cross-over-late"]) == []


def test_metrics_are_numbers_reasons_or_not_measured(filled):
    table = found.measures(filled, committed()[GRID]).set_index("Method")
    one = table.loc["hierarchical_cross_modal_attention"]
    assert one["Shapley share"] == "audio 18.5 ± 2.6 %, video 81.5 ± 2.6 %"
    assert "±" in one["Comprehensiveness"] and "random" not in one["Comprehensiveness"]
    assert "under audio/white_noise" in one["Saliency drift"]
    assert table.loc["early_fusion", "Attention share"] == "the model has no attention."
    assert set(table.loc["late_fusion"]) == {found.NOT_MEASURED}


def test_a_protocol_of_which_nothing_was_measured_is_one_sentence_of_the_document(filled):
    told = list(blocks(filled, review()))
    after = {block[1].partition(":")[0]: told[n + 1][0] for n, block in enumerate(told) if block[0] == "text"}
    assert after[f"Every method under {GRID}"] == "table" != after[f"Every method under {MOSI}"]
    assert ("text", f"{MOSI}: {committed()[MOSI].title}. Nothing of this was measured yet.") not in told, "its scores"


def test_table_4_says_what_stands_behind_a_row(filled):
    specs = {key: committed()[key] for key in (GRID, MOSI)}
    table = found.table4(review(), {key: found.measures(filled, spec) for key, spec in specs.items()})
    mosei = table[table["Data sets used"] == "CMU-MOSEI"]
    measured = mosei[mosei["Measured on"].str.startswith("hierarchical")].iloc[0]
    assert measured["The review"] == "No" and "InterSHAP" in measured["Modality metrics now"]
    assert "Saliency drift" in measured["Saliency metrics now"]
    assert table["Data sets used"].nunique() == 10


def test_ranks_need_three_entries_on_two_data_sets(filled):
    told = found.ranked(filled, review())
    assert told.found is None and told.absent == (RAVDESS,)
    assert "it takes 3 on 2 or more" in found.ranks_text(told) and f"Without runs: {RAVDESS}." in found.ranks_text(told)


def test_ranks_over_data_sets(bundles_at, tmp_path, monkeypatch):
    bundles = bundles_at(tmp_path / "bundles")
    scores = {"hybrid_fusion": 0.7, "early_fusion": 0.6, "late_fusion": 0.5}
    for key in (GRID, MOSI):
        for method, score in scores.items():
            add(bundles, key, method, [score, score + 0.02])
    add(bundles, MOSI, "text_only", [0.9, 0.9])
    engine = store.connect(f"sqlite:///{tmp_path}/board.db")
    store.ingest(engine, bundles.root)
    told = found.ranked(engine, review())
    assert told.found.ranks == {"hybrid_fusion": 1.0, "early_fusion": 2.0, "late_fusion": 3.0}, "text_only ran on one"
    table = found.ranks_table(told)
    assert table["Entry"].tolist() == list(scores) and table["Told apart from"].tolist() == ["none"] * 3
    assert table[GRID].tolist() == ["71.0 %", "61.0 %", "51.0 %"]
    at = run(engine, monkeypatch)
    assert any("3 entries that ran on each of" in element.value for element in at.markdown)
    engine.dispose()


def test_claims_of_table_2_are_measured_for_every_row(filled):
    table = found.claims_checked(filled, committed()[GRID], review().table("2")).set_index("Claim")
    assert table.loc["score", "Hybrid Fusion"].startswith("65")
    interaction = table.loc["Late Fusion: sees no interaction"].iloc[0]
    assert interaction["Early Fusion"].startswith("12") and interaction["Late Fusion"] == found.NOT_MEASURED


def test_verdicts_come_from_published_reports(tmp_path):
    folder = tmp_path / "mult2019" / "table-1"
    folder.mkdir(parents=True)
    lines = [
        {"mean": "0.8", "verdict": "reproduced", "test_verdict": "not reproduced"},
        {"mean": "", "verdict": "not comparable"},
    ]
    pd.DataFrame(lines).to_csv(folder / "table.csv", index=False)
    assert found.verdicts("mult2019", tmp_path) == {"reproduced": 1}
    paths = found.study_paths(review(), {"mult-paper": {GRID: 5}}, tmp_path).set_index("Study")
    assert paths.loc["Tsai et al. 2019", "Verdicts"] == "1 reproduced"
    assert paths.loc["Tsai et al. 2019", "Why not further"] == ""
    assert paths.loc["Nagrani et al. 2021", "Why not further"] == "mbt-small was not run"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """One report: a number that holds, one with a choice on test, one that was not recomputed."""
    folder = tmp_path / "mmmuba2018" / "table-1-mosi"
    folder.mkdir(parents=True)
    cells = [
        {"row": "MU-SA", "column": "T", "reported": "80.10", "mean": 80.0, "low": 79.5, "high": 80.5, "n": 5}
        | {"verdict": "reproduced", "reason": "inside", "test_mean": 81.0, "test_low": 80.9, "test_high": 81.1},
        {"row": "MU-SA", "column": "V", "reported": "63.70", "verdict": "not comparable", "reason": "no data"},
    ]
    pd.DataFrame(cells).to_csv(folder / "table.csv", index=False)
    manifest = {"verdicts": {"reproduced": 1}, "runs": [{}] * 5, "test_openings": 10}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "report.html").write_text("<p>report</p>")
    monkeypatch.setattr(found, "reports_root", lambda: tmp_path)


def test_published_reports_are_shown_with_their_cells(filled, monkeypatch, published):
    at = run(filled, monkeypatch, part="reports")
    overview, cells = tables(at)[-2:]
    assert overview.iloc[0].tolist()[1:] == ["1 reproduced", "5", "10"]
    (row,) = cells.to_dict("records")
    assert (row["Published"], row["Ours, epoch chosen on validation"]) == ("80.10", "80.00 ± 0.50 (5)")
    assert row["Ours, chosen on test"] == "81.00 ± 0.10 (5)" and row["Verdict"] == "reproduced"


def run(engine, monkeypatch, **query):
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", str(engine.url))
    at = AppTest.from_file(PAGE, default_timeout=120)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def test_the_page_answers_and_draws(filled, monkeypatch):
    at = run(filled, monkeypatch, question="hybrid-over-late")
    assert len(at.get("vega_lite_chart")) == 2
    assert at.selectbox(key="question").value == "hybrid-over-late"
    assert any("not told apart" in element.value for element in at.markdown)


@pytest.mark.parametrize("part", ["map", "table2", "table3", "table4", "studies", "slips"])
def test_every_part_is_shown(filled, monkeypatch, part):
    at = run(filled, monkeypatch, part=part)
    assert tables(at) or at.get("graphviz_chart")
    assert at.query_params["part"] == [part] or at.query_params["part"] == part


def test_a_kind_leads_to_its_methods(filled, monkeypatch):
    at = run(filled, monkeypatch, part="map", kind="hierarchical-attention")
    assert any("method?method=halnet" in element.value for element in at.markdown)
    at = run(filled, monkeypatch, part="map", kind="correction-attention")
    assert "No published definition" in at.info[0].value


@pytest.mark.parametrize("part", ["answers", "table2", "table4"])
def test_an_empty_store_says_what_to_do(engine, monkeypatch, part):
    at = run(engine, monkeypatch, part=part)
    assert "fuseboard run" in at.code[0].value


def test_the_document_has_everything(filled):
    parts = list(blocks(filled, review()))
    heads = [content for kind, content in parts if kind == "heading"]
    assert [head[:7] for head in heads if head.startswith("Table")] == ["Table 2", "Table 3", "Table 4"]
    assert all(isinstance(text, str) for kind, c in parts if kind == "table" for row in c[1] for text in row)


def test_the_document_of_an_empty_store_says_what_to_do(engine):
    told = [content for kind, content in blocks(engine, review()) if kind == "text"]
    assert any("fuseboard run all" in text for text in told)
