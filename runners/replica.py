"""The rule of some released codes, for replicas of their papers only: keep the epoch that scores best on the test part.

It leaks: the number that it gives could not be had without the test labels. A replica runs it to say how much of a
published number comes from it, is marked as leaking, and never ranks.
"""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

FILE = "test-selected.pt"


class SelectionOnTest:
    """Watches training from the outside: after each epoch the test score, the best one's weights kept on disk.

    Args:
        folder: of the run in progress; what was seen before a kill is found there again.
        checkpoint: of ``fit``, which is written before an epoch is watched.
        score: the primary metric on the test part of the model as it is; None where it is undefined.
    """

    def __init__(self, folder: Path, checkpoint: Path, model: nn.Module, score: Callable[[], float | None]):
        self._path, self._model, self._score = folder / FILE, model, score
        self._seen = {"epoch": 0, "best_epoch": 0, "best": float("-inf"), "weights": {}}
        if self._path.exists():
            self._seen = torch.load(self._path, weights_only=True)
        if checkpoint.exists():  # killed between the checkpoint and the look at the test part
            saved = torch.load(checkpoint, weights_only=True)
            if saved["state"]["epoch"] > self._seen["epoch"]:
                self._model.load_state_dict(saved["model"])
                self.watch(saved["state"]["epoch"])

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest test score."""
        return self._seen["best_epoch"]

    def watch(self, epoch: int) -> float | None:
        """Score the model on the test part; the score of this epoch, which only wins where it is defined."""
        value = self._score()
        self._seen["epoch"] = epoch
        rank = float("-inf") if value is None else value
        if rank > self._seen["best"] or not self._seen["weights"]:
            weights = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
            self._seen |= {"best_epoch": epoch, "best": rank, "weights": weights}
        beside = self._path.with_suffix(".writing")
        torch.save(self._seen, beside)
        os.replace(beside, self._path)
        return value

    def restore(self) -> None:
        """Give the model the weights of the best epoch."""
        self._model.load_state_dict(self._seen["weights"])
