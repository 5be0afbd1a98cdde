"""What a forward pass costs, on this machine.

Findings, under ``clean``:

``parameters``                of the module behind the model
``flops``                     of one example at batch 1: the example of median length
``latency_p50, latency_p95``  seconds of that example at batch 1
``throughput``                examples a second at the protocol's batch size
``peak_memory``               bytes alive at once in a pass of such a batch, beside weights and inputs
``energy``                    joules of one example in such batches, where the device has a counter
``spiking_energy``            a reason: an estimate for spiking layers, and no model that a suite meets has any

Times are wall-clock, of ``suite.cost.repeats`` passes after WARM_UP others, in inference mode, from inputs in host
memory to scores in host memory, on one CPU thread; other work on the machine lengthens them. Batches are padded as
in an evaluation.

FLOPs are counted as PyTorch dispatches them, two for a multiply-add: products of matrices and vectors, convolutions,
attention by its two products, recurrent layers by the products with their weights. Not counted: biases, activations,
norms, softmax, pooling, and everything else elementwise.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, shape_wrapper

from protocols.corruptions import parse_condition
from protocols.measuring import Finding, Subject
from protocols.metrics import Undefined, cost
from protocols.presentation import Presenter, Streams, batches
from protocols.suite import Suite

WARM_UP = 3
ENERGY_SECONDS = 1.0  # at least, under the counter: some are renewed ten times a second
POWERCAP = Path("/sys/class/powercap")  # Intel and AMD processors under Linux
Pass = Callable[[], torch.device]  # tells where the model computes


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """The findings named above."""
    streams = presenter.streams(subject.modalities, parse_condition("clean"))
    lengths = [sum(len(s[i]) for s in streams.values()) for i in range(len(presenter.part))]
    median = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
    size = min(presenter.part.spec.budget.batch_size, len(lengths))
    one = _pass(subject, streams, [median])
    many = _pass(subject, streams, [i * len(lengths) // size for i in range(size)])  # evenly over the part
    repeats = suite.cost.repeats
    yield _parameters(subject)
    with torch.inference_mode(), one_thread():
        found = [
            Finding("clean", "flops", float(flops(one)), 1),
            *_latency(timed(one, repeats)),
            Finding("clean", "throughput", cost.throughput(timed(many, repeats), size), repeats * size),
            _energy(many, size),
        ]
    yield from found
    yield Finding("clean", "peak_memory", float(peak_memory(many)), size)
    yield Finding("clean", "spiking_energy", None, 1, "the model has no spiking layers")


def _pass(subject: Subject, streams: Streams, rows: list[int]) -> Pass:
    """A forward pass over some examples as one batch; it ends when the scores are in host memory."""
    ((inputs, masks),) = batches({m: [s[i] for i in rows] for m, s in streams.items()}, len(rows))

    def run() -> torch.device:
        scores = subject.predict(inputs, masks)
        scores.cpu()
        return scores.device

    return run


def _parameters(subject: Subject) -> Finding:
    if subject.model is None:
        return Finding("clean", "parameters", None, 1, "the model is a bare callable")
    return Finding("clean", "parameters", float(cost.parameters(p.shape for p in subject.model.parameters())), 1)


def _latency(seconds: np.ndarray) -> Iterator[Finding]:
    for percent in (50, 95):
        yield Finding("clean", f"latency_p{percent}", cost.latency(seconds, percent), len(seconds))


def _energy(run: Pass, size: int) -> Finding:
    """Of passes that go on for ENERGY_SECONDS."""
    try:
        meters = counters(run())
        before, started, passes = [meter.read() for meter in meters], time.perf_counter(), 0
        while time.perf_counter() - started < ENERGY_SECONDS:
            run()
            passes += 1
        joules = sum(meter.since(b) for meter, b in zip(meters, before, strict=True))
        return Finding("clean", "energy", cost.energy(joules, passes * size), passes * size)
    except Undefined as reason:
        return Finding("clean", "energy", None, size, str(reason))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one CPU thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def timed(run: Pass, repeats: int) -> np.ndarray:
    """(repeats,) seconds of single passes."""
    seconds = []
    for _ in range(WARM_UP + repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return np.array(seconds[WARM_UP:])


def _mv(matrix, *rest, **_) -> int:
    return 2 * prod(matrix)


def _recurrent_layer(x, inputs, states, *rest, **_) -> int:
    """One direction of one layer, as CPUs run an LSTM: (T, B, D) and both matrices of weights."""
    return 2 * prod(x[:-1]) * (prod(inputs) + prod(states))


def _recurrent_layer_backward(*shapes, **_) -> int:
    return 2 * _recurrent_layer(*shapes)


def _recurrent_layers(x, weights, *rest, **_) -> int:
    """All layers and directions, as GPUs run them: (T, B, D), or (rows, D) of packed sequences."""
    return 2 * prod(x[:-1]) * sum(prod(w) for w in weights if len(w) == 2)


aten = torch.ops.aten
COUNTED_TOO = {  # beside what PyTorch has a formula for; shapes of the arguments -> operations
    aten.mv: _mv,
    aten.dot: _mv,
    aten.mkldnn_rnn_layer: _recurrent_layer,
    aten.mkldnn_rnn_layer_backward: _recurrent_layer_backward,
    aten._cudnn_rnn: _recurrent_layers,
}


class _Watching(TorchDispatchMode):
    """Sees every operation of a pass."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is compiled; PyTorch would import its compiler first, which takes seconds


class _Products(_Watching):
    """Adds up the formulas of what is dispatched, as FlopCounterMode does, which needs the compiler."""

    def __init__(self):
        super().__init__()
        self.total = 0
        self._formulas = flop_registry | {f: shape_wrapper(count) for f, count in COUNTED_TOO.items()}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if count := self._formulas.get(function.overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def flops(run: Pass) -> int:
    """Floating-point operations of products in a forward pass; see above for what that leaves out."""
    with _as_parts(), sdpa_kernel(SDPBackend.MATH), _Products() as products:
        run()
    return products.total


@contextmanager
def _as_parts() -> Iterator[None]:
    """Composite operations are dispatched as what they consist of: in inference mode they would not be."""
    with torch.inference_mode(False), torch.no_grad():
        yield


class _Alive(_Watching):
    """Bytes of the storages that are made under it and not yet freed: now, and at most."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._met: dict[int, finalize] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for x in _tensors((args, kwargs)):
            self._meet(x, made=False)
        out = function(*args, **(kwargs or {}))
        for x in _tensors(out):
            self._meet(x, made=True)
        return out

    def _meet(self, x: Tensor, *, made: bool) -> None:
        storage = x.untyped_storage()
        if id(storage) not in self._met:
            size = storage.nbytes() if made else 0
            self._met[id(storage)] = finalize(storage, self._freed, id(storage), size)
            self.now += size
            self.peak = max(self.peak, self.now)

    def _freed(self, name: int, size: int) -> None:
        del self._met[name]
        self.now -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def peak_memory(run: Pass) -> int:
    """The most bytes that tensors made by ``run`` take up at once; the same on every machine.

    What a kernel takes for itself and gives back before it returns is not seen.
    """
    with _as_parts(), _Alive() as alive:
        run()
    return alive.peak


@dataclass(frozen=True)
class Counter:
    """An energy counter.

    Args:
        read: joules since some moment.
        wraps_at: joules at which it starts again from zero.
    """

    read: Callable[[], float]
    wraps_at: float = inf

    def since(self, before: float) -> float:
        """Joules since it read ``before``."""
        after = self.read()
        return after - before if after >= before else after - before + self.wraps_at


def counters(device: torch.device) -> list[Counter]:
    """The energy counters of a device: of a GPU's board, or of all processor packages.

    Raises:
        Undefined: where there is none that this process may read.
    """
    return [_board(device)] if device.type == "cuda" else _packages()


def _packages() -> list[Counter]:
    """Of RAPL under Linux: one a processor package; microjoules."""
    try:
        found = [p for p in POWERCAP.glob("intel-rapl:*") if (p / "name").read_text().startswith("package")]
        meters = [_package(place / "energy_uj", place / "max_energy_range_uj") for place in found]
    except OSError as error:
        raise Undefined(f"no energy sensor: {error.filename} cannot be read ({error.strerror})") from None
    if not meters:
        raise Undefined("no energy sensor: this machine shows no counter of its processor (RAPL)")
    return meters


def _package(energy: Path, largest: Path) -> Counter:
    def read() -> float:
        return int(energy.read_text()) / 1e6

    read()  # which the kernel may allow to root alone
    return Counter(read, int(largest.read_text()) / 1e6)


def _board(device: torch.device) -> Counter:
    """Of NVML, which comes with the driver; millijoules."""
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
    board, reading = ctypes.c_void_p(), ctypes.c_ulonglong()
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        failed = nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(board))
        failed = failed or nvml.nvmlDeviceGetTotalEnergyConsumption(board, ctypes.byref(reading))
    except (OSError, AttributeError) as error:
        raise Undefined(f"no energy sensor: NVML cannot be used ({error})") from None
    if failed:
        raise Undefined(f"no energy sensor: NVML has no energy counter for this GPU (error {failed})")

    def read() -> float:
        nvml.nvmlDeviceGetTotalEnergyConsumption(board, ctypes.byref(reading))
        return reading.value / 1e3

    return Counter(read)
