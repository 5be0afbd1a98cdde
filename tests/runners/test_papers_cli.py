"""fuseboard papers, as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.paper import STATES, PaperError
from protocols.papers import keys, paper
from runners.papers_cli import method_spec, papers, refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def said(capsys):
    """Call the command; give back what it printed."""

    def call(*arguments, **options):
        papers(*arguments, **options)
        return capsys.readouterr().out

    return call


@pytest.fixture
def told(said):
    """The same as JSON."""
    return lambda *arguments, **options: json.loads(said(*arguments, **options, json=True))


def test_the_list_adds_up(said, told):
    rows = told()
    assert [row["key"] for row in rows] == keys()
    assert all(row["cells"] == sum(row[state] for state in STATES) for row in rows)
    lines = said().splitlines()
    assert all(heading in lines[0] for heading in STATES.values())
    total = next(line for line in lines if line.startswith("all"))
    assert str(sum(row["cells"] for row in rows)) in total.split()


def test_a_paper_shows_its_tables_and_what_to_bring(said, told):
    text = said("mult2019")
    assert "Tsai, Bai" in text and "doi:10.18653/v1/P19-1656" in text
    assert "IEMOCAP, word-level sequences" in text and "signed release form" in text
    found = told("mult2019")
    assert [row["table"] for row in found["tables"]] == [table.id for table in paper("mult2019").tables]
    (entry,) = [entry for entry in found["bring"] if entry["for tables"] == "2, 4"]
    assert entry["data set"] == "CMU-MOSEI, word-level sequences" and entry["home"].startswith("https://")


def test_a_paper_that_runs_names_the_first_table_that_does(said):
    assert "fuseboard papers mmmuba2018 --table 1-mosi" in said("mmmuba2018")
    assert "licence" in said("mmmuba2018") and "licence" not in said("catflstm2017")


def test_a_table_keeps_the_papers_layout(said):
    lines = said("mmmuba2018", table="1-mosi").splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("row "))
    assert lines[head].split()[2:9] == ["T", "V", "A", "T+V", "T+A", "V+A", "T+V+A"]
    assert lines[head + 1].split()[:9] == ["MMMU-BA", "ours", "-", "-", "-", "81.51", "80.58", "65.16", "82.31"]
    assert "mmmu_ba-code, under mosi-utterance@1" in lines[head + 1]
    text = "\n".join(lines)
    assert "mosi-mmmuba-replica@2" in text and "most frequent class of the part that is scored, computed" in text
    assert "not comparable [1]" in text and "\n[1] " in text


def test_blank_numbers_groups_spreads_and_missing_metrics_show(said):
    text = said("rjcma2024", table="1")
    assert "?" in text and "blank [1]" in text and "the paper was not read" in text
    text = said("zadeh2018", table="3")
    assert "WA*" in text and "no metric of ours is this quantity yet" in text
    text = said("mult2019", table="4")
    assert "[unimodal transformers]" in text and "Acc-7*" not in text
    assert "mult-paper, under mosei-words-unaligned@1, needs CMU-MOSEI" in " ".join(text.split())
    assert "26.23 ± 0.16" in said("mbt2021", table="4")
    assert "from a drawing, plus or minus 0.005" in said("ogmge2022", table="figure1")


def test_a_row_of_several_ways_says_which_columns(said):
    text = " ".join(said("mmmuba2018", table="4").split())
    assert "T, V, A: mu_sa, under mosi-utterance@1" in text


@pytest.mark.parametrize("key", keys())
def test_every_table_prints(key, said, told):
    for table in paper(key).tables:
        text = said(key, table=table.id)
        assert all(row.name.split()[0] in text for row in table.rows)
        (found,) = told(key, table=table.id)
        assert [cell["printed"] for cell in found["cells"]] == [cell.printed for cell in table.cells]


def test_a_cell_in_json_says_everything(told):
    parts = told("mmmuba2018", table="1")
    assert [part["id"] for part in parts] == ["1-mosi", "1-mosei"]
    cell = next(c for c in parts[0]["cells"] if c["row"] == "MU-SA" and c["column"] == "T")
    assert cell["value"] == pytest.approx(0.8018) and cell["tolerance"] == pytest.approx(0.01)
    assert cell["run"]["method"] == "mu_sa" and cell["modalities"] == ["text"] and cell["state"] == "now"
    assert cell["replicas"] == ["mosi-mmmuba-replica@2"] and cell["evidence"][0]["source"] == "paper"
    waiting = parts[1]["cells"][0]
    assert waiting["state"] == "data" and waiting["needs"] == "cmu-mosei-utterances" and waiting["replicas"] == []


def test_a_table_without_a_paper_is_refused():
    with pytest.raises(PaperError, match="--table needs a paper"):
        papers(table="1")


def test_the_spec_of_a_run_has_its_modalities_and_settings():
    spec = method_spec("mmmu_ba-code", {}, ("text", "video"))
    assert spec.name == "mmmu_ba-code.text-video" and spec.modalities == ("text", "video")
    assert method_spec("mmmu_ba-code", {}, ("audio", "video", "text")).name == "mmmu_ba-code"
    spec = method_spec("mult-paper", {"heads": 10}, None)
    assert spec.settings["heads"] == 10 and spec.settings["layers"] == 4
    assert refusal("mult-paper", {}, None, "mosi-utterance@1") is None
    assert "the protocol gives audio, video" in refusal("rjcma-released", {}, None, "grid-digit@1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mmuba2018"], "No paper 'mmuba2018'. Did you mean 'mmmuba2018'?"),
        (["mult2019", "--table", "3-other"], "no table '3-other'. Did you mean '3-others'?"),
    ],
)
def test_a_wrong_name_gives_the_nearest_one_and_exit_code_2(arguments, said):
    command = [sys.executable, "-m", "runners.cli", "papers", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_the_command_imports_nothing_heavy():
    script = (
        "import sys; sys.argv = ['fuseboard', 'papers', 'mmmuba2018', '--table', '1']\n"
        "from runners.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print('LOADED', sorted({'torch', 'pandas', 'sqlalchemy', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
