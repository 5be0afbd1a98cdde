"""Cost: counts against counts by hand, a clock and energy counters that the test turns itself."""

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from protocols.measuring import Subject, cost
from protocols.metrics import METRICS, Undefined

B, T, D = 3, 7, 6
RECURRENT = (nn.RNN, nn.GRU, nn.LSTM)


def weights(module: nn.Module) -> int:
    """Numbers in its matrices."""
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


@pytest.mark.parametrize("inference", [True, False])
def test_flops_of_a_linear_layer(inference):
    linear, x = nn.Linear(D, 10), torch.randn(B, T, D)
    with torch.inference_mode(inference):
        assert cost.flops(lambda: linear(x)) == 2 * B * T * D * 10


@pytest.mark.parametrize("heads", [1, 2])
def test_flops_of_an_attention_layer(heads):
    layer, x = nn.MultiheadAttention(D, heads, batch_first=True).train(), torch.randn(B, T, D)
    projections = 4 * (2 * B * T * D * D)
    products = 2 * (2 * B * T * T * D)  # with keys, with values; all heads together are D wide
    assert cost.flops(lambda: layer(x, x, x, need_weights=False)) == projections + products
    q = torch.randn(B, heads, T, D)
    attention = nn.functional.scaled_dot_product_attention
    assert cost.flops(lambda: attention(q, q, q)) == 2 * (2 * B * heads * T * T * D)


def test_flops_of_a_convolution_and_of_a_matrix_with_a_vector():
    convolution, x = nn.Conv1d(D, 10, 3, stride=2), torch.randn(B, D, T)
    assert cost.flops(lambda: convolution(x)) == 2 * B * 3 * (D * 3) * 10  # three places for the kernel
    assert cost.flops(lambda: torch.randn(T, D) @ torch.randn(D)) == 2 * T * D
    assert cost.flops(lambda: torch.randn(D) @ torch.randn(D)) == 2 * D
    assert cost.flops(lambda: torch.randn(T).relu().softmax(0)) == 0


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("inference", [True, False])
def test_flops_of_recurrent_layers(kind, inference):
    """Each step meets each matrix once: in two layers, two directions, and packed."""
    deep, single = kind(D, 4, num_layers=2, bidirectional=True, batch_first=True), kind(D, 4)
    x = torch.randn(B, T, D)
    packed = pack_padded_sequence(x, torch.tensor([7, 5, 2]), batch_first=True)
    with torch.inference_mode(inference):
        assert cost.flops(lambda: deep(x)) == 2 * B * T * weights(deep)
        assert cost.flops(lambda: single(packed)) == 2 * (7 + 5 + 2) * weights(single)


def test_flops_of_recurrent_layers_on_a_gpu():
    """One operation for all of them there: input, and a list of weights with and without biases."""
    deep = nn.LSTM(D, 4, num_layers=2, bidirectional=True)
    count = cost.COUNTED_TOO[torch.ops.aten._cudnn_rnn]
    assert count((T, B, D), [p.shape for p in deep.parameters()], 4, out_shape=()) == 2 * B * T * weights(deep)
    assert count((14, D), [p.shape for p in deep.parameters()], 4, out_shape=()) == 2 * 14 * weights(deep)


def test_kernels_that_hide_their_products_are_caught(monkeypatch):
    lstm, x, q = nn.LSTM(D, 4, batch_first=True), torch.randn(B, T, D), torch.randn(B, 1, T, D)
    monkeypatch.setattr(cost, "COUNTED_TOO", {})
    assert cost.flops(lambda: lstm(x)) < 2 * B * T * weights(lstm)
    monkeypatch.setattr(cost, "sdpa_kernel", lambda backend: nullcontext())
    assert cost.flops(lambda: nn.functional.scaled_dot_product_attention(q, q, q)) < 2 * (2 * B * T * T * D)


def two_layers(x=torch.ones(4, 100)):  # noqa: B008
    first, second = nn.Linear(100, 200), nn.Linear(200, 50)
    return lambda: second(first(x).relu())


PEAK = 4 * 4 * (200 + 200)  # before and after the ReLU; the last layer's 200 and 50 are fewer


def test_peak_memory_is_of_what_is_alive_at_once():
    assert cost.peak_memory(two_layers()) == PEAK
    with torch.inference_mode():
        assert cost.peak_memory(two_layers()) == PEAK
    x = torch.ones(4, 100)
    assert cost.peak_memory(lambda: x.t().reshape(-1)[None]) == 4 * 400  # a copy; views are free
    assert cost.peak_memory(lambda: x.add_(1)) == 0
    kept = [x]

    def grows():
        for _ in range(3):
            kept.append(kept[-1] + 1)

    assert cost.peak_memory(grows) == 3 * 4 * 400


def test_memory_that_is_never_given_back_is_caught(monkeypatch):
    monkeypatch.setattr(cost._Alive, "_freed", lambda self, name, size: self._met.pop(name))
    assert cost.peak_memory(two_layers()) > PEAK


class Model(nn.Module):
    """One Linear over the steps of all modalities, then their mean."""

    def __init__(self, modalities):
        super().__init__()
        self.layers = nn.ModuleDict({m: nn.Linear(D, 2) for m in modalities})
        self.passes = 0

    def forward(self, inputs, masks):
        self.passes += 1
        return sum((layer(inputs[m]) * masks[m].unsqueeze(-1)).sum(1) for m, layer in self.layers.items())


MODALITIES = ("audio", "video", "text")


@pytest.fixture
def presenter(presenter_of):
    """Five examples whose median has 9 audio, 8 video and 7 text steps."""
    lengths = {m: [9 - k, 30, 9 - k, 1, 10] for k, m in enumerate(MODALITIES)}
    return presenter_of({m: [np.ones((n, D)) for n in steps] for m, steps in lengths.items()})


def measured(presenter, model, modalities=MODALITIES, repeats=4) -> dict:
    subject = Subject(model, None, None, modalities, size=2, model=model if isinstance(model, nn.Module) else None)
    findings = list(cost.measure(subject, presenter, SimpleNamespace(cost=SimpleNamespace(repeats=repeats))))
    assert {f.condition for f in findings} == {"clean"}
    assert len({f.metric for f in findings} & set(METRICS)) == len(findings)
    return {f.metric: f for f in findings}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_found_of_a_model(presenter, count, monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "POWERCAP", tmp_path)
    modalities = MODALITIES[:count]
    model = Model(modalities)
    told = measured(presenter, model, modalities)
    assert set(told) == {
        *("parameters", "flops", "latency_p50", "latency_p95", "throughput", "peak_memory"),
        *("energy", "spiking_energy"),
    }
    assert told["parameters"].value == sum(p.numel() for p in model.parameters()) == count * (2 * D + 2)
    assert told["flops"].value == 2 * D * 2 * sum((9, 8, 7)[:count])
    assert 0 < told["latency_p50"].value <= told["latency_p95"].value < 1
    assert told["throughput"].value > 0 and told["throughput"].n == 4 * 5
    assert told["energy"].value is None and told["energy"].reason.startswith("no energy sensor")
    assert told["spiking_energy"].value is None and told["spiking_energy"].reason == "the model has no spiking layers"


def test_memory_is_of_a_whole_batch(presenter):
    told = measured(presenter, Model(("audio",)), ("audio",))["peak_memory"]
    longest, examples = 30, 5
    assert told.n == examples  # fewer than the protocol's batch size
    assert told.value == 2 * (4 * examples * longest * 2)  # scores of every padded step, with and without the mask


def test_a_batch_is_the_protocols(presenter_of):
    rows = {"audio": [np.ones((4, D))] * 100}
    told = measured(presenter_of(rows), Model(("audio",)), ("audio",), repeats=3)
    assert told["peak_memory"].n == 48 and told["throughput"].n == 3 * 48


def test_a_bare_callable_has_no_parameters(presenter):
    told = measured(presenter, lambda inputs, masks: inputs["audio"][:, 0])
    assert told["parameters"].value is None and told["parameters"].reason == "the model is a bare callable"
    assert told["flops"].value == 0


class Clock:
    """Stands still until told to go on."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    stood = Clock()
    monkeypatch.setattr(cost, "time", stood)
    return stood


def latencies(presenter, clock, slow: int) -> list[float]:
    """p50 and p95 of a model whose first ``slow`` passes take a second, the others 10 ms."""

    class Slow(Model):
        def forward(self, inputs, masks):
            scores = super().forward(inputs, masks)
            clock.now += 1.0 if self.passes <= slow else 0.01
            return scores

    told = measured(presenter, Slow(("audio",)), ("audio",))
    return [told["latency_p50"].value, told["latency_p95"].value]


def test_the_first_passes_are_not_timed(presenter, clock, monkeypatch):
    counting = 1  # of FLOPs
    assert latencies(presenter, clock, counting + cost.WARM_UP) == pytest.approx([0.01, 0.01])
    assert latencies(presenter, clock, counting + cost.WARM_UP + 1) == pytest.approx([0.01, 0.01 + 0.85 * 0.99])
    monkeypatch.setattr(cost, "WARM_UP", 0)
    assert latencies(presenter, clock, counting + 3)[1] == 1.0  # the check sees what a warm-up is for


def test_throughput_counts_examples(presenter, clock):
    def model(inputs, masks):
        clock.now += 0.02 * len(masks["audio"])
        return inputs["audio"][:, 0]

    assert measured(presenter, model)["throughput"].value == pytest.approx(50)


def test_one_thread_and_as_many_as_before(presenter):
    seen = []

    def model(inputs, masks):
        seen.append(torch.get_num_threads())
        return inputs["audio"][:, 0]

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measured(presenter, model)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen[:-1]) == {1}  # memory, counted last, is the same with any


def package(root, name, joules, wraps_at=1000.0):
    place = root / name
    place.mkdir()
    (place / "name").write_text("package-0\n")
    (place / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (place / "max_energy_range_uj").write_text(f"{int(wraps_at * 1e6)}\n")
    return place / "energy_uj"


def turned(counter, clock, joules=2.0):
    """A model that takes 10 ms and some energy a pass."""

    def model(inputs, masks):
        clock.now += 0.01
        after = (int(counter.read_text()) / 1e6 + joules) % 1000
        counter.write_text(str(int(after * 1e6)))
        return inputs["audio"][:, 0]

    return model


@pytest.mark.parametrize("start", [0.0, 900.0], ids=["from zero", "past its end"])
def test_energy_of_a_processor(presenter, clock, monkeypatch, tmp_path, start):
    monkeypatch.setattr(cost, "POWERCAP", tmp_path)
    counter = package(tmp_path, "intel-rapl:0", start)
    core = tmp_path / "intel-rapl:0:0"
    core.mkdir()
    (core / "name").write_text("core\n")  # a part of the package: not added to it
    told = measured(presenter, turned(counter, clock))["energy"]
    assert told.value == pytest.approx(2.0 / 5)
    assert told.n == pytest.approx(100 * 5, abs=5)  # a second of passes


def test_energy_that_cannot_be_read_has_a_reason(presenter, clock, monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "POWERCAP", tmp_path)
    counter = package(tmp_path, "intel-rapl:0", 5)
    still = measured(presenter, turned(counter, clock, joules=0.0))["energy"]
    assert still.value is None and still.reason == "the energy counter did not move while the model ran"
    counter.unlink()
    with pytest.raises(Undefined, match=r"energy_uj cannot be read \(No such file or directory\)"):
        cost.counters(torch.device("cpu"))


class Driver:
    """NVML as far as it is used; 250 mJ between two readings."""

    def __init__(self, failing: int = 0):
        self.failing, self.millijoules = failing, 1000

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid, board):
        assert uuid == b"GPU-12ab"
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, board, reading):
        self.millijoules += 250
        reading._obj.value = self.millijoules
        return self.failing


def test_energy_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12ab"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    (counter,) = cost.counters(torch.device("cuda"))
    assert counter.since(counter.read()) == pytest.approx(0.25)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(failing=3))
    with pytest.raises(Undefined, match="no energy counter for this GPU .error 3."):
        cost.counters(torch.device("cuda"))

    def missing(name):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(Undefined, match="NVML cannot be used .no such library."):
        cost.counters(torch.device("cuda"))
