"""``fuseboard review`` in each format."""

import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from leaderboard import store
from runners.cli import app
from runners.documents import escaped, html, latex, markdown

BLOCKS = [
    ("title", "A & B"),
    ("subheading", "under"),
    ("text", "50 % <of> it"),
    ("list", ["one", "τ²"]),
    ("table", (["a", "b"], [["x|y", "±1"], ["mu_sa", "–"]])),
    ("drawing", "<svg></svg>"),
]


@pytest.fixture(autouse=True)
def no_records(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "records_root", lambda: tmp_path / "none")


@pytest.mark.parametrize(
    ("format", "first"), [("md", "# The review"), ("html", "<!doctype html>"), ("tex", r"\documentclass")]
)
def test_each_format_is_written(tmp_path, format, first):
    out = tmp_path / "deep" / f"review.{format}"
    place = ["--database-url", f"sqlite:///{tmp_path}/board.db", "--bundle-root", str(tmp_path)]
    done = CliRunner().invoke(app, ["review", "--format", format, "--out", str(out), *place])
    assert done.exit_code == 0, done.output
    text = out.read_text(encoding="utf-8")
    assert text.startswith(first)
    assert "AVE, UCF51, Kinetics-Sounds" in text and "MM-SHAP" in text


def test_an_unknown_format_is_refused():
    assert CliRunner().invoke(app, ["review", "--format", "doc"]).exit_code == 2


def test_blocks_in_markdown_and_html():
    assert markdown(BLOCKS) == (
        "# A & B\n\n### under\n\n50 % <of> it\n\n- one\n- τ²\n\n"
        "| a | b |\n| --- | --- |\n| x\\|y | ±1 |\n| mu_sa | – |\n"
    )
    text = html("t", BLOCKS)
    assert "<h1>A &amp; B</h1>" in text and "50 % &lt;of&gt; it" in text and "<svg></svg>" in text


def test_latex_has_no_sign_left_that_it_would_misread():
    assert escaped("50 % of mu_sa & τ²") == r"50 \% of mu\_sa \& $\tau$$^2$"
    text = latex(BLOCKS)
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert text.isascii()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on PATH")
def test_latex_compiles(tmp_path):
    (tmp_path / "t.tex").write_text(latex(BLOCKS), encoding="utf-8")
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
