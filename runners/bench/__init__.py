"""What a training step and an evaluation of one method cost, beside what the machine could do in the same minute.

On a CPU all figures are for one thread, in CPU time of the process, so that other work on the machine counts
little. What is compared is measured in turns, in one process.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import zoo
from protocols.batches import Batch
from protocols.measuring.cost import COUNTED_TOO
from runners.criteria import cross_entropy
from runners.train import training_loss
from zoo.spec import MethodSpec

CLIP_NORM = 1.0
GEMM = 1024  # side of the matrices whose product shows the peak
Progress = Callable[[Iterable, str], Iterable]


@dataclass(frozen=True)
class Case:
    """A method at one size.

    Args:
        spec: method and settings.
        features: D_m of each modality, or the shape of one step.
        steps: T_m of each modality.
        batch: B. outputs: K.
    """

    spec: MethodSpec
    features: dict[str, int | tuple[int, ...]]
    steps: dict[str, int]
    batch: int
    outputs: int
    per_step: bool = False

    def model(self, seed: int = 0) -> nn.Module:
        """The method with first weights of a seed.

        Raises:
            ValueError: if it cannot be built for these features.
        """
        torch.manual_seed(seed)
        return zoo.build(
            self.spec.method,
            features=self.features,
            outputs=self.outputs,
            per_step=self.per_step,
            **self.spec.settings,
        )

    def data(self) -> Batch:
        """B random clips without padding."""
        generator = torch.Generator().manual_seed(0)
        shapes = {m: (d,) if isinstance(d, int) else tuple(d) for m, d in self.features.items()}
        inputs = {m: torch.randn(self.batch, self.steps[m], *s, generator=generator) for m, s in shapes.items()}
        masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
        shape = (self.batch, max(self.steps.values())) if self.per_step else (self.batch,)
        labels = torch.randint(self.outputs, shape, generator=generator)
        return Batch(inputs, masks, labels, index=range(self.batch))

    def as_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self) | {"spec": self.spec.model_dump(mode="json")})

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """What ``as_json`` wrote."""
        told = json.loads(text)
        features = {m: tuple(d) if isinstance(d, list) else d for m, d in told["features"].items()}
        return cls(**told | {"spec": MethodSpec.model_validate(told["spec"]), "features": features})


class Trained:
    """A model with its optimiser: what a step and an evaluation do.

    Args:
        optimiser: settings of AdamW beside its defaults.
    """

    def __init__(self, model: nn.Module, data: Batch, **optimiser: Any):
        self.model, self.data = model, data
        self.optimiser = torch.optim.AdamW(model.parameters(), **optimiser)

    def step(self) -> None:
        """Loss, gradient, clipped norm, AdamW; dropout on."""
        self.model.train()
        self.gradient()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimiser.step()

    def gradient(self) -> None:
        """Forward and backward alone: where all matrix products are."""
        self.optimiser.zero_grad(set_to_none=True)
        training_loss(self.model, self.data, cross_entropy).backward()

    def evaluate(self) -> Tensor:
        """Scores; dropout off, no gradients."""
        self.model.eval()
        with torch.inference_mode():
            return self.model(self.data.inputs, self.data.masks)


@dataclass(frozen=True)
class Times:
    """Seconds of the same work, round by round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def over(self, other: "Times") -> float:
        """How many times as long as the other: the median over rounds, in each of which both ran."""
        return statistics.median(a / b for a, b in zip(self.rounds, other.rounds, strict=True))


def plain(case: Case) -> Callable[[nn.Module], nn.Module] | None:
    """What turns a model into its plain counterpart, for the methods that have one."""
    if case.spec.method == "mult" and not case.per_step:
        from runners.bench.plain_mult import PlainMulT

        return PlainMulT
    return None


def measure(case: Case, *, rounds: int, progress: Progress) -> dict[str, Any]:
    """Every figure of a case on one CPU thread.

    Args:
        rounds: how often each thing is timed, in turns. One more round first is not counted.
        progress: (items, description) -> the same items, drawn as they pass.

    Raises:
        ValueError: if the method does not take the case's streams.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(case, rounds, progress)
    finally:
        torch.set_num_threads(threads)


def _measure(case: Case, rounds: int, progress: Progress) -> dict[str, Any]:
    data = case.data()
    ours = Trained(case.model(), data)
    work = {"training step": ours.step, "evaluation": ours.evaluate}
    flops = {name: _flops(f) for name, f in (("training step", ours.gradient), ("evaluation", ours.evaluate))}
    if counterpart := plain(case):
        other = Trained(counterpart(case.model()), data)
        work |= {"plain training step": other.step, "plain evaluation": other.evaluate}
    times, peak = alternate(work, rounds, progress)
    report = {
        "method": case.spec.name,
        "streams": {m: [case.steps[m], d] for m, d in case.features.items()},
        "batch": case.batch,
        "outputs": case.outputs,
        "per_step": case.per_step,
        "parameters": sum(p.numel() for p in ours.model.parameters()),
        "torch": torch.__version__,
        "rounds": rounds,
        "gemm_peak_gflop_per_second": round(peak / 1e9, 1),
    }
    for name in ("training step", "evaluation"):
        report[name] = _figures(times[name], flops[name], peak, case.batch)
    (memory,) = (peak_memory(case, "step") for _ in progress(range(1), "memory of a step in a fresh process"))
    report["peak_memory_mb"] = round(memory / 2**20, 1)
    if counterpart:
        report["plain"] = _compared(case, times, memory)
    return report


def _figures(times: Times, flops: int, peak: float, batch: int) -> dict[str, float]:
    return {
        "cpu_ms": round(1e3 * times.median, 2),
        "fastest_ms": round(1e3 * min(times.rounds), 2),
        "slowest_ms": round(1e3 * max(times.rounds), 2),
        "clips_per_second": round(batch / times.median, 1),
        "gflop": round(flops / 1e9, 3),
        "gflop_per_second": round(flops / times.median / 1e9, 2),
        "times_gemm": round(times.median * peak / flops, 2) if flops else None,
    }


def _compared(case: Case, times: dict[str, Times], memory: int) -> dict[str, float]:
    """The plain counterpart against ours: how many times as long, and the share of its memory that ours needs."""
    told = {
        f"{name} ratio": round(times[f"plain {name}"].over(times[name]), 2) for name in ("training step", "evaluation")
    }
    told |= {
        f"{name} cpu_ms": round(1e3 * times[f"plain {name}"].median, 2) for name in ("training step", "evaluation")
    }
    theirs = peak_memory(case, "plain step")
    return told | {"peak_memory_mb": round(theirs / 2**20, 1), "memory share": round(memory / theirs, 3)}


def alternate(work: dict[str, Callable[[], Any]], rounds: int, progress: Progress) -> tuple[dict[str, Times], float]:
    """CPU seconds of each function, in turns; and the machine's matrix product in the same rounds, in FLOP/s."""
    a = torch.randn(GEMM, GEMM)
    everything = work | {"gemm": lambda: a @ a}
    seconds: dict[str, list[float]] = {name: [] for name in everything}
    for counted in progress(range(-1, rounds), "rounds, the first not counted"):
        for name, function in everything.items():
            started = time.process_time()
            function()
            if counted >= 0:
                seconds[name].append(time.process_time() - started)
    fastest = min(seconds.pop("gemm"))
    return {name: Times(tuple(s)) for name, s in seconds.items()}, 2 * GEMM**3 / fastest


def _flops(function: Callable[[], Any]) -> int:
    """Of products, two for a multiply-add; attention by its two, recurrent layers by those with their weights."""
    with FlopCounterMode(display=False, custom_mapping=COUNTED_TOO) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


def peak_memory(case: Case, what: str) -> int:
    """Bytes by which the largest resident set grows over model and data, in a process of its own.

    Args:
        what: "step", or "plain step" for the plain counterpart's.

    Raises:
        RuntimeError: with what the process said, if it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "runners.bench.memory", what], input=case.as_json(), capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]  # -15: by signal 15
        raise RuntimeError(f"measuring memory failed: {said[-1]}")
    return int(done.stdout.split()[-1])
