"""The log of how modalities stand: right numbers, no trace in training, the same file after a kill."""

import csv

import numpy as np
import pytest
import torch

import zoo
from protocols.batches import Division
from protocols.datasets.synthetic import generate
from protocols.examples import Examples, Stream
from protocols.metrics.task import accuracy
from protocols.spec import committed
from runners.imbalance_log import COLUMNS, FILE, ImbalanceLog
from zoo.spec import load

SPEC = committed()["synthetic@1"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def division() -> Division:
    parts = np.split(np.arange(500), [300, 400])
    return Division(SPEC, generate(500, seed=1), dict(zip(("train", "validation", "test"), parts, strict=True)))


def model_of(name, division, modalities=("audio", "video", "text"), seed=0):
    torch.manual_seed(seed)
    spec = load(name)
    return zoo.build(spec.method, features={m: division.features[m] for m in modalities}, outputs=8, **spec.settings)


def log_of(folder, model, division, modalities=("audio", "video", "text")) -> ImbalanceLog:
    folder.mkdir(exist_ok=True)
    return ImbalanceLog(folder, folder / "checkpoint.pt", model, division, modalities, size=48, device=CPU)


def rows(folder) -> list[dict]:
    with open(folder / FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def step(model):
    """Some training that a log must not notice, and its weights do."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)


def save(model, epoch, folder):
    torch.save({"model": model.state_dict(), "state": {"epoch": epoch}}, folder / "checkpoint.pt")


@pytest.mark.parametrize(("name", "by"), [("late_fusion", "heads"), ("early_fusion", "absent")])
def test_rows_hold_every_epoch_and_modality(tmp_path, division, name, by):
    model = model_of(name, division)
    log = log_of(tmp_path, model, division)
    log.watch(1)
    log.watch(2)
    found = rows(tmp_path)
    assert tuple(found[0]) == COLUMNS
    assert [(int(r["epoch"]), r["modality"]) for r in found] == [(e, m) for e in (1, 2) for m in model.features]
    assert {r["by"] for r in found} == {by}
    assert all(float(r["discrepancy"]) > 0 and 0 <= float(r["inside"]) <= 1 for r in found)


def test_inside_is_the_accuracy_with_the_others_absent(tmp_path, division):
    """A tenth of 300 shared among three would be 10; the least of 32 is looked at."""
    model = model_of("early_fusion", division)
    log_of(tmp_path, model, division).watch(1)
    chosen = [i * 100 // 32 for i in range(32)]
    conditions = [SPEC.parsed_conditions()[0]] * 100
    streams = {m: division.validation.sequences(m, conditions, "validation") for m in model.features}
    for row in rows(tmp_path):
        scores = []
        for i in chosen:
            given = {m: torch.from_numpy(s[i])[None] * (m == row["modality"]) for m, s in streams.items()}
            masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in given.items()}
            with torch.no_grad():
                scores.append(model.eval()(given, masks).numpy())
        expected = accuracy(np.concatenate(scores), division.validation.labels[chosen])
        assert float(row["inside"]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_no_trace(tmp_path, division, training):
    model = model_of("late_fusion", division).train(training)
    before, numbers = {n: w.clone() for n, w in model.state_dict().items()}, torch.get_rng_state()
    log_of(tmp_path, model, division).watch(1)
    assert model.training is training and all(module.training is training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(torch.equal(w, before[n]) for n, w in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not [hook for module in model.modules() for hook in module._forward_hooks]


@pytest.mark.parametrize("written", [0, 1, 2], ids="rows of {} epochs".format)
def test_after_a_kill_the_file_is_that_of_a_run_without_one(tmp_path, division, written):
    """Killed when the checkpoint of epoch 2 was there, and the rows of so many epochs."""
    model = model_of("late_fusion", division)
    whole = log_of(tmp_path / "whole", model, division)
    begun = log_of(tmp_path / "killed", model, division)
    for epoch in (1, 2):
        whole.watch(epoch)
        if epoch <= written:
            begun.watch(epoch)
        save(model, epoch, tmp_path / "killed")
        if epoch == 1:
            step(model)
    fresh = model_of("late_fusion", division, seed=9)
    resumed = log_of(tmp_path / "killed", fresh, division)
    fresh.load_state_dict(model.state_dict())
    for m, log in ((model, whole), (fresh, resumed)):
        step(m)
        log.watch(3)
    expected = [r for r in rows(tmp_path / "whole") if written or int(r["epoch"]) > 1]  # begun before there was a log
    assert rows(tmp_path / "killed") == expected
    if written:
        assert (tmp_path / "killed" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_rows_without_their_checkpoint_are_forgotten(tmp_path, division):
    model = model_of("late_fusion", division)
    log = log_of(tmp_path, model, division)
    log.watch(1)
    save(model, 1, tmp_path)
    log.watch(2)
    log_of(tmp_path, model, division).watch(2)
    assert [int(r["epoch"]) for r in rows(tmp_path)] == [1] * 3 + [2] * 3
    (tmp_path / "checkpoint.pt").unlink()
    log_of(tmp_path, model, division).watch(1)
    assert [int(r["epoch"]) for r in rows(tmp_path)] == [1] * 3


def test_one_modality_writes_nothing(tmp_path, division):
    log = log_of(tmp_path, model_of("audio_only", division, ("audio",)), division, ("audio",))
    log.watch(1)
    (tmp_path / "ready").mkdir()
    log.copy_to(tmp_path / "ready")
    assert not (tmp_path / FILE).exists() and not list((tmp_path / "ready").iterdir())


def test_a_ratio_without_a_value_leaves_its_cell_empty(tmp_path, division):
    class Sure(torch.nn.Module):
        """Certain of the wrong class whatever it sees."""

        def forward(self, inputs, masks):
            scores = torch.zeros(len(inputs["audio"]), 9)
            scores[:, 8] = 1e4
            return scores

    log_of(tmp_path, Sure(), division, ("audio", "video")).watch(1)
    assert [(r["discrepancy"], float(r["inside"])) for r in rows(tmp_path)] == [("", 0.0)] * 2


def test_steps_are_items(tmp_path):
    """Examples of 40 labelled steps: three in 60 are a tenth shared among two passes, and more than 32 items."""
    rng, count, steps = np.random.default_rng(0), 120, 40
    stops = np.arange(1, count + 1) * steps
    streams = {
        m: Stream(rng.standard_normal((count * steps, 2)).astype(np.float32), stops - steps, stops, 2)
        for m in ("audio", "video")
    }
    labels = [rng.integers(2, size=steps) for _ in range(count)]
    examples = Examples(tuple(f"v{i}" for i in range(count)), labels, ("a", "b"), streams, "steps")
    halves = {"train": np.arange(60), "validation": np.arange(60, 120), "test": np.arange(0)}
    shown = []

    class Audio(torch.nn.Module):
        def forward(self, inputs, masks):
            shown.append(inputs["audio"].shape)
            return inputs["audio"]

    log_of(tmp_path, Audio(), Division(SPEC, examples, halves), ("audio", "video")).watch(1)
    assert shown == [(3, steps, 2)] * 2
    said = {r["modality"]: float(r["inside"]) for r in rows(tmp_path)}
    assert said["video"] == pytest.approx(np.mean(np.concatenate([labels[60 + i] for i in (0, 20, 40)]) == 0))
