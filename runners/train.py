"""fit(): the one training loop. Knows no data set, no method, no Ray, no MLflow."""

import io
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from protocols.batches import Batch
from protocols.evaluation import labelled
from protocols.metrics import Undefined
from protocols.spec import Budget
from runners.criteria import Criterion

Score = Callable[[np.ndarray, np.ndarray], float]


class Diverged(RuntimeError):
    """The loss is no longer a number."""


@dataclass
class State:
    """Where training stands; all that a checkpoint holds beside the weights."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def initialised(seed: int, build: Callable[..., nn.Module], *args, **kwargs) -> nn.Module:
    """A model whose first weights come from the seed alone."""
    torch.manual_seed(seed)
    return build(*args, **kwargs)


def fit(
    model: nn.Module,
    training: Callable[[int], Iterable[Batch]],
    validation: Callable[[], Iterable[Batch]],
    budget: Budget,
    *,
    criterion: Criterion,
    seed: int,
    device: torch.device,
    metric: tuple[str, Score],
    checkpoint: Path,
    on_epoch: Callable[[dict[str, float]], None],
) -> State:
    """Train with AdamW, keep the weights of the lowest validation loss, stop when it no longer falls.

    Every epoch's randomness comes from (seed, epoch), so training that goes on from a checkpoint takes
    the same steps as training that was never interrupted.

    Args:
        model: ends with the weights of the best epoch.
        training: epoch, from 1 -> its batches, in its order.
        validation: -> the validation batches, the same each time.
        criterion: the loss of the protocol, of ``runners.criteria``.
        metric: name and function of the primary metric, recorded beside the losses.
        checkpoint: file to go on from if it is there, and written after every epoch.
        on_epoch: called with the new row of the history: epoch, train_loss, validation_loss,
            validation_<metric>, seconds. The metric is None in an epoch where it is undefined.

    Returns:
        The final state; ``history`` holds one row an epoch.

    Raises:
        Diverged: if a training or validation loss is not finite.
    """
    model.to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=budget.learning_rate, weight_decay=budget.weight_decay)
    state = _resume(checkpoint, model, optimiser) if checkpoint.exists() else State()
    while state.epoch < budget.epochs and state.epoch - state.best_epoch < budget.patience:
        started = time.perf_counter()
        state.epoch += 1
        torch.manual_seed(seed * 1_000_003 + state.epoch)  # drop-out of this epoch
        train_loss = _epoch(model, optimiser, training(state.epoch), criterion, budget, device, state.epoch)
        validation_loss, value = _validate(model, validation(), criterion, device, metric[1])
        if not np.isfinite(validation_loss):
            raise Diverged(f"validation loss is {validation_loss} after epoch {state.epoch}.")
        if validation_loss < state.best_loss:
            state.best_epoch, state.best_loss = state.epoch, validation_loss
            state.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        row = {
            "epoch": state.epoch,
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            f"validation_{metric[0]}": value,
            "seconds": time.perf_counter() - started,
        }
        state.history.append(row)
        _save(checkpoint, model, optimiser, state)
        on_epoch(row)
    model.load_state_dict(state.best_weights)
    return state


def training_loss(model: nn.Module, batch: Batch, criterion: Criterion) -> torch.Tensor:
    """What a step descends: the loss of the scores, unless the method defines its own.

    A method that supervises more than its scores, or mixes examples, has
    ``training_loss(inputs, masks, labels, criterion)``; the criterion is the protocol's, equal for all.
    """
    if hasattr(model, "training_loss"):
        return model.training_loss(batch.inputs, batch.masks, batch.labels, criterion)
    return criterion(model(batch.inputs, batch.masks), batch.labels)


def _epoch(
    model, optimiser, batches: Iterable[Batch], criterion: Criterion, budget: Budget, device: torch.device, epoch: int
) -> float:
    """One pass; the mean training loss, each item counted once."""
    model.train()
    total = items = 0
    for step, batch in enumerate(batches, 1):
        batch = batch.to(device)
        loss = training_loss(model, batch, criterion)
        if not torch.isfinite(loss):
            raise Diverged(f"training loss is {loss.item()} in epoch {epoch}, step {step}.")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), budget.clip_norm)
        optimiser.step()
        count = int(labelled(batch.labels).sum())
        total, items = total + loss.item() * count, items + count
    return total / items


@torch.no_grad()
def _validate(
    model, batches: Iterable[Batch], criterion: Criterion, device: torch.device, score: Score
) -> tuple[float, float | None]:
    """Loss and primary metric over all validation items; None where the metric is undefined."""
    model.eval()
    scores, labels = [], []
    for batch in batches:
        batch = batch.to(device)
        real = labelled(batch.labels)
        scores.append(model(batch.inputs, batch.masks)[real])
        labels.append(batch.labels[real])
    scores, labels = torch.cat(scores), torch.cat(labels)
    loss = criterion(scores, labels).item()
    try:
        return loss, score(scores.cpu().numpy(), labels.cpu().numpy())
    except Undefined:  # a model that still answers the same to everything
        return loss, None


def _save(path: Path, model, optimiser, state: State) -> None:
    """Write beside, flush, rename: a kill at any moment leaves the old checkpoint or the new one."""
    beside = path.with_suffix(".writing")
    content = io.BytesIO()  # torch.save hides a full disk behind an error of its own
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "state": vars(state)}, content)
    with open(beside, "wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _resume(path: Path, model, optimiser) -> State:
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    return State(**saved["state"])
