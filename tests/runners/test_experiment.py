import dataclasses

import pytest

from protocols.spec import load as load_protocol
from runners.experiment import COMMON, INERT, Experiment, _code, _path, _text, numeric_code
from zoo.spec import load as load_method

LOGMEL = ["protocols.datasets.logmel"]


@pytest.fixture
def experiment():
    return Experiment(
        method=load_method("mult"),
        protocol=load_protocol("synthetic@1"),
        seed=0,
        fold=None,
        fingerprint="f",
        division="d",
        code="c",
        device="cpu",
    )


def test_the_run_id_changes_with_everything_that_can_move_a_number(experiment):
    method = experiment.method
    settings = method.model_copy(update={"settings": method.settings | {"layers": 5}})
    budget = experiment.protocol.budget.model_copy(update={"epochs": 99})
    changes = (
        {"method": settings},
        {"protocol": experiment.protocol.model_copy(update={"budget": budget})},
        {"protocol": experiment.protocol.model_copy(update={"version": 2})},
        {"seed": 1},
        {"fold": 1},
        {"fingerprint": "g"},
        {"division": "e"},
        {"code": "d"},
        {"device": "cuda"},
    )
    ids = {dataclasses.replace(experiment, **change).run for change in changes}
    assert len(ids | {experiment.run}) == len(changes) + 1


def test_words_do_not_change_the_run_id(experiment):
    retold = experiment.protocol.model_copy(update={"title": "x", "description": "y", "seeds": 9})
    assert dataclasses.replace(experiment, protocol=retold).run == experiment.run


def test_the_code_of_a_run_is_that_of_its_method(experiment):
    spec = load_protocol("grid-digit-noisy@1")
    mult, early = (numeric_code(load_method(name), spec, LOGMEL) for name in ("mult", "early_fusion"))
    assert mult != early
    assert numeric_code(load_method("mult"), load_protocol("grid-digit@1"), LOGMEL) != mult  # other corruptions
    assert numeric_code(load_method("mult"), spec, []) != mult


def test_docstrings_and_comments_are_no_code():
    import ast

    said = ast.parse('"""One."""\n# a\ndef f(x):\n    """Two."""\n    return x + 1\n')
    silent = ast.parse("def f(x):\n    return x + 1  # b\n")
    other = ast.parse("def f(x):\n    return x + 2\n")
    assert _text(said) == _text(silent) != _text(other)


def test_every_named_module_exists():
    assert [m for m in (*COMMON, *INERT, *LOGMEL) if _path(m) is None] == []
    assert "cross_entropy" in _code("runners.criteria")
