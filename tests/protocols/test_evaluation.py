"""An oracle, a constant and a coin through the whole evaluation."""

import numpy as np
import pytest
import torch

from protocols.batches import Division
from protocols.datasets import synthetic
from protocols.evaluation import evaluate, score_of
from protocols.examples import Examples, Stream
from protocols.spec import load
from protocols.split import SPLITS, read_split

IDENTITY = {
    "method": "oracle",
    "protocol": "synthetic@1",
    "split": "test",
    "seed": 0,
    "origin": "measured",
    "source": "test",
    "run": "0",
    "created": "2026-01-01",
}


@pytest.fixture(scope="module")
def test_part(tmp_path_factory):
    spec = load("synthetic@1")
    empty = tmp_path_factory.mktemp("empty")
    examples = synthetic.load(empty, empty, spec.target, dict(spec.inputs), lambda items, _: items)
    parts = read_split(SPLITS / f"{spec.split}.csv", examples.ids, folds=None, fold=None)
    return Division(spec, examples, parts).open_test(lambda: None)


def values(records, metric):
    return {r.condition: r.value for r in records if r.metric == metric}


def test_an_oracle_is_perfect_and_a_constant_is_the_majority_class(test_part):
    spec, labels = test_part.spec, iter(np.tile(test_part.labels, len(test_part.spec.conditions)).tolist())

    def oracle(inputs, masks):
        return torch.eye(8)[[next(labels) for _ in inputs["audio"]]]

    records, undefined, table = evaluate(oracle, test_part, ("audio",), identity=IDENTITY)
    assert values(records, "accuracy") == dict.fromkeys(spec.conditions, 1.0)
    shares = np.bincount(test_part.labels) / len(test_part.labels)
    assert values(records, "accuracy/majority_class") == dict.fromkeys(spec.conditions, pytest.approx(shares.max()))
    assert len(records) == len(spec.conditions) * len(spec.metrics) * 2 and undefined == []
    assert {len(column) for column in table.values()} == {len(test_part) * len(spec.conditions)}
    assert (table["prediction"] == table["label"]).all()

    def constant(inputs, masks):
        return torch.eye(8)[[int(shares.argmax())] * len(inputs["audio"])]

    records, _, _ = evaluate(constant, test_part, ("audio",), identity=IDENTITY)
    assert values(records, "accuracy") == values(records, "accuracy/majority_class")


def test_scores_that_are_no_numbers_are_refused(test_part):
    with pytest.raises(ValueError, match="clean: .* test scores are not finite"):
        evaluate(
            lambda inputs, masks: torch.full((len(inputs["audio"]), 8), torch.nan),
            test_part,
            ("audio",),
            identity=IDENTITY,
        )


def made(task, metrics, per_step):
    """A test part of ten examples of two targets each, and its labels."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 5, 10)
    stops = np.cumsum(lengths)
    rows = rng.standard_normal((stops[-1], 3)).astype(np.float32)
    labels = rng.uniform(-1, 1, (stops[-1] if per_step else 10, 2)).astype(np.float32)
    if task == "multilabel":
        labels = (labels > 0.2).astype(np.float32)
    told = np.split(labels, stops[:-1]) if per_step else labels
    streams = {"audio": Stream(rows, stops - lengths, stops, 3)}
    examples = Examples(tuple("abcdefghij"), told, ("valence", "arousal"), streams, "0", task)
    spec = load("synthetic@1").model_copy(
        update={"task": task, "metrics": metrics, "inputs": {"audio": "features"}, "conditions": ("clean",)}
    )
    parts = {"train": np.arange(10), "validation": np.arange(10), "test": np.arange(10)}
    return Division(spec, examples, parts).open_test(lambda: None), labels


def wrong_by_a_half(labels, per_step):
    """A predictor that is off by 0.5 everywhere, padded steps included."""
    given = iter(labels)

    def predict(inputs, masks):
        if not per_step:
            return torch.from_numpy(np.stack([next(given) for _ in inputs["audio"]])) + 0.5
        scores = torch.full((*masks["audio"].shape, 2), 99.0)
        for row, mask in enumerate(masks["audio"]):
            for step in mask.nonzero()[:, 0]:
                scores[row, step] = torch.from_numpy(next(given)) + 0.5
        return scores

    return predict


@pytest.mark.parametrize("per_step", (False, True))
def test_numbers_are_scored_over_all_targets_and_each(per_step):
    part, labels = made("regression", ("mae", "mae/arousal", "ccc/valence", "pearson"), per_step)
    records, undefined, table = evaluate(wrong_by_a_half(labels, per_step), part, ("audio",), identity=IDENTITY)
    told = {record.metric: record.value for record in records}
    assert told["mae"] == pytest.approx(0.5, abs=1e-6) == told["mae/arousal"]
    assert told["pearson"] == pytest.approx(1.0) and 0 < told["ccc/valence"] < 1
    spread = np.abs(labels - labels.mean(0)).mean(0)
    assert told["mae/mean_target"] == pytest.approx(spread.mean(), rel=1e-5)
    assert told["mae/arousal/mean_target"] == pytest.approx(spread[1], rel=1e-5)
    assert told["ccc/valence/mean_target"] == pytest.approx(0.0, abs=1e-6)
    assert "pearson/mean_target" not in told  # a constant answer correlates with nothing
    (why,) = undefined
    assert (why["condition"], why["metric"]) == ("clean", "pearson/mean_target")
    assert "every prediction is" in why["reason"]
    assert {record.n for record in records} == {len(labels)}
    assert list(table) == ["id", "step", "condition", "label_0", "label_1", "score_0", "score_1"]
    assert np.array_equal(table["label_1"], labels[:, 1]) and len(table["score_0"]) == len(labels)


def test_labels_that_occur_together_are_scored_beside_never_finding_any():
    part, labels = made("multilabel", ("binary_accuracy", "binary_f1/valence", "map"), per_step=False)
    predict = wrong_by_a_half(labels * 2 - 1.5, per_step=False)  # logits of -1 and 1
    records, _, _ = evaluate(predict, part, ("audio",), identity=IDENTITY)
    told = {record.metric: record.value for record in records}
    assert told["binary_accuracy"] == told["binary_f1/valence"] == told["map"] == 1.0
    assert told["binary_accuracy/always_absent"] == pytest.approx(1 - labels.mean())


def test_a_target_that_the_data_do_not_have_is_refused():
    with pytest.raises(ValueError, match="no 'joy'. Accepted: valence, arousal"):
        score_of("mae/joy", ("valence", "arousal"))
