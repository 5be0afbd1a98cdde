"""MLCommons' own validator reads what we write, and the rows through it."""

import warnings

import pyarrow.parquet as pq
import pytest

from leaderboard import export, store
from leaderboard.downloads.verify import verify


@pytest.fixture
def filled(engine, bundles):
    for seed in range(3):
        bundles.add(seed=seed, accuracy=0.5 + seed / 10)
    store.ingest(engine, bundles.root)
    return engine


@pytest.mark.parametrize("level", ["seeds", "cells"])
def test_the_validator_finds_nothing_and_reads_the_rows(filled, tmp_path, level):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports, and of its parser of JSON-LD
        croissant = pytest.importorskip("mlcroissant")
        written = export.export(filled, "unit-test@1", level, "croissant", tmp_path / f"x-{level}.croissant.json")
        found = croissant.Dataset(jsonld=str(written.path))
        assert found.metadata.issues.errors == set() and found.metadata.issues.warnings == set()
        rows = list(found.records(level))
    table = pq.read_table(tmp_path / f"x-{level}.parquet").to_pylist()
    assert len(rows) == written.rows == len(table)
    value = "value" if level == "seeds" else "mean"
    assert [row[f"{level}/{value}"] for row in rows] == [row[value] for row in table]
    assert rows[0][f"{level}/method"] == b"late-test"


def test_another_table_beside_it_is_noticed(filled, tmp_path):
    written = export.export(filled, "unit-test@1", "cells", "croissant", tmp_path / "x.croissant.json")
    assert verify(written.path)[0].differs == []
    (tmp_path / "x.parquet").write_bytes(b"another")
    assert any("x.parquet has SHA-256" in line for line in verify(written.path)[0].differs)
