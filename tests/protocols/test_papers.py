"""Published tables: those that are committed hold together, and what does not is named with its place."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from protocols.paper import NONE, STATES, UNITS, PaperError, replicas
from protocols.papers import DATA, PAPERS, datasets, keys, paper, problems, read
from protocols.spec import committed

ROOT = Path(__file__).parents[2]
MOSI = "mosi-utterance@1"
SMALL = {
    "key": "doe2020",
    "title": "A title",
    "authors": ["Doe", "Roe"],
    "year": 2020,
    "sources": {"paper": {"kind": "paper", "where": "a repository", "commit": "abc"}},
    "tables": [
        {
            "id": "1-mosi",
            "printed": "Table 1",
            "origin": "paper",
            "caption": "What it shows",
            "data": "CMU-MOSI",
            "split": "test",
            "selection": "test",
            "tolerance": 1.0,
            "beside": ["majority_class"],
            "evidence": [{"source": "paper", "at": "Table 1"}],
            "columns": [
                {"name": "T", "metric": "accuracy", "modalities": ["text"], "unit": "percent", "direction": "higher"},
                {"name": "MAE", "unit": "number", "direction": "lower", "tolerance": 0.02},
            ],
            "rows": [
                {"name": "one", "by": "ours", "values": ["80.10", "-"], "run": {"method": "mu_sa", "protocol": MOSI}},
                {"name": "two", "by": "cited", "values": ["78.1", "0.950"], "spread": ["0.5", "0.0"]}
                | {"not_comparable": "other features"},
                {"name": "three", "by": "rerun", "values": [None, "1.000"], "unverified": "not read"}
                | {"run": {"method": "mu_sa", "needs": "cmu-mosi-sequences"}},
            ],
        }
    ],
}


def first_table(raw):
    return raw["tables"][0]


def first_row(raw):
    return first_table(raw)["rows"][0]


@pytest.fixture
def written(tmp_path):
    """Write a changed copy of the small paper; give back its path."""

    def write(change=lambda raw: None):
        raw = copy.deepcopy(SMALL)
        change(raw)
        path = tmp_path / "doe2020.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        return path

    return write


@pytest.mark.parametrize("key", keys())
def test_a_committed_paper_is_whole(key):
    from runners.papers_cli import refusal

    found = paper(key)
    assert problems(found, refusal) == []
    assert sum(found.coverage().values()) == sum(len(table.cells) for table in found.tables)
    for table in found.tables:
        for cell in table.cells:
            assert cell.state in STATES and cell.tolerance > 0
            assert (cell.value is None) == (cell.state == "blank")
            assert bool(cell.reason) == (cell.state != "now")
            assert cell.state == "blank" or all(item.source in found.sources for item in cell.evidence)


def test_no_path_of_somebodys_machine_stands_in_a_paper():
    for path in PAPERS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"{slash}{word}/" in text for slash in (" /", '"/') for word in ("home", "work", "tmp", "root"))


@pytest.mark.parametrize(
    ("key", "number", "now", "data", "not_comparable"),
    [
        ("mmmuba2018", "1-mosi", 19, 0, 1),
        ("mmmuba2018", "1-mosei", 0, 19, 1),
        ("mmmuba2018", "4-mosi", 10, 0, 16),
        ("hfusion2018", "2-mosi", 8, 0, 19),
        ("hfusion2018", "3-mosi", 12, 0, 3),
        ("bclstm2017", "3-mosi", 25, 0, 7),
        ("catflstm2017", "3-mosi", 7, 0, 26),
        ("mfn2018", "2-mosi", 0, 30, 10),
        ("mult2019", "1", 0, 10, 50),
        ("mbt2021", "1", 0, 2, 16),
        ("scmrl2025", "sota-cremad", 0, 4, 4),
    ],
)
def test_coverage_of_tables_at_hand(key, number, now, data, not_comparable):
    (table,) = paper(key).chosen(number)
    wanted = {"now": now, "data": data, "not_comparable": not_comparable, "blank": 0}
    assert table.coverage() == wanted


def test_digits_are_as_printed_and_values_in_the_unit_of_metrics():
    (table,) = paper("mmmuba2018").chosen("1-mosi")
    cell = next(c for c in table.cells if c.row.name == "MU-SA" and c.column.name == "V")
    assert (cell.printed, cell.value, cell.tolerance) == ("63.70", pytest.approx(0.637), pytest.approx(0.01))
    assert cell.modalities == ("video",) and cell.run.method == "mu_sa" and cell.run.protocol == MOSI
    (table,) = paper("mult2019").chosen("2")
    graph = next(row for row in table.rows if row.name == "Graph-MFN")
    assert graph.values[3:] == ("0.71", "0.54")
    mae = next(c for c in table.cells if c.column.name == "MAE")
    assert mae.value == float(mae.printed) and mae.tolerance == 0.02


def test_the_papers_own_spread_is_its_tolerance(written):
    (table,) = paper("mbt2021").chosen("4")
    assert table.cells[0].spread == "0.16" and table.cells[0].tolerance == pytest.approx(0.0016)
    two = [cell for cell in read(written()).tables[0].cells if cell.row.name == "two"]
    assert [cell.tolerance for cell in two] == [pytest.approx(0.005), 0.02], "a spread of 0.0 is none"


def test_a_number_of_a_table_names_all_its_parts():
    found = paper("bclstm2017")
    assert [table.id for table in found.chosen("3")] == ["3-mosi", "3-moud", "3-iemocap"]
    assert [table.id for table in paper("mult2019").chosen("2")] == ["2"], "what others ran is another table"
    with pytest.raises(PaperError, match="no table '3-mosl'. Did you mean '3-mosi'"):
        found.chosen("3-mosl")


def test_states_reasons_and_what_is_needed(written):
    table = read(written()).tables[0]
    told = [(cell.row.name, cell.column.name, cell.state, cell.reason, cell.needs) for cell in table.cells]
    assert told == [
        ("one", "T", "now", "", None),
        ("two", "T", "not_comparable", "other features", None),
        ("two", "MAE", "not_comparable", "other features", None),
        ("three", "T", "blank", "not read", "cmu-mosi-sequences"),
        ("three", "MAE", "data", "needs cmu-mosi-sequences", "cmu-mosi-sequences"),
    ]
    assert [row.values[1] for row in table.rows] == [NONE, "0.950", "1.000"]


def test_a_run_may_have_a_protocol_and_need_data_for_it(written):
    path = written(lambda raw: first_table(raw)["rows"][0]["run"].update(needs="audioset"))
    cell = read(path).tables[0].cells[0]
    assert cell.state == "data" and cell.needs == "audioset" and cell.run.protocol == MOSI


def test_what_a_cell_says_goes_before_its_row_and_that_before_its_table(written):
    def change(raw):
        table = first_table(raw)
        table["otherwise"] = "the table's reason"
        first_row(raw)["values"][1] = "0.900"
        first_row(raw)["cells"] = {"MAE": {"not_comparable": "the cell's reason"}}
        del table["rows"][1]["not_comparable"]

    cells = read(written(change)).tables[0].cells
    assert [cell.reason for cell in cells[:4]] == ["", "the cell's reason", "the table's reason", "the table's reason"]


def test_a_column_may_name_its_own_data(written):
    def change(raw):
        first_table(raw)["columns"][1]["needs"] = "audioset"

    assert read(written(change)).tables[0].cells[-1].needs == "audioset"


def set_in(field, value):
    return lambda raw: first_row(raw).update({field: value})


def column(**told):
    return lambda raw: first_table(raw)["columns"][0].update(told)


def run(**told):
    return lambda raw: first_row(raw)["run"].update(told)


def table(**told):
    return lambda raw: first_table(raw).update(told)


def repeated_group(raw):
    for row, group in zip(first_table(raw)["rows"], ("a", "b", "a"), strict=True):
        row["group"] = group


def hearsay(raw):
    raw["sources"]["paper"]["kind"] = "note"


def claim(better, worse):
    return table(claims=[{"says": "It helps", "pairs": [{"better": better, "worse": worse}]}])


def replica_name():
    return next(key for key, spec in committed().items() if spec.replica_of)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_in("valeus", []), ["table '1-mosi', row 'one', valeus: unknown key. Did you mean 'values'?"]),
        (run(protocl=MOSI), ["row 'one', run, protocl: unknown key. Did you mean 'protocol'?"]),
        (column(directoin="higher"), ["column 'T', directoin: unknown key. Did you mean 'direction'?"]),
        (set_in("values", [80.1, "-"]), ["row 'one', values[0]: write the number in quotes", "(got 80.1)"]),
        (set_in("values", ["80.10"]), ["table 1-mosi, row 'one', values: 1 for 2 columns"]),
        (set_in("values", ["80,1", "-"]), ["row 'one', values, column 'T': '80,1' is no number"]),
        (set_in("values", [None, "-"]), ["row 'one', column 'T': null without a reason"]),
        (set_in("values", ["80.1", "0.9"]), ["row 'one', column 'MAE': runs, but the column names no metric"]),
        (set_in("by", "theirs"), ["row 'one', by:", "'ours', 'cited' or 'rerun'"]),
        (set_in("cells", {"V": {"not_comparable": "x"}}), ["row 'one', cells: no column 'V'. Known: T, MAE."]),
        (set_in("labels", {"training": "all"}), ["row 'two', labels: none, in the first row training"]),
        (
            lambda raw: [row.update(labels={"T": "x"}) for row in first_table(raw)["rows"]],
            ["labels: 'T' is a column too"],
        ),
        (set_in("not_comparable", "x"), ["row 'one': both run and not_comparable"]),
        (lambda raw: first_row(raw).pop("run"), ["row 'one', column 'T': neither run nor not_comparable"]),
        (set_in("evidence", [{"source": "papr", "at": "p. 1"}]), ["no source 'papr'. Did you mean 'paper'?"]),
        (table(evidence=[]), ["row 'one', column 'T': 80.10 without evidence"]),
        (hearsay, ["row 'one', evidence: only a third person's note"]),
        (lambda raw: raw["sources"].update(x={"kind": "paper", "where": "y"}), ["sources: no number is from 'x'"]),
        (table(tolerance=0), ["table '1-mosi', tolerance:", "greater than 0"]),
        (column(tolerance=-1), ["column 'T', tolerance:", "greater than 0"]),
        (table(beside=["majority"]), ["beside: no trivial answer 'majority'. Did you mean 'majority_class'?"]),
        (column(metric="acuracy"), ["column 'T', metric: no metric 'acuracy'. Did you mean 'accuracy'?"]),
        (column(direction="lower"), ["column 'T', direction: 'lower', but of accuracy 'higher' is better"]),
        (column(unit="number"), ["column 'T', unit: 'number', but accuracy is a fraction"]),
        (column(modalities=["texts"]), ["column 'T', modalities: no modality 'texts'. Did you mean 'text'?"]),
        (column(needs="audiosets"), ["column 'T', needs: no data set 'audiosets'. Did you mean 'audioset'?"]),
        (run(protocol="mosi-utterances@1"), ["row 'one', run, protocol: no protocol", f"Did you mean '{MOSI}'?"]),
        (run(replica="mosi-bclstm-replica@3"), ["run, replica:", "Did you mean 'mosi-bclstm-replica@2'"]),
        (lambda raw: first_table(raw)["columns"][0].update(metric="macro_f1"), ["macro_f1 is none of accuracy", MOSI]),
        (run(protocol=replica_name()), ["run, protocol:", "repeats a paper's own rule"]),
        (run(protocol="grid-digit@1"), ["protocol: grid-digit@1 gives audio, video, not text"]),
        (lambda raw: first_row(raw)["run"].pop("protocol"), ["the run names neither a protocol nor needs"]),
        (lambda raw: first_row(raw).update(name="two"), ["rows: 'two' stands 2 times"]),
        (repeated_group, ["rows: those of 'a' do not stand together, so this is not the printed order"]),
        (claim(["one", "T"], ["tow", "T"]), ["claim 'It helps': no number 'tow / T'. Did you mean 'two / T'?"]),
        (claim(["two", "T"], ["one", "T"]), ["claim 'It helps': two / T (78.1) is not printed as better than one / T"]),
        (claim(["three", "MAE"], ["two", "MAE"]), ["three / MAE (1.000) is not printed as better than two / MAE"]),
        (table(headline=["one", "MAE"]), ["headline: no number 'one / MAE'"]),
        (lambda raw: raw["tables"].append(first_table(raw)), ["tables: id '1-mosi' stands 2 times"]),
        (lambda raw: raw.update(key="roe2020"), ["holds paper 'roe2020'; file and key must agree"]),
        (lambda raw: raw.update(tables=[]), ["tables:", "at least 1 item"]),
    ],
)
def test_what_is_wrong_is_named_with_its_place(written, change, said):
    path = written(change)
    with pytest.raises(PaperError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    for words in said:
        assert words in str(error.value)


def test_every_fault_has_a_line_of_its_own(written):
    def change(raw):
        column(unit="number")(raw)
        set_in("values", ["x", "-"])(raw)

    with pytest.raises(PaperError) as error:
        read(written(change))
    assert len(str(error.value).splitlines()) == 2


def test_a_key_that_stands_twice_is_refused(written):
    path = written()
    path.write_text(path.read_text().replace("year: 2020", "year: 2020\nyear: 2021"))
    with pytest.raises(PaperError, match="key 'year' stands twice"):
        read(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [1"])
def test_a_file_that_is_no_paper(written, text):
    path = written()
    path.write_text(text)
    with pytest.raises(PaperError, match="doe2020.yaml"):
        read(path)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"method": "mu_sb"}, "Did you mean 'mu_sa'?"),
        ({"method": "mmmu_ba-code"}, "at least 2; equal steps in all of them; text is too few"),
        ({"method": "mu_sa", "settings": {"widht": 3}}, "mu_sa has no setting 'widht'. Did you mean 'width'?"),
        ({"method": "mu_sa", "also": ["mbt-paperr"]}, "Did you mean 'mbt-paper'?"),
        ({"method": "jca-cvprw"}, "takes audio, video; equal steps in all of them, not text"),
    ],
)
def test_methods_are_checked_by_whoever_knows_them(written, told, said):
    from runners.papers_cli import refusal

    (problem,) = problems(read(written(run(**told))), refusal)
    assert problem.startswith("table 1-mosi, row 'one', column 'T', run, method: ") and said in problem


def every_run():
    """Each way in which a cell is re-run, once, with a place that says where it stands."""
    found = {}
    for key in keys():
        for part in paper(key).tables:
            for cell in part.cells:
                if cell.run:
                    for name in (cell.run.method, *cell.run.also):
                        settings = cell.run.settings if name == cell.run.method else {}
                        found.setdefault((name, str(settings), cell.modalities), (settings, f"{key} {part.id}"))
    return [(name, settings, modalities, where) for (name, _, modalities), (settings, where) in found.items()]


@pytest.mark.parametrize(
    ("name", "settings", "modalities", "where"), every_run(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_run_can_be_built(name, settings, modalities, where):
    import zoo
    from runners.papers_cli import method_spec

    spec = method_spec(name, settings, modalities)
    widths = {"audio": 74, "video": 36, "text": 300}
    if spec.settings.get("patches"):
        widths = {"audio": 128, "video": (224, 224, 3)}
    if name == "ca-fg2021-code":
        widths = {"audio": 1024, "video": 1024}
    if name in ("jca-tbiom-code", "jcam-512", "jca-cvprw"):
        widths = {"audio": 512, "video": 512}
    small = {"width": 48, "hidden": 96} if spec.method == "mbt" else {}  # the paper's 173 million weights say no more
    features = {m: widths[m] for m in spec.card.modalities if m in widths}
    model = zoo.build(spec.method, features=features, outputs=2, **spec.settings | small)
    assert sum(p.numel() for p in model.parameters()) > 0


def test_replicas_are_those_of_the_paper_on_the_same_data():
    found = paper("mmmuba2018")
    for part in found.tables:
        for cell in part.cells:
            if cell.run:
                named = replicas(found, cell.run)
                assert (named != ()) == (cell.run.protocol is not None)
                quoted = cell.row.name == "Poria et al. 2017b"  # which keeps the recipe of the paper it is quoted from
                assert all(committed()[name].replica_of == ("bclstm2017" if quoted else "mmmuba2018") for name in named)
    assert all(spec.replica_of is None or spec.replica_of in keys() for spec in committed().values())


def test_data_that_people_bring_are_all_needed_and_say_where_they_are():
    needed = {cell.needs for key in keys() for part in paper(key).tables for cell in part.cells} - {None}
    assert needed == set(datasets())
    assert all(entry.home.startswith("http") and entry.licence and entry.ask for entry in datasets().values())


def test_a_paper_nobody_wrote_down():
    with pytest.raises(PaperError, match="No paper 'mult2020'. Did you mean 'mult2019'?"):
        paper("mult2020")
    assert DATA.stem not in keys() and set(UNITS) >= {"percent", "number"}


def test_reading_papers_imports_no_torch():
    script = "import sys; from protocols.papers import keys, paper; [paper(k) for k in keys()]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "protocols.papers" in done.stdout.split() and "torch" not in done.stdout.split()
