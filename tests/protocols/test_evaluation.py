"""An oracle, a constant and a coin through the whole evaluation."""

import numpy as np
import pytest
import torch

from protocols.batches import Division
from protocols.datasets import synthetic
from protocols.evaluation import evaluate
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

    records, table = evaluate(oracle, test_part, ("audio",), identity=IDENTITY)
    assert values(records, "accuracy") == dict.fromkeys(spec.conditions, 1.0)
    shares = np.bincount(test_part.labels) / len(test_part.labels)
    assert values(records, "accuracy/majority_class") == dict.fromkeys(spec.conditions, pytest.approx(shares.max()))
    assert len(records) == len(spec.conditions) * len(spec.metrics) * 2
    assert {len(column) for column in table.values()} == {len(test_part) * len(spec.conditions)}
    assert (table["prediction"] == table["label"]).all()

    def constant(inputs, masks):
        return torch.eye(8)[[int(shares.argmax())] * len(inputs["audio"])]

    records, _ = evaluate(constant, test_part, ("audio",), identity=IDENTITY)
    assert values(records, "accuracy") == values(records, "accuracy/majority_class")


def test_scores_that_are_no_numbers_are_refused(test_part):
    with pytest.raises(ValueError, match="clean: .* test scores are not finite"):
        evaluate(
            lambda inputs, masks: torch.full((len(inputs["audio"]), 8), torch.nan),
            test_part,
            ("audio",),
            identity=IDENTITY,
        )
