"""Cells in the two forms that the Hugging Face Hub reads, one folder a method, in one archive.

``<method>/.eval_results/<protocol>.yaml`` is the form of the Hub's evaluation results
(huggingface.co/docs/hub/eval-results): a score each, and the benchmark's data set that it counts for. ``eval.yaml``
registers that data set. ``<method>/model-index.yaml`` is the older front matter of a model card
(github.com/huggingface/hub-docs, modelcard.md).
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from leaderboard import queries
from leaderboard.downloads.citation import LICENCE
from leaderboard.downloads.levels import Source
from leaderboard.figures import interval_text, metric_title
from protocols.datasets import DATASETS, dataset

OWNER = "fuseboard"
THEN = (1980, 1, 1, 0, 0, 0)  # the same store gives the same archive


def write(path: Path, source: Source) -> int:
    """The scores that the protocol itself names. Gives back their number."""
    engine, spec = source.engine, source.spec
    scores = {}
    for metric in queries.metrics(engine, spec):
        for row in queries.cells(queries.seeds(engine, spec, metric)).to_dict("records"):
            scores.setdefault(row["method"], []).append(row)
    newest = source.current.groupby("method")["created"].max()
    with zipfile.ZipFile(path, "w") as archive:
        _put(archive, "README.md", _readme(spec))
        _put(archive, "eval.yaml", _yaml(_benchmark(source)))
        for method, rows in sorted(scores.items()):
            entries = list(_results(spec, rows, newest[method]))
            _put(archive, f"{method}/.eval_results/{spec.name}-v{spec.version}.yaml", _yaml(entries))
            _put(archive, f"{method}/model-index.yaml", _yaml(_model_index(spec, method, rows)))
    return sum(map(len, scores.values()))


def _put(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name, THEN)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, text)


def _yaml(told: Any) -> str:
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=10_000)


def _hub_name(spec) -> str:
    return f"{OWNER}/{spec.name}-v{spec.version}"


def _task(row: dict) -> str:
    """``accuracy``, ``accuracy-audio-white_noise--5dB``: one score, so one task of the benchmark."""
    return f"{row['metric']}-{row['condition']}".replace("/", "-").removesuffix("-clean")


def _readme(spec) -> str:
    return (
        f"Results of {spec.key} for the Hugging Face Hub. {LICENCE}\n\n"
        "Each folder belongs to one model. Its `.eval_results/` goes into that model's repository; "
        "`model-index.yaml` is front matter for its README.md.\n\n"
        f"The scores count for the data set {_hub_name(spec)}, whose repository takes `eval.yaml`. Where the board is "
        "kept under another name, put that name in its place in every file.\n"
    )


def _benchmark(source: Source) -> dict[str, Any]:
    spec = source.spec
    metrics, conditions = queries.metrics(source.engine, spec), queries.conditions(source.engine, spec)
    tasks = [_task({"metric": m, "condition": c}) for m in metrics for c in conditions]
    return {
        "name": spec.title,
        "description": spec.description,
        "evaluation_framework": "fuseboard",
        "tasks": [{"id": task, "config": "default", "split": "test"} for task in tasks],
    }


def _results(spec, rows: list[dict], newest: str) -> Iterator[dict[str, Any]]:
    runs = "folds" if spec.folds else "seeds"
    for row in rows:
        said = interval_text(row, row["metric"])
        yield {
            "dataset": {"id": _hub_name(spec), "task_id": _task(row)},
            "value": float(row["mean"]),
            "date": newest,
            "evaluation_framework": "fuseboard",
            "notes": f"{row['metric']} under {row['condition']}, {said}, {row['n']} {runs}",
        }


def _model_index(spec, method: str, rows: list[dict]) -> dict[str, Any]:
    family = spec.dataset.partition("/")[0]
    title = dataset(family).CARD.title if family in DATASETS else spec.dataset
    task = {"type": "video-classification", "name": spec.title}
    about = {"type": spec.dataset, "name": title, "config": spec.key, "split": "test"}
    metrics = [
        {
            "type": "f1" if row["metric"].endswith("f1") else row["metric"],
            "name": f"{metric_title(row['metric'])} under {row['condition']}",
            "value": float(row["mean"]),
            "verified": False,
        }
        for row in rows
    ]
    return {"model-index": [{"name": method, "results": [{"task": task, "dataset": about, "metrics": metrics}]}]}
