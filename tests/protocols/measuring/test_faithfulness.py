"""Models whose prediction rests on a planted cell; attention that names it, that names another, and none."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from protocols.batches import Part, Standardiser
from protocols.examples import Examples, Stream
from protocols.measuring import Subject, faithfulness
from protocols.measuring.saliency import Observer
from protocols.presentation import Presenter
from protocols.spec import load
from protocols.suite import suites

N, CELL = 8, 2
FRACTIONS, STEPS = (0.1, 0.5), 5
WEIGHTS = {"audio": torch.tensor([1.0, -2.0]), "video": torch.tensor([0.5, 3.0])}


def part(per_step=False, conditions=("clean",), lengths=None):
    rng = np.random.default_rng(0)
    lengths = lengths or {"audio": (4, 6) if not per_step else (4,), "video": (3,) if not per_step else (4,)}
    streams = {}
    for m, own in lengths.items():
        counts = np.resize(own, N)
        values = rng.standard_normal((counts.sum(), 2)).astype(np.float32)
        streams[m] = Stream(values, counts.cumsum() - counts, counts.cumsum(), 2)
    labels = [rng.integers(2, size=4) for _ in range(N)] if per_step else rng.integers(2, size=N)
    examples = Examples(tuple(f"e{i}" for i in range(N)), labels, ("no", "yes"), streams, "0")
    spec = load("synthetic@1").model_copy(update={"conditions": conditions, "inputs": dict.fromkeys(lengths, "x")})
    as_it_is = Standardiser(np.zeros(2, np.float32), np.ones(2, np.float32))
    return Part(spec, examples, np.arange(N), {m: as_it_is for m in streams})


def suite(**changes):
    wanted = {"items": N, "conditions": ("clean",), "drifts": (), "fractions": FRACTIONS, "steps": STEPS, "exhibits": 3}
    found = suites()["synthetic@1"]
    return found.model_copy(update={"attention": found.attention.model_copy(update=wanted | changes)})


class Planted:
    """A model that looks at one audio cell, or evenly, and whose scores are a function of its input."""

    def __init__(self, scores, looks_at):
        self.scores, self.looks_at, self.open, self.sizes = scores, looks_at, None, []

    @contextmanager
    def recorder(self):
        self.open = []
        try:
            yield self.open
        finally:
            self.open = None

    def __call__(self, inputs, masks):
        self.sizes.append(len(next(iter(inputs.values()))))
        if self.open is not None and self.looks_at is not None:
            real = torch.cat([masks["audio"], masks["video"]], 1).float()
            row = real / real.sum(1, keepdim=True)
            if self.looks_at != "all":
                row = 0.1 * row
                row[:, self.looks_at] += 0.9
            self.open.append(("global<-audio+video/0", row[:, None, None]))
        return self.scores(inputs, masks)

    def subject(self, untrained=None, size=16):
        other = untrained or self
        return Subject(self, self.recorder, lambda: other.subject(), ("audio", "video"), size)


def of_one_cell(inputs, masks):
    x = 3 * inputs["audio"][:, CELL, 0] + 0 * inputs["video"].sum((1, 2))
    return torch.stack([-x, x], 1)


def linear(inputs, masks):
    x = sum((inputs[m] * w * masks[m][..., None]).sum((1, 2)) for m, w in WEIGHTS.items())
    return torch.stack([-x, x], 1)


def sure(presenter):
    """Probability that ``of_one_cell`` gives to its own class."""
    x = [abs(3 * s[CELL, 0]) for s in presenter.streams(("audio",), faithfulness.parse_condition("clean"))["audio"]]
    return 1 / (1 + np.exp(-2 * np.array(x, float)))


def measured(model, wanted=None, presenter=None, **given):
    found = list(faithfulness.measure(model.subject(**given), presenter or Presenter(part()), wanted or suite()))
    assert all((f.value is None) == bool(f.reason) for f in found)
    assert len({(f.condition, f.metric) for f in found}) == len(found)
    return {f.metric: f for f in found if f.condition == found[0].condition}


def test_attention_to_the_cell_that_decides():
    p = sure(Presenter(part()))
    found = measured(Planted(of_one_cell, CELL))
    for kind in ("attention", "gradient"):
        assert found[f"comprehensiveness/{kind}"].value == pytest.approx((p - 0.5).mean(), abs=1e-6)
        assert found[f"sufficiency/{kind}"].value == pytest.approx(0, abs=1e-6)
        # the curve falls, or rises, within the first of the steps
        assert found[f"deletion_auc/{kind}"].value == pytest.approx((0.5 + (p - 0.5) / 2 / STEPS).mean(), abs=1e-6)
        assert found[f"insertion_auc/{kind}"].value == pytest.approx((p - (p - 0.5) / 2 / STEPS).mean(), abs=1e-6)
        assert found[f"comprehensiveness/{kind}"].n == N
    assert found["comprehensiveness/random"].value < found["comprehensiveness/attention"].value
    assert found["insertion_auc/random"].value < found["insertion_auc/attention"].value


def test_attention_to_another_cell_is_found_out():
    """A convincing map that names a cell the prediction does not rest on."""
    p = sure(Presenter(part()))
    found = measured(Planted(of_one_cell, 0), suite(fractions=(0.1,)))
    assert found["comprehensiveness/attention"].value == pytest.approx(0, abs=1e-6)
    assert found["sufficiency/attention"].value == pytest.approx((p - 0.5).mean(), abs=1e-6)
    assert found["comprehensiveness/gradient"].value == pytest.approx((p - 0.5).mean(), abs=1e-6)


def test_the_gradient_of_a_linear_model_is_weight_times_input():
    presenter = Presenter(part())
    streams = presenter.streams(("audio", "video"), faithfulness.parse_condition("clean"))
    seen = Observer(Planted(linear, "all").subject()).see(streams)
    for m, w in WEIGHTS.items():
        for i, x in enumerate(streams[m]):
            wanted = np.abs(x * w.numpy()).sum(1)
            np.testing.assert_array_equal(seen.gradient[m][i, : len(x)].astype(np.float32), wanted)
            assert (seen.gradient[m][i, len(x) :] == 0).all()


def test_a_constant_saliency_names_nothing():
    found = measured(Planted(of_one_cell, "all"))
    for name in ("comprehensiveness", "sufficiency", "deletion_auc", "insertion_auc"):
        assert "equal in all cells" in found[f"{name}/attention"].reason
    assert "no ranks" in found["gradient_tau"].reason
    assert "no ranks" in found["random_tau/attention"].reason


def test_without_attention_the_gradient_remains():
    found = measured(Planted(linear, None))
    for name in ("comprehensiveness/attention", "gradient_tau", "random_tau/attention"):
        assert found[name].reason == "the model computes no attention map"
    assert found["comprehensiveness/gradient"].value > found["comprehensiveness/random"].value
    assert found["random_tau/gradient"].value == 1.0


def test_rank_agreement():
    agree = measured(Planted(of_one_cell, CELL), untrained=Planted(of_one_cell, 0))
    assert agree["gradient_tau"].value == pytest.approx(1.0)
    assert agree["random_tau/gradient"].value == 1.0
    assert agree["random_tau/attention"].value < 0
    flat = Planted(lambda i, m: 0 * i["audio"].sum(1), CELL)
    assert "no ranks" in measured(Planted(of_one_cell, CELL), untrained=flat)["random_tau/gradient"].reason


def test_a_step_that_is_predicted():
    """The middle step, 2 of 4, rests on its own video cell; the others' cells change nothing."""
    steps = Planted(lambda i, m: torch.stack([-i["video"][..., 0], i["video"][..., 0]], 2) + 0 * i["audio"], "all")
    presenter = Presenter(part(per_step=True))
    found = measured(steps, presenter=presenter)
    x = [abs(s[2, 0]) for s in presenter.streams(("video",), faithfulness.parse_condition("clean"))["video"]]
    p = 1 / (1 + np.exp(-2 * np.array(x, float)))
    assert found["comprehensiveness/gradient"].value == pytest.approx((p - 0.5).mean(), abs=1e-6)
    assert found["comprehensiveness/gradient"].n == N


def test_the_primary_condition_comes_too():
    presenter = Presenter(part(conditions=("audio/missing", "clean")))
    found = list(faithfulness.measure(Planted(linear, CELL).subject(), presenter, suite()))
    assert {f.condition for f in found} == {"clean", "audio/missing"}
    again = list(faithfulness.measure(Planted(linear, CELL).subject(), Presenter(part()), suite()))
    assert {f.metric: f.value for f in found if f.condition == "clean"} == {f.metric: f.value for f in again}


def test_one_cell_alone():
    presenter = Presenter(part(lengths={"audio": (1,)}))
    alone = Subject(lambda i, m: i["audio"].sum(1), Planted(None, None).recorder, None, ("audio",), 4)
    alone = Subject(alone.predict, alone.recorder, lambda: alone, ("audio",), 4)
    found = {f.metric: f for f in faithfulness.measure(alone, presenter, suite())}
    assert "equal in all cells" in found["comprehensiveness/gradient"].reason
    assert "equal in all cells" in found["deletion_auc/random"].reason


def test_whatever_the_size_of_a_batch_and_the_length_of_its_neighbours():
    small, large = (measured(Planted(linear, CELL), size=size) for size in (1, 64))
    for name, finding in small.items():
        assert finding.value == pytest.approx(large[name].value, abs=1e-6), name


def test_every_input_is_scored_once_and_in_batches():
    model = Planted(linear, CELL)
    measured(model, size=16)
    levels = len({*FRACTIONS, *(k / STEPS for k in range(STEPS + 1))})
    inputs = N * (3 * 2 * (levels - 2) + 2)  # whole and empty are shared
    assert sum(model.sizes) <= inputs + 2 * (N + 1)
    assert len(model.sizes) <= -(-inputs // 16) + 2 * 2


def test_a_stale_answer_is_caught(monkeypatch):
    """A cache that answers every reduced input with the whole input's scores."""
    scored = faithfulness._scored

    def stale(subject, streams, inputs, task):
        return scored(subject, streams, [(i, np.ones_like(mask)) for i, mask in inputs], task)

    monkeypatch.setattr(faithfulness, "_scored", stale)
    with pytest.raises(AssertionError):
        test_attention_to_the_cell_that_decides()


def test_exhibits():
    presenter = Presenter(part())
    found = faithfulness.exhibits(
        Planted(linear, CELL).subject(), presenter, suite(conditions=("clean", "audio/missing"))
    )
    assert json.loads(json.dumps(found)) == found
    assert [e["condition"] for e in found] == ["clean"] * 3 + ["audio/missing"] * 3
    assert [e["id"] for e in found[:3]] == [e["id"] for e in found[3:]]
    for one in found:
        steps = {"audio": 4 if int(one["id"][1:]) % 2 == 0 else 6, "video": 3}
        for m, kinds in one["modalities"].items():
            assert len(kinds["attention"]) == steps[m] and sum(kinds["attention"]) == pytest.approx(1, abs=1e-4)
            if not (m == "audio" and one["condition"] == "audio/missing"):
                assert len(kinds["gradient"]) == steps[m] and sum(kinds["gradient"]) == pytest.approx(1, abs=1e-4)
            else:
                assert kinds["gradient"] is None  # zeros have no gradient x input
        assert sum(one["share"].values()) == pytest.approx(1, abs=1e-4)
        assert {one["label"], one["predicted"]} <= {"no", "yes"} and 0.5 <= one["probability"] <= 1


def test_exhibits_are_predicted_right_where_they_can_be():
    presenter = Presenter(part())
    labels = torch.from_numpy(presenter.part.labels)

    class Knows(Planted):
        """Right on odd places of the part."""

        def __call__(self, inputs, masks):
            first = [s[0, 0] for s in presenter.streams(("audio",), faithfulness.parse_condition("clean"))["audio"]]
            place = [first.index(x) for x in inputs["audio"][:, 0, 0].tolist()]
            right = torch.tensor([labels[i] if i % 2 else 1 - labels[i] for i in place])
            return torch.eye(2)[right] + 0 * inputs["audio"].sum(1)

    found = faithfulness.exhibits(Knows(None, None).subject(), presenter, suite(exhibits=4))
    assert [one["id"] for one in found] == ["e0", "e3", "e5", "e7"]
    assert [one["label"] == one["predicted"] for one in found] == [False, True, True, True]
    assert all(one["share"] is None for one in found)
    assert all(kinds["attention"] is None for one in found for kinds in one["modalities"].values())


def test_exhibits_of_steps():
    presenter = Presenter(part(per_step=True))
    steps = Planted(lambda i, m: i["video"] + 0 * i["audio"], "all")
    (one,) = faithfulness.exhibits(steps.subject(), presenter, suite(exhibits=1))
    assert one["step"] == 2
    assert one["modalities"]["video"]["gradient"] == [0, 0, 1, 0]
    assert faithfulness.exhibits(steps.subject(), presenter, suite(exhibits=0)) == []
