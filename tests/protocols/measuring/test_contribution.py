"""Contribution on planted truth: gates and data with known shares, models that ignore a modality, stale memories."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from protocols.batches import Division, Part, Standardiser
from protocols.corruptions import parse_condition
from protocols.datasets import synthetic
from protocols.examples import Examples, Stream
from protocols.measuring import Subject, coalitions, contribution
from protocols.metrics.contribution import coalitions as all_coalitions
from protocols.metrics.contribution import game, shapley
from protocols.presentation import Presenter, score
from protocols.spec import load
from protocols.split import SPLITS, read_split
from protocols.suite import Contribution, suite_of

RULES = ("mean", "raw_zeros", "other_sample")
SHARP = 8.0  # logits of a gate: certain, but for e^-16
TEXT = "audio+text"


def presenter(streams: dict[str, list[np.ndarray]], labels, classes: int = 2) -> Presenter:
    """Exactly these rows, which count as standardised."""
    made, plain = {}, {}
    for m, rows in streams.items():
        stops = np.cumsum([len(x) for x in rows])
        values = np.concatenate(rows).astype(np.float32)
        made[m] = Stream(values, stops - [len(x) for x in rows], stops, values.shape[1])
        plain[m] = Standardiser(np.zeros(values.shape[1], np.float32), np.ones(values.shape[1], np.float32))
    ids = tuple(f"clip{i}" for i in range(len(stops)))
    examples = Examples(ids, labels, tuple(f"c{k}" for k in range(classes)), made, "planted")
    spec = load("synthetic@1").model_copy(update={"inputs": dict.fromkeys(streams, "features")})
    return Presenter(Part(spec, examples, np.arange(len(ids)), plain))


def suite(**changed):
    settings = {"conditions": ("clean",), "rules": ("mean",), "draws": 2, "permutations": 2, "pairs": 99, "clusters": 4}
    found = suite_of(load("synthetic@1"))
    return found.model_copy(update={"contribution": Contribution(**(settings | changed))})


def subject(predict, modalities=("audio", "video"), size: int = 7) -> Subject:
    return Subject(predict=predict, recorder=None, untrained=None, modalities=modalities, size=size)


def values(findings, condition: str = "clean") -> dict[str, float | None]:
    found = {f.metric: f.value for f in findings if f.condition == condition}
    assert len(found) == sum(f.condition == condition for f in findings), "a name is used twice"
    assert all((f.value is None) != (f.reason is None) for f in findings)
    assert all(f.value is None or math.isfinite(f.value) for f in findings)
    return found


def bits(count: int, repeats: int = 5) -> np.ndarray:
    """(2^count * repeats, count) every combination of -1 and 1, equally often."""
    return np.array(list(product((-1.0, 1.0), repeat=count)) * repeats)


def sides(inputs: dict[str, Tensor], modality: str) -> Tensor:
    """(B,) the bit of a modality, in every step of its first feature."""
    return inputs[modality][:, 0, 0]


def gate(name: str):
    """A model that is right, by construction, and the labels of the four combinations."""

    def predict(inputs, masks):
        a, b = sides(inputs, "audio"), sides(inputs, "video")
        for_one = {"xor": -a * b, "and": a + b - 1, "copy": a + b, "unique": a}[name]
        return SHARP * torch.stack([-for_one, for_one], 1)

    table = bits(2)
    if name == "copy":
        table[:, 1] = table[:, 0]
    a, b = table.T > 0
    labels = {"xor": a ^ b, "and": a & b, "copy": a, "unique": a}[name].astype(np.int64)
    shown = presenter({m: [np.full((2, 1), x) for x in table[:, k]] for k, m in enumerate(("audio", "video"))}, labels)
    return subject(predict), shown


# Values of none, audio, video, both under the rule "mean" follow from the logits above at 0; a tie says class 0.
TRUTH = {
    "xor": {
        "shapley/audio": 0.25,
        "shapley/video": 0.25,
        "shapley/audio/class=c0": 0.0,
        "shapley/audio/class=c1": 0.5,
        "shapley_interaction/audio+video": 0.5,
        "shapley_share/audio": 0.5,
        "shape/audio": 0.25,
        "shape_cooperation": 0.5,
        "intershap": 1.0,
        "intershap/local": 1.0,
        "utilisation/video": 0.5,
        "emap_gap": 0.5,
        "pid/redundant": 0.0,
        "pid/unique/audio": 0.0,
        "pid/synergistic": 1.0,
    },
    "and": {
        "shapley/audio": 0.125,
        "shapley_interaction/audio+video": 0.25,
        "shape/audio": 0.125,
        "shape_cooperation": 0.25,
        "utilisation/audio": 0.25,
        "emap_gap": 0.0,
        "pid/redundant": 0.311278,
        "pid/unique/audio": 0.0,
        "pid/synergistic": 0.5,
    },
    "copy": {
        "shapley/audio": 0.25,
        "shapley_interaction/audio+video": -0.5,
        "shapley_share/audio": 0.5,
        "shape/audio": 0.25,
        "shape_cooperation": -0.5,
        "shape_cooperation/raw": -0.5,
        "intershap": 1 / 3,
        "utilisation/audio": 0.0,
        "emap_gap": 0.0,
        "pid/redundant": 1.0,
        "pid/unique/audio": 0.0,
        "pid/synergistic": 0.0,
    },
    "unique": {
        "shapley/audio": 0.5,
        "shapley_share/audio": 1.0,
        "shape/audio": 0.5,
        "shape_cooperation": 0.0,
        "intershap": 0.0,
        "utilisation/audio": 0.5,
        "perceptual/audio/within": 0.0,
        "perceptual/audio/across": 1.0,
        "emap_gap": 0.0,
        "pid/redundant": 0.0,
        "pid/unique/audio": 1.0,
        "pid/synergistic": 0.0,
    },
}
OF_VIDEO = ("shapley", "shapley_share", "utilisation", "perceptual", "absence_gap")


def check(name: str) -> None:
    found = values(list(contribution.measure(*gate(name), suite())))
    for metric, value in TRUTH[name].items():
        assert found[metric] == pytest.approx(value, abs=1e-5), metric


@pytest.mark.parametrize("name", TRUTH)
def test_gates_give_what_was_planted(name):
    check(name)


def zero_filled(self, streams, absent, rule, draw=0):
    return {m: [np.zeros_like(x) for x in s] for m, s in streams.items()}


def nothing_absent(self, streams, absent, rule, draw=0):
    return streams


@pytest.mark.parametrize(
    "place, attribute, broken",
    [
        (Presenter, "without", zero_filled),
        (Presenter, "without", nothing_absent),
        (coalitions, "_digests", lambda shown: [b"stale"] * len(shown)),
        (coalitions, "_digests", lambda shown: [bytes(min(k, 1)) for k in range(len(shown))]),
        (contribution.contribution, "shapley", lambda values, count: np.full((count, *values.shape[count:]), 0.25)),
        (contribution.contribution, "interaction", lambda values, *which: values[(1,) * which[-1]] + 0),
        (contribution.pid, "joint_counts", lambda *symbols: np.ones((2, 2, 2))),
        (contribution.contribution, "additive_projection", lambda table: np.einsum("ii...->i...", table)),
    ],
)
def test_broken_metrics_are_caught(monkeypatch, place, attribute, broken):
    monkeypatch.setattr(place, attribute, broken)
    with pytest.raises(AssertionError):
        check("xor")
        check("unique")


@pytest.mark.parametrize("rule", RULES)
def test_a_modality_that_is_ignored_contributes_nothing(rule):
    """Of a network in single precision, on real-valued data: exactly 0, whatever stands for what is absent."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).eval()

    def predict(inputs, masks):
        mask = masks["audio"].unsqueeze(-1)
        return network((inputs["audio"] * mask).sum(1) / mask.sum(1)) * 3

    streams = {m: [rng.standard_normal((rng.integers(2, 6), 3)) for _ in range(40)] for m in ("audio", "video")}
    shown = presenter(streams, rng.integers(3, size=40), classes=3)
    rules = (rule, *(other for other in RULES if other != rule))
    found = values(list(contribution.measure(subject(predict), shown, suite(rules=rules))))
    tails = {"shapley": [f"/class=c{k}" for k in range(3)], "perceptual": ["/within", "/across"]}
    for base in OF_VIDEO:
        for tail in ["", *tails.get(base, [])]:
            assert found[f"{base}/video{tail}"] == 0, (base, tail)
        assert base in ("perceptual", "absence_gap") or all(found[f"{base}/video/{r}"] == 0 for r in rules[1:])
    for joint in ("shapley_interaction/audio+video", "intershap", "intershap/local", "emap_gap"):
        assert found[joint] == 0, joint
    assert found["shapley_share/audio"] == 1
    # Clusters are not the features: what video seems to say is what it says of a shuffled prediction.
    assert found["pid/unique/video"] < found["pid/unique/video/shuffled"] + 0.1 < found["pid/unique/audio"]


def test_shape_of_an_ignored_modality_is_zero_if_the_model_without_input_says_the_majority():
    """Else S shares out what the model is worse than the most frequent class: the paper's own convention."""
    shown = presenter({m: [np.ones((1, 1))] * 4 for m in ("audio", "video")}, np.array([0, 0, 0, 1]))

    def constant(label):
        return lambda inputs, masks: torch.eye(2)[[label] * len(inputs["audio"])]

    found = values(list(contribution.measure(subject(constant(0)), shown, suite())))
    assert found["shape/audio"] == found["shape/video"] == found["shape_cooperation"] == 0
    assert found["shapley_share/audio"] is None and found["intershap"] is None
    assert found["pid/redundant"] is None and found["perceptual/audio"] == 0
    found = values(list(contribution.measure(subject(constant(1)), shown, suite())))
    assert found["shape/video"] == pytest.approx((0.25 - 0.75) / 2 / 0.25)


def test_shuffled_labels_leave_nothing():
    """The accuracies of coalitions then differ by binomial noise only; shares do not look at labels."""
    rng = np.random.default_rng(0)
    table = bits(2, 100)
    streams = {m: [np.full((1, 1), x) for x in table[:, k]] for k, m in enumerate(("audio", "video"))}
    shown = presenter(streams, rng.permutation(np.arange(400) % 2))
    model, _ = gate("xor")
    found = values(list(contribution.measure(model, shown, suite(permutations=1, pairs=8))))
    four_sigma = 4 * 0.5 / math.sqrt(400)
    for name in ("shapley/audio", "shapley/video", "shapley_interaction/audio+video", "shape_cooperation/raw"):
        assert abs(found[name]) < four_sigma, name
    assert found["intershap"] == pytest.approx(1, abs=1e-5)


def three(inputs, masks):
    """Four classes: a bit of text, and the exclusive or of audio and video."""
    own, joint = sides(inputs, "text"), -sides(inputs, "audio") * sides(inputs, "video")
    first, second = SHARP * torch.stack([-own, own], 1), SHARP * torch.stack([-joint, joint], 1)
    return (first[:, :, None] + second[:, None, :]).flatten(1)


def three_bits() -> Presenter:
    table = bits(3)
    a, v, t = table.T > 0
    streams = {m: [np.full((1, 1), x) for x in table[:, k]] for k, m in enumerate(("audio", "video", "text"))}
    return presenter(streams, (2 * t + (a ^ v)).astype(np.int64), classes=4)


def test_three_modalities():
    model = subject(three, ("audio", "video", "text"))
    found = values(list(contribution.measure(model, three_bits(), suite(pairs=40))))
    # v is the product of 1 or 1/2 for text and 1 or 1/2 for audio with video.
    v = game(
        {s: (1 if "text" in s else 0.5) * (1 if {"audio", "video"} <= {*s} else 0.5) for s in three_sets()},
        ("audio", "video", "text"),
    )
    for m, value in zip(("audio", "video", "text"), shapley(v, 3), strict=True):
        assert found[f"shapley/{m}"] == found[f"shape/{m}"] == pytest.approx(value)
    assert found["shapley_interaction/audio+video"] == pytest.approx((0.25 + 0.5) / 2)
    assert found["shape_cooperation"] == pytest.approx(0.75 - 0.25)
    assert found["shape_cooperation/audio+video"] == pytest.approx(0.375)
    assert found["shape_cooperation/audio+text/raw"] == found[f"shapley_interaction/{TEXT}"]
    assert found["utilisation/text"] == found["utilisation/audio"] == 0.5
    # The additive projection keeps text and loses the exclusive or.
    assert found["emap_gap/audio"] == found["emap_gap/video"] == 0.5
    assert found["emap_gap/text"] == 0
    assert found["pid/synergistic/audio+video"] == pytest.approx(1)
    assert found["pid/redundant/audio+text"] == 0
    assert found["pid/unique/text/audio+text"] == pytest.approx(1)


def three_sets():
    return all_coalitions(("audio", "video", "text"))


def counting(predict, rows: list[int]):
    def counted(inputs, masks):
        rows.append(len(next(iter(inputs.values()))))
        return predict(inputs, masks)

    return counted


def only_coalitions(monkeypatch):
    for name in ("_permuted", "_pairs"):
        monkeypatch.setattr(coalitions.Shower, name, lambda *given: None)


def test_exact_shapley_over_three_modalities_is_eight_passes(monkeypatch):
    only_coalitions(monkeypatch)
    shown, rows, keep = three_bits(), [], {}
    shower = coalitions.Shower(subject(counting(three, rows), ("audio", "video", "text")), shown)
    shower.fill(keep, "clean", suite().contribution)
    assert sum(rows) == 8 * len(shown.part)
    # Four coalitions without audio are the same when only audio is noisy; its absence leaves no noise.
    shower.fill(keep, "audio/feature_noise/0dB", suite().contribution)
    assert sum(rows) == (8 + 4) * len(shown.part)
    # A second rule shows everything but what is complete in another way.
    shower.fill(keep, "clean", suite(rules=("mean", "other_sample"), draws=1).contribution)
    assert sum(rows) == (12 + 7) * len(shown.part) + shower.subject.size


def test_coalitions_together_are_what_they_are_alone():
    """Lengths differ within and between batches; every coalition has the padding that it has by itself."""
    rng = np.random.default_rng(0)
    streams = {m: [rng.standard_normal((rng.integers(1, 9), 2)) for _ in range(23)] for m in ("audio", "video")}
    shown = presenter(streams, rng.integers(2, size=23))

    def predict(inputs, masks):  # padding counts here: a model that minds it would tell
        return torch.stack([inputs["audio"].mean((1, 2)), inputs["video"].mean((1, 2))], 1)

    model, keep = subject(predict), {}
    list(contribution.measure(model, shown, suite(rules=RULES), keep))
    clean = shown.streams(model.modalities, parse_condition("clean"))
    for rule in RULES:
        for draw in range(2 if rule == "other_sample" else 1):
            for chosen in ((), ("audio",), ("video",)):
                alone = shown.without(clean, [m for m in clean if m not in chosen], rule, draw)
                told = keep[f"clean|{rule}|{draw}|{'+'.join(chosen)}"]
                np.testing.assert_allclose(told, model.scores(alone), atol=1e-6)
    np.testing.assert_array_equal(keep["clean"], score(predict, clean, model.size))


def test_conditions_do_not_share_what_differs(monkeypatch):
    """A memory that goes by coalition alone would give the clean scores again under noise."""
    table = bits(2, 20)
    streams = {m: [np.full((1, 1), x) for x in table[:, k]] for k, m in enumerate(("audio", "video"))}
    shown = presenter(streams, (table[:, 0] > 0).astype(np.int64))
    model = gate("unique")[0]
    asked = suite(conditions=("clean", "audio/feature_noise/-10dB"), pairs=8, permutations=1)

    def contributions():
        found = list(contribution.measure(model, shown, asked))
        return [values(found, text)["shapley/audio"] for text in asked.contribution.conditions]

    clean, noisy = contributions()
    assert clean == 0.5 and noisy < 0.35

    def by_coalition(streams_of_all):
        return ["|".join(str(float(np.abs(np.concatenate(s)).max()) > 0) for s in x.values()) for x in streams_of_all]

    monkeypatch.setattr(coalitions, "_digests", by_coalition)
    assert contributions()[1] != noisy


def test_scores_of_another_model_are_refused(monkeypatch):
    model, shown = gate("xor")
    keep = {}
    first = list(contribution.measure(model, shown, suite(), keep))
    assert list(contribution.measure(model, shown, suite(), dict(keep))) == first
    other, _ = gate("and")
    with pytest.raises(ValueError, match="'clean' are of another model"):
        list(contribution.measure(other, shown, suite(), dict(keep)))
    # What stands beside no full scores could be anybody's.
    left = {name: told for name, told in keep.items() if name != "clean"}
    assert list(contribution.measure(other, shown, suite(), left)) == list(contribution.measure(other, shown, suite()))
    monkeypatch.setattr(coalitions, "SAME", math.inf)  # the look at the first batch is what catches it
    assert values(list(contribution.measure(other, shown, suite(), dict(keep))))["shapley/audio"] == 0.25


def test_stored_scores_give_every_finding_again(tmp_path):
    model, shown = gate("and")
    keep, asked = {}, suite(rules=RULES)
    found = list(contribution.measure(model, shown, asked, keep))
    np.savez_compressed(tmp_path / "scores.npz", **keep)
    with np.load(tmp_path / "scores.npz") as stored:
        told = dict(stored)
    labels, classes = shown.part.labels, shown.part.examples.classes
    assert list(contribution.from_scores(told, labels, classes, model.modalities, asked.contribution)) == found
    rows: list[int] = []
    again = subject(counting(model.predict, rows))
    assert list(contribution.measure(again, shown, asked, told)) == found
    assert sum(rows) == model.size  # a look at the first batch
    del told["clean|mean|0|audio"]
    with pytest.raises(KeyError, match=r"clean\|mean\|0\|audio"):
        list(contribution.from_scores(told, labels, classes, model.modalities, asked.contribution))


def test_one_modality_has_reasons():
    table = bits(1)
    shown = presenter({"audio": [np.full((1, 1), x) for x in table[:, 0]]}, (table[:, 0] > 0).astype(np.int64))

    def predict(inputs, masks):
        return torch.stack([-sides(inputs, "audio"), sides(inputs, "audio")], 1)

    found = list(contribution.measure(subject(predict, ("audio",)), shown, suite(rules=RULES)))
    told = values(found)
    assert told["shapley/audio"] == told["shape/audio"] == 0.5
    reasons = {f.metric: f.reason for f in found if f.value is None}
    expected = {"shapley_share/audio", "absence_gap/audio", "utilisation/audio", "shape_cooperation", "intershap"}
    assert set(reasons) == expected | {"emap_gap", "pid/redundant", "pid/synergistic", "pid/unique/audio"}
    assert set(reasons.values()) == {"the model uses audio only"}


def test_what_has_no_meaning_has_a_reason():
    model, shown = gate("unique")
    asked = suite(conditions=("clean", "audio/white_noise/0dB"))
    found = list(contribution.measure(model, shown, asked))
    noisy = [f for f in found if f.condition == "audio/white_noise/0dB"]
    assert {"shapley/audio", "intershap", "pid/redundant"} <= {f.metric for f in noisy}
    assert all(f.value is None and "features" in f.reason for f in noisy)

    def infinite(inputs, masks):
        return torch.full((len(inputs["audio"]), 2), torch.inf)

    found = list(contribution.measure(subject(infinite), shown, suite()))
    assert all(f.value is None and "not finite" in f.reason for f in found)


def test_a_part_of_one_class_says_so():
    shown = presenter({m: [np.full((1, 1), x) for x in (-1.0, 1.0)] for m in ("audio", "video")}, np.zeros(2, int))
    found = {f.metric: f for f in contribution.measure(gate("unique")[0], shown, suite())}
    assert "same class" in found["perceptual/audio/across"].reason
    assert "no item of this class" in found["shapley/video/class=c1"].reason
    assert found["shapley/video/class=c1"].n == 0 and found["shapley/video/class=c0"].n == 2


def steps(lengths: list[int]) -> tuple[Subject, Presenter]:
    """Every step is labelled by the exclusive or of its two bits."""
    rng = np.random.default_rng(0)
    table = bits(2, math.ceil(sum(lengths) / 4))[: sum(lengths)]
    table = table[rng.permutation(len(table))]
    cuts = np.cumsum(lengths)[:-1]
    streams = {m: np.split(table[:, [k]], cuts) for k, m in enumerate(("audio", "video"))}
    labels = np.split((table[:, 0] * table[:, 1] < 0).astype(np.int64), cuts)

    def predict(inputs, masks):
        joint = -inputs["audio"][..., 0] * inputs["video"][..., 0]
        return SHARP * torch.stack([-joint, joint], -1)

    return subject(predict), presenter(streams, labels)


def test_every_step_is_an_item_where_steps_are_labelled():
    found = {f.metric: f for f in contribution.measure(*steps([3, 5, 4, 8]), suite(rules=RULES, permutations=20))}
    assert found["shapley/audio"].value == 0.25 and found["shapley/audio"].n == 20
    assert found["pid/synergistic"].value == pytest.approx(1)
    assert found["perceptual/audio"].value == pytest.approx(0.5, abs=0.1)  # steps trade places, not sequences
    assert "aligned" in found["emap_gap"].reason
    found = {f.metric: f for f in contribution.measure(*steps([4] * 6), suite())}
    assert found["emap_gap"].n == 24 and 0 <= found["emap_gap"].value <= 0.6


def test_aligned_streams_keep_the_length_that_they_replace():
    rng = np.random.default_rng(0)
    rows = {m: [rng.standard_normal((n, 1)) for n in (2, 5, 3, 4)] for m in ("audio", "video")}
    shown = presenter(rows, np.array([0, 1, 0, 1]))
    assert shown.part.examples.aligned

    def predict(inputs, masks):
        assert torch.equal(masks["audio"], masks["video"])
        return torch.stack([inputs["audio"].sum((1, 2)), inputs["video"].sum((1, 2))], 1)

    found = {f.metric: f for f in contribution.measure(subject(predict, size=3), shown, suite(rules=RULES))}
    assert found["perceptual/video"].value is not None
    assert "aligned" in found["emap_gap"].reason


@pytest.fixture(scope="module")
def planted():
    spec = load("synthetic@1")
    examples = synthetic.generate(synthetic.EXAMPLES, seed=synthetic.SEED)
    parts = read_split(SPLITS / f"{spec.split}.csv", examples.ids, folds=None, fold=None)
    return Presenter(Division(spec, examples, parts).open_test(lambda: None))


def oracle(part: Part):
    """The Bayes-optimal reader of ``synthetic@1``: log posterior of the label from whatever is there.

    What is absent by rule ``mean`` or ``raw_zeros`` is the same in every step, and is taken as nothing.
    """
    carried = {"audio": ("redundant", "half"), "video": ("redundant", "other half"), "text": ("redundant", "unique")}
    hidden = np.array(list(product((0, 1), repeat=4)))  # redundant, unique, synergistic, half
    bits_of = {"redundant": hidden[:, 0], "unique": hidden[:, 1], "half": hidden[:, 3]}
    bits_of["other half"] = hidden[:, 2] ^ hidden[:, 3]
    label = hidden[:, 0] * 4 + hidden[:, 1] * 2 + hidden[:, 2]

    def predict(inputs, masks):
        chance = np.zeros((len(inputs["audio"]), 16))
        for m, x in inputs.items():
            standardise = part.standardisers[m]
            raw = (x.numpy() * standardise.scale + standardise.mean) * masks[m].numpy()[..., None]
            there = np.ptp(x.numpy()[:, :2], axis=(1)).max(-1) > 1e-6  # noise differs between steps
            for place, name in enumerate(carried[m]):
                read = raw.sum(1) @ synthetic.directions(m)[:, place] > 0
                agrees = read[:, None] == (bits_of[name] > 0)
                says = np.log(np.where(agrees, 1 - synthetic.FLIP, synthetic.FLIP))
                chance += there[:, None] * says
        of_label = np.stack([np.exp(chance[:, label == k]).sum(1) for k in range(8)], 1)
        return torch.from_numpy(np.log(of_label / of_label.sum(1, keepdims=True)))

    return predict


@pytest.mark.parametrize("rules", [("mean", "raw_zeros"), ("raw_zeros",)])
def test_the_oracle_of_planted_data_recovers_the_planted_shares(planted, rules):
    """Within four standard errors of an accuracy over the items: 0.082 of 600."""
    modalities = ("audio", "video", "text")
    model = subject(oracle(planted.part), modalities, size=48)
    found = values(list(contribution.measure(model, planted, suite(rules=rules, permutations=1, pairs=24))))
    truth = game({s: synthetic.bayes_accuracy(s) for s in all_coalitions(modalities)}, modalities)
    error = 4 * 0.5 / math.sqrt(len(planted.part))
    for m, value in zip(modalities, shapley(truth, 3), strict=True):
        assert found[f"shapley/{m}"] == pytest.approx(value, abs=error)
        assert found[f"shape/{m}"] == pytest.approx(value / truth[1, 1, 1], abs=error / truth[1, 1, 1])
        lost = truth[1, 1, 1] - truth[tuple(int(k != m) for k in modalities)]
        assert found[f"utilisation/{m}"] == pytest.approx(lost / truth[1, 1, 1], abs=error / truth[1, 1, 1])
    cooperation = (
        truth[1, 1, 1] - truth[0, 0, 0] - sum(truth[s] - truth[0, 0, 0] for s in np.ndindex(2, 2, 2) if sum(s) == 1)
    )
    assert found["shape_cooperation/raw"] == pytest.approx(cooperation, abs=2 * error)
    # What is planted: audio and video only give the exclusive or together, text brings a bit of its own.
    assert found["shapley_interaction/audio+video"] > found["shapley_interaction/audio+text"]
    assert found["shapley/text"] > found["shapley/audio"]
    shares = planted_shares()
    for m in modalities:
        assert found[f"shapley_share/{m}"] == pytest.approx(shares[m], abs=0.05)
    assert found["emap_gap/audio"] > found["emap_gap/text"] - 1e-9


def planted_shares() -> dict[str, float]:
    """Label-free shares of the oracle in expectation, by enumerating all that it can read."""
    modalities = ("audio", "video", "text")
    hidden = np.array(list(product((0, 1), repeat=4)))
    r, u, s, h = hidden.T
    carried = np.stack([r, h, r, s ^ h, r, u], 1)  # two bits a modality, (16, 6)
    label = 4 * r + 2 * u + s
    total, weight = np.zeros(3), 0.0
    for seen in product((0, 1), repeat=6):
        wrong = carried != np.array(seen)
        likely = np.where(wrong, synthetic.FLIP, 1 - synthetic.FLIP)  # (16, 6)
        table = {}
        for chosen in all_coalitions(modalities):
            columns = [2 * k + j for k, m in enumerate(modalities) if m in chosen for j in (0, 1)]
            posterior = np.bincount(label, likely[:, columns].prod(1), 8)
            table[chosen] = posterior / posterior.sum()
        best = table[modalities].argmax()
        effect = np.abs(shapley(game({c: p[best] for c, p in table.items()}, modalities), 3))
        chance = likely.prod(1).mean()
        total, weight = total + chance * effect / effect.sum(), weight + chance
    return dict(zip(modalities, total / weight, strict=True))
