"""Partial information decomposition of what two discrete sources say of a target, in bits.

Source   Bertschinger et al. 2014 (unique information), as Liang et al., NeurIPS 2023, arXiv:2302.12247 use it for
         modalities. The reference code solves the same problem with a general convex solver, good to about 1e-4.
Differs  A primal-dual interior-point method of our own on the dual problem, which bounds its distance from the optimum.

    q minimises I_q(X1, X2; Y) over all joint distributions with the marginals p(x1, y) and p(x2, y)
    synergistic = I_p(X1, X2; Y) - I_q(X1, X2; Y)
    unique 1    = I_q(X1, X2; Y) - I_p(X2; Y),    unique 2 = I_q(X1, X2; Y) - I_p(X1; Y)
    redundant   = I_p(X1; Y) + I_p(X2; Y) - I_q(X1, X2; Y)

The four add up to I_p(X1, X2; Y). Logarithms have base 2.
"""

from typing import NamedTuple

import numpy as np

from protocols.metrics import Undefined

GAP = 1e-12  # nats from the optimum at which the search ends
ENOUGH = 1e-9  # nats from the optimum that a result may have where rounding ends the search earlier
STEPS = 200  # Newton steps at most; 20 to 50 are usual
COMPONENTS = 5  # principal components that are clustered
RESTARTS = 10  # of k-means, of which the tightest is kept
NOTHING = 1e-10  # bits below which a term is rounding


class Decomposition(NamedTuple):
    """Bits that two sources carry of a target; each is 0 or more, together they are I(X1, X2; Y)."""

    redundant: float
    unique1: float
    unique2: float
    synergistic: float


def decompose(joint: np.ndarray) -> Decomposition:
    """Redundant, unique and synergistic information.

    Args:
        joint: (n1, n2, K) probabilities, or counts, of (x1, x2, y).

    Raises:
        ValueError: for an array that is no table of counts.
        Undefined: if the target is constant, or the optimum is not reached to 1e-9 nats.
    """
    joint = np.asarray(joint, dtype=np.float64)
    if joint.ndim != 3 or not np.isfinite(joint).all() or (joint < 0).any() or joint.sum() <= 0:
        raise ValueError(f"decompose wants (n1, n2, K) probabilities or counts, got shape {joint.shape}.")
    p = joint / joint.sum()
    if np.count_nonzero(p.sum((0, 1))) < 2:
        raise Undefined("the target never varies, so there is no information to decompose")
    first, second = _information(p.sum(1)), _information(p.sum(0))
    classes, together = p.sum((0, 1)), _information(p.reshape(-1, p.shape[2]))
    entropy = -float((classes[classes > 0] * np.log2(classes[classes > 0])).sum())
    least = entropy + _least_negative_entropy(p) / np.log(2)
    terms = (first + second - least, least - second, least - first, together - least)
    return Decomposition(*(float(term) if term > NOTHING else 0.0 for term in terms))


def joint_counts(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n1, n2, K) counts of three (N,) arrays of symbols; symbols that never occur take no cell."""
    places = [np.unique(values, return_inverse=True)[1] for values in (first, second, target)]
    counts = np.zeros([place.max() + 1 for place in places])
    np.add.at(counts, tuple(places), 1)
    return counts


def discretised(features: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) cluster of each item: k-means on the first principal components.

    Args:
        features: (N, D) standardised, one row an item.
        clusters: at most; as many as there are distinct rows where those are fewer.
        rng: of the starting points.

    Raises:
        ValueError: for an array that is not (N, D) or not finite.
    """
    from scipy.cluster.vq import kmeans, vq

    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(f"discretised wants finite (N, D) features, got shape {rows.shape}.")
    distinct, which = np.unique(rows, axis=0, return_inverse=True)
    if len(distinct) <= clusters:
        return which.reshape(-1)
    left, spread, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    places = left[:, :COMPONENTS] * spread[:COMPONENTS]  # (N, at most COMPONENTS)
    centres, _ = kmeans(places, clusters, iter=RESTARTS, seed=rng)
    return vq(places, centres)[0].astype(np.int64)


def _information(joint: np.ndarray) -> float:
    """Mutual information of a (n, K) joint distribution, in bits."""
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / apart[there])).sum())


class _Cells:
    """The cells (x1, x2, y) that may hold probability, and the sums of them that are given.

    Row r1 of a cell is its pair (x1, y), row r2 its pair (x2, y). One row of each y follows from the others and is
    left out, so that the remaining ones are independent. Group of a cell is its pair (x1, x2).
    """

    def __init__(self, p: np.ndarray):
        n1, n2, classes = p.shape
        with_first, with_second = p.sum(1), p.sum(0)  # (n1, K), (n2, K)
        x1, x2, y = np.nonzero((with_first[:, None] > 0) & (with_second[None] > 0))
        self.group = np.unique(x1 * n2 + x2, return_inverse=True)[1]
        self.groups = int(self.group.max()) + 1
        self.r1, self.r2, self.rows = x1 * classes + y, n1 * classes + x2 * classes + y, (n1 + n2) * classes
        left_out = n1 * classes + with_second.argmax(0) * classes + np.arange(classes)
        self.kept = np.setdiff1d(np.unique(np.concatenate([self.r1, self.r2])), left_out)
        self.given = np.concatenate([with_first.ravel(), with_second.ravel()])[self.kept]
        # Independent of each other given y: a q that has the given sums, from which the search starts.
        self.start = with_first[x1, y] * with_second[x2, y] / with_first.sum(0)[y]

    def conditional(self, multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(groups,) log sum_y exp(a + b) and (cells,) the softmax over y, where a and b belong to r1 and r2."""
        full = np.zeros(self.rows)
        full[self.kept] = multipliers
        weights = np.exp(np.minimum(full[self.r1] + full[self.r2], 700.0))
        total = np.maximum(np.bincount(self.group, weights, self.groups), 1e-300)
        return np.log(total), weights / total[self.group]

    def sums(self, softmax: np.ndarray) -> np.ndarray:
        """(rows kept, groups) what each group adds to each sum if its mass is 1."""
        table = np.zeros((self.rows, self.groups))
        table[self.r1, self.group] = softmax
        table[self.r2, self.group] = softmax
        return table[self.kept]

    def products(self, q: np.ndarray) -> np.ndarray:
        """(rows kept, rows kept) mass of the cells that two rows share."""
        table = np.zeros((self.rows, self.rows))
        table[self.r1, self.r2] = table[self.r2, self.r1] = q
        table[np.diag_indices(self.rows)] = np.bincount(self.r1, q, self.rows) + np.bincount(self.r2, q, self.rows)
        return table[np.ix_(self.kept, self.kept)]


def _least_negative_entropy(p: np.ndarray) -> float:
    """Smallest -H_q(Y | X1, X2) in nats over all q with p's marginals (x1, y) and (x2, y).

    Its dual is smooth: maximise sum p(x1, y) a(x1, y) + sum p(x2, y) b(x2, y) where log sum_y exp(a + b) <= 0 for
    each pair (x1, x2); the multiplier of that bound is q(x1, x2), and q(y | x1, x2) is the softmax of a + b.
    Primal-dual path following from inside the bounds: every iterate is a lower limit, and a solution once its q has
    the given sums.
    """
    cells = _Cells(p)
    mass = np.bincount(cells.group, cells.start, cells.groups)
    # Well inside the bounds: each row of x1 has K cells or fewer in a group.
    place = np.where(cells.kept < p.shape[0] * p.shape[2], -np.log(p.shape[2]) - 1, 0.0)
    bound, softmax = cells.conditional(place)
    aim = float(-bound @ mass) / cells.groups  # of mass * -bound, everywhere
    best, certified = 0.0, np.inf
    for _ in range(STEPS):
        sums = cells.sums(softmax)
        gap, missing = float(-bound @ mass), cells.given - sums @ mass
        distance = gap + np.abs(missing).sum() * max(1.0, np.abs(place).max())
        if distance < certified:
            best, certified = float(cells.given @ place), distance
        if certified < GAP:
            break
        if _residual(missing, mass, bound, aim) < aim:  # near the path: follow it
            aim *= 0.1
        try:
            step, change = _newton(cells, mass, bound, softmax, aim)
        except np.linalg.LinAlgError:
            break
        moved = _advance(cells, place, mass, step, change, aim, _residual(missing, mass, bound, aim))
        if moved is None:
            break
        place, mass, bound, softmax = moved
    if certified > ENOUGH:
        raise Undefined(f"the decomposition was only found to {certified:.0e} nats")
    return best


def _newton(cells: _Cells, mass, bound, softmax, aim) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the multipliers and of the mass that solve the linearised conditions."""
    sums = cells.sums(softmax)
    slack = -bound / mass
    scale = 1 / np.sqrt(1 + slack)  # of the rows of groups whose mass vanishes
    rows = len(sums)
    system = np.empty((rows + cells.groups, rows + cells.groups))
    system[:rows, :rows] = cells.products(mass[cells.group] * softmax) - (sums * mass) @ sums.T
    system[:rows, rows:] = sums * scale
    system[rows:, :rows] = system[:rows, rows:].T
    system[rows:, rows:] = np.diag(-slack * scale**2)
    found = np.linalg.solve(system, np.concatenate([cells.given - sums @ mass, -scale * (aim / mass + bound)]))
    return found[:rows], scale * found[rows:]


def _residual(missing, mass, bound, aim) -> float:
    return float(np.sqrt((missing**2).sum() + ((mass * bound + aim) ** 2).sum()))


def _advance(cells: _Cells, place, mass, step, change, aim, before):
    """After the longest of halved steps that stays inside the bounds and comes closer; None where none does."""
    falling = change < 0
    far = min(1.0, 0.99 * float((-mass[falling] / change[falling]).min())) if falling.any() else 1.0
    for _ in range(40):
        there, moved = place + far * step, mass + far * change
        bound, softmax = cells.conditional(there)
        if (bound < 0).all():
            after = _residual(cells.given - cells.sums(softmax) @ moved, moved, bound, aim)
            if after <= (1 - 0.01 * far) * before:
                return there, moved, bound, softmax
        far /= 2
    return None
