"""How the modalities stand against each other after every epoch: ``imbalance.csv`` of a bundle.

One row for each epoch and modality: ``discrepancy`` is the OGM-GE ratio, ``by`` the uni-modal ``heads`` or, where the
model has none, the scores with all other modalities ``absent``; ``inside`` is the accuracy with all others absent.
A cell is empty where the ratio is undefined. Both are of classes: other tasks have no such file.
"""

import csv
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from protocols.batches import Division, OnDemand, in_memory, training_conditions
from protocols.measuring.imbalance import each_alone, head_scores
from protocols.metrics import Undefined
from protocols.metrics.imbalance import discrepancy_ratio, inside
from protocols.presentation import Presenter, Streams, score
from runners.device import on_device
from zoo.remedies.heads import head_scores as scores_of_heads

FILE = "imbalance.csv"
COLUMNS = ("epoch", "modality", "discrepancy", "inside", "by")
# How much is looked at: a tenth of an epoch's examples, shared among the passes. As scores alone cost a third of a
# training step, that is a few percent of an epoch. At least so many items, for an accuracy to mean something.
SHARE, LEAST_ITEMS = 0.1, 32
DRAW = "validation"  # of the noise: what the validation loss of training meets


class ImbalanceLog:
    """Watches training from the outside: it draws no random number, and leaves the model in the mode it was in.

    Args:
        folder: of the run in progress; rows written before a kill are found there again.
        checkpoint: of ``fit``, which is written before an epoch is watched.
        division: whose validation part is looked at: examples spread evenly over it, the same after every epoch.
        modalities: that the model uses; for one alone there is nothing to compare, and no file.
        size: examples a batch.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Path,
        model: nn.Module,
        division: Division,
        modalities: tuple[str, ...],
        *,
        size: int,
        device: torch.device,
    ):
        self._path, self._model, self._size = folder / FILE, model, size
        self._part, self._among = division.validation, len(division.training)
        self._modalities, self._device, self._rows = modalities, device, []
        self._on = len(modalities) > 1 and division.validation.spec.task == "classification"
        if self._on and checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
            self._go_on(saved["state"]["epoch"], saved["model"])

    def _go_on(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Take over the rows of an interrupted run; look again at an epoch whose row the kill prevented."""
        if self._path.exists():
            with open(self._path, newline="", encoding="utf-8") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= epoch]
        if not self._rows or int(self._rows[-1]["epoch"]) < epoch:
            self._model.to(self._device).load_state_dict(weights)
            self.watch(epoch)

    def watch(self, epoch: int) -> None:
        """Look at the model as it is, and write the rows of this epoch."""
        if not self._on:
            return
        training = self._model.training
        self._model.eval()
        self._rows += self._look(epoch)
        self._model.train(training)
        beside = self._path.with_suffix(".writing")
        with open(beside, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self._rows)
        os.replace(beside, self._path)

    def copy_to(self, folder: Path) -> None:
        """Put the file, if there is one, among the files of a bundle."""
        if self._path.exists():
            shutil.copyfile(self._path, folder / FILE)

    def _look(self, epoch: int) -> list[dict]:
        rows, labels = self._chosen()
        conditions = training_conditions(self._part.spec, [self._part.examples.ids[i] for i in self._part.index], DRAW)
        streams = {m: self._part.sequences(m, conditions, DRAW) for m in self._modalities}
        alone = {
            m: score(on_device(self._model, self._device), _of(left, rows), self._size)
            for m, left in each_alone(Presenter(self._part), streams).items()
        }
        heads = scores_of_heads(self._model)
        by = alone if heads is None else head_scores(on_device(heads, self._device), _of(streams, rows), self._size)
        try:
            ratios = discrepancy_ratio(by, labels)
        except Undefined:
            ratios = dict.fromkeys(streams, "")
        told = {"epoch": epoch, "by": "absent" if heads is None else "heads"}
        return [told | {"modality": m, "discrepancy": ratios[m], "inside": inside(alone[m], labels)} for m in streams]

    def _chosen(self) -> tuple[list[int], np.ndarray]:
        """Rows of the part that are looked at, and the labels of their items."""
        part = self._part
        least = math.ceil(LEAST_ITEMS * len(part) / len(part.labels))
        count = min(len(part), max(least, round(SHARE * self._among / len(self._modalities))))
        rows = [i * len(part) // count for i in range(count)]
        labels = [part.examples.labels[part.index[r]] for r in rows]
        return rows, np.concatenate(labels) if part.examples.per_step else np.array(labels)


def _of(streams: Streams, rows: list[int]) -> Streams:
    return {m: _picked(sequences, rows) for m, sequences in streams.items()}


def _picked(sequences: Sequence[np.ndarray], rows: list[int]) -> Sequence[np.ndarray]:
    if in_memory(sequences):
        return [sequences[r] for r in rows]
    return OnDemand(lambda k: sequences[rows[k]], len(rows))
