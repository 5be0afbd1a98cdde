"""Token-level MM-SHAP of a trained model.

Findings, each under ``clean`` and under the protocol's primary condition, mean over ``suite.tokens.items`` examples
spread evenly over the part:

``mm_shap/<modality>``       share of the modality in the sum of |phi| over all players
``mm_shap/<modality>/mean``  the same of the mean of |phi| over the players of each modality

Players    contiguous windows of real steps, ``suite.tokens.windows`` of each modality, or its steps where it has
           fewer; with eight players or fewer in all, the values are exact.
Value      probability of the class that the model predicts from the whole example. Where a model scores each step:
           that probability of each step's own prediction, mean over the steps of the example. In a regression each
           predicted number, of several labels the probability of what is said of each: credit is its size, mean over
           them and over steps.
Absence    steps of an absent window are zeros after standardisation, the training mean; masks stay full.
Estimate   ``suite.tokens.permutations`` random orders and their reverses, drawn by the name of the example: the same
           for every method. Sampling noise adds to |phi| of every player that matters, so shares lean a little
           towards equal ones; a modality that the model ignores still gets none.

An example on which no player has credit is left out, and ``n`` counts the items of the others.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from protocols.batches import seeded
from protocols.corruptions import parse_condition
from protocols.measuring import Finding, Subject
from protocols.measuring.answers import CLASSIFICATION, probabilities, said, strength
from protocols.metrics import Undefined
from protocols.metrics.mm_shap import Design, design, present, share
from protocols.presentation import Predict, Presenter
from protocols.suite import Suite

ROWS = 256  # coalitions in a forward pass, fewer of large examples:
INPUT_BYTES = 1 << 28
Example = Mapping[str, np.ndarray]  # modality -> (T_m, D_m)
Credit = dict[str, np.ndarray]  # modality -> (P_m,)


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """The findings named above."""
    part, tokens = presenter.part, suite.tokens
    chosen = spread(len(part), tokens.items)
    ids = [part.examples.ids[part.index[i]] for i in chosen]
    counts = [len(part.examples.labels[part.index[i]]) if part.examples.per_step else 1 for i in chosen]
    for text in dict.fromkeys(("clean", part.spec.conditions[0])):
        if len(subject.modalities) < 2:  # share() says why there is none, without a forward pass
            credits = [{m: np.zeros(1) for m in subject.modalities}] * len(chosen)
        else:
            streams = presenter.streams(subject.modalities, parse_condition(text))
            examples = [{m: sequences[i] for m, sequences in streams.items()} for i in chosen]
            rngs = [seeded("mm_shap", part.spec.key, name) for name in ids]
            credits = explain(subject.predict, examples, tokens.windows, tokens.permutations, rngs, part.spec.task)
        for modality in subject.modalities:
            yield _finding(text, modality, credits, counts, mean=False)
            yield _finding(text, modality, credits, counts, mean=True)


def spread(count: int, wanted: int) -> np.ndarray:
    """Rows of ``wanted`` of ``count`` examples, or of all, at equal distances."""
    kept = min(count, wanted)
    return np.arange(kept) * count // kept


def explain(
    predict: Predict,
    examples: Sequence[Example],
    windows: int,
    pairs: int,
    rngs: Sequence[np.random.Generator],
    task: str = CLASSIFICATION,
) -> list[Credit]:
    """Shapley values of the windows of some examples, outside classification their mean size.

    Coalitions of examples with equal steps share forward passes, which so contain no padding.

    Args:
        windows: of each modality, at most its steps.
        pairs: of random orders, for each example.
        rngs: one for each example.
    """
    shapes = [tuple(len(x) for x in example.values()) for example in examples]
    found: list[Credit] = [{}] * len(examples)
    for shape in sorted(set(shapes)):
        rows = [i for i, s in enumerate(shapes) if s == shape]
        players = {m: min(windows, steps) for m, steps in zip(examples[rows[0]], shape, strict=True)}
        designs = [design(sum(players.values()), pairs, rngs[i]) for i in rows]
        values = _values(predict, [examples[i] for i in rows], designs, players, task)
        borders = np.cumsum(list(players.values()))[:-1]
        for i, one, value in zip(rows, designs, values, strict=True):
            credit = one.credit(value) if value.ndim == 1 else _mean_size(one, value)
            found[i] = dict(zip(players, np.split(credit, borders), strict=True))
    return found


def _mean_size(one: Design, values: np.ndarray) -> np.ndarray:
    """(R, P) values of several predictions -> (players,) mean |credit|."""
    return np.mean([np.abs(one.credit(value)) for value in values.T], axis=0)


def _finding(condition: str, modality: str, credits: list[Credit], counts: list[int], *, mean: bool) -> Finding:
    """The mean share over the examples that have one."""
    name = f"mm_shap/{modality}" + "/mean" * mean
    shares, n, reason = [], 0, ""
    for credit, count in zip(credits, counts, strict=True):
        try:
            shares.append(share(credit, modality, mean=mean))
            n += count
        except Undefined as undefined:
            reason = str(undefined)
    if not shares:
        return Finding(condition, name, None, sum(counts), reason)
    return Finding(condition, name, float(np.mean(shares)), n)


def _values(
    predict: Predict, examples: list[Example], designs: list[Design], players: dict[str, int], task: str
) -> list[np.ndarray]:
    """v of every coalition of every example, (R,) or (R, P) each; the examples have equal steps."""
    coalitions = np.concatenate([one.coalitions for one in designs])
    owners = np.repeat(np.arange(len(examples)), [len(one.coalitions) for one in designs])
    stacked = {m: torch.from_numpy(np.stack([example[m] for example in examples])) for m in players}
    scores, size = [], sum(x[0].nbytes for x in stacked.values())
    at_once = max(1, min(ROWS, INPUT_BYTES // size))
    with torch.inference_mode():
        for start in range(0, len(coalitions), at_once):
            rows = slice(start, start + at_once)
            inputs = _without(stacked, coalitions[rows], owners[rows], players)
            masks = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in inputs.items()}
            scores.append(predict(inputs, masks).float().cpu().numpy())
    borders = np.cumsum([len(one.coalitions) for one in designs])[:-1]
    split = np.split(np.concatenate(scores), borders)
    return [_value(s, one.coalitions, task) for s, one in zip(split, designs, strict=True)]


def _without(
    stacked: dict[str, torch.Tensor], coalitions: np.ndarray, owners: np.ndarray, players: dict[str, int]
) -> dict[str, torch.Tensor]:
    """The examples that own the coalitions, with zeros in every absent window: (R, T_m, D_m) each."""
    inputs, first = {}, 0
    for m, count in players.items():
        kept = present(coalitions[:, first : first + count], stacked[m].shape[1])
        inputs[m] = stacked[m][owners].masked_fill_(~torch.from_numpy(kept).unsqueeze(-1), 0.0)
        first += count
    return inputs


def _value(scores: np.ndarray, coalitions: np.ndarray, task: str) -> np.ndarray:
    """What a coalition says of what the whole example gives: (R, K) or (R, T, K) -> (R,), mean over steps.

    Outside classification (R, P), one for each step and number.
    """
    of = probabilities(task, torch.from_numpy(scores.astype(np.float64))).numpy()
    whole = said(task, of[coalitions.all(1).argmax()])  # () or (T,), outside classification (K,) or (T, K)
    found = strength(task, of, whole).reshape(len(scores), -1)
    return found.mean(1) if task == CLASSIFICATION else found
