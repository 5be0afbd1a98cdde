"""The commands as a person types them, on the embedded data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.main import get_command

from protocols.record import FIELDS, KEY

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders shared by the commands of this file, so that one can use what another made."""
    home = tmp_path_factory.mktemp("cli")
    names = {"data_root": home / "data", "cache_root": home / "cache", "bundle_root": home / "bundles"}
    names |= {"database_url": f"sqlite:///{home}/board.db", "tracking_url": "off"}
    return {f"FUSEBOARD_{name.upper()}": str(value) for name, value in names.items()}


@pytest.fixture(scope="module")
def fuseboard(places):
    """Call a command; give back its completed process."""

    def call(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-m", "runners.cli", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | places | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return call


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    """The embedded protocol with two epochs, as a person's own file."""
    import yaml

    from protocols.spec import load

    raw = load("synthetic@1").model_dump(mode="json")
    raw |= {"name": "brief", "budget": raw["budget"] | {"epochs": 2, "batch_size": 200}}
    path = tmp_path_factory.mktemp("protocol") / "brief.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.fixture(scope="module")
def ran(fuseboard, protocol):
    """Two methods, two seeds; the outcomes as JSON."""
    done = fuseboard("run", "text_only", "early_fusion", "--protocol", protocol, "--seeds", 2, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def commands(group, names=()):
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


def every_command():
    from runners.cli import app

    return list(commands(get_command(app)))


@pytest.mark.parametrize(
    ("names", "command"), every_command(), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_and_every_option_has_help(names, command):
    assert command.help and len(command.help) > 15
    undocumented = [p.name for p in command.params if isinstance(p, typer.core.TyperOption) and not p.help]
    assert undocumented == []


def test_methods_and_protocols(fuseboard):
    import zoo
    from protocols.spec import committed

    listed = json.loads(fuseboard("methods", "--json").stdout)
    assert [row["name"] for row in listed] == list(zoo.METHODS)
    card = json.loads(fuseboard("methods", "--show", "mult", "--json").stdout)
    assert card["differs"] and card["preset"] == "mult-paper"
    assert "arXiv:1906.00295" in fuseboard("methods", "--show", "mult").stdout
    listed = json.loads(fuseboard("protocols", "--json").stdout)
    assert [row["protocol"] for row in listed] == list(committed())
    assert "white_noise" in fuseboard("protocols", "--show", "grid-digit-noisy@1").stdout


def test_settings_say_where_they_come_from(fuseboard, places):
    rows = {row["setting"]: row for row in json.loads(fuseboard("settings", "--cluster", "auto", "--json").stdout)}
    assert (rows["cluster"]["value"], rows["cluster"]["from"]) == ("auto", "--cluster")
    assert rows["bundle_root"]["from"] == "FUSEBOARD_BUNDLE_ROOT"
    shown = fuseboard("settings", FUSEBOARD_DATABASE_URL="postgresql://me:secret@host/db").stdout
    assert "secret" not in shown and "me:***@host" in shown


def test_data_check_names_what_is_missing_and_where_to_get_it(fuseboard):
    done = fuseboard("data", "check", "--json")
    assert done.returncode == 1
    problems = {row["data set"]: row["problems"] for row in json.loads(done.stdout)}
    assert problems["synthetic"] == []
    assert all(problems[name] for name in ("grid", "cmu_mosi_utterance", "ravdess_vectors"))
    assert "Zenodo" in " ".join(problems["grid"]) or "zenodo" in " ".join(problems["grid"])
    assert fuseboard("data", "check", "synthetic").returncode == 0


def test_data_prepare_describes_the_data(fuseboard):
    done = fuseboard("data", "prepare", "synthetic@1")
    assert (
        done.returncode == 0 and "1200 train, 300 validation, 600 test" in done.stdout and "fingerprint" in done.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    (
        (("run", "early_fuson", "--protocol", "synthetic@1"), "Did you mean 'early_fusion'"),
        (("run", "mult", "--protocol", "sythetic@1"), "Did you mean 'synthetic@1'"),
        (("run", "mult", "--protocol", "synthetic@1", "--backend", "dask"), "Known: serial, ray"),
        (("run", "mult", "--protocol", "grid-digit@1"), "no such folder"),
        (("run", "text_only", "--protocol", "ravdess-actors@1"), "skipped text_only: it needs text"),
        (("methods", "--show", "mlut"), "Did you mean 'mult'"),
        (("data", "check", "girds"), "Did you mean 'grid'"),
        (("board", "--protocol", "nothing@1"), "No protocol 'nothing@1'"),
        (("export", "--protocol", "brief@7", "--out", "x.csv"), "brief@7"),
        (("run", "mult"), "Missing option '--protocol'"),
    ),
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_wrong_input_is_exit_code_2_and_one_clear_line(fuseboard, arguments, said):
    done = fuseboard(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_run_is_indexed_and_ranked(fuseboard, ran):
    assert [(row["method"], row["seed"], row["status"]) for row in ran] == [
        (method, seed, "completed") for method in ("early_fusion", "text_only") for seed in (0, 1)
    ]
    (ranking,) = [r for r in json.loads(fuseboard("board", "--json").stdout) if r["protocol"] == "brief@1"]
    assert {row["method"]: row["n"] for row in ranking["methods"]} == {"text_only": 2, "early_fusion": 2}
    assert all(row["low"] <= row["mean"] <= row["high"] for row in ranking["methods"])
    assert "mult" in {row["method"] for row in ranking["absent"]}
    text = fuseboard("board", "--protocol", "brief@1").stdout
    assert "majority class" in text and "±" in text and "(unimodal)" in text


def test_export_holds_the_fields_of_record_with_a_unique_key(fuseboard, ran, tmp_path):
    out = tmp_path / "brief.parquet"
    done = fuseboard("export", "--protocol", "brief@1", "--level", "seeds", "--format", "parquet", "--out", out)
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(out)
    assert list(frame.columns) == list(FIELDS) and not frame.duplicated(list(KEY)).any()
    assert set(frame["run"]) == {row["run"] for row in ran}


def test_a_deleted_database_is_rebuilt_to_the_same_rows(fuseboard, ran, places, tmp_path):
    def exported(name):
        done = fuseboard("export", "--protocol", "brief@1", "--format", "csv", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        return (tmp_path / name).read_text()

    before = exported("before.csv")
    for path in Path(places["FUSEBOARD_DATABASE_URL"].removeprefix("sqlite:///")).parent.glob("board.db*"):
        path.unlink()
    assert fuseboard("ingest", "--rebuild").returncode == 0
    assert exported("after.csv") == before
    again = json.loads(fuseboard("ingest", "--json").stdout)
    assert again["runs"] == 0 and again["skipped"] >= 4


def test_a_database_that_is_down_is_exit_code_1_and_loses_nothing(fuseboard, ran):
    done = fuseboard("ingest", "--database-url", "postgresql://nobody:secret@127.0.0.1:9/none")
    assert done.returncode == 1 and "127.0.0.1" in done.stderr and "secret" not in done.stderr
    assert "Traceback" not in done.stderr and all(Path(row["bundle"]).is_dir() for row in ran)
