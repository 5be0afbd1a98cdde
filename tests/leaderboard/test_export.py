import json
import resource
import signal
import zipfile

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from leaderboard import export, store
from leaderboard.downloads.formats import FORMATS
from leaderboard.downloads.levels import LEVELS, ExportError
from protocols.record import FIELDS, KEY, read_jsonl

TABLES = ("csv", "parquet", "json")


@pytest.fixture
def filled(engine, bundles):
    for seed, accuracy in enumerate([1 / 3, 0.1 + 0.2, 0.7]):
        bundles.add(seed=seed, accuracy=accuracy)
    store.ingest(engine, bundles.root)
    return engine


@pytest.fixture
def measured(engine, bundles, evaluate):
    """Runs of real methods with sweeps, evaluated by the suite of a real protocol."""
    evaluate(bundles)
    store.ingest(engine, bundles.root)
    return engine


def read(path):
    if path.suffix == ".csv":
        return pd.read_csv(path, converters={"value": float})  # what any reader of text makes of it
    return pd.read_json(path, precise_float=True) if path.suffix == ".json" else pd.read_parquet(path)


@pytest.mark.parametrize("format", TABLES)
def test_seeds_are_the_records_themselves(filled, bundles, tmp_path, format):
    written = export.export(filled, "unit-test@1", "seeds", format, tmp_path / f"out.{format}")
    frame = read(written.path)
    assert tuple(frame.columns) == FIELDS
    assert not frame.duplicated(list(KEY)).any()
    wanted = [record for path in bundles.root.glob("*/*/*/records.jsonl") for record in read_jsonl(path)]
    assert len(frame) == written.rows == len(wanted) == 27
    found = frame.set_index(list(KEY))["value"].to_dict()
    for record in wanted:
        assert found[tuple(getattr(record, name) for name in KEY)] == record.value


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_store_gives_the_same_bytes(filled, bundles, tmp_path, format):
    level = "seeds" if format in TABLES else "cells"
    name = f"same{FORMATS[format].suffix}"
    first = export.export(filled, "unit-test@1", level, format, tmp_path / "first" / name)
    store.rebuild(filled, [bundles.root])
    second = export.export(filled, "unit-test@1", level, format, tmp_path / "second" / name)
    assert first.sha256 == second.sha256
    assert first.size == first.path.stat().st_size


def test_many_runs_come_in_pieces_and_in_one_order(engine, bundles, tmp_path):
    for seed in range(120):
        bundles.add(seed=seed)
    store.ingest(engine, bundles.root)
    written = export.export(engine, "unit-test@1", "seeds", "csv", tmp_path / "seeds.csv")
    frame = pd.read_csv(written.path)
    assert len(frame) == written.rows == 120 * 9
    assert frame.equals(frame.sort_values(list(KEY), ignore_index=True))


def test_cells_are_the_means_of_the_seeds(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "parquet", tmp_path / "cells.parquet")
    frame = pd.read_parquet(written.path)
    assert list(frame.columns) == list(LEVELS["cells"].columns)
    assert not frame.duplicated(list(LEVELS["cells"].key)).any()
    clean = frame[(frame["condition"] == "clean") & (frame["metric"] == "accuracy")].iloc[0]
    assert clean["mean"] == pytest.approx((1 / 3 + 0.3 + 0.7) / 3)
    assert (clean["n"], clean["split"]) == (3, "test")
    assert clean["low"] < clean["mean"] < clean["high"]


def test_one_run_leaves_its_interval_empty(engine, bundles, tmp_path):
    bundles.add()
    store.ingest(engine, bundles.root)
    written = export.export(engine, "unit-test@1", "cells", "json", tmp_path / "cells.json")
    assert {row["low"] for row in json.loads(written.path.read_text())} == {None}


def test_parquet_says_what_it_is(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "seeds", "parquet", tmp_path / "out.parquet")
    about = pq.read_schema(written.path).metadata
    assert about[b"schema_version"] == b"1"
    assert b"CC BY 4.0" in about[b"licence"]
    assert about[b"unique_key"] == b"run, method, protocol, split, condition, metric"
    assert about[b"created"] == b"2026-01-02T03:04:05+00:00"


def test_a_descriptor_stands_beside_the_file(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "csv", tmp_path / "cells.csv")
    told = json.loads((tmp_path / "cells.csv.datapackage.json").read_text())
    resource = told["resources"][0]
    assert (resource["path"], resource["bytes"], resource["rows"]) == ("cells.csv", written.size, written.rows)
    assert resource["hash"] == f"sha256:{written.sha256}"
    assert resource["schema"]["primaryKey"] == list(LEVELS["cells"].key)
    header = written.path.read_text().splitlines()[0].split(",")
    assert [field["name"] for field in resource["schema"]["fields"]] == header
    assert (told["schema_version"], told["licenses"][0]["name"]) == (1, "CC-BY-4.0")
    assert told["bibtex"].startswith("@software{fuseboard")


def test_curves_run_from_clean_input_over_the_severities(measured, tmp_path):
    written = export.export(measured, "grid-digit-noisy@1", "curves", "csv", tmp_path / "curves.csv")
    frame = pd.read_csv(written.path)
    assert not frame.duplicated(list(LEVELS["curves"].key)).any()
    noise = frame[(frame["sweep"] == "audio/white_noise") & (frame["method"] == "mult-paper")]
    noise = noise[noise["metric"] == "accuracy"]
    assert noise["condition"].iloc[0] == "clean" and pd.isna(noise["severity"].iloc[0])
    assert noise["severity"].iloc[1:].is_monotonic_increasing and set(noise["unit"].iloc[1:]) == {"dB"}
    assert noise["mean"].iloc[0] == pytest.approx(0.91)
    assert not frame["condition"].str.contains("video/missing|conflict").any()


def test_runs_of_another_suite_give_only_their_own_scores(measured, bundles, tmp_path):
    from protocols.spec import committed

    spec = committed()["grid-digit-noisy@1"]
    values = {(condition, metric): 0.5 for condition in spec.conditions for metric in spec.metrics}
    folder = bundles.add("mult-paper", 7, base="mult", spec=spec, values=values, code="c0de")
    bundles.measure(folder, {("clean", "latency_p50"): 1e3}, suite="grid-digit-noisy@1/suite0")
    store.ingest(measured, bundles.root)
    frame = export.rows(measured, "grid-digit-noisy@1", "seeds")
    assert set(frame.loc[frame["run"] == folder.name, "metric"]) <= set(spec.metrics)
    assert "latency_p50" in set(frame["metric"])


def test_latex_has_a_row_a_method_and_escapes_names(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "latex", tmp_path / "cells.tex")
    text = written.path.read_text()
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2  # accuracy and macro F1
    row = next(line for line in text.splitlines() if "late-test" in line)
    assert row.startswith(r"1 & late-test & 44 $\pm$ 55 \% & 40 $\pm$ ") and row.endswith(r"\% \\")
    assert r"unit-test@1: mean and half width of the 95\% t interval over seeds" in text
    assert written.rows == 6


def test_the_hub_reads_scores_of_each_method(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "hf-eval", tmp_path / "cells.zip")
    with zipfile.ZipFile(written.path) as archive:
        entries = yaml.safe_load(archive.read("late-test/.eval_results/unit-test-v1.yaml"))
        tasks = {task["id"] for task in yaml.safe_load(archive.read("eval.yaml"))["tasks"]}
        index = yaml.safe_load(archive.read("late-test/model-index.yaml"))["model-index"]
    found = {entry["dataset"]["task_id"]: entry for entry in entries}
    assert tasks == set(found) and len(found) == written.rows == 6
    assert found["accuracy"]["value"] == pytest.approx((1 / 3 + 0.3 + 0.7) / 3)
    assert found["accuracy"]["notes"] == "accuracy under clean, 44 ± 55 %, 3 seeds"
    assert index[0]["name"] == "late-test"
    assert {"type", "name", "value", "verified"} == set(index[0]["results"][0]["metrics"][0])


def test_runs_set_aside_are_left_out(filled, bundles, tmp_path):
    bundles.add("stranger", fingerprint="other data")
    store.ingest(filled, bundles.root)
    frame = export.rows(filled, "unit-test@1", "seeds")
    assert set(frame["method"]) == {"late-test"}


def test_nothing_to_export_names_the_next_command(engine, tmp_path):
    with pytest.raises(ExportError, match="fuseboard run <method> --protocol grid-digit@1"):
        export.export(engine, "grid-digit@1", out=tmp_path / "out.csv")
    assert list(tmp_path.glob("*.csv")) == []


def test_a_protocol_without_sweeps_has_no_curves(filled, tmp_path):
    with pytest.raises(ExportError, match="fuseboard evaluate <method> --protocol unit-test@1"):
        export.export(filled, "unit-test@1", "curves", out=tmp_path / "curves.csv")
    assert list(tmp_path.glob("*.csv")) == []


@pytest.mark.parametrize(
    ("wish", "known"),
    [
        ({"level": "seed"}, "Did you mean 'seeds'.*seeds, cells, samples, curves"),
        ({"format": "parket"}, "Did you mean 'parquet'.*csv, parquet"),
        ({"format": "latex"}, "latex holds cells, not seeds. Formats for seeds: csv, parquet, json, croissant"),
    ],
)
def test_unknown_wishes_list_the_known(filled, tmp_path, wish, known):
    with pytest.raises(ExportError, match=known):
        export.export(filled, "unit-test@1", out=tmp_path / "out", **wish)


@pytest.mark.parametrize("format", TABLES)
def test_a_write_that_fails_half_way_leaves_the_old_file(filled, tmp_path, format):
    path = tmp_path / f"out.{format}"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ExportError, match="cannot be written: .*--out"):
            export.export(filled, "unit-test@1", "seeds", format, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.glob("*out*")] == [path.name]


def test_the_dictionary_explains_every_column(filled):
    for level in ("seeds", "cells"):
        table = export.data_dictionary(level)
        assert list(table["column"]) == list(export.rows(filled, "unit-test@1", level).columns)
        assert table["meaning"].str.len().min() > 5


def test_csv_is_readable_without_us(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "seeds", "csv", tmp_path / "seeds.csv")
    assert written.path.read_text().splitlines()[0] == ",".join(FIELDS)
    assert pd.read_csv(written.path)["seed"].dtype == "int64"
