"""Whether the cells that a saliency names are the ones that a prediction rests on.

Letters: N examples, n cells of one of them. Probabilities are those of the class that is predicted for the whole
input, in [0, 1].
"""

import numpy as np

from protocols.metrics import Undefined


def cells(fraction: float, n: int) -> int:
    """How many of n cells a fraction is: the next whole number, so that no positive fraction is of none."""
    return int(np.ceil(fraction * n - 1e-9))  # 0.1 * 30 is a little more than 3 in floating point


def ranking(saliency: np.ndarray) -> np.ndarray:
    """Cells from most to least salient: (n,) -> (n,) indices; of equal ones the earlier cell first.

    Raises:
        Undefined: where all cells are equal, so that an order would come from their places alone.
    """
    if saliency.min() == saliency.max():
        raise Undefined("the saliency is equal in all cells, and so names none")
    return np.argsort(-saliency, kind="stable")


def comprehensiveness(full: np.ndarray, without: np.ndarray) -> float:
    """p(whole input) - p(input without the top cells), averaged over fractions and examples. High is good.

    The area over the perturbation curve of ERASER (DeYoung et al. 2020, arXiv:1911.03429, section 5) with the
    fractions that the columns stand for.

    Args:
        full: (N,). without: (N, fractions).
    """
    return _drop(full, without)


def sufficiency(full: np.ndarray, only: np.ndarray) -> float:
    """p(whole input) - p(the top cells alone), averaged over fractions and examples. Low is good; as above.

    Args:
        full: (N,). only: (N, fractions).
    """
    return _drop(full, only)


def _drop(full: np.ndarray, reduced: np.ndarray) -> float:
    if not len(full):
        raise Undefined("no example is left to reduce")
    return float((full[:, None] - reduced).mean())


def curve_area(curve: np.ndarray) -> float:
    """Area under deletion or insertion curves by trapezoids, over [0, 1], averaged over examples.

    RISE (Petsiuk et al. 2018, arXiv:1806.07421, section 4.1): deletion, where cells go from the most salient on,
    is good when low; insertion, where they come back in the same order, when high.

    Args:
        curve: (N, S + 1), probability after 0, 1/S, ... 1 of the cells.

    Raises:
        Undefined: for no example.
    """
    if not len(curve):
        raise Undefined("no example is left to reduce")
    areas = (curve.sum(1) - (curve[:, 0] + curve[:, -1]) / 2) / (curve.shape[1] - 1)
    return float(areas.mean())


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two rankings of the same cells, (n,) each: in [-1, 1].

    Concordant less discordant pairs, divided by the geometric mean of the pairs that each ranking tells apart
    (Kendall 1945). All pairs are formed: for tens to hundreds of cells.

    Raises:
        Undefined: where one of them is constant or there is one cell.
    """
    pairs = np.triu_indices(len(first), 1)
    signs = [np.sign(x[pairs[0]] - x[pairs[1]]) for x in (first, second)]
    told_apart = [np.abs(s).sum() for s in signs]
    if 0 in told_apart:
        raise Undefined("a saliency is equal in all cells, and so has no ranks")
    return float((signs[0] * signs[1]).sum() / np.sqrt(told_apart[0] * told_apart[1]))
