"""The review as data: what is committed holds together, and what does not is named with its place."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from protocols.review import AXES, FILES, ReviewError, claims, problems, read, review
from zoo.spec import entries, presets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def changed(tmp_path):
    """Reads the committed review with one file changed."""

    def change(name, how):
        for path in FILES.glob("*.yaml"):
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            if path.name == name:
                how(raw)
            (tmp_path / path.name).write_text(yaml.safe_dump(raw, sort_keys=False))
        return read(tmp_path)

    return change


def test_every_name_leads_somewhere():
    assert problems(review(), presets()) == []


def test_every_entry_of_the_boards_has_a_place_on_the_map():
    for name, spec in entries().items():
        assert review().place("attention", name, spec.card.attention), (name, spec.card.attention)
        assert review().place("fusion", name, spec.card.fusion_stage), (name, spec.card.fusion_stage)


def test_an_entry_that_is_named_stands_there_whatever_its_card_says():
    assert review().place("attention", "joint_self_attention", "self-attention").key == "joint-self-attention"
    assert review().place("attention", "somebodys", "self-attention").key == "self-attention"
    assert review().place("attention", "somebodys", "telepathy") is None


def test_the_tables_are_as_printed():
    found = review()
    assert [len(found.table(number).rows) for number in "234"] == [3, 7, 10]
    assert found.table("4").rows[5].name == "AVE, UCF51, Kinetics-Sounds"
    assert [row.cells[1] for row in found.table("4").rows] == ["No"] * 8 + ["Yes (MM-SHAP)", "Yes (SHAPE)"]
    assert sum(study.listed for study in found.studies) == 23


def test_slips_stand_beside_their_place_with_evidence():
    slips = list(review().every_slip())
    places = [where for where, _ in slips]
    assert "Table 4, 6 VL tasks" in places and "reference Priyasad et al. 2019" in places and "the review" in places
    assert all(slip.evidence and slip.found for _, slip in slips)


def test_claims_count_the_published_numbers():
    counts = claims(review().by_key["tsai2019"])
    assert counts["data"] > 0 and counts["now"] == 0
    assert not sum(claims(review().by_key["niu2021"]).values())


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("studies.yaml", lambda raw: raw[0].update(papers=["mult2018"]), "tsai2019, papers: no paper 'mult2018'. Did"),
        ("studies.yaml", lambda raw: raw[0].update(attention=["cross"]), "tsai2019, attention: no node 'cross'"),
        ("studies.yaml", lambda raw: raw[0].update(entries=[]), "tsai2019: neither entries nor"),
        ("studies.yaml", lambda raw: raw[1].update(key="tsai2019"), "'tsai2019' stands 2 times"),
        ("studies.yaml", lambda raw: raw[0].update(vemue="ACL"), "studies.yaml: 0.vemue: Extra inputs"),
        ("taxonomy.yaml", lambda raw: raw[1].update(under="late"), "under: no node of its axis 'late'"),
        ("taxonomy.yaml", lambda raw: raw[0].update(words=["co-attention"]), "'co-attention' stands 2 times"),
        ("taxonomy.yaml", lambda raw: raw[-1].update(metrics=["flop"]), "no metric 'flop'. Did you mean 'flops'?"),
        ("tables.yaml", lambda raw: raw[2]["rows"][0].update(cells=["Accuracy"]), "1 cells for 2 columns"),
        ("tables.yaml", lambda raw: raw[2]["rows"][0].update(studies=["mocanu2032"]), "no study 'mocanu2032'"),
        ("questions.yaml", lambda raw: raw["protocols"].append("grid@1"), "questions: no protocol 'grid@1'"),
        ("questions.yaml", lambda raw: raw["protocols"].append("mosi-mmmuba-replica@2"), "leaking rule"),
        ("questions.yaml", lambda raw: raw.update(metric="flops"), "has no 'flops'; it has accuracy"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changed, name, how, said):
    with pytest.raises(ReviewError) as error:
        changed(name, how)
    assert said in str(error.value)


def test_a_preset_that_the_zoo_lacks_is_found_by_whoever_knows_it(changed):
    found = changed("questions.yaml", lambda raw: raw["questions"][0].update(of=["cross_atention"]))
    (said,) = problems(found, presets())
    assert said.startswith("questions, cross-over-early: no preset 'cross_atention'. Did you mean 'cross_attention'?")


def test_reading_it_imports_no_torch_and_no_zoo():
    script = "import sys, protocols.review as r; r.review(); print({'torch', 'zoo', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_axis_has_kinds():
    assert all(review().nodes(axis) for axis in AXES)
