"""The README promises nothing that is not there."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from runners.cli import app
from runners.settings import SETTINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", README, re.S) for line in block.splitlines()]
FUSEBOARD = [line.split("#")[0].strip() for line in COMMANDS if line.startswith("fuseboard")]


@pytest.mark.parametrize("line", FUSEBOARD)
def test_a_command_is_one_that_the_program_takes(line):
    command, arguments = get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    assert command.make_context("fuseboard", arguments).params


def test_every_command_is_mentioned():
    names = {line.split()[1] for line in FUSEBOARD}
    assert names == set(get_command(app).commands)


def test_the_two_set_up_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {line.split()[1] for line in COMMANDS if line.startswith("make ")}
    assert named == {"demo", "test"} and all(f"\n{target}:" in makefile for target in named)


def test_the_settings_are_those_of_the_program():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `([^`]+)` \|$", README, re.M)
    assert rows == [(name, f"FUSEBOARD_{name.upper()}", s.default) for name, s in SETTINGS.items()]


def test_every_folder_is_there():
    folders = re.findall(r"^\| `(\w+/)` \|", README, re.M)
    assert folders and all((ROOT / folder).is_dir() for folder in folders)


def test_torch_is_pinned_alike_everywhere():
    pins = {
        p: re.findall(r"torch==([\d.]+)", (ROOT / p).read_text()) for p in ("README.md", "Makefile", "constraints.txt")
    }
    assert all(pins.values()) and len({version for found in pins.values() for version in found}) == 1
