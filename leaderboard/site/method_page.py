"""What the page of a method tells: its card, its scores under every protocol, and its runs one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from leaderboard import queries
from leaderboard.figures import metric_title, value_text
from leaderboard.site.protocol_page import Board
from zoo import Method


def told(engine: sa.Engine, name: str, boards: Mapping[str, Board]) -> dict[str, Any]:
    card = _card(engine, name)
    found = ((board, queries.runs_of(engine, name, key)) for key, board in boards.items())
    results = [_results(name, board, runs) for board, runs in found if runs]
    return {
        "name": name,
        "title": card.title if card else name,
        "card": card,
        "facts": _facts(card) if card else {},
        "results": results,
    }


def line(engine: sa.Engine, name: str, boards: Mapping[str, Board]) -> dict[str, Any]:
    """A method in the list of all: name, title, paper, kind, and where it was run."""
    card = _card(engine, name)
    return {
        "name": name,
        "title": card.title if card else name,
        "paper": card.paper if card else "–",
        "evidence": card.evidence if card else "–",
        "protocols": [key for key, board in boards.items() if _ran(board, name)],
    }


def _card(engine: sa.Engine, name: str) -> Method | None:
    manifest = queries.newest_manifest(engine, name)
    return queries.card_of(manifest) if manifest else None


def _ran(board: Board, name: str) -> bool:
    return any(method == name for method, _, _ in board.cells)


def _facts(card: Method) -> dict[str, str]:
    facts = {
        "Paper": card.paper,
        "Takes": card.inputs,
        "Fusion": card.fusion_stage,
        "Attention": card.attention,
        "Evidence": card.evidence,
        "Equations": card.equations,
        "Code that it follows": card.code,
    }
    return {term: text for term, text in facts.items() if text}


def _results(name: str, board: Board, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The scores of a protocol, and each run with its primary score; failed ones with their reason."""
    spec = board.spec
    scores = [(c, [board.cells.get((name, m, c), "–") for m in spec.metrics]) for c in spec.conditions]
    primary = board.primary
    runs = [
        {
            "run": run["run"],
            "split": run["split"],
            "seed": run["seed"],
            "status": _status(run, primary),
            "score": value_text(primary[run["run"]], board.metric) if run["run"] in primary else "–",
            "reason": run["reason"] or "",
            "parameters": "–" if run["parameters"] is None else f"{run['parameters']:,}",
            "seconds": "–" if pd.isna(run["fit_seconds"]) else f"{run['fit_seconds']:.0f} s",
            "device": (run["manifest"].get("hardware") or {}).get("device") or "–",
            "code": run["source"],
            "created": run["created"],
        }
        for run in found
    ]
    return {
        "board": board,
        "metrics": [metric_title(metric) for metric in spec.metrics],
        "scores": scores if _ran(board, name) else [],
        "primary": f"{metric_title(board.metric)}, {board.condition}",
        "runs": runs,
    }


def _status(run: Mapping[str, Any], primary: Mapping[str, float]) -> str:
    return run["status"] if run["status"] == "failed" or run["run"] in primary else "set aside"
