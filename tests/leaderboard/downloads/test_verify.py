"""A file that was changed is told from one that was not, without the store it came from."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from leaderboard import export, store
from leaderboard.downloads.levels import ExportError
from leaderboard.downloads.verify import verify
from runners.cli import app

GRID = "grid-digit-noisy@1"


@pytest.fixture(scope="module")
def exported(bundles_at, evaluate, tmp_path_factory):
    """A folder of downloads of evaluated runs."""
    place = tmp_path_factory.mktemp("exported")
    bundles, engine = bundles_at(place / "bundles"), store.connect(f"sqlite:///{place}/board.db")
    evaluate(bundles)
    store.ingest(engine, bundles.root)
    for level in ("seeds", "cells", "curves"):
        for format in ("csv", "parquet", "json"):
            export.export(engine, GRID, level, format, place / "files" / export.file_name(GRID, level, format))
    engine.dispose()
    return place / "files"


@pytest.fixture
def taken(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "taken")


def predict(folder, labels, scores):
    """Write the predictions of a run that `Bundles.add` wrote."""
    columns = {"id": [f"e{i}" for i in range(len(labels))], "step": np.zeros(len(labels), np.int64)}
    columns |= {"condition": ["clean"] * len(labels), "label": labels, "prediction": scores.argmax(1)}
    columns |= {f"score_{k}": scores[:, k] for k in range(scores.shape[1])}
    parquet.write_table(pa.table(columns), folder / "predictions.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["predictions.parquet"] = hashlib.sha256((folder / "predictions.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def predicted(engine, bundles):
    """Three runs whose records are what their predictions score."""
    draw = np.random.default_rng(0)
    for seed in range(3):
        labels, scores = draw.integers(0, 4, 50), draw.normal(size=(50, 4)).astype(np.float32)
        correct = (scores.argmax(1) == labels).mean()
        folder = bundles.add(seed=seed, values={("clean", "accuracy"): float(correct)})
        predict(folder, labels, scores)
    store.ingest(engine, bundles.root)
    return engine


def test_what_was_exported_holds(taken):
    found = verify(taken)
    assert len(found) == 9
    assert [verdict.said for verdict in found] == ["holds"] * 9
    cells = next(verdict for verdict in found if verdict.path.name.endswith("cells.csv"))
    assert any("every mean is that of the rows of grid-digit-noisy-v1-seeds" in line for line in cells.held)


def test_the_command_ends_with_1_where_something_differs(taken):
    path, shell = taken / "grid-digit-noisy-v1-curves.csv", CliRunner()
    done = shell.invoke(app, ["verify", str(path)])
    assert done.exit_code == 0 and f"{path}: holds" in done.output
    pd.read_csv(path).assign(mean=0.5).to_csv(path, index=False)
    done = shell.invoke(app, ["verify", str(path), "--json"])
    assert done.exit_code == 1 and json.loads(done.output)[0]["differs"]
    path.with_name("grid-digit-noisy-v1-cells.csv").rename(path.with_name("alone-cells.csv"))
    done = shell.invoke(app, ["verify", str(path.with_name("alone-cells.csv"))])
    assert done.exit_code == 1 and "not verified\n  lacks: seed rows" in done.output


@pytest.mark.parametrize("level", ["cells", "curves"])
def test_a_mean_that_seeds_do_not_give_is_named_with_both_numbers(taken, level):
    path = taken / f"grid-digit-noisy-v1-{level}.csv"
    frame = pd.read_csv(path)
    row = frame.index[(frame["metric"] == "accuracy") & (frame["condition"] == "audio/white_noise/-10dB")][0]
    right = frame.loc[row, "mean"]
    frame.loc[row, "mean"] += 0.01
    frame.to_csv(path, index=False)
    differs = verify(path)[0].differs
    assert any("SHA-256 is" in line for line in differs)
    assert any(f"mean is {right + 0.01}" in line and f"give {right}" in line for line in differs)


def test_a_row_that_is_gone_or_stands_twice_is_named(taken):
    path = taken / "grid-digit-noisy-v1-cells.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[1]]) + "\n")
    differs = verify(path)[0].differs
    key = ", ".join(lines[-1].replace('"', "").split(",")[:5])
    assert f"{key}: in the seed rows, not in the file" in differs
    assert any("2 rows have the key" in line for line in differs)


def test_one_changed_byte_changes_the_sum(taken):
    path = taken / "grid-digit-noisy-v1-seeds.parquet"
    assert verify(path)[0].differs == []
    path.with_name(path.name + ".datapackage.json").write_text(
        path.with_name(path.name + ".datapackage.json").read_text().replace("sha256:", "sha256:0")
    )
    assert any("SHA-256" in line for line in verify(path)[0].differs)


def test_another_schema_version_is_refused(taken):
    path = taken / "grid-digit-noisy-v1-seeds.csv"
    descriptor = path.with_name(path.name + ".datapackage.json")
    descriptor.write_text(descriptor.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert "schema version is 2; this fuseboard knows 1" in verify(path)[0].differs


def test_a_number_out_of_bounds_is_named(taken):
    path = taken / "grid-digit-noisy-v1-seeds.csv"
    frame = pd.read_csv(path)
    row = frame.index[frame["metric"] == "accuracy"][0]
    frame.loc[row, "value"] = 71.3  # percent
    frame.to_csv(path, index=False)
    assert any("value is 71.3, outside (0.0, 1.0)" in line for line in verify(path)[0].differs)


def test_means_alone_cannot_be_computed_again(taken, tmp_path):
    alone = tmp_path / "alone-cells.csv"
    alone.write_bytes((taken / "grid-digit-noisy-v1-cells.csv").read_bytes())
    found = verify(alone)[0]
    assert (found.differs, found.said) == ([], "not verified")
    assert found.lacks == ["seed rows to compute it again from: none beside it. Give them with --seeds"]
    assert "SHA-256: alone-cells.csv.datapackage.json is not beside it" in found.unchecked
    assert verify(alone, seeds=taken / "grid-digit-noisy-v1-seeds.json")[0].differs == []


def test_scores_are_computed_again_from_the_predictions(predicted, bundles, tmp_path):
    for level in ("seeds", "samples"):
        export.export(predicted, "unit-test@1", level, "parquet", tmp_path / f"x-{level}.parquet", [bundles.root])
    found = verify(tmp_path / "x-samples.parquet")[0]
    assert found.differs == [] and "the scores of every run are those of x-seeds.parquet" in found.held
    frame = pd.read_parquet(tmp_path / "x-samples.parquet")
    assert len(frame) == 150 and not frame.duplicated(["run", "condition", "id", "step"]).any()
    wrong = frame["label"] != frame["prediction"]
    frame.loc[wrong, "label"] = frame.loc[wrong, "prediction"]
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "y.parquet")
    differs = verify(tmp_path / "y.parquet", seeds=tmp_path / "x-seeds.parquet")[0].differs
    assert len(differs) == 3 and all("accuracy of the predictions is 1.0" in line for line in differs)


def test_altered_predictions_are_not_exported(predicted, bundles, tmp_path):
    path = next(bundles.root.glob("*/*/*/predictions.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ExportError, match="was altered or cut short"):
        export.export(predicted, "unit-test@1", "samples", "csv", tmp_path / "x.csv", [bundles.root])


def test_predictions_that_are_elsewhere_are_counted(predicted, bundles, tmp_path):
    with pytest.raises(ExportError, match="predictions of 3 of 3 runs are not here.*FUSEBOARD_BUNDLE_ROOT"):
        export.export(predicted, "unit-test@1", "samples", "csv", tmp_path / "x.csv", [tmp_path / "none"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.csv", None, "no such file"),
        ("torn.parquet", "PAR1 and no more", "cannot be read as parquet"),
        ("list.json", '["a"]', "cannot be read as json"),
        ("other.csv", "a,b\n1,2\n", "its columns are those of no level"),
        ("empty", "", "no file"),
    ],
)
def test_what_is_no_download_is_refused(tmp_path, name, text, said):
    if name == "empty":
        (tmp_path / name).mkdir()
    elif text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ExportError, match=said):
        verify(tmp_path / name)
