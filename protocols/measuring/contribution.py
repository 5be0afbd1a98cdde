"""Modality contribution of a trained model: what each modality brings, and what they only bring together.

The model is shown every coalition of its modalities, the absent ones replaced by an absence rule, and two values are
taken: the accuracy, and, without labels, the probability of the class that it predicts when everything is there.
Outside classification the worth and the strength of ``protocols.measuring.answers`` take their places. Findings of each
condition of the suite (``m`` stands for each modality, ``a+b`` for each pair):

================================  ====================================================================================
metric                            value
================================  ====================================================================================
``shapley/m``                     exact Shapley value of the accuracy
``shapley/m/class=c``             of the accuracy over the items of class c, where there are classes
``shapley_interaction/a+b``       Shapley interaction index of the accuracy
``shapley_share/m``               mean over items of abs(phi_m) / sum of abs(phi), label-free; n counts the items on
                                  which any modality has an effect
``absence_gap/m``                 largest less smallest ``shapley_share`` over the absence rules
``shape/m``                       SHAPE contribution; the most frequent class counts as what is said without input, so
                                  an ignored modality has 0 only if the model says that class then
``shape_cooperation``             SHAPE cooperation of all modalities divided by the accuracy; ``/raw`` is not divided;
                                  with three modalities also ``/a+b`` and ``/a+b/raw``
``intershap``, ``/local``         InterSHAP of the mean over items, which predicted numbers have none of, and the mean
                                  over items of each item's; label-free
``utilisation/m``                 share of the accuracy that is lost without m, given the others
``perceptual/m``                  share of the accuracy that is lost when m is permuted over the items;
                                  ``/within`` inside each class, ``/across`` from items of other classes
``emap_gap``                      accuracy less that of the additive projection, over every pair of some examples;
                                  with three modalities ``/m``: m against all the others
``pid/redundant``,                bits that the clustered inputs of two modalities carry of the model's prediction, a
``pid/synergistic``,              property of the model, not of the labels; with three modalities of each pair:
``pid/unique/m``                  ``pid/redundant/a+b``, ``pid/unique/a/a+b``. ``/shuffled`` at the end is the same
                                  of shuffled predictions: counts of few items say that much where nothing is
================================  ====================================================================================

The first absence rule of the suite is the main one; of every other one the same values end in its name:
``shapley/audio/other_sample``. What two modalities are needed for has a reason where a model uses one.

Scored items are examples, or steps where every step is labelled; there modalities are permuted step by step. Streams
that are aligned are cut or repeated to the length that they replace. Where several numbers or labels are predicted,
what is label-free counts each of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch

from protocols.batches import seeded
from protocols.measuring import Finding, Subject
from protocols.measuring.answers import CLASSIFICATION, NO_CLASSES, REGRESSION, Worth, probabilities, said, strength
from protocols.measuring.coalitions import AMONG, Keep, Shower, draws, entry, sides, spread
from protocols.metrics import Undefined, contribution, pid
from protocols.metrics.contribution import coalitions
from protocols.presentation import Presenter
from protocols.suite import Contribution, Suite

OF_CLASSES = Worth()
CANCEL = "what moves a predicted number up in one item and down in another cancels in the mean; see intershap/local"
OF_SCORE = ("shapley", "shape", "shape_cooperation", "utilisation")  # what follows from the worth of coalitions


def measure(subject: Subject, presenter: Presenter, suite: Suite, keep: Keep | None = None) -> Iterator[Finding]:
    """Every finding of the table above.

    Args:
        keep: what the model said, by name; what is in it already is not computed again, so it must be of this model
            and this part. Under ``<condition>`` stand the (items, K) scores with nothing absent, under
            ``<condition>|<rule>|<draw>|<modalities present, joined by +>`` those of every other coalition, and
            beside them what permutations and pairs gave: see ``from_scores``.

    Raises:
        ValueError: if ``keep`` is of another model, or of other data.
    """
    keep = {} if keep is None else keep
    settings, part = suite.contribution, presenter.part
    shower = Shower(subject, presenter)
    for text in settings.conditions:
        try:
            shower.fill(keep, text, settings)
        except Undefined as reason:
            for name in _names(subject.modalities):
                yield Finding(text, name, None, len(part.labels), str(reason))
            continue
        given = part.labels, part.examples.classes, subject.modalities, settings, (text,), Worth.of(part)
        yield from from_scores(keep, *given)


def from_scores(
    keep: Mapping[str, np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    modalities: tuple[str, ...],
    settings: Contribution,
    conditions: Sequence[str] | None = None,
    worth: Worth = OF_CLASSES,
) -> Iterator[Finding]:
    """Every finding from what was kept of a measurement; no model is needed.

    Args:
        keep: as ``measure`` fills it. Beside the scores of coalitions: ``<condition>|permuted <among>|<draw>|<m>``
            the (items,) predicted classes, outside classification the (items, K) scores;
            ``<condition>|pairs|<n>|<m>`` the (n, n, T, K) scores of recombined examples,
            ``<condition>|clusters|<k>|<m>`` the (items,) clusters.
        labels: (items,), outside classification (items, K).
        modalities: what the model uses.
        settings: of the suite by which ``keep`` was filled.
        conditions: of the suite's; None for all.
        worth: how good scores are.

    Raises:
        KeyError: naming what is not in ``keep``.
    """
    for text in settings.conditions if conditions is None else conditions:
        told = _Told(keep, text, labels, classes, modalities, settings, worth)
        yield from told.coalition_findings()
        if worth.task == CLASSIFICATION:
            yield from told.class_findings()
        yield from told.perceptual_findings()
        if len(modalities) < 2:
            yield from told.reasons_of_one()
        else:
            yield from told.emap_findings()
            yield from told.pid_findings()


class _Told:
    """What was kept of one condition, and the findings that follow from it."""

    def __init__(self, keep, text: str, labels, classes, modalities: tuple[str, ...], settings: Contribution, worth):
        self.keep, self.text, self.labels, self.classes = keep, text, labels, classes
        self.modalities, self.count, self.settings = modalities, len(modalities), settings
        self.n, self.worth, self.task = len(labels), worth, worth.task
        self.full = keep[text]
        self.predicted = said(self.task, _probabilities(self.task, self.full))

    def coalition_findings(self) -> Iterator[Finding]:
        shares: dict[str, list[float]] = {m: [] for m in self.modalities}
        for place, rule in enumerate(self.settings.rules):
            tail = f"/{rule}" if place else ""
            yield from self._of_score(rule, tail)
            if self.count > 1:
                yield from self._label_free(self._game(rule, self._trust), tail, shares)
        if self.count > 1:
            for m, own in shares.items():
                yield self._one(f"absence_gap/{m}", lambda own=own: contribution.absence_gap(own))

    def _game(self, rule: str, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(2,) * M + (items,): ``of`` the scores of every coalition, mean over the draws of the rule."""
        found = {}
        for chosen in coalitions(self.modalities):
            told = [self.full]
            if len(chosen) < self.count:
                told = [self.keep[entry(self.text, rule, d, *chosen)] for d in range(draws(rule, self.settings))]
            found[chosen] = np.mean([of(scores) for scores in told], axis=0)
        return contribution.game(found, self.modalities)

    def _hits(self, scores: np.ndarray) -> np.ndarray:
        """(items,) whether each is right; outside classification (1,), the worth of all."""
        return self.worth.items(scores, self.labels)

    def _trust(self, scores: np.ndarray) -> np.ndarray:
        """(predictions,) how strongly scores say what the full model predicts."""
        return strength(self.task, _probabilities(self.task, scores), self.predicted).reshape(-1)

    def _of_score(self, rule: str, tail: str) -> Iterator[Finding]:
        """From the (2,) * M accuracies of one absence rule."""
        count = self.count
        try:
            values, majority = self._game(rule, self._hits).mean(-1), self.worth.nothing(self.labels)
        except Undefined as reason:
            wanted = OF_SCORE if count > 1 else ("shapley", "shape")
            names = [name for name in _names(self.modalities) if name.split("/")[0] in wanted]
            yield from (self._reason(f"{name}{tail}", str(reason)) for name in names)
            return
        yield from self._each(f"shapley/{{}}{tail}", lambda: contribution.shapley(values, count))
        yield from self._each(f"shape/{{}}{tail}", lambda: contribution.shape(values, count, majority))
        if count < 2:
            return
        for i, j in combinations(range(count), 2):
            pair = f"{self.modalities[i]}+{self.modalities[j]}"
            name = f"shapley_interaction/{pair}{tail}"
            yield self._one(name, lambda i=i, j=j: contribution.interaction(values, i, j, count))
        sets = [(None, "")]
        if count > 2:
            sets += [((i, j), f"/{self.modalities[i]}+{self.modalities[j]}") for i, j in combinations(range(count), 2)]
        for members, named in sets:
            for compute, raw in ((contribution.shape_cooperation, ""), (contribution.cooperation, "/raw")):
                given = (values, count, majority, members)
                yield self._one(f"shape_cooperation{named}{raw}{tail}", lambda c=compute, given=given: c(*given))
        lost = [values[tuple(int(k != m) for k in range(count))] for m in range(count)]
        name = f"utilisation/{{}}{tail}"
        full = float(values.reshape(-1)[-1])
        yield from self._each(name, lambda: [contribution.utilisation(full, v) for v in lost])

    def _label_free(self, values: np.ndarray, tail: str, shares: dict[str, list[float]]) -> Iterator[Finding]:
        """From (2,) * M + (items,) probabilities; the shares are added to ``shares``."""
        try:
            found, n = contribution.shapley_share(values, self.count)
            for m, share in zip(self.modalities, found, strict=True):
                shares[m].append(float(share))
                yield Finding(self.text, f"shapley_share/{m}{tail}", float(share), n)
        except Undefined as reason:
            yield from (self._reason(f"shapley_share/{m}{tail}", str(reason)) for m in self.modalities)
        if self.task == REGRESSION:
            yield self._reason(f"intershap{tail}", CANCEL)
        else:
            yield self._one(f"intershap{tail}", lambda: contribution.intershap(values, self.count))
        try:
            local, n = contribution.intershap_local(values, self.count)
            yield Finding(self.text, f"intershap/local{tail}", local, n)
        except Undefined as reason:
            yield self._reason(f"intershap/local{tail}", str(reason))

    def class_findings(self) -> Iterator[Finding]:
        """Shapley values of the accuracy over the items of each class, under the main rule."""
        hits = self._game(self.settings.rules[0], self._hits)
        for label, name in enumerate(self.classes):
            own = self.labels == label
            if not own.any():
                why = "the part has no item of this class"
                yield from (self._reason(f"shapley/{m}/class={name}", why, 0) for m in self.modalities)
                continue
            found = contribution.shapley(hits[..., own].mean(-1), self.count)
            for m, value in zip(self.modalities, found, strict=True):
                yield Finding(self.text, f"shapley/{m}/class={name}", float(value), int(own.sum()))

    def perceptual_findings(self) -> Iterator[Finding]:
        for among, tail in AMONG.items():
            for m in self.modalities:
                keys = [entry(self.text, f"permuted {among}", d, m) for d in range(self.settings.permutations)]
                name = f"perceptual/{m}{tail}"
                if among != "all" and self.task != CLASSIFICATION:
                    yield self._reason(name, NO_CLASSES.format(self.task))
                elif among == "across" and len(np.unique(self.labels)) < 2:
                    why = "every item is of the same class, so nothing can come from another one"
                    yield self._reason(name, why)
                else:
                    yield self._one(name, lambda keys=keys: self._perceptual(keys))

    def _perceptual(self, keys: list[str]) -> float:
        if self.task == CLASSIFICATION:
            permuted = [float((self.keep[key] == self.labels).mean()) for key in keys]
        else:
            permuted = [self.worth(self.keep[key], self.labels) for key in keys]
        return contribution.perceptual(self.worth(self.full, self.labels), permuted)

    def emap_findings(self) -> Iterator[Finding]:
        for m in sides(self.modalities):
            name = "emap_gap" if self.count == 2 else f"emap_gap/{m}"
            key = entry(self.text, "pairs", self.settings.pairs, m)
            if key not in self.keep:
                yield self._reason(name, "aligned streams of different lengths cannot be recombined uncut")
                continue
            table = self.keep[key]  # (n, n, T, K)
            labels = self.labels.reshape(-1, table.shape[2], *self.labels.shape[1:])
            labels = labels[spread(len(labels), self.settings.pairs)]
            gap = self._one(name, lambda t=table, y=labels: self._emap_gap(t, y))
            yield replace(gap, n=len(labels) * table.shape[2])

    def _emap_gap(self, table: np.ndarray, labels: np.ndarray) -> float:
        if self.task == CLASSIFICATION:
            return contribution.emap_gap(table, labels)
        paired, added = np.einsum("ii...->i...", table), contribution.additive_projection(table)
        own, other = (self.worth(s.reshape(-1, s.shape[-1]), labels.reshape(-1, s.shape[-1])) for s in (paired, added))
        return own - other

    def pid_findings(self) -> Iterator[Finding]:
        shuffles = [seeded("pid", "shuffled", str(d)).permutation(self.n) for d in range(self.settings.permutations)]
        for pair in combinations(self.modalities, 2):
            tail = "" if self.count == 2 else f"/{'+'.join(pair)}"
            names = ["pid/redundant", *(f"pid/unique/{m}" for m in pair), "pid/synergistic"]
            if self.task != CLASSIFICATION:
                yield from (self._reason(f"{name}{tail}", NO_CLASSES.format(self.task)) for name in names)
                continue
            clusters = [self.keep[entry(self.text, "clusters", self.settings.clusters, m)] for m in pair]

            def bits(orders, clusters=clusters) -> np.ndarray:
                tables = [pid.joint_counts(*clusters, self.predicted[order]) for order in orders]
                return np.mean([pid.decompose(table) for table in tables], axis=0)

            for orders, end in (([np.arange(self.n)], ""), (shuffles, "/shuffled")):
                yield from self._several([f"{name}{tail}{end}" for name in names], lambda o=orders, b=bits: b(o))

    def reasons_of_one(self) -> Iterator[Finding]:
        """What two modalities are needed for, of a model that uses one."""
        said = f"the model uses {self.modalities[0]} only"
        for name in _names(self.modalities):
            if name.split("/")[0] not in ("shapley", "shape", "perceptual"):
                yield self._reason(name, said)

    def _each(self, name: str, compute: Callable[[], Sequence[float]]) -> Iterator[Finding]:
        """One finding a modality, whose name replaces ``{}``."""
        return self._several([name.format(m) for m in self.modalities], compute)

    def _one(self, name: str, compute: Callable[[], float]) -> Finding:
        return next(self._several([name], lambda: [compute()]))

    def _several(self, names: Sequence[str], compute: Callable[[], Sequence[float]]) -> Iterator[Finding]:
        try:
            found = compute()
        except Undefined as reason:
            yield from (self._reason(name, str(reason)) for name in names)
            return
        for name, value in zip(names, found, strict=True):
            yield Finding(self.text, name, float(value), self.n)

    def _reason(self, name: str, said: str, n: int | None = None) -> Finding:
        return Finding(self.text, name, None, self.n if n is None else n, said)


def _names(modalities: tuple[str, ...]) -> list[str]:
    """The findings of a condition under the main rule, without those of classes and pairs."""
    own = ("shapley", "shapley_share", "absence_gap", "shape", "utilisation", "perceptual", "pid/unique")
    joint = ["shape_cooperation", "intershap", "emap_gap", "pid/redundant", "pid/synergistic"]
    return [f"{name}/{m}" for name in own for m in modalities] + joint


def _probabilities(task: str, scores: np.ndarray) -> np.ndarray:
    """Of (items, K) logits or log-probabilities, in float64; in a regression the numbers."""
    if task != CLASSIFICATION:
        return probabilities(task, torch.from_numpy(scores.astype(np.float64))).numpy()
    weights = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
