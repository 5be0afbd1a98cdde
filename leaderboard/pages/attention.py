"""Where methods look, how much that moves when another modality is disturbed, and whether it says why they decide."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import clips, contributions, exhibits, film, queries, tables
from leaderboard.attention_charts import saliency_chart, sound_chart
from leaderboard.bundles import BundleError
from leaderboard.contents import says
from leaderboard.contributions import link_name
from leaderboard.exhibits import Exhibit
from leaderboard.figures import axis_title, metric_title
from leaderboard.interval_charts import dots, lines, points
from leaderboard.remembered import remembered
from leaderboard.score_tables import reasons_table, scores_table, texts
from leaderboard.session import (
    bundle_roots,
    choose,
    choose_protocol,
    choose_several,
    open_store,
    plain,
    require_evaluation,
    require_protocols,
    show_chart,
)
from protocols.datasets import logmel
from protocols.spec import ProtocolSpec
from protocols.suite import Suite

SHOWN = 4  # methods before a person chooses
MODALITIES = ("audio", "video", "text")
MAPS = ("attention_share", "attention_entropy", "attention_cells", "attention_sparsity")
DRIFT = ("drift", "drift_area", "share_drift")
FAITHFUL = {
    "comprehensiveness": "drop of the prediction without the cells of most weight: higher is better",
    "sufficiency": "drop of the prediction with those cells only: lower is better",
    "deletion_auc": "prediction while cells are deleted, most weight first: lower is better",
    "insertion_auc": "prediction while cells are inserted, most weight first: higher is better",
}
RANKS = ("gradient_tau", "random_tau")
SALIENCY = ("attention", "gradient", "random")
CONTROLS = {
    "": "drift",
    "unchanged": "same answer",
    "changed": "other answer",
    "gradient": "gradients",
    "same": "itself",
    "random": "untrained",
}
DASHED = ("itself", "untrained")
KINDS = {"attention": "attention weights", "gradient": "gradient × input"}
cells, measured_by, undefined = map(remembered, (contributions.cells, queries.measured, queries.undefined))


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, middle = st.columns([1, 1])
    spec = choose_protocol(specs, place=left)
    title.title("Attention behaviour")
    title.caption(plain(f"{spec.title}. {says('attention')}"))
    suite, measured = require_evaluation(engine, spec)
    condition = choose("Condition", suite.attention.conditions, "condition", place=middle)
    ranked, alone = remembered(contributions.methods)(engine, spec)
    options = [name for name in ranked if name in measured]
    attending = set(measured_by(engine, spec, "attention_cells")["method"])
    with_maps = [name for name in options if name in attending and name not in alone]
    chosen = choose_several("Methods", options, (with_maps or options)[:SHOWN], "methods")
    show_exhibits(engine, spec, condition, options, with_maps)
    if not chosen:
        st.info("Choose one method at least.")
        return
    show_maps(engine, spec, condition, chosen)
    show_drift(engine, spec, suite, chosen)
    show_faithfulness(engine, spec, condition, chosen)
    show_undefined(engine, spec, chosen)


def show_exhibits(
    engine: sa.Engine, spec: ProtocolSpec, condition: str, options: Sequence[str], with_maps: Sequence[str]
) -> None:
    """One example as two methods see it, over the clip where it is at hand."""
    kept, complaints = remembered(exhibits.kept)(engine, spec, bundle_roots())
    for complaint in complaints:
        st.warning(plain(complaint))
    shown = {name: own[condition] for name, own in kept.items() if condition in own}
    names = sorted(shown, key=lambda name: (name not in with_maps, options.index(name)))
    if not names:
        return
    st.header("One example, two methods")
    columns = st.columns(4)
    left = choose("Left", names, "left", place=columns[0])
    others = [name for name in names if name != left] or [left]
    right = choose("Right", others, "right", place=columns[1])
    common = [example for example in shown[left] if example in shown[right]]
    if not common:
        st.info("These two methods have no example in common. Choose another pair.")
        return
    labels = {example: f"{example}: {shown[left][example].label}" for example in common}
    example = choose("Example", common, "example", labels.get, place=columns[2])
    kind = choose("Saliency", exhibits.KINDS, "saliency", KINDS.get, place=columns[3])
    clip = show_clip(spec, example, condition)
    for place, name in zip(st.columns(2, gap="large"), (left, right), strict=True):
        with place:
            one = shown[name][example]
            try:
                own = exhibits.read_one(bundle_roots(), one.bundle, example, condition)
                show_exhibit(name, one.run, own, spec, kind, clip)
            except BundleError as error:
                st.warning(plain(f"{one.bundle}: {error}"))
    st.caption(
        "Heat is relative to the step of most weight of the same method, so compare where it lies, not how strong it "
        "is; heat everywhere is saliency that is spread evenly. Attention weights tell where a model reads, not what "
        "it does with what it read: see the faithfulness further down. A method keeps examples from all parts of the "
        "test set, where it can those that it gets right under the first condition."
    )


@st.cache_data(show_spinner="Reading the clip", max_entries=32)
def _read_clip(root: Path | None, _spec: ProtocolSpec, key: str, example: str, condition: str) -> clips.Clip:
    return clips.read(root, _spec, example, condition)


def show_clip(spec: ProtocolSpec, example: str, condition: str) -> clips.Clip | None:
    """The clip to play, and the sound of the example as the models heard it; None where there is none, and why."""
    root = os.environ.get("FUSEBOARD_DATA_ROOT")
    try:
        clip = _read_clip(Path(root) if root else None, spec, spec.key, example, condition)
    except clips.NoClip as why:
        st.info(plain(str(why)))
        return None
    left, right = st.columns([1, 2])
    left.video(clip.path.read_bytes(), start_time=int(clip.begin))
    sentence = [plain(text) for text, _, _ in clip.words]
    sentence[clip.spoken] = f"**{sentence[clip.spoken]}**"
    _, start, stop = clip.words[clip.spoken]
    with right:
        st.markdown(f"The clip says “{' '.join(sentence)}”.")
        st.markdown(
            f"The models are given {clip.begin:.2f} s to {clip.end:.2f} s of it: the word from {start:.2f} s to "
            f"{stop:.2f} s, between the dashed lines, with a margin on both sides. "
            + (
                f"{plain(clip.unlike)} Without that, they hear:"
                if clip.unlike
                else f"Under {plain(condition)} they hear:"
            )
        )
        loudest = max(1.0, float(abs(clip.samples).max()))
        st.audio(clip.samples / loudest, sample_rate=logmel.SAMPLE_RATE)
    return clip


def show_exhibit(name: str, run: str, exhibit: Exhibit, spec: ProtocolSpec, kind: str, clip: clips.Clip | None) -> None:
    if exhibit.probability is None:  # of numbers, of which none is quite right
        how, right = "", f"labelled {exhibit.label}"
    else:
        how = f" with {100 * exhibit.probability:.0f} %"
        right = "right" if exhibit.predicted == exhibit.label else f"wrong: it is {exhibit.label}"
    st.subheader(plain(f"{name}, {run}"))
    at = "" if exhibit.step is None else f" at step {exhibit.step + 1}"
    st.markdown(f"Says **{plain(exhibit.predicted)}**{how}{at} ({plain(right)}).")
    parts = ", ".join(f"{m} {100 * share:.0f} %" for m, share in exhibit.share.items())
    st.caption(f"Attention rollout: {parts}." if parts else "No share of each modality by attention rollout.")
    weights = exhibit.saliency[kind]
    for modality in [m for m in MODALITIES if m in spec.modalities]:
        own = weights.get(modality)
        if own is None:
            st.caption(f"No {KINDS[kind]} over the steps of {modality} in this model.")
        show_saliency(modality, own, exhibit.step, clip)


def show_saliency(modality: str, weights: list[float] | None, step: int | None, clip: clips.Clip | None) -> None:
    """Over the medium where there is one, else over the steps alone."""
    if clip is not None and modality in ("audio", "video"):
        begins, ends = clip.times(modality)
        if weights is None or len(weights) == len(begins):
            show_over_clip(modality, weights, clip, begins, ends)
            return
    if weights is None:
        return
    if len(weights) == 1:
        st.caption(f"{modality}: one step only, so there is nothing to tell apart in time.")
        return
    edges = [index + 0.5 for index in range(len(weights) + 1)]
    mark = None if step is None else step + 1
    chart = saliency_chart(weights, edges[:-1], edges[1:], f"share of {modality}", seconds=False, mark=mark)
    show_chart(chart, f"Share of the saliency on {modality} that each step has")


def show_over_clip(
    modality: str, weights: list[float] | None, clip: clips.Clip, begins: Sequence[float], ends: Sequence[float]
) -> None:
    word = clip.words[clip.spoken][1:]
    if modality == "video":
        st.image(film.film(clip.frames, clip.seen, weights, begins))
        if weights is not None:
            st.caption(
                f"The frames; models see what the white box holds. A full bar is {100 * max(weights):.0f} % of the "
                "saliency on video."
            )
    else:
        picture = film.spectrogram_url(clip.spectrogram)
        show_chart(sound_chart(picture, weights, begins, ends, word), "Spectrogram with the saliency of each 10 ms")
        if weights is not None:
            st.caption(
                "The sound as log-mel energies, loud is dark. The line is the share of each 10 ms; its highest point "
                f"is {100 * max(weights):.0f} % of the saliency on audio."
            )


def show_maps(engine: sa.Engine, spec: ProtocolSpec, condition: str, chosen: Sequence[str]) -> None:
    st.header("Where attention goes")
    here = cells(engine, spec, MAPS, chosen, [condition])
    if here.empty:
        st.info("None of these methods has attention under this condition; the end of the page says why.")
        return
    share, entropy = (here[here["base"] == base] for base in ("attention_share", "attention_entropy"))
    present = [name for name in chosen if name in set(here["method"])]
    modalities = [m for m in MODALITIES if m in spec.modalities]
    if len(share):
        rows = points(share, row="method", group="of")
        sharing = [name for name in present if name in set(share["method"])]
        title = "share of the attention (all sum to 100%)"
        chart = dots(rows, "attention_share", title, sharing, modalities, domain=(0, 1))
        show_chart(chart, "Share of each modality by attention rollout, a row a method")
        st.caption(
            "Share of each modality in the attention that reaches the output, rolled out over all layers, self and "
            "cross attention together. It follows weights only: values and residuals of another size can undo it."
        )
    why = undefined(engine, spec, "attention_share")
    why = why[why["method"].isin(chosen) & (why["condition"] == condition)]
    for name, reason in dict(zip(why["method"], why["reason"], strict=True)).items():
        st.caption(plain(f"{name} has no share by rollout: {reason.rstrip('.')}."))
    if len(entropy):
        links = sorted(map(link_name, set(entropy["of"])))
        rows = points(entropy.assign(link=entropy["of"].map(link_name)), row="link", group="method")
        title = "entropy / log n (right: spread evenly)"
        chart = dots(rows, "attention_entropy", title, links, present, family=chosen)
        show_chart(chart, "Entropy of attention, a row a pair of streams")
        st.caption(
            "Entropy of the rows of each map, query ← key: 100 % is attention that is spread evenly, and so "
            "chooses nothing; 0 % is all weight on one step."
        )
    show_table(texts(here, MAPS, but=condition), chosen, "Scores of the attention maps")


def show_drift(engine: sa.Engine, spec: ProtocolSpec, suite: Suite, chosen: Sequence[str]) -> None:
    found = cells(engine, spec, DRIFT, chosen)
    st.header("Cross-modal saliency drift")
    st.caption(
        "How far the saliency on one modality moves when another one is disturbed: Jensen-Shannon divergence, as a "
        "share of the largest one possible (1 bit). The definition is this board's own, version 1. No drift can mean a "
        "robust model, or a path between the modalities that carries nothing: read it beside InterSHAP and the EMAP "
        "gap on the page Contribution."
    )
    left, right = st.columns(2)
    sweep = choose("Disturbed by", suite.attention.drifts, "sweep", place=left)
    conditions = [f"{sweep}/{severity}" for severity in suite.sweeps[sweep]]
    disturbed = sweep.partition("/")[0]
    curves = found[(found["base"] == "drift") & found["condition"].isin(conditions)]
    watched = [m for m in MODALITIES if m in set(curves["of"]) - {disturbed}]
    if not watched:
        st.info("No method of these has a drift under this disturbance; the end of the page says why.")
        return
    modality = choose("Watched", watched, "watched", place=right)
    severities = list(suite.sweeps[sweep])
    curves = curves.assign(severity=curves["condition"].str.removeprefix(f"{sweep}/"))
    own = curves[(curves["of"] == modality) | ((curves["of"] == disturbed) & (curves["detail"] == "same"))]
    show_drift_curves(own, severities, chosen, modality, sweep)
    sums = found[(found["base"] != "drift") & found["condition"].isin([sweep, *conditions])]
    sums = sums.sort_values("condition", key=lambda names: names.map([sweep, *conditions].index), kind="stable")
    again = found[(found["base"] == "drift") & found["detail"].str.endswith("retest")]
    show_table([*texts(sums, ("drift_area", "share_drift")), *texts(again, ("drift",))], chosen, "Scores of drift")


def show_drift_curves(
    own: pd.DataFrame, severities: Sequence[str], chosen: Sequence[str], modality: str, sweep: str
) -> None:
    present = [name for name in chosen if name in set(own["method"])]
    rows = points(own[own["detail"].isin(CONTROLS)], at="severity", method="method", control="detail")
    rows = [row | {"control": CONTROLS[row["control"]]} for row in rows]
    across = f"{sweep}, mild to severe"
    together = [row | {"group": row["method"]} for row in rows if row["control"] == CONTROLS[""]]
    if together:
        names = [name for name in present if any(row["group"] == name for row in together)]
        title = f"drift of {modality} (higher moves more)"
        chart = lines(together, "drift", title, severities, names, across=across, family=chosen)
        show_chart(chart, f"Drift of the saliency on {modality} over severities, a line a method")
    top = max([row["high"] or row["mean"] for row in rows], default=1)
    all_of_them = list(CONTROLS.values())
    order = [told for told in CONTROLS.values() if any(row["control"] == told for row in rows)]
    for start in range(0, len(present), 2):
        for place, name in zip(st.columns(2), present[start : start + 2], strict=False):
            method = [row | {"group": row["control"]} for row in rows if row["method"] == name]
            controls = [told for told in order if any(row["group"] == told for row in method)]
            with place:
                st.markdown(f"**{plain(name)}** and its controls")
                dashed = [told for told in controls if told in DASHED]
                chart = lines(
                    method,
                    "drift",
                    "drift (higher moves more)",
                    severities,
                    controls,
                    domain=(0, top),
                    dashed=dashed,
                    family=all_of_them,
                )
                show_chart(chart, f"Drift of {name} and its controls over severities")
    st.caption(
        "Bands are 95% t intervals over runs. Same answer, other answer: only examples whose prediction stays, or "
        "changes; drift under the same answer is a change of explanation without a change of mind. Gradients: the same "
        "of gradient × input. Dashed are controls. Itself: the disturbed modality, which should move more. Untrained: "
        "random weights, what the architecture does alone. Retest, in the table: the same input twice, which must "
        "give 0."
    )


def show_faithfulness(engine: sa.Engine, spec: ProtocolSpec, condition: str, chosen: Sequence[str]) -> None:
    found = cells(engine, spec, (*FAITHFUL, *RANKS), chosen, [condition])
    st.header("Does saliency say why the model decides?")
    if found.empty:
        st.info("It was not measured under this condition, or has no value there: see the end of the page.")
        return
    present = [name for name in chosen if name in set(found["method"])]
    pairs = list(FAITHFUL.items())
    for start in range(0, len(pairs), 2):
        for place, (base, told) in zip(st.columns(2), pairs[start : start + 2], strict=True):
            own = found[(found["base"] == base) & found["of"].isin(SALIENCY) & (found["detail"] == "")]
            if own.empty:
                continue
            with place:
                rows = points(own, row="method", group="of")
                groups = [kind for kind in SALIENCY if kind in set(own["of"])]
                chart = dots(rows, base, axis_title(base), present, groups, hollow=["random"], family=SALIENCY)
                show_chart(chart, f"{metric_title(base)} of each saliency, a row a method")
                st.caption(f"{metric_title(base)}: {told}.")
    st.caption(
        "Random is the control: the same test with cells in random order. Where attention is no better than random, "
        "its map is no explanation, however plausible it looks. Removing cells also makes inputs that no model was "
        "trained on, so compare the three, not one number with another paper's."
    )
    show_table(texts(found, RANKS, but=condition), chosen, "Agreement of saliencies")


def show_table(said: list[tuple[str, str, str]], chosen: Sequence[str], label: str) -> None:
    if said:
        present = [name for name in chosen if name in {method for _, method, _ in said}]
        table = scores_table(said, present)
        tables.show(table, label)


def show_undefined(engine: sa.Engine, spec: ProtocolSpec, chosen: Sequence[str]) -> None:
    why = undefined(engine, spec, (*MAPS, *DRIFT, *FAITHFUL, *RANKS))
    table = reasons_table(why[why["method"].isin(chosen)])
    if len(table):
        with st.expander(f"Scores without a value, and why: {len(table)}"):
            tables.show(table, "Scores without a value", cards=True)


main()
