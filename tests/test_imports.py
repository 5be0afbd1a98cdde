"""The arrows: who may import whom, nested imports included; and what stays out of a light start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"zoo", "protocols", "runners", "leaderboard"}
LEADERBOARD_READS = (
    "protocols.record",
    "protocols.spec",
    "protocols.tasks",
    "protocols.metrics",
    "protocols.statistics",
    "protocols.suite",
    "protocols.datasets",
    "protocols.examples",
    "protocols.corruptions",
    "protocols.review",
    "protocols.paper",
)
OF_THE_ZOO = ("zoo", "zoo.drafts", "zoo.spec")  # its faces without torch
HEAVY = ("torch", "pandas", "sqlalchemy", "ray", "mlflow", "streamlit")


def imports(path: Path) -> list[str]:
    """Every module that a file imports, at any depth of nesting."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", files("zoo") + files("protocols"), ids=lambda p: str(p.relative_to(ROOT)))
def test_zoo_and_protocols_know_nobody(path):
    own = path.relative_to(ROOT).parts[0]
    foreign = [name for name in imports(path) if name.split(".")[0] in OURS - {own} | {"ray", "mlflow"}]
    assert foreign == []


@pytest.mark.parametrize("path", files("leaderboard"), ids=lambda p: str(p.relative_to(ROOT)))
def test_leaderboard_reads_records_only(path):
    names = imports(path)
    assert [n for n in names if n.split(".")[0] in {"runners", "torch", "ray", "mlflow"}] == []
    ours = [n for n in names if n.split(".")[0] in {"zoo", "protocols"}]
    assert [n for n in ours if not n.startswith(LEADERBOARD_READS) and n not in OF_THE_ZOO] == []


@pytest.mark.parametrize("path", files("runners"), ids=lambda p: str(p.relative_to(ROOT)))
def test_ray_and_mlflow_stand_in_one_place_each(path):
    names = {name.split(".")[0] for name in imports(path)}
    assert "ray" not in names or path.name in ("cluster.py", "tune.py")
    assert "mlflow" not in names or path.name == "tracking.py"
    joins = ("cli.py", "downloads_cli.py", "indexing.py", "output.py", "review_cli.py")
    joins += ("submit_cli.py", "moderate_cli.py", "token_cli.py", "worker.py")
    assert "leaderboard" not in names or path.name in joins


@pytest.mark.parametrize("arguments", (["--help"], ["run", "--help"], ["methods"]), ids=" ".join)
def test_a_light_command_imports_nothing_heavy(arguments):
    script = (
        "import sys; sys.argv[0] = 'fuseboard'\n"
        "from runners.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"
