"""CITATION.cff, BibTeX and the package say one thing."""

import re
import tomllib
from pathlib import Path

import yaml

from leaderboard.downloads.citation import BIBTEX, YEAR

ROOT = Path(__file__).parents[3]


def test_citations_agree():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bibtex = dict(re.findall(r"^  (\w+) = \{+(.*?)\}+,?$", BIBTEX, re.M))
    assert {"cff-version", "message", "title", "authors"} <= told.keys()
    assert told["version"] == project["version"] == bibtex["version"]
    assert told["license"] == project["license"] == bibtex["license"]
    assert (told["title"], told["authors"][0]["name"]) == (bibtex["title"], bibtex["author"])
    assert BIBTEX in (ROOT / "README.md").read_text(encoding="utf-8")
    assert told["date-released"][:4] == str(YEAR) == bibtex["year"]
