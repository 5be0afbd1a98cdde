"""Made-up predictions in the bundle of a run, as a run writes them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

CLASSES = 3


def answers(seed: int, right: float, count: int = 60) -> pd.DataFrame:
    """Answers of which a share is right; each recording has three steps, the last one has six."""
    rng = np.random.default_rng(seed)
    steps = [(f"clip{i:02}", step) for i in range(count) for step in range(6 if i == count - 1 else 3)]
    labels = np.arange(len(steps)) % CLASSES
    wrong = rng.random(len(steps)) >= right
    frame = pd.DataFrame(steps, columns=["id", "step"])
    return frame.assign(condition="clean", label=labels, prediction=np.where(wrong, (labels + 1) % CLASSES, labels))


def with_predictions(folder: Path, frame: pd.DataFrame) -> None:
    """The bundle, as a run writes it that keeps its predictions."""
    frame.to_parquet(folder / "predictions.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / "predictions.parquet").read_bytes()
    manifest["files"]["predictions.parquet"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
