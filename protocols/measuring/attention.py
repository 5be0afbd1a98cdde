"""Attention behaviour: what maps look like, how weight is shared, and how far saliency drifts.

Findings, with m a modality and examples as ``Suite.attention`` asks for them:

``attention_entropy/<query><-<key>``, ``attention_cells/...``, ``attention_sparsity/...``
    of the maps of one kind, layers and heads averaged; ``:features``, ``:modalities`` and ``:edges`` stay in the name.
``attention_share/<m>``
    by rollout over all maps (``protocols.measuring.maps``). A reason where the wiring alone sets it: a model whose
    queries each read one stream gives equal shares whatever it learned.
``drift/<m>`` under each perturbing condition
    with another modality perturbed and m clean: the saliency of m is what its cells receive from other streams'
    queries. ``drift/<m>/gradient`` watches |gradient x input| of m instead, for every model.
``drift/<m>/changed`` and ``/unchanged``
    of the examples whose prediction does or does not change; drift without change is the interesting part. Of labels
    any that changes counts; numbers always change, so a regression has neither.
``drift/<m>/same``, ``/random``, ``/retest``, ``/gradient/retest``
    controls: m perturbed itself; the model with its first weights; the clean input again, which must give exactly 0.
``drift_area/<m>`` and ``drift_area/<m>/gradient``
    the condition is the sweep.
``share_drift``
    how far the modalities' shares move.

What has no value under any severity of a sweep is told once, with the sweep as its condition.

Zero drift can mean a dead path: a model in which m's cells do not see the other modality at all has no drift either.
In MBT, for example, other streams read m through bottleneck tokens, which hold nothing of the other modality in the
first fusion layer. The gradient's drift and the interaction scores of the contribution family tell these apart.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from protocols.corruptions import Condition, parse_condition
from protocols.measuring import Finding, Subject
from protocols.measuring.answers import REGRESSION
from protocols.measuring.maps import NO_MAP
from protocols.measuring.saliency import DESCRIBED, Observer, Seen, spread, take
from protocols.metrics import Undefined
from protocols.metrics.attention import drift, drift_area, share_drift
from protocols.presentation import Presenter, Streams
from protocols.suite import Suite


def measure(subject: Subject, presenter: Presenter, suite: Suite) -> Iterator[Finding]:
    """All findings of the family; which and under what names, see above."""
    chosen = spread(len(presenter.part), suite.attention.items)
    observer = Observer(subject, presenter.part.spec.task)
    for text in suite.attention.conditions:
        try:
            streams = _shown(subject, presenter, chosen, parse_condition(text))
        except Undefined as reason:
            for name in (*DESCRIBED, "attention_share"):
                yield Finding(text, name, None, len(chosen), str(reason))
            continue
        yield from _maps(observer.see(streams, describe=True, gradient=False), subject.modalities, text)
    yield from _drifts(observer, presenter, suite, chosen)


def _shown(subject: Subject, presenter: Presenter, chosen: list[int], condition: Condition) -> Streams:
    return take(presenter.streams(subject.modalities, condition), chosen)


def _maps(seen: Seen, modalities: tuple[str, ...], condition: str) -> Iterator[Finding]:
    """Descriptions of the maps, and shares by rollout."""
    n = len(seen.probabilities)
    if not seen.described:
        for name in DESCRIBED:
            yield Finding(condition, name, None, n, NO_MAP)
    for name, kept in seen.described.items():
        for metric, values in kept.items():
            if isinstance(values, str):
                yield Finding(condition, f"{metric}/{name}", None, n, values)
            else:
                yield Finding(condition, f"{metric}/{name}", float(values.mean()), len(values))
    for place, m in enumerate(modalities):
        if isinstance(seen.share, str):
            yield Finding(condition, f"attention_share/{m}", None, n, seen.share)
        else:
            yield Finding(condition, f"attention_share/{m}", float(seen.share[:, place].mean()), n)


def _drifts(observer: Observer, presenter: Presenter, suite: Suite, chosen: list[int]) -> Iterator[Finding]:
    subject = observer.subject
    clean = _shown(subject, presenter, chosen, parse_condition("clean"))
    if len(subject.modalities) < 2:
        for sweep in suite.attention.drifts:
            reason = f"the model takes {subject.modalities[0]} alone, so there is no other modality to perturb"
            yield Finding(sweep, f"drift/{subject.modalities[0]}", None, len(chosen), reason)
        return
    before, again = observer.see(clean), observer.see(clean)
    for m in subject.modalities:
        yield _drift("clean", f"drift/{m}/retest", before.received[m], again.received[m])
        yield _drift("clean", f"drift/{m}/gradient/retest", before.gradient[m], again.gradient[m])
    random = Observer(subject.untrained(), observer.task)
    untrained = random.see(clean, gradient=False)
    for sweep in suite.attention.drifts:
        perturbed = sweep.partition("/")[0]
        others = [m for m in subject.modalities if m != perturbed]
        if perturbed not in subject.modalities:
            for m in others:
                yield Finding(sweep, f"drift/{m}", None, len(chosen), f"the model does not take {perturbed}")
            continue
        found: list[Finding] = []
        for condition in suite.sweep(sweep):
            try:
                noisy = take(presenter.streams((perturbed,), condition), chosen)
            except Undefined as reason:
                for name in (f"drift/{m}{kind}" for m in others for kind in ("", "/gradient")):
                    found.append(Finding(condition.text, name, None, len(chosen), str(reason)))
                continue
            found += _under(condition.text, before, observer.see(clean | noisy), others, perturbed)
            after = random.see(clean | noisy, gradient=False)
            for m in others:
                found.append(_drift(condition.text, f"drift/{m}/random", untrained.received[m], after.received[m]))
        yield from _told(sweep, found)
        yield from _areas(sweep, found, others)


def _told(sweep: str, found: list[Finding]) -> Iterator[Finding]:
    """The findings of a sweep; what has no value under any severity is told once, under the sweep."""
    with_value = {f.metric for f in found if f.value is not None}
    once = set()
    for finding in found:
        if finding.metric in with_value:
            yield finding
        elif finding.metric not in once:
            once.add(finding.metric)
            yield replace(finding, condition=sweep)


def _under(condition: str, before: Seen, after: Seen, others: list[str], perturbed: str) -> Iterator[Finding]:
    """What moves under one perturbing condition."""
    changed = (before.predicted != after.predicted).reshape(len(before.predicted), -1).any(1)
    for m in others:
        pair = before.received[m], after.received[m]
        whole = _drift(condition, f"drift/{m}", *pair)
        yield whole
        if whole.value is not None and before.task != REGRESSION:
            yield _drift(condition, f"drift/{m}/changed", *pair, among=changed)
            yield _drift(condition, f"drift/{m}/unchanged", *pair, among=~changed)
        yield _drift(condition, f"drift/{m}/gradient", before.gradient[m], after.gradient[m])
    yield _drift(condition, f"drift/{perturbed}/same", before.received[perturbed], after.received[perturbed])
    n = len(changed)
    for share in (before.share, after.share):
        if isinstance(share, str):
            yield Finding(condition, "share_drift", None, n, share)
            return
    yield Finding(condition, "share_drift", share_drift(before.share, after.share), n)


def _drift(
    condition: str, name: str, before: np.ndarray | str, after: np.ndarray | str, among: np.ndarray | None = None
) -> Finding:
    """Of the examples in which both saliencies name something.

    Args:
        among: (N,) bool of the examples that count; None for all.
    """
    for saliency in (before, after):
        if isinstance(saliency, str):
            return Finding(condition, name, None, 0, saliency)
    counted = np.ones(len(before), bool) if among is None else among
    if not counted.any():
        what = "changes its prediction" if name.endswith("/changed") else "keeps its prediction"
        return Finding(condition, name, None, 0, f"no example {what}")
    counted = counted & (before.sum(1) > 0) & (after.sum(1) > 0)
    if not counted.any():
        return Finding(condition, name, None, 0, "the saliency is zero everywhere: nothing of the modality is used")
    n = int(counted.sum())
    try:
        return Finding(condition, name, drift(before[counted], after[counted]), n)
    except Undefined as reason:
        return Finding(condition, name, None, n, str(reason))


def _areas(sweep: str, found: list[Finding], others: list[str]) -> Iterator[Finding]:
    """Over the severities of a sweep; where one of them has no drift, its reason."""
    for m in others:
        for kind in (m, f"{m}/gradient"):
            points = [f for f in found if f.metric == f"drift/{kind}"]
            reason = next((p.reason for p in points if p.reason), None)
            value = None if reason else drift_area([p.value for p in points])
            yield Finding(sweep, f"drift_area/{kind}", value, points[0].n, reason)
