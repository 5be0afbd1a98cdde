"""A stream that contradicts the others: it belongs to an example of another class.

============  ============================================================================================
``conflict``  has no severity: every sample gets one stream of another class. A model that ignores this
              stream scores as before; one that follows it alone scores nothing
============  ============================================================================================
"""

import numpy as np

from protocols.metrics import Undefined


def partner(labels: np.ndarray, row: int, rng: np.random.Generator) -> int:
    """Row of an example of another class than ``row``, each equally likely.

    Args:
        labels: (N,) classes.

    Raises:
        Undefined: if all examples are of one class.
    """
    others = np.flatnonzero(labels != labels[row])
    if not len(others):
        raise Undefined("all examples are of one class, so nothing can contradict")
    return int(rng.choice(others))


def partner_steps(labels: list[np.ndarray], row: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(row, step) of another class for each labelled step of example ``row``.

    It is the same step of another example where one of another class stands there, any step of another example
    else; each that qualifies is equally likely.

    Args:
        labels: N arrays of (T_i,) classes.

    Raises:
        Undefined: if a step has nothing of another class in all other examples.
    """
    rows = np.repeat(np.arange(len(labels)), [len(x) for x in labels])
    steps = np.concatenate([np.arange(len(x)) for x in labels])
    classes = np.concatenate(labels)
    found = []
    for step, own in enumerate(labels[row]):
        others = (classes != own) & (rows != row)
        there = others & (steps == step)
        choice = np.flatnonzero(there if there.any() else others)
        if not len(choice):
            raise Undefined("all other examples are of one class, so nothing can contradict")
        k = rng.choice(choice)
        found.append((int(rows[k]), int(steps[k])))
    return found
