"""``fuseboard try``: a spec on the embedded data, in seconds on a CPU, before anybody waits for a cluster."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import zoo
from protocols.batches import Batch
from protocols.spec import committed
from runners.criteria import CRITERIA
from runners.train import initialised, training_loss
from runners.trial import divided
from zoo.remedies import remedied
from zoo.spec import MethodSpec

EMBEDDED = "synthetic@1"
STEPS = 5  # of training, and of what is timed
SECONDS = 10.0  # that timing may take
TOLERANCE = 1e-4  # of what may not change, relative to the largest score


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether it passed, what was seen."""

    check: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Trial:
    """A spec as the embedded data shape it.

    Args:
        batch: (B, T_m, D_m) of each modality that it takes; equal steps where it needs them.
        outputs: K classes.
    """

    spec: MethodSpec
    batch: Batch
    outputs: int

    def model(self, seed: int = 0) -> nn.Module:
        """With the first weights of a seed."""
        data = {"features": {m: x.shape[-1] for m, x in self.batch.inputs.items()}, "outputs": self.outputs}

        def build() -> nn.Module:
            return remedied(zoo.build(self.spec.method, **data, **self.spec.settings), self.spec.remedy)

        return initialised(seed, build)


def prepare(spec: MethodSpec) -> Trial:
    """The first training batch of the embedded protocol, fitted to what the method takes.

    Raises:
        ValueError: if the method cannot take part, or takes raw input.
    """
    protocol = committed()[EMBEDDED]
    if spec.settings.get("patches"):
        raise ValueError("it cuts raw input into patches, and the embedded data are sequences of feature vectors.")
    taken = spec.takes(protocol.modalities, aligned=True)
    examples, division = divided(protocol.model_dump_json(), None, Path(), Path())
    batch = next(division.training.batches(taken, protocol.budget.batch_size, draw="try", order=(0, 1)))
    if steps := spec.settings.get("steps"):
        batch = _stretched(batch, steps)
    elif spec.card.aligned:
        batch = _stretched(batch, min(x.shape[1] for x in batch.inputs.values()))
    return Trial(spec, batch, len(examples.classes))


def _stretched(batch: Batch, steps: int) -> Batch:
    """Every sequence with the same number of steps: real ones again from the first on, or cut."""
    inputs = {}
    for m, x in batch.inputs.items():
        lengths = batch.masks[m].sum(1, keepdim=True)  # (B, 1)
        index = torch.arange(steps)[None] % lengths  # (B, steps)
        inputs[m] = x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
    return replace(
        batch, inputs=inputs, masks={m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
    )


def findings(trial: Trial) -> Iterator[Finding]:
    """Each check as it is done; ends at the first that leaves nothing to check."""
    torch.set_num_threads(1)
    try:
        model = trial.model()
    except (ValueError, RuntimeError) as error:
        yield Finding("model", False, f"cannot be built: {error}")
        return
    yield Finding("model", True, f"{sum(p.numel() for p in model.parameters()):,} parameters")
    for name, check in CHECKS.items():
        try:
            passed, said = check(trial)
        except (ValueError, RuntimeError) as error:
            passed, said = False, str(error).splitlines()[0]
        yield Finding(name, passed, said)
        if name == "shapes" and not passed:
            return


def _scores(trial: Trial, inputs: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return trial.model().eval()(inputs, masks)


def _shapes(trial: Trial) -> tuple[bool, str]:
    scores = _scores(trial, trial.batch.inputs, trial.batch.masks)
    wanted = (len(trial.batch.labels), trial.outputs)
    given = ", ".join(f"{m} {'×'.join(map(str, x.shape))}" for m, x in trial.batch.inputs.items())
    if tuple(scores.shape) != wanted:
        return False, f"{given} gave {tuple(scores.shape)}; wanted {wanted}"
    finite = bool(torch.isfinite(scores).all())
    return finite, f"{given} -> {'×'.join(map(str, wanted))}" + ("" if finite else ", with scores that are not finite")


def _gradients(trial: Trial) -> tuple[bool, str]:
    inputs = {m: x.clone().requires_grad_() for m, x in trial.batch.inputs.items()}
    model = _trained(trial, 0)[0]  # a head that starts at zero lets nothing through before the first step
    model.eval()(inputs, trial.batch.masks).square().sum().backward()
    sizes = {m: 0.0 if x.grad is None else float(x.grad.norm()) for m, x in inputs.items()}
    said = ", ".join(f"{m} {size:.2g}" for m, size in sizes.items())
    silent = [m for m, size in sizes.items() if not (math.isfinite(size) and size > 0)]
    return not silent, said + (f"; nothing of {', '.join(silent)} reaches the scores" if silent else "")


def _missing(trial: Trial) -> tuple[bool, str]:
    inputs, masks = trial.batch.inputs, trial.batch.masks
    if len(inputs) < 2:
        return True, "one modality: nothing to leave out"
    for absent in inputs:
        zeros = {m: torch.zeros_like(x) if m == absent else x for m, x in inputs.items()}
        full = {m: torch.ones_like(mask) if m == absent else mask for m, mask in masks.items()}
        if not torch.isfinite(_scores(trial, zeros, full)).all():
            return False, f"without {absent} the scores are not finite"
    return True, f"finite without {', or without '.join(inputs)}"


def _padding(trial: Trial) -> tuple[bool, str]:
    if trial.spec.settings.get("steps"):
        return True, "a fixed number of steps: nothing to pad"
    batch = trial.batch
    inputs = {m: torch.cat([x, torch.full_like(x[:, :2], 9.0)], 1) for m, x in batch.inputs.items()}
    masks = {m: nn.functional.pad(mask, (0, 2)) for m, mask in batch.masks.items()}
    before, after = _scores(trial, batch.inputs, batch.masks), _scores(trial, inputs, masks)
    change = float((before - after).abs().max() / before.abs().max().clamp(min=1e-12))
    return change < TOLERANCE, f"two padded steps change scores by {change:.0e} of the largest"


def _determinism(trial: Trial) -> tuple[bool, str]:
    same, other = (_trained(trial, seed)[1] for seed in (0, 1))
    again = _trained(trial, 0)[1]
    if same != again:
        return False, f"seed 0 gave losses {same} and then {again}"
    return same != other, f"seed 0 twice: the same {STEPS} losses; seed 1: " + (
        "others" if same != other else "the same"
    )


def _training(trial: Trial) -> tuple[bool, str]:
    losses = _trained(trial, 0)[1]
    finite = all(map(math.isfinite, losses))
    return finite, f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {STEPS} steps on one batch"


CHECKS: dict[str, Callable[[Trial], tuple[bool, str]]] = {
    "shapes": _shapes,
    "gradients": _gradients,
    "missing modality": _missing,
    "padding": _padding,
    "determinism": _determinism,
    "training": _training,
}


def _trained(trial: Trial, seed: int) -> tuple[nn.Module, list[float]]:
    """A model after some steps, and the loss before each."""
    model = trial.model(seed).train()
    optimiser = _optimiser(model)
    return model, [_step(model, optimiser, trial.batch) for _ in range(STEPS)]


def _optimiser(model: nn.Module) -> torch.optim.Optimizer:
    budget = committed()[EMBEDDED].budget
    return torch.optim.AdamW(model.parameters(), lr=budget.learning_rate, weight_decay=budget.weight_decay)


def _step(model: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    loss = training_loss(model, batch, CRITERIA["cross_entropy"])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def step_seconds(trial: Trial) -> float:
    """Seconds of one training step on this machine, the fastest of some."""
    model = trial.model().train()
    optimiser, found, started = _optimiser(model), [], time.perf_counter()
    _step(model, optimiser, trial.batch)  # the first one pays for what is set up once
    while len(found) < STEPS and (not found or time.perf_counter() - started < SECONDS):
        before = time.perf_counter()
        _step(model, optimiser, trial.batch)
        found.append(time.perf_counter() - before)
    return min(found)


def embedded_steps() -> int:
    """Training steps of all runs of the embedded protocol."""
    protocol = committed()[EMBEDDED]
    _, division = divided(protocol.model_dump_json(), None, Path(), Path())
    return (
        math.ceil(len(division.training) / protocol.budget.batch_size) * protocol.budget.epochs * len(protocol.runs())
    )
