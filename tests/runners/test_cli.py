"""The commands as a person types them, on the embedded data."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.main import get_command

from protocols.record import FIELDS, KEY
from runners import cli

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
    from protocols.spec import committed
    from zoo.spec import SPECS, entries

    listed = json.loads(fuseboard("methods", "--json").stdout)
    assert [row["name"] for row in listed if row["ranked"] == "yes"] == list(entries())
    assert {row["name"] for row in listed} == {path.stem for path in SPECS.glob("*.yaml")}
    card = json.loads(fuseboard("methods", "--show", "mult", "--json").stdout)
    assert card["differs"] and card["name"] == "mult-paper"
    assert "audio <- video, 4 x 8 maps over steps" in card["attends"]
    assert any(count.startswith("1,549,321 as mult-paper") for count in card["parameters"])
    shown = fuseboard("methods", "--show", "film").stdout
    assert "FiLM fusion" in shown and "nobody" not in shown
    assert "nobody: it has no attention" in fuseboard("methods", "--show", "rnn").stdout
    listed = json.loads(fuseboard("protocols", "--json").stdout)
    assert [row["protocol"] for row in listed] == list(committed())
    assert "white_noise" in fuseboard("protocols", "--show", "grid-digit-noisy@1").stdout


def test_weights_that_do_not_fit_are_named_and_nothing_is_written(fuseboard, tmp_path):
    import torch
    from safetensors.torch import save_file

    names = [f"proj_{letter}.weight" for letter in "lav"] + ["out_layer.weight"]
    save_file({name: torch.zeros(2, 3, 1) for name in names}, tmp_path / "released.safetensors")
    done = fuseboard("weights", "import", "mult-code", str(tmp_path / "released.safetensors"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "trans_l_with_a.layers.0.fc1.weight" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["released.safetensors"]


SMALL_MBT = """
name: small
method: mbt
settings:
  patches: {audio: {steps: 4, size: [2, 2]}, video: {steps: 2, size: [1, 2, 2]}}
  width: 8
  heads: 2
  hidden: 16
  layers: 1
  fusion: bottleneck
  fusion_layer: 0
  bottlenecks: 4
  share_encoder: false
  classifier: gap
  representation: null
  dropout: 0.0
  attention_dropout: 0.0
  stochastic_depth: 0.0
  mixup: 0.0
  modality_mixup: false
"""


def test_an_image_vit_starts_both_encoders(fuseboard, tmp_path):
    """A ViT of one block under timm's names, by the command that a user types."""
    import torch
    from safetensors.torch import load_file, save_file

    shapes = {"cls_token": (1, 1, 8), "pos_embed": (1, 5, 8), "norm.weight": (8,), "norm.bias": (8,)}
    shapes |= {"patch_embed.proj.weight": (8, 3, 2, 2), "patch_embed.proj.bias": (8,)}
    for part, rows, columns in (("attn.qkv", 24, 8), ("attn.proj", 8, 8), ("mlp.fc1", 16, 8), ("mlp.fc2", 8, 16)):
        shapes |= {f"blocks.0.{part}.weight": (rows, columns), f"blocks.0.{part}.bias": (rows,)}
    shapes |= {f"blocks.0.norm{i}.{kind}": (8,) for i in (1, 2) for kind in ("weight", "bias")}
    vit = {name: torch.randn(shape) for name, shape in shapes.items()}
    save_file(vit, tmp_path / "vit.safetensors")
    (tmp_path / "small.yaml").write_text(SMALL_MBT, encoding="utf-8")
    out = tmp_path / "mbt.safetensors"
    arguments = ("weights", "import", str(tmp_path / "small.yaml"), str(tmp_path / "vit.safetensors"))
    refused = fuseboard(*arguments, "--features", "audio=4,video=wide", "--outputs", "4")
    assert refused.returncode == 2 and "video=wide" in refused.stderr
    done = fuseboard(*arguments, "--features", "audio=4,video=4x4x3", "--outputs", "4", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "timm ViT" in done.stdout and "head.weight" in done.stdout
    written = load_file(out)
    for encoder in ("audio", "video"):
        assert torch.equal(written[f"layers.0.{encoder}.fc1.weight"], vit["blocks.0.mlp.fc1.weight"])


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
    assert "mult-paper" in {row["method"] for row in ranking["absent"]}
    text = fuseboard("board", "--protocol", "brief@1").stdout
    assert "majority class" in text and "±" in text and "(unimodal)" in text


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(fuseboard, places, tmp_path):
    arguments = ("run", "audio_only", "--protocol", "synthetic@1", "--seeds", "1", "--no-evaluate")
    own = places | {"FUSEBOARD_BUNDLE_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "runners.cli", *arguments]
    begun = subprocess.Popen(command, cwd=ROOT, env=os.environ | own, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob(".partial/*/epoch")):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    begun.send_signal(signal.SIGINT)
    last = begun.communicate(timeout=60)[1].splitlines()[-1]
    kept = "0 of 1 runs have ended; those under way keep the epochs that they finished."
    assert (begun.returncode, last) == (130, f"Interrupted. {kept} The same command goes on from there.")
    done = fuseboard(*arguments, FUSEBOARD_BUNDLE_ROOT=str(tmp_path))
    assert done.returncode == 0 and "0 there already, 1 to go on with from a checkpoint." in done.stderr


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


def test_a_database_that_is_down_is_exit_code_1_and_loses_nothing(ran, monkeypatch, capsys):
    monkeypatch.setattr(cli, "PATIENCE", 1.0)
    database = "postgresql://nobody:secret@127.0.0.1:9/none"
    monkeypatch.setattr(sys, "argv", ["fuseboard", "ingest", "--database-url", database])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and all("127.0.0.1" in line and "secret" not in line for line in said)
    assert said[0].startswith("The database does not answer; trying again for 1 s.") and said[-1].startswith("Error: ")
    assert all(Path(row["bundle"]).is_dir() for row in ran)
