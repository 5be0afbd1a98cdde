import pytest

import zoo.spec
from leaderboard import contributions, store
from leaderboard.score_tables import reasons_table, scores_table, texts
from protocols.spec import committed
from protocols.statistics import t_interval

NOISE = "audio/missing"


@pytest.fixture
def alone(monkeypatch):
    """Entries of one modality, as the zoo labels them."""
    entries = zoo.spec.entries()
    kept = {name: entries[name] for name in ("late_fusion", "audio_only", "video_only")}
    monkeypatch.setattr(zoo.spec, "entries", lambda: kept)
    return {"audio_only": "audio", "video_only": "video"}


@pytest.fixture
def filled(engine, bundles, spec, alone):
    """Three seeds; the fusing method gains 0.2, 0.3 and 0.1 over the better entry when clean."""
    scores = {"late_fusion": (0.8, 0.9, 0.7), "audio_only": (0.6, 0.6, 0.6), "video_only": (0.3, 0.3, 0.4)}
    for name, accuracies in scores.items():
        entry = zoo.spec.entries()[name]
        for seed, accuracy in enumerate(accuracies):
            values = {("clean", "accuracy"): accuracy, (NOISE, "accuracy"): 0.9 - accuracy}
            folder = bundles.add(name, seed, base=entry.method, settings=dict(entry.settings), values=values)
            if name == "late_fusion":
                inside = {("clean", "inside/audio"): 0.5 + seed / 10, ("clean", "shapley/audio/class=two"): 0.1}
                bundles.measure(folder, inside | {("clean", "pid/redundant"): "defined for two modalities."})
    store.ingest(engine, bundles.root)


@pytest.mark.usefixtures("filled")
def test_methods_are_ranked_and_entries_of_one_modality_told_apart(engine, spec, alone):
    ranked, found = contributions.methods(engine, spec)
    assert ranked == ["late_fusion", "audio_only", "video_only"]
    assert found == alone


@pytest.mark.usefixtures("filled")
def test_the_fusion_gain_is_paired_with_the_best_entry_under_this_condition(engine, spec, alone):
    (clean,) = contributions.fusion_gain(engine, spec, "clean", alone).to_dict("records")
    assert (clean["method"], clean["against"], clean["n"]) == ("late_fusion", "audio_only", 3)
    expected = t_interval([0.2, 0.3, 0.1])
    assert (clean["mean"], clean["low"], clean["high"]) == pytest.approx(expected[:3])
    (noisy,) = contributions.fusion_gain(engine, spec, NOISE, alone).to_dict("records")
    assert noisy["against"] == "video_only"


@pytest.mark.usefixtures("filled")
def test_without_an_entry_of_one_modality_there_is_no_gain(engine, spec):
    assert contributions.fusion_gain(engine, spec, "clean", {}).empty
    assert contributions.under_optimised(engine, spec, "clean", {}).empty


@pytest.mark.usefixtures("filled")
def test_a_modality_that_is_left_behind_has_a_positive_gap(engine, spec, alone):
    (gap,) = contributions.under_optimised(engine, spec, "clean", alone).to_dict("records")
    assert (gap["modality"], gap["against"], gap["n"]) == ("audio", "audio_only", 3)
    assert (gap["mean"], gap["low"]) == pytest.approx(t_interval([0.1, 0.0, -0.1])[:2])


def test_runs_without_a_partner_are_left_out(engine, bundles, spec, alone):
    for seed in (0, 1, 2):
        bundles.add("late_fusion", seed, 0.8)
    bundles.add("audio_only", 1, 0.5)
    store.ingest(engine, bundles.root)
    (gain,) = contributions.fusion_gain(engine, spec, "clean", alone).to_dict("records")
    assert (gain["mean"], gain["n"]) == (pytest.approx(0.3), 1)


@pytest.mark.usefixtures("filled")
def test_names_are_taken_apart(engine, spec):
    found = contributions.cells(engine, spec, ("shapley", "inside"), ["late_fusion"], ["clean"]).set_index("metric")
    assert tuple(found.loc["shapley/audio/class=two", ["base", "of", "detail"]]) == ("shapley", "audio", "class=two")
    assert tuple(found.loc["inside/audio", ["base", "of", "detail"]]) == ("inside", "audio", "")
    assert contributions.cells(engine, spec, ("drift",), ["late_fusion"]).empty


def test_scores_are_named_for_readers():
    assert contributions.score_name("shapley/audio/other_sample") == "Shapley value of the score: audio, other sample"
    assert contributions.score_name("intershap") == "InterSHAP, interaction share"


@pytest.mark.usefixtures("filled")
def test_tables_say_scores_in_words_and_dashes(engine, spec):
    said = texts(contributions.cells(engine, spec, ("inside",), ["late_fusion"]), ("inside",), but="clean")
    table = scores_table(said, ["late_fusion", "audio_only"])
    assert table.loc["Score of a modality inside the model: audio"].to_list() == ["60 ± 25 %", "–"]
    assert texts(contributions.cells(engine, spec, ("inside",), ["late_fusion"]), ("inside",))[0][0].endswith(
        ": audio, clean"
    )


@pytest.mark.usefixtures("filled")
def test_one_reason_is_one_row(engine, spec):
    from leaderboard import queries

    (row,) = reasons_table(queries.undefined(engine, spec, "pid")).to_dict("records")
    assert (row["Method"], row["Why"], row["Runs"]) == ("late_fusion", "defined for two modalities.", 3)
    assert row["Scores"] == "PID (bits): redundant"


def test_what_is_shared_out_has_a_name():
    specs = committed()
    assert contributions.worth(specs["synthetic@1"]) == ("accuracy", "")
    assert contributions.worth(specs["affwild2-i3d@1"]) == ("concordance correlation", "")
    name, meaning = contributions.worth(specs["mosi-words-aligned@1"])
    assert name == "skill" and "the mean absolute error of the targets' mean" in meaning
    metrics = [contributions.inside_metric(specs[k]) for k in ("synthetic@1", "affwild2-i3d@1", "mosi-words-aligned@1")]
    assert metrics == ["accuracy", "ccc", None]
