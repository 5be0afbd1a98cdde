"""What a model says of coalitions of its modalities, of permuted ones, and of examples that are recombined."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from protocols.batches import seeded
from protocols.corruptions import parse_condition
from protocols.measuring import Subject
from protocols.measuring.answers import CLASSIFICATION
from protocols.metrics import Undefined, pid
from protocols.metrics.contribution import coalitions, rearranged
from protocols.presentation import Presenter, Streams, derived, score, to_length
from protocols.suite import Contribution

ROWS = 64  # examples in one forward pass; on a CPU more are no faster, and slower for large attention maps
WIDEST = 4096  # features of which clusters are found; a picture has more
SAME = 1e-4  # largest difference of a score from what was kept of it, relative to the largest score
AMONG = {"all": "", "within": "/within", "across": "/across"}  # what ``rearranged`` takes -> how it is named

Keep = dict[str, np.ndarray]  # what a model said, by what it was shown


class Shower:
    """Shows a model what the metrics ask for, in few large batches, and no distinct input twice.

    Scores are remembered by the content that was shown, a digest of every array: whatever condition, rule or draw it
    came from, scores can only come back for the very same input. The memory belongs to one model.
    """

    def __init__(self, subject: Subject, presenter: Presenter):
        self.subject, self.presenter, self.part = subject, presenter, presenter.part
        self._classes = self.part.spec.task == CLASSIFICATION
        labels = self.part.examples.labels
        self.steps = [len(labels[i]) if self.part.examples.per_step else 1 for i in self.part.index]
        self._known: dict[bytes, np.ndarray] = {}

    def fill(self, keep: Keep, text: str, settings: Contribution) -> None:
        """Everything that ``from_scores`` reads of one condition.

        Raises:
            Undefined: where the condition has no meaning here, or scores are not finite.
            ValueError: if what is in ``keep`` is of another model.
        """
        streams = self.presenter.streams(self.subject.modalities, parse_condition(text))
        self._full(keep, text, streams)
        for rule in settings.rules:
            for draw in range(draws(rule, settings)):
                self._coalitions(keep, text, streams, rule, draw)
        self._permuted(keep, text, streams, settings)
        self._pairs(keep, text, streams, settings)
        if not self._classes:
            return
        for modality, sequences in streams.items():  # made again every time: no forward pass, and no older code's
            rng = seeded(self.part.spec.key, "clusters", modality)
            keep[entry(text, "clusters", settings.clusters, modality)] = pid.discretised(
                self._rows(sequences), settings.clusters, rng
            )

    def scores(self, shown: Sequence[Streams]) -> list[np.ndarray]:
        """(items, K) of each; what is shown together has the same batches, so the same padding, as alone.

        Raises:
            Undefined: if a score is not finite.
        """
        found, at_once = [], max(1, ROWS // self.subject.size)
        for start in range(0, len(shown), at_once):
            found += self._together(shown[start : start + at_once])
        if bad := sum(int((~np.isfinite(s)).any(1).sum()) for s in found):
            raise Undefined(f"the model's scores of {bad} of {sum(map(len, found))} items shown are not finite")
        return found

    def remembered(self, shown: Sequence[Streams]) -> list[np.ndarray]:
        """The same, each distinct content once."""
        names = _digests(shown)
        new = {name: streams for name, streams in zip(names, shown, strict=True) if name not in self._known}
        self._known |= zip(new, self.scores(list(new.values())), strict=True)
        return [self._known[name] for name in names]

    def _together(self, shown: Sequence[Streams]) -> list[np.ndarray]:
        size, found = self.subject.size, [[] for _ in shown]
        for start in range(0, len(self.part), size):  # one batch, which so alone has to be in memory
            rows = slice(start, start + size)
            merged = {m: [x for streams in shown for x in streams[m][rows]] for m in self.subject.modalities}
            scores = score(self.subject.predict, merged, size * len(shown))
            for own, part in zip(found, np.split(scores, len(shown)), strict=True):
                own.append(part)
        return [np.concatenate(own) for own in found]

    def _full(self, keep: Keep, text: str, streams: Streams) -> None:
        """The scores with nothing absent, or a look at the first batch that those kept are still what it says."""
        if text not in keep:
            for name in [name for name in keep if name.startswith(f"{text}|")]:
                del keep[name]  # of what, nobody can say
            (keep[text],) = self.scores([streams])
            return
        size, told = self.subject.size, keep[text]
        now = score(self.subject.predict, {m: s[:size] for m, s in streams.items()}, size)
        first = told[: len(now)]
        if told.shape != (sum(self.steps), now.shape[1]) or np.abs(first - now).max() > SAME * np.abs(now).max():
            raise ValueError(f"the scores kept under {text!r} are of another model, or of other data.")

    def _coalitions(self, keep: Keep, text: str, streams: Streams, rule: str, draw: int) -> None:
        wanted = {entry(text, rule, draw, *chosen): chosen for chosen in coalitions(self.subject.modalities)[:-1]}
        shown = {
            key: self.presenter.without(streams, [m for m in streams if m not in chosen], rule, draw)
            for key, chosen in wanted.items()
            if key not in keep
        }
        keep |= zip(shown, self.remembered(list(shown.values())), strict=True)

    def _permuted(self, keep: Keep, text: str, streams: Streams, settings: Contribution) -> None:
        """Predicted class of every item, or its scores, while one modality comes from other items."""
        wanted, labels = {}, self.part.labels
        for among in AMONG if self._classes else ("all",):
            if among == "across" and len(np.unique(labels)) < 2:
                continue
            for draw in range(settings.permutations):
                for m in streams:
                    if (key := entry(text, f"permuted {among}", draw, m)) not in keep:
                        rng = seeded(self.part.spec.key, "permuted", among, str(draw), m)
                        rows = rearranged(labels, among, rng)
                        wanted[key] = streams | {m: self._taken(streams[m], rows)}
        found = self.scores(list(wanted.values()))
        if self._classes:
            found = [s.argmax(1).astype(np.int16) for s in found]
        keep |= zip(wanted, found, strict=True)

    def _taken(self, sequences: Sequence[np.ndarray], rows: np.ndarray) -> Sequence[np.ndarray]:
        """The stream in which each item has another item's content."""
        if self.part.examples.per_step:
            return np.split(np.concatenate(sequences)[rows], np.cumsum(self.steps)[:-1])
        if not self.part.examples.aligned:
            return derived(sequences, lambda row: sequences[rows[row]])
        return derived(sequences, lambda row: to_length(sequences[rows[row]], len(sequences[row])))

    def _pairs(self, keep: Keep, text: str, streams: Streams, settings: Contribution) -> None:
        """Scores of one modality of example i with all others of example j, for all pairs of some examples."""
        examples = self.part.examples
        lengths = {len(x) for sequences in streams.values() for x in sequences}
        if len(streams) < 2 or ((examples.aligned or examples.per_step) and len(lengths) > 1):
            return
        chosen = spread(len(self.part), settings.pairs)
        own = {m: {i: sequences[i] for i in chosen} for m, sequences in streams.items()}
        for m in sides(tuple(streams)):
            if (key := entry(text, "pairs", settings.pairs, m)) in keep:
                continue
            shown = {other: [s[i if other == m else j] for i in chosen for j in chosen] for other, s in own.items()}
            table = score(self.subject.predict, shown, ROWS)
            if not np.isfinite(table).all():
                raise Undefined("the model's scores of recombined examples are not all finite")
            keep[key] = table.reshape(len(chosen), len(chosen), self.steps[0], -1)

    def _rows(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """(items, D): the mean over time of each example, or each step where steps are scored.

        Of pictures D is less than that of a step: a mean of neighbours in a row stands for them.
        """
        if self.part.examples.per_step:
            return np.concatenate([_narrow(x) for x in sequences])
        return np.stack([_narrow(x.mean(0, dtype=np.float64)) for x in sequences])


def entry(text: str, what: str, number: int, *modalities: str) -> str:
    """Name of an entry of Keep. What is shown under it must not change: then the name has to."""
    return f"{text}|{what}|{number}|{'+'.join(modalities)}"


def draws(rule: str, settings: Contribution) -> int:
    """How often an absence rule is drawn."""
    return settings.draws if rule == "other_sample" else 1


def sides(modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Which modality is set against the others; of two, either stands for both."""
    return modalities[:1] if len(modalities) == 2 else modalities


def spread(count: int, wanted: int) -> np.ndarray:
    """Rows of at most ``wanted`` examples, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))


def _narrow(x: np.ndarray) -> np.ndarray:
    """(..., D) with runs of columns averaged, so that at most WIDEST are left."""
    run = -(-x.shape[-1] // WIDEST)
    if run == 1:
        return x
    starts = np.arange(0, x.shape[-1], run)
    return np.add.reduceat(x, starts, axis=-1) / np.diff(starts, append=x.shape[-1])


def _digests(shown: Sequence[Streams]) -> list[bytes]:
    """A name of the content of each: modalities, shapes and every value."""
    of_list: dict[int, bytes] = {}  # lists that are shown several times are read once; all live while this runs
    found = []
    for streams in shown:
        whole = blake2b(digest_size=16)
        for m, sequences in streams.items():
            if id(sequences) not in of_list:
                digest = blake2b(digest_size=16)
                for x in sequences:
                    digest.update(f"{x.dtype.str}{x.shape}".encode())
                    digest.update(np.ascontiguousarray(x).data)
                of_list[id(sequences)] = digest.digest()
            whole.update(m.encode() + b"\0" + of_list[id(sequences)])
        found.append(whole.digest())
    return found
