"""From examples to padded, standardised batches: the only place in protocols that touches torch."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from protocols.ahead import ahead
from protocols.corruptions import CORRUPTIONS, Condition, parse_condition
from protocols.examples import DataError, Examples
from protocols.spec import ProtocolSpec

IGNORED = -100  # label of a padded step; the default that torch's cross_entropy ignores
HELD_BYTES = 1 << 30  # clean features that a part keeps; what goes beyond is made again from the raw rows
KEPT_BYTES = 1 << 30  # noisy features that a part keeps: every method and seed meets the same draws again
BLOCK_BYTES = 1 << 28  # features that a standardiser takes at once
AHEAD = 4  # batches that are prepared while a step computes, where their features are not in memory


@dataclass(frozen=True)
class Batch:
    """B examples, right-padded to the longest of each modality.

    Args:
        inputs: modality -> (B, T_m, D_m) float32, zero where padded.
        masks: modality -> (B, T_m) bool, True on real steps.
        labels: (B,) int64, or (B, T) with IGNORED on padded steps.
        index: (B,) rows of the Examples.
    """

    inputs: dict[str, Tensor]
    masks: dict[str, Tensor]
    labels: Tensor
    index: np.ndarray

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(
            {m: x.to(device) for m, x in self.inputs.items()},
            {m: x.to(device) for m, x in self.masks.items()},
            self.labels.to(device),
            self.index,
        )


@dataclass(frozen=True)
class Standardiser:
    """Mean and standard deviation of each feature over the training part's real steps."""

    mean: np.ndarray  # (D,)
    scale: np.ndarray  # (D,); 1 where a feature never varies, which so becomes 0

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray]) -> "Standardiser":
        """Measured on (T, D) arrays in one pass, in float64: sums of blocks about each block's mean, then joined."""
        count, mean, squares = 0, 0.0, 0.0
        for block in _blocks(sequences):
            n, own, spread = _moments(np.concatenate(block, dtype=np.float64))
            both, apart = count + n, own - mean
            squares = spread + squares + apart**2 * (count * n / both)
            mean = own if not count else mean + apart * (n / both)
            count = both
        scale = np.sqrt(squares / count)
        return cls(mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32))

    def __call__(self, sequence: np.ndarray) -> np.ndarray:
        return (sequence - self.mean) / self.scale


class OnDemand(Sequence):
    """N arrays. Those that there is room for are made at once and kept, the others whenever they are asked for.

    Args:
        make: place -> array, always the same for a place; may be called by several threads.
        room: bytes.
    """

    def __init__(self, make: Callable[[int], np.ndarray], count: int, room: int = 0):
        self._make, self._count = make, count
        self._kept: list[np.ndarray] = []
        self.nbytes = 0
        there = set()  # an array that stands in several places takes its bytes once
        while self.nbytes < room and not self.whole:
            made = make(len(self._kept))
            self._kept.append(made)
            self.nbytes += 0 if id(made) in there else made.nbytes
            there.add(id(made))

    @property
    def whole(self) -> bool:
        """True where all are kept."""
        return len(self._kept) == self._count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place):
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(self._count))]
        if not -self._count <= place < self._count:
            raise IndexError(place)
        place %= self._count
        return self._kept[place] if place < len(self._kept) else self._make(place)


class Part:
    """The train, validation or test examples of one division.

    Args:
        index: (n,) rows of ``examples``.
        standardisers: modality -> Standardiser, fitted on the training part.
        keeps: whether features stay in memory, as far as there is room.
    """

    def __init__(
        self,
        spec: ProtocolSpec,
        examples: Examples,
        index: np.ndarray,
        standardisers: dict[str, Standardiser],
        *,
        keeps: bool = True,
    ):
        self.spec, self.examples, self.index = spec, examples, index
        self.standardisers, self._keeps = standardisers, keeps
        self._clean: dict[str, OnDemand] = {}
        self._noisy: dict[tuple, OnDemand] = {}
        self._held = self._kept = 0

    def __len__(self) -> int:
        return len(self.index)

    @property
    def labels(self) -> np.ndarray:
        """(N,) label of every scored item, examples in order, steps in order."""
        chosen = [self.examples.labels[i] for i in self.index]
        return np.concatenate(chosen) if self.examples.per_step else np.array(chosen)

    def sequences(self, modality: str, conditions: list[Condition], draw: str) -> OnDemand:
        """Standardised (T, D) features of every example, each under its own condition.

        Args:
            draw: names this draw of the noise; equal names give equal noise, whatever the method.
        """
        if modality not in self._clean:
            room = HELD_BYTES - self._held if self._keeps else 0
            clean = OnDemand(lambda row: self._features(modality, self.index[row]), len(self), room)
            self._clean[modality] = clean
            self._held += clean.nbytes
        if all(condition.modality != modality for condition in conditions):
            return self._clean[modality]
        key = (modality, draw, *(condition.text for condition in conditions))
        if key in self._noisy:
            return self._noisy[key]
        room = KEPT_BYTES - self._kept if self._clean[modality].whole else 0
        found = OnDemand(partial(self._drawn, modality, conditions, draw), len(self), room)
        if found.whole:
            self._noisy[key] = found
            self._kept += sum(a.nbytes for a, c in zip(found, conditions, strict=True) if c.modality == modality)
        return found

    def _drawn(self, modality: str, conditions: list[Condition], draw: str, row: int) -> np.ndarray:
        condition, i = conditions[row], self.index[row]
        if condition.modality != modality:
            return self._clean[modality][row]
        if condition.corruption == "missing":
            return np.zeros_like(self._clean[modality][row])
        rng = seeded(self.spec.key, draw, condition.text, self.examples.ids[i])
        return self._features(modality, i, condition, rng)

    def _features(self, modality: str, i: int, condition: Condition | None = None, rng=None) -> np.ndarray:
        stream, standardise = self.examples.streams[modality], self.standardisers[modality]
        if condition is None:
            return standardise(stream.features(stream.raw(i)))
        if stream.kind == "features":  # whose columns differ in scale: noise is measured on standardised ones
            return condition.apply(standardise(stream.features(stream.raw(i))), rng)
        return standardise(stream.features(condition.apply(stream.raw(i), rng)))

    def batches(
        self,
        modalities: tuple[str, ...],
        size: int,
        *,
        condition: Condition | None = None,
        draw: str,
        order: tuple[int, int] | None = None,
    ) -> Iterator[Batch]:
        """Batches of all examples.

        Args:
            modalities: what the method uses.
            condition: for every example; None draws one of the protocol's training conditions for each.
            draw: see ``sequences``.
            order: (seed, epoch) that shuffles the examples; None keeps the order of the split file.
        """
        if condition is not None:
            conditions = [condition] * len(self)
        else:
            conditions = training_conditions(self.spec, [self.examples.ids[i] for i in self.index], draw)
        streams = {m: self.sequences(m, conditions, draw) for m in modalities}
        rows = np.arange(len(self)) if order is None else np.random.default_rng(order).permutation(len(self))

        def batch(chosen: np.ndarray) -> Batch:
            padded = {m: pad([streams[m][r] for r in chosen]) for m in modalities}
            return Batch(
                {m: values for m, (values, _) in padded.items()},
                {m: mask for m, (_, mask) in padded.items()},
                self._padded_labels(self.index[chosen]),
                self.index[chosen],
            )

        pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
        return prepare(batch, pieces, streams.values())

    def _padded_labels(self, index: np.ndarray) -> Tensor:
        if not self.examples.per_step:
            return torch.from_numpy(self.examples.labels[index])
        chosen = [torch.from_numpy(self.examples.labels[i]) for i in index]
        return torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=IGNORED)


def in_memory(sequences: Sequence[np.ndarray]) -> bool:
    """Whether nothing has to be made to read them."""
    return not isinstance(sequences, OnDemand) or sequences.whole


def prepare(make: Callable, pieces: Sequence, read: Iterable[Sequence[np.ndarray]]) -> Iterator:
    """``make`` of each piece, in order: a little ahead in threads, where what it reads has to be made, too."""
    if all(map(in_memory, read)):
        return map(make, pieces)
    return ahead(make, pieces, threads=AHEAD, most=AHEAD)


def seeded(*key: str) -> np.random.Generator:
    """Randomness named by words: the same for every method, seed and machine."""
    digest = hashlib.sha256("\0".join(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def training_conditions(spec: ProtocolSpec, ids: list[str], draw: str) -> list[Condition]:
    """One of the protocol's training conditions for each example, the same for every method and seed."""
    conditions = [parse_condition(text) for text in spec.training_conditions]
    if len(conditions) == 1:
        return conditions * len(ids)
    chosen = seeded(spec.key, draw, "conditions").integers(len(conditions), size=len(ids))
    return [conditions[k] for k in chosen]


def _blocks(sequences: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The arrays in order, BLOCK_BYTES or little more at a time."""
    block, size = [], 0
    for sequence in sequences:
        block.append(sequence)
        size += sequence.nbytes
        if size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _moments(rows: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """(N, D) rows, which are lost -> N, their mean, and the sums of squares about it."""
    mean = rows.mean(0)
    rows -= mean
    rows *= rows
    return len(rows), mean, rows.sum(0)


def pad(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """(T_i, D) arrays -> (B, T, D) float32 padded with zeros on the right, and (B, T) bool."""
    lengths = np.array([len(sequence) for sequence in sequences])
    values = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in zip(values, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(values), torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])


class Division:
    """Train and validation parts, and a test part behind a door.

    Fitting and tuning get ``training`` and ``validation``. The test part exists only after
    ``open_test``, which first calls ``ledger``.

    Raises:
        DataError: where a condition is not defined for the data set's raw rows.
    """

    def __init__(self, spec: ProtocolSpec, examples: Examples, parts: dict[str, np.ndarray]):
        _check_conditions(spec, examples)
        self._closed = parts["test"]
        self._spec, self._examples, self._test = spec, examples, None
        ids = [examples.ids[i] for i in parts["train"]]
        conditions = training_conditions(spec, ids, "standardise")
        untouched = {
            m: Standardiser(np.zeros(s.width, np.float32), np.ones(s.width, np.float32))
            for m, s in examples.streams.items()
        }
        bare = Part(spec, examples, parts["train"], untouched, keeps=False)
        self._standardisers = {
            m: Standardiser.of(bare.sequences(m, conditions, "standardise")) for m in examples.streams
        }
        self.training = Part(spec, examples, parts["train"], self._standardisers)
        self.validation = Part(spec, examples, parts["validation"], self._standardisers)

    @property
    def features(self) -> dict[str, int]:
        """D of each modality."""
        return {m: stream.width for m, stream in self._examples.streams.items()}

    def open_test(self, ledger: Callable[[], None]) -> Part:
        """The test part; ``ledger`` has written down that it was opened before anything is read of it."""
        ledger()
        if self._test is None:
            self._test = Part(self._spec, self._examples, self._closed, self._standardisers)
        return self._test


def _check_conditions(spec: ProtocolSpec, examples: Examples) -> None:
    for text in (*spec.conditions, *spec.training_conditions):
        condition = parse_condition(text)
        if condition.corruption in CORRUPTIONS:
            kinds = CORRUPTIONS[condition.corruption].kinds
            kind = examples.streams[condition.modality].kind
            if kind not in kinds:
                raise DataError(
                    f"{spec.key}: condition {text!r} is defined for {', '.join(kinds)}, but {condition.modality} of "
                    f"{spec.dataset} is {kind}. Remove the condition or choose another corruption."
                )
