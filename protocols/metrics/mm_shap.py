"""Token-level MM-SHAP: what share of all credit the players of each modality receive.

Source   Parcalabescu and Frank 2023, "MM-SHAP", ACL, arXiv:2212.08158: Shapley values of tokens, absolute values,
         the share of each modality. The mean form follows a public port to music, giovana-morais/
         2025_investigating_mmshap. Permutations with their reverses: Mitchell et al. 2022, arXiv:2104.12199.
Differs  Players are windows of steps, equally many in each modality, none of them protected. They cover every step:
         the released code leaves the border of a picture that its patches do not reach unmasked.

A game has P players; v(S) is its value with the players of S present, the others absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial

import numpy as np

from protocols.metrics import Undefined

EXACT = 8  # players up to which every coalition is taken: 256 at most
RESOLUTION = 1e-6  # credit up to this is rounding, and counts as none: values come from scores in float32


@dataclass(frozen=True)
class Design:
    """Which coalitions to evaluate, and how their values make the credit of each player.

    Args:
        coalitions: (R, P) bool, no two alike, the empty and the full one among them.
        players: (G,) who joins in each gain. before, after: (G,) rows of ``coalitions``.
        weights: (G,) adding up to 1 for each player.
    """

    coalitions: np.ndarray
    players: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray

    def credit(self, values: np.ndarray) -> np.ndarray:
        """(R,) values -> (P,) weighted mean gains. They add up to v(all) - v(none), up to rounding.

        A player that changes nothing gets exactly 0.
        """
        gains = self.weights * (values[self.after] - values[self.before])
        return np.bincount(self.players, gains, minlength=self.coalitions.shape[1])


def design(players: int, pairs: int, rng: np.random.Generator) -> Design:
    """The exact design for up to EXACT players, a sampled one beyond.

    Args:
        players: P, at least 1.
        pairs: random orders of the players, each taken with its reverse; unused where the design is exact.
    """
    return exact(players) if players <= EXACT else sampled(players, pairs, rng)


def exact(players: int) -> Design:
    """Every coalition, with Shapley's weights |S|! (P - |S| - 1)! / P! for a player that joins S."""
    numbers = np.arange(2**players)  # bit p of a row's number tells whether player p is there
    coalitions = (numbers[:, None] >> np.arange(players) & 1).astype(bool)
    before, joining = np.nonzero(~coalitions)
    weights = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
    return Design(coalitions, joining, before, before + (1 << joining), weights[coalitions[before].sum(1)])


def sampled(players: int, pairs: int, rng: np.random.Generator) -> Design:
    """Random orders and their reverses; a player's credit is its mean gain on joining those before it.

    Unbiased. A coalition that several orders pass, the empty and the full one above all, is evaluated once.
    """
    forward = [rng.permutation(players) for _ in range(pairs)]
    rows: dict[bytes, int] = {}
    gains = []
    for order in (*forward, *(order[::-1] for order in forward)):
        present = np.zeros(players, dtype=bool)
        before = rows.setdefault(present.tobytes(), len(rows))
        for player in order:
            present[player] = True
            after = rows.setdefault(present.tobytes(), len(rows))
            gains.append((player, before, after))
            before = after
    coalitions = np.frombuffer(b"".join(rows), dtype=bool).reshape(-1, players)
    return Design(coalitions, *np.array(gains).T, np.full(len(gains), 1 / (2 * pairs)))


def present(coalitions: np.ndarray, steps: int) -> np.ndarray:
    """Which steps are there under each coalition of windows: (R, W) bool and T -> (R, T) bool.

    Step t belongs to window floor(t W / T): the windows are contiguous, cover every step, and differ in length by
    one step at most. T is at least W.
    """
    windows = coalitions.shape[1]
    return coalitions[:, np.arange(steps) * windows // steps]


def share(credit: Mapping[str, np.ndarray], modality: str, *, mean: bool = False) -> float:
    """The share of one modality in the absolute credit of all players, in [0, 1]; all shares add up to 1.

    The sum counts |phi| of every player; a modality with more players has more chances. The mean divides each
    modality's sum by its players first. A model whose answer needs two players together but neither more than the
    other can give every player no credit (XOR of two), so that the share is undefined: this metric cannot see it.

    Args:
        credit: modality -> (P_m,) Shapley values of one example.

    Raises:
        Undefined: for one modality alone, where no player has credit beyond rounding, and where credit is not finite.
    """
    if len(credit) < 2:
        raise Undefined(f"a share needs two modalities; the model uses {', '.join(credit)} alone")
    if not all(np.isfinite(phi).all() for phi in credit.values()):
        raise Undefined("the model's scores are not finite where windows are taken away")
    sums = {m: float(np.abs(phi[np.abs(phi) > RESOLUTION]).sum()) for m, phi in credit.items()}
    if not any(sums.values()):
        raise Undefined("no player has credit: taking windows away does not change the prediction")
    sizes = {m: s / len(credit[m]) for m, s in sums.items()} if mean else sums
    return sizes[modality] / sum(sizes.values())
