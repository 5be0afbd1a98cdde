"""Ways to train on a GPU: bfloat16, whole steps as CUDA graphs, several seeds at once; timed in turns.

A step of these small networks is bound by the launching of kernels, which is what graphs and stacking save.
"""

import copy
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from protocols.batches import Batch
from runners.bench import CLIP_NORM, Case, Progress, Trained
from runners.criteria import cross_entropy
from runners.train import training_loss

STEPS = 10  # between two readings of the clock
Step = Callable[[], Any]


def measure(case: Case, *, rounds: int, seeds: int, progress: Progress) -> dict[str, Any]:
    """Milliseconds of a training step in each way, and the way with the most clips a second.

    Args:
        rounds: how often each way is timed, in turns. seeds: models trained at once in the ways that do so.

    Returns:
        ``ways``: one row each, with the reason where a way is not possible; ``wins``: the name of the best.
    """
    device = torch.device("cuda")
    data = case.data().to(device)
    possible: dict[str, tuple[Step, int]] = {}
    reasons: dict[str, str] = {}
    for name, models, make in _ways(seeds):
        try:
            step = make([case.model(seed).to(device) for seed in range(models)], data)
            step()
            torch.cuda.synchronize()
            possible[name] = step, models
        except RuntimeError as error:  # what the method does cannot be captured, or has no batched form
            reasons[name] = str(error).strip().splitlines()[0]
    seconds: dict[str, list[float]] = {name: [] for name in possible}
    for counted in progress(range(-1, rounds), "rounds on the GPU, the first not counted"):
        for name, (step, _) in possible.items():
            elapsed = _elapsed(step)
            if counted >= 0:
                seconds[name].append(elapsed)
    rows = [_row(name, case.batch, possible[name][1], seconds[name]) for name in possible]
    rows += [{"way": name, "not possible": why} for name, why in reasons.items()]
    wins = max((row for row in rows if "clips_per_second" in row), key=lambda row: row["clips_per_second"])["way"]
    return {"device": torch.cuda.get_device_name(device), "ways": rows, "wins": wins}


def _row(name: str, batch: int, models: int, seconds: list[float]) -> dict[str, Any]:
    step = statistics.median(seconds)
    return {
        "way": name,
        "ms": round(1e3 * step, 3),
        "fastest_ms": round(1e3 * min(seconds), 3),
        "slowest_ms": round(1e3 * max(seconds), 3),
        "clips_per_second": round(batch * models / step, 1),
    }


def _ways(seeds: int) -> Iterator[tuple[str, int, Callable[[list[nn.Module], Batch], Step]]]:
    """Name, number of models, and what makes a step of them. Graphs last: a failed capture may leave traces."""
    yield "float32", 1, lambda models, data: Trained(models[0], data).step
    yield "bfloat16 autocast", 1, lambda models, data: in_bfloat16(Trained(models[0], data).step)
    yield f"{seeds} seeds stacked", seeds, lambda models, data: Stacked(models, data).step
    yield f"{seeds} seeds stacked, bfloat16", seeds, lambda models, data: in_bfloat16(Stacked(models, data).step)
    yield f"{seeds} seeds on streams", seeds, on_streams
    yield "float32, CUDA graph", 1, lambda models, data: graphed(Trained(models[0], data, capturable=True).step)
    yield (
        "bfloat16, CUDA graph",
        1,
        lambda models, data: graphed(in_bfloat16(Trained(models[0], data, capturable=True).step)),
    )


def _elapsed(step: Step) -> float:
    """Seconds of one step, from the GPU's clock over several."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(STEPS):
        step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / STEPS


def in_bfloat16(step: Step) -> Step:
    """The step with its matrix products in bfloat16; weights, norms and the loss stay float32."""

    def run() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16, cache_enabled=False):  # a graph must not keep cached casts
            step()

    return run


def graphed(step: Step) -> Step:
    """The whole step as one CUDA graph, over the same memory each time.

    Raises:
        RuntimeError: if the step reads a value back from the GPU, which a graph cannot.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # tables, workspaces and the optimiser's state are made outside the graph
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def on_streams(models: list[nn.Module], data: Batch) -> Step:
    """One step of every model, each on a stream of its own."""
    trained = [Trained(model, data) for model in models]
    streams = [torch.cuda.Stream() for _ in models]

    def run() -> None:
        for one, stream in zip(trained, streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                one.step()
        for stream in streams:
            torch.cuda.current_stream().wait_stream(stream)

    return run


class _Loss(nn.Module):
    """A model whose forward is its training loss, which is what can be called with other weights."""

    def __init__(self, model: nn.Module, data: Batch):
        super().__init__()
        self.model, self.data = model, data

    def forward(self) -> Tensor:
        return training_loss(self.model, self.data, cross_entropy)


class Stacked:
    """Models of several seeds as one batched computation; each keeps its own dropout, norm and moments.

    Raises:
        RuntimeError: at the first step, if the method does something without a batched form.
    """

    def __init__(self, models: list[nn.Module], data: Batch):
        losses = [_Loss(model.train(), data) for model in models]
        self.weights, self.buffers = torch.func.stack_module_state(losses)
        with _without_data(losses[0]) as bare:
            self.base = copy.deepcopy(bare).to("meta")
        self.base.data = data
        self.optimiser = torch.optim.AdamW(self.weights.values())

    def losses(self) -> Tensor:
        """(S,) for S models."""

        def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return torch.func.functional_call(self.base, (weights, buffers), ())

        return torch.func.vmap(loss, randomness="different")(self.weights, self.buffers)

    def step(self) -> None:
        """One step of every model."""
        self.optimiser.zero_grad(set_to_none=True)
        self.losses().sum().backward()
        gradients = [w.grad for w in self.weights.values()]
        norms = sum(g.flatten(1).square().sum(1) for g in gradients).sqrt()  # (S,)
        scale = (CLIP_NORM / (norms + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))
        self.optimiser.step()


@contextmanager
def _without_data(loss: _Loss) -> Iterator[_Loss]:
    """The module without its batch, so that a copy of it copies no data."""
    data, loss.data = loss.data, None
    try:
        yield loss
    finally:
        loss.data = data
