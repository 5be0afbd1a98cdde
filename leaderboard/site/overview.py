"""What the first page and the page of downloads tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.downloads.citation import BIBTEX, CITATION, LICENCE, LICENCE_URL
from leaderboard.downloads.levels import LEVELS
from leaderboard.site.protocol_page import Board
from protocols.paper import STATES, Paper
from protocols.record import SCHEMA_VERSION


def told(boards: Mapping[str, Board], methods: Sequence[dict], papers: Sequence[Paper]) -> dict[str, Any]:
    return {
        "boards": boards,
        "methods": methods,
        "papers": [
            {
                "key": paper.key,
                "short": paper.short,
                "title": paper.title,
                "coverage": ", ".join(f"{count} {STATES[state]}" for state, count in paper.coverage().items() if count),
            }
            for paper in papers
        ],
        "bibtex": BIBTEX,
        "citation": CITATION,
        "licence": LICENCE,
        "licence_url": LICENCE_URL,
    }


def dictionaries() -> dict[str, Any]:
    """The data dictionary of each level, licence and citation."""
    levels = [
        {
            "name": level.name,
            "title": level.title,
            "columns": [(name, name in level.key, level.meaning(name)) for name in level.columns],
        }
        for level in LEVELS.values()
    ]
    return {
        "levels": levels,
        "schema_version": SCHEMA_VERSION,
        "bibtex": BIBTEX,
        "licence": LICENCE,
        "licence_url": LICENCE_URL,
    }
