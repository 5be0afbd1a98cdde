import io
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaderboard import export, store
from protocols.record import FIELDS, KEY, read_jsonl


@pytest.fixture
def filled(engine, bundles):
    for seed, accuracy in enumerate([1 / 3, 0.1 + 0.2, 0.7]):
        bundles.add(seed=seed, accuracy=accuracy)
    store.ingest(engine, bundles.root)
    return engine


def read(path):
    if path.suffix == ".csv":
        return pd.read_csv(path, converters={"value": float})  # what any reader of text makes of it
    return pd.read_json(path, precise_float=True) if path.suffix == ".json" else pd.read_parquet(path)


@pytest.mark.parametrize("format", export.FORMATS)
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


@pytest.mark.parametrize("format", export.FORMATS)
def test_the_same_store_gives_the_same_bytes(filled, bundles, tmp_path, format):
    first = export.export(filled, "unit-test@1", "seeds", format, tmp_path / "first")
    store.rebuild(filled, [bundles.root])
    second = export.export(filled, "unit-test@1", "seeds", format, tmp_path / "second")
    assert first.sha256 == second.sha256
    assert first.size == first.path.stat().st_size


def test_cells_are_the_means_of_the_seeds(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "parquet", tmp_path / "cells.parquet")
    frame = pd.read_parquet(written.path)
    assert list(frame.columns) == list(export.COLUMNS["cells"])
    assert not frame.duplicated(list(export.UNIQUE["cells"])).any()
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


def test_runs_set_aside_are_left_out(filled, bundles, tmp_path):
    bundles.add("stranger", fingerprint="other data")
    store.ingest(filled, bundles.root)
    frame = export.rows(filled, "unit-test@1", "seeds")
    assert set(frame["method"]) == {"late-test"}


def test_nothing_to_export_names_the_next_command(engine, tmp_path):
    with pytest.raises(export.ExportError, match="fuseboard run <method> --protocol grid-digit@1"):
        export.export(engine, "grid-digit@1", out=tmp_path / "out.csv")
    assert list(tmp_path.glob("*.csv")) == []


@pytest.mark.parametrize(("wish", "known"), [({"level": "rows"}, "seeds, cells"), ({"format": "xls"}, "csv, parquet")])
def test_unknown_wishes_list_the_known(filled, tmp_path, wish, known):
    with pytest.raises(export.ExportError, match=known):
        export.export(filled, "unit-test@1", out=tmp_path / "out", **wish)


def test_a_failed_write_leaves_the_old_file(filled, tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(export.ExportError, match="No space left on device"):
        export.export(filled, "unit-test@1", out=path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.glob("*out.csv*")] == ["out.csv"]


def test_the_dictionary_explains_every_column(filled):
    for level in export.LEVELS:
        table = export.data_dictionary(level)
        assert list(table["column"]) == list(export.rows(filled, "unit-test@1", level).columns)
        assert table["meaning"].str.len().min() > 5


def test_csv_is_readable_without_us(filled):
    text = export.encode(export.rows(filled, "unit-test@1", "seeds"), "seeds", "csv").decode()
    assert text.splitlines()[0] == ",".join(FIELDS)
    assert pd.read_csv(io.StringIO(text))["seed"].dtype == "int64"
