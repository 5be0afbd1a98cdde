"""The rule of some released codes, for replicas of their papers only: keep the epoch that scores best on the test part.

It leaks: the number that it gives could not be had without the test labels. A replica runs it to say how much of a
published number comes from it, is marked as leaking, and never ranks. So that this much can be told from what comes of
choosing by a score rather than by the loss, the epoch of the best validation score is kept in the same way.
"""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


class BestEpoch:
    """Watches training from the outside: a score after each epoch, the weights of the best one kept on disk.

    Args:
        path: file of the best weights; what was seen before a kill is found there again.
        checkpoint: of ``fit``, which is written before an epoch is watched.
        score: the new row of the history -> a score of the model as it is, higher is better; None where undefined.
    """

    def __init__(
        self,
        path: Path,
        checkpoint: Path,
        model: nn.Module,
        score: Callable[[dict[str, float | None]], float | None],
    ):
        self._path, self._model, self._score = path, model, score
        self._seen = {"epoch": 0, "best_epoch": 0, "best": float("-inf"), "weights": {}}
        if self._path.exists():
            self._seen = torch.load(self._path, weights_only=True)
        if checkpoint.exists():  # killed between the checkpoint and the look at this epoch
            saved = torch.load(checkpoint, weights_only=True)
            if saved["state"]["epoch"] > self._seen["epoch"]:
                self._model.load_state_dict(saved["model"])
                self.watch(saved["state"]["history"][-1])

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest score."""
        return self._seen["best_epoch"]

    def watch(self, row: dict[str, float | None]) -> None:
        """Score the model after the epoch of this row; an epoch only wins where its score is defined."""
        value = self._score(row)
        self._seen["epoch"] = row["epoch"]
        rank = float("-inf") if value is None else value
        if rank > self._seen["best"] or not self._seen["weights"]:
            weights = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
            self._seen |= {"best_epoch": row["epoch"], "best": rank, "weights": weights}
        beside = self._path.with_suffix(".writing")
        torch.save(self._seen, beside)
        os.replace(beside, self._path)

    def restore(self) -> None:
        """Give the model the weights of the best epoch."""
        self._model.load_state_dict(self._seen["weights"])
