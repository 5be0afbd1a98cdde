"""fit() on a task of a few numbers: it learns, selects, stops, resumes and refuses what is no number."""

import numpy as np
import pytest
import torch
from torch import nn

from protocols.batches import IGNORED, Batch
from protocols.metrics.regression import ccc
from protocols.metrics.task import accuracy
from protocols.spec import Budget
from runners.criteria import CRITERIA, cross_entropy
from runners.train import Diverged, fit, initialised

BUDGET = Budget(learning_rate=0.05, weight_decay=0.0, batch_size=16, epochs=6, patience=6, clip_norm=1.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))

    def forward(self, inputs, masks):
        return self.layers(inputs["audio"][:, 0])


def batches(rows, order=None):
    x = np.random.default_rng(0).standard_normal((96, 1, 4)).astype(np.float32)
    y = (x[:, 0, 0] * x[:, 0, 1] > 0).astype(np.int64)
    rows = np.array(rows) if order is None else np.random.default_rng(order).permutation(rows)
    for part in np.split(rows, range(16, len(rows), 16)):
        mask = torch.ones(len(part), 1, dtype=torch.bool)
        yield Batch({"audio": torch.from_numpy(x[part])}, {"audio": mask}, torch.from_numpy(y[part]), part)


def trained(path, budget=BUDGET, seed=0, on_epoch=lambda row: None, training=None):
    model = initialised(seed, Net)
    state = fit(
        model,
        training or (lambda epoch: batches(range(64), order=(seed, epoch))),
        lambda: batches(range(64, 96)),
        budget,
        criterion=cross_entropy,
        seed=seed,
        device=torch.device("cpu"),
        metric=("accuracy", accuracy),
        checkpoint=path,
        on_epoch=on_epoch,
    )
    return model, state


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def losses(state):
    return [
        (row["epoch"], row["train_loss"], row["validation_loss"], row["validation_accuracy"]) for row in state.history
    ]


def test_it_learns(tmp_path):
    _, state = trained(tmp_path / "c", BUDGET.model_copy(update={"epochs": 30, "patience": 30}))
    assert state.history[-1]["train_loss"] < 0.5 < state.history[0]["train_loss"]


def test_one_seed_one_result(tmp_path):
    (first, one), (second, two), (third, other) = (trained(tmp_path / str(i), seed=s) for i, s in enumerate((0, 0, 1)))
    assert losses(one) == losses(two) != losses(other)
    torch.testing.assert_close(weights(first), weights(second), rtol=0, atol=0)


@pytest.mark.parametrize("killed_after", (1, 3, 5))
def test_going_on_from_a_checkpoint_takes_the_same_steps(tmp_path, killed_after):
    whole, expected = trained(tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(row):
        if row["epoch"] == killed_after:
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "broken", on_epoch=kill)
    seen = []
    resumed, state = trained(tmp_path / "broken", on_epoch=lambda row: seen.append(row["epoch"]))
    assert seen == list(range(killed_after + 1, 7))
    assert losses(state) == losses(expected)
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_the_weights_of_the_lowest_validation_loss_are_kept(tmp_path):
    model, state = trained(
        tmp_path / "c", BUDGET.model_copy(update={"learning_rate": 0.5, "epochs": 30, "patience": 30})
    )
    by_loss = min(state.history, key=lambda row: row["validation_loss"])
    assert state.best_epoch == by_loss["epoch"] < 30
    model.eval()
    with torch.no_grad():
        loss = np.mean(
            [nn.functional.cross_entropy(model(b.inputs, b.masks), b.labels) for b in batches(range(64, 96))]
        )
    assert loss == pytest.approx(by_loss["validation_loss"], rel=1e-5)


def test_it_stops_when_validation_no_longer_improves(tmp_path):
    _, state = trained(tmp_path / "c", BUDGET.model_copy(update={"learning_rate": 0.5, "epochs": 50, "patience": 3}))
    assert state.epoch == state.best_epoch + 3 < 50


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    def poisoned(epoch):
        for step, batch in enumerate(batches(range(64)), 1):
            if (epoch, step) == (2, 3):
                batch.inputs["audio"][0] = torch.nan
            yield batch

    with pytest.raises(Diverged, match="training loss is nan in epoch 2, step 3"):
        trained(tmp_path / "c", training=poisoned)


class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, inputs, masks):
        return self.layer(inputs["audio"])


def labelled_steps(rows):
    """Valence and arousal of every step, linear in the features; the last steps of every other example are padding."""
    x = np.random.default_rng(0).standard_normal((96, 6, 4)).astype(np.float32)
    y = np.stack([x[..., 0], 0.5 * x[..., 1] - 0.2], -1)
    mask = np.ones((96, 6), dtype=bool)
    mask[::2, 4:] = False
    y[~mask] = IGNORED
    for part in np.split(np.array(rows), range(16, len(rows), 16)):
        streams = torch.from_numpy(x[part]), torch.from_numpy(mask[part])
        yield Batch({"audio": streams[0]}, {"audio": streams[1]}, torch.from_numpy(y[part]), part)


@pytest.mark.parametrize("loss", ("l1", "mse", "ccc"))
def test_numbers_of_every_step_are_learned(tmp_path, loss):
    state = fit(
        initialised(0, Steps),
        lambda epoch: labelled_steps(range(64)),
        lambda: labelled_steps(range(64, 96)),
        BUDGET.model_copy(update={"epochs": 15, "patience": 15}),
        criterion=CRITERIA[loss],
        seed=0,
        device=torch.device("cpu"),
        metric=("ccc", ccc),
        checkpoint=tmp_path / "c",
        on_epoch=lambda row: None,
    )
    assert state.history[-1]["validation_ccc"] > 0.97 > state.history[0]["validation_ccc"]
    assert state.history[-1]["validation_loss"] < 0.1
