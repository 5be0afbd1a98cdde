"""What a trained model is shown: every example of a part, under any condition, with any modality taken away.

Corrupted media are made on the fly and their features kept for the next method: all methods and seeds meet
the same draws, which are the draws of the runs' own conditions too.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from protocols.batches import KEPT_BYTES, OnDemand, Part, in_memory, pad, prepare, seeded
from protocols.corruptions import CORRUPTIONS, Condition, conflict, missing, parse_condition
from protocols.corruptions.alignment import to_length
from protocols.metrics import Undefined

Streams = dict[str, Sequence[np.ndarray]]  # modality -> N arrays (T_i, D), standardised; in memory or made on demand
Predict = Callable[[dict[str, Tensor], dict[str, Tensor]], Tensor]
ABSENCE = ("mean", "raw_zeros", "other_sample")
LENGTHS = 64  # of which silence and black frames are kept as features
DRAW = "test"  # names the noise as the evaluation of a run does
CLEAN = parse_condition("clean")
HAS_POWER = {"waveform": np.any, "frames": np.ptp, "features": np.any}  # brightness is no signal


class Presenter:
    """The examples of one part as streams of standardised features.

    Args:
        part: usually the test part, opened through the ledger.
    """

    def __init__(self, part: Part):
        self.part = part
        self._kept: dict[tuple[str, str], OnDemand] = {}
        self._bytes = 0

    def streams(self, modalities: Collection[str], condition: Condition) -> Streams:
        """Features of every example under a condition, examples in the order of the part.

        What does not fit into memory is made when it is asked for; a corruption that has no meaning for one example
        alone may then say so only there.

        A condition on a modality that is not asked for changes nothing. Arrays are shared between calls: do not
        write into them.

        Args:
            modalities: what a method uses. What is absent under ``all/missing`` is drawn over all modalities of the
                protocol, so it does not depend on them.

        Raises:
            Undefined: where the condition has no meaning for this part.
        """
        self._check(condition)
        if condition.corruption == "missing" and not condition.alone:
            return self._missing(modalities, condition)
        if not condition.alone:  # whether it has a meaning here does not depend on what a method uses
            self._stream(condition.modality, condition)
        return {m: self._stream(m, condition) for m in modalities}

    def without(self, streams: Streams, absent: Collection[str], rule: str, draw: int = 0) -> Streams:
        """The same streams with some modalities taken away; lengths stay, masks stay full.

        Args:
            streams: of all examples of the part, in its order.
            rule: ``mean``: the training mean, which is zero after standardisation (the absence rule of the
                protocols). ``raw_zeros``: digital silence, black frames or zero features, sent through feature
                extraction and standardisation. ``other_sample``: the stream of another example of the part, cut or
                repeated to the length that it replaces. Each example stands in once, never for itself, and for all
                modalities that one example lacks; ``draw`` names the assignment.

        Raises:
            Undefined: for ``other_sample`` in a part of one example.
            ValueError: for a rule that there is not.
        """
        if rule not in ABSENCE:
            near = get_close_matches(str(rule), ABSENCE, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no absence rule {rule!r}.{hint} Known: {', '.join(ABSENCE)}.")
        if wrong := [m for m, s in streams.items() if len(s) != len(self.part)]:
            raise ValueError(f"{len(streams[wrong[0]])} examples of {wrong[0]}, the part has {len(self.part)}.")
        found = {}
        for modality, sequences in streams.items():
            if modality not in absent:
                found[modality] = sequences
            elif rule == "mean":
                found[modality] = derived(sequences, lambda row, own=sequences: np.zeros_like(own[row]))
            elif rule == "raw_zeros":
                found[modality] = self._nothing(modality)
            else:
                others = self.partners(draw)
                found[modality] = derived(
                    sequences, lambda row, own=sequences, others=others: to_length(own[others[row]], len(own[row]))
                )
        return found

    def partners(self, draw: int) -> np.ndarray:
        """(N,) row of the example that stands in for each: one random round trip through all, so never itself.

        Raises:
            Undefined: in a part of one example.
        """
        if len(self.part) < 2:
            raise Undefined("there is no other example to take a stream from")
        order = seeded(self.part.spec.key, "other_sample", str(draw)).permutation(len(self.part))
        found = np.empty_like(order)
        found[order] = np.roll(order, -1)
        return found

    def _check(self, condition: Condition) -> None:
        """Refuse what the data set cannot show, whichever modalities a method uses."""
        if condition.modality is None:
            return
        spec, text = self.part.spec, condition.text
        named = spec.modalities if condition.modality == "all" else condition.modality.split("+")
        if lacking := [m for m in named if m not in spec.modalities]:
            raise Undefined(f"{text}: {spec.key} has no {lacking[0]}")
        if condition.corruption in CORRUPTIONS:
            self._check_stream(condition)
        elif condition.corruption == "conflict":
            if spec.task != "classification":
                raise Undefined(f"{text}: what contradicts is of another class, and the task is {spec.task}")
            if len(np.unique(self.part.labels)) < 2:
                raise Undefined(f"{text}: all examples are of one class, so nothing can contradict")
        elif len(spec.modalities) == 1 and condition.modality == "all":
            raise Undefined(f"{text}: {named[0]} is all there is, so it is never absent")
        elif len(named) == len(spec.modalities) > 1 and condition.modality != "all":
            raise Undefined(f"{text}: nothing would be left")

    def _check_stream(self, condition: Condition) -> None:
        corruption, text = CORRUPTIONS[condition.corruption], condition.text
        stream = self.part.examples.streams[condition.modality]
        representation = self.part.spec.inputs[condition.modality]
        if stream.kind not in corruption.kinds:
            raise Undefined(f"{text}: defined for {', '.join(corruption.kinds)}; {condition.modality} is {stream.kind}")
        if corruption.inputs and representation not in corruption.inputs:
            raise Undefined(f"{text}: defined for {', '.join(corruption.inputs)}; the input is {representation}")
        if "rate_hz" in corruption.needs and "unit" not in corruption.needs and not stream.rate_hz:
            raise Undefined(f"{text}: the rate of {condition.modality} is not known")
        if corruption.steps > 1 and max(len(stream.raw(i)) for i in self.part.index) < corruption.steps:
            raise Undefined(f"{text}: no example has {corruption.steps} steps of {condition.modality}")
        if corruption.units == ("dB",) and not any(map(HAS_POWER[stream.kind], self._signals(condition.modality))):
            raise Undefined(f"{text}: no example of {condition.modality} has any power to measure noise against")

    def _signals(self, modality: str) -> Iterator[np.ndarray]:
        """What noise in decibels is measured against: raw media, or standardised features."""
        stream = self.part.examples.streams[modality]
        if stream.kind == "features":
            return iter(self._stream(modality, CLEAN))
        return (stream.raw(i) for i in self.part.index)

    def _stream(self, modality: str, condition: Condition) -> OnDemand:
        if not condition.touches(modality):
            condition = CLEAN
        if condition.alone:
            return self.part.sequences(modality, [condition] * len(self.part), DRAW)
        make = self._conflicting if condition.corruption == "conflict" else self._corrupted
        return self._remember((modality, condition.text), make(modality, condition))

    def _remember(self, key: tuple[str, str], make: Callable[[int], np.ndarray]) -> OnDemand:
        """What ``make`` gives for each row, made once as long as there is room."""
        if key in self._kept:
            return self._kept[key]
        room = KEPT_BYTES - self._bytes if in_memory(self._stream(key[0], CLEAN)) else 0
        found = OnDemand(make, len(self.part), room)
        if found.whole:
            self._kept[key] = found
            self._bytes += found.nbytes
        return found

    def _drawn(self, condition: Condition, row: int) -> np.random.Generator:
        return seeded(self.part.spec.key, DRAW, condition.text, self.part.examples.ids[self.part.index[row]])

    def _corrupted(self, modality: str, condition: Condition) -> Callable[[int], np.ndarray]:
        """Under a corruption that needs more than the rows of one example."""
        stream = self.part.examples.streams[modality]
        raw = [stream.raw(i) for i in self.part.index]

        def make(row: int) -> np.ndarray:
            given = {"rate_hz": stream.rate_hz, "unit": condition.unit, "others": raw[:row] + raw[row + 1 :]}
            chosen = {name: given[name] for name in CORRUPTIONS[condition.corruption].needs}
            change = partial(condition.apply, rng=self._drawn(condition, row), **chosen)
            return self._features(modality, raw[row], change)

        return make

    def _conflicting(self, modality: str, condition: Condition) -> Callable[[int], np.ndarray]:
        """The raw rows of examples of another class, as long as each example's own."""
        if self.part.examples.per_step:
            return self._conflicting_steps(modality, condition)
        stream, labels = self.part.examples.streams[modality], self.part.labels
        raw = [stream.raw(i) for i in self.part.index]

        def make(row: int) -> np.ndarray:
            other = raw[conflict.partner(labels, row, self._drawn(condition, row))]
            return self._features(modality, to_length(other, len(raw[row])))

        return make

    def _conflicting_steps(self, modality: str, condition: Condition) -> Callable[[int], np.ndarray]:
        """Every step from a step of another class in another example."""
        clean = self._stream(modality, CLEAN)
        labels = self._labels_of_steps(condition, (modality,))

        def make(row: int) -> np.ndarray:
            pairs = conflict.partner_steps(labels, row, self._drawn(condition, row))
            return np.stack([clean[k][step] for k, step in pairs])

        return make

    def _missing(self, modalities: Collection[str], condition: Condition) -> Streams:
        """Zeros where a modality is absent: a named set everywhere, or at a rate, each scored item by itself."""
        clean = {m: self._stream(m, CLEAN) for m in modalities}
        if condition.severity is None:
            return self.without(clean, [m for m in clean if condition.touches(m)], "mean")
        known = self.part.spec.modalities
        steps = [1] * len(self.part)
        if self.part.examples.per_step:
            steps = [len(x) for x in self._labels_of_steps(condition, known)]
        gone = [
            missing.absent(condition.severity / 100, count, len(known), self._drawn(condition, row))
            for row, count in enumerate(steps)
        ]

        def present(m: str, row: int) -> np.ndarray:
            return np.where(gone[row][:, [known.index(m)]], np.float32(0), clean[m][row])

        return {m: derived(clean[m], partial(present, m)) for m in modalities}

    def _labels_of_steps(self, condition: Condition, modalities: Collection[str]) -> list[np.ndarray]:
        """The labels of each example's steps, after making sure that they are the steps of the streams too."""
        labels = [self.part.examples.labels[i] for i in self.part.index]
        for modality in modalities:
            lengths = [len(x) for x in self._stream(modality, CLEAN)]
            if lengths != [len(x) for x in labels]:
                raise Undefined(f"{condition.text}: the labelled steps are not the steps of {modality}")
        return labels

    def _nothing(self, modality: str) -> OnDemand:
        """Zeros in place of the raw rows, as features; one array for all examples of a length."""
        stream = self.part.examples.streams[modality]

        @lru_cache(maxsize=LENGTHS)
        def of_length(steps: int) -> np.ndarray:
            return self._features(modality, np.zeros((steps, *stream.values.shape[1:]), stream.values.dtype))

        steps = (stream.stops - stream.starts)[self.part.index]
        return self._remember((modality, "raw_zeros"), lambda row: of_length(int(steps[row])))

    def _features(
        self, modality: str, raw: np.ndarray, change: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    ) -> np.ndarray:
        """Standardised features of raw rows; ``change`` acts where a Part lets corruptions act."""
        stream, standardise = self.part.examples.streams[modality], self.part.standardisers[modality]
        if stream.kind == "features":
            return change(standardise(stream.features(raw)))
        return standardise(stream.features(change(raw)))


def derived(sequences: Sequence[np.ndarray], make: Callable[[int], np.ndarray]) -> Sequence[np.ndarray]:
    """What ``make`` gives for each row, at once where what it is made of is in memory."""
    count = len(sequences)
    return [make(row) for row in range(count)] if in_memory(sequences) else OnDemand(make, count)


def batches(streams: Streams, size: int) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Inputs and masks of ``size`` examples at a time, in order."""

    def batch(start: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        padded = {m: pad(sequences[start : start + size]) for m, sequences in streams.items()}
        return {m: x for m, (x, _) in padded.items()}, {m: mask for m, (_, mask) in padded.items()}

    starts = range(0, len(next(iter(streams.values()))), size)
    return prepare(batch, starts, streams.values())


def score(predict: Predict, streams: Streams, size: int) -> np.ndarray:
    """(items, K) scores: one row an example, or a step where the model scores each step."""
    found = []
    with torch.inference_mode():
        for inputs, masks in batches(streams, size):
            scores = predict(inputs, masks)
            if scores.ndim == 3:
                scores = scores[next(iter(masks.values()))]
            found.append(scores.float().cpu().numpy())
    return np.concatenate(found)
