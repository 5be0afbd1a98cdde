"""What each modality contributes to a method's score, which scores say so, and what each of them cannot see."""

from collections.abc import Sequence

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from leaderboard import contributions, queries, tables
from leaderboard.contents import says
from leaderboard.contributions import by_main_rule, score_name
from leaderboard.figures import interval_text, value_text
from leaderboard.interval_charts import dots, heat_map, lines, points
from leaderboard.remembered import remembered
from leaderboard.score_tables import reasons_table, scores_table, texts
from leaderboard.session import (
    choose,
    choose_protocol,
    choose_several,
    open_store,
    plain,
    require_evaluation,
    require_protocols,
    show_chart,
)
from protocols.spec import ProtocolSpec
from protocols.suite import Suite

SHOWN = 6  # methods before a person chooses
MODALITIES = ("audio", "video", "text")
RULES = {"mean": "training mean", "raw_zeros": "raw zeros", "other_sample": "other example"}
TABLE = (
    "shapley",
    "shapley_interaction",
    "shapley_share",
    "shape",
    "shape_cooperation",
    "mm_shap",
    "intershap",
    "emap_gap",
    "pid",
)
TABLE += ("perceptual", "utilisation", "absence_gap")
IMBALANCE = ("inside", "discrepancy", "entropy_gap", "ogr")
SEES = {
    "Shapley value of the score": (
        "How much of the score above guessing each modality earns, averaged over all orders of coming in.",
        "A modality that is used, but wrongly: of a model no better than guessing, all values are near zero, or "
        "negative. Two copies of one signal share the credit. It depends on what replaces an absent modality.",
    ),
    "Shapley share, label-free": (
        "How much each modality moves the prediction, right or wrong; needs no labels.",
        "Whether the movement helps. A confidently wrong model has shares like a good one.",
    ),
    "SHAPE": (
        "The Shapley values relative to the full score; cooperation is what no modality earns by itself.",
        "Anything where the score is near zero, which it divides by. Negative cooperation means redundancy, not harm.",
    ),
    "MM-SHAP": (
        "The same shares from windows of time instead of whole modalities.",
        "The sign: contributions that cancel within a modality count as large. An estimate, over few examples.",
    ),
    "InterSHAP": (
        "The share of the prediction that only the combination explains; needs no labels. XOR gives nearly 100 %.",
        "Whether the interaction helps. Redundancy that saturates a probability counts as interaction, too.",
    ),
    "EMAP gap": (
        "What the score loses when the model is replaced by its best additive approximation.",
        "Interactions that do not change a decision. A zero gap says that the interaction is not needed here, not that "
        "the model has none.",
    ),
    "Perceptual score": (
        "The drop of the score when a modality is taken from another example.",
        "Redundant modalities: each can be replaced while the other answers, and both drops are small.",
    ),
    "Utilisation": (
        "The share of the score that is lost without the modality, given the others.",
        "The same as the perceptual score; it is negative where the modality harms.",
    ),
    "PID": (
        "Bits about the prediction that modalities share, that one alone has, and that only both together have.",
        "Anything lost when features are grouped into a few clusters. Defined for two modalities only.",
    ),
    "Fusion gain": (
        "The score above the best entry that was trained on one modality with the same budget.",
        "Where the gain comes from: more parameters count like better fusion.",
    ),
}
cells = remembered(contributions.cells)


def main() -> None:
    engine = open_store()
    specs = require_protocols(engine)
    title = st.container()
    left, middle = st.columns([1, 1])
    spec = choose_protocol(specs, place=left)
    title.title("Contribution of each modality")
    title.caption(plain(f"{spec.title}. {says('contribution')}"))
    suite, measured = require_evaluation(engine, spec)
    condition = choose("Condition", suite.contribution.conditions, "condition", place=middle)
    ranked, alone = remembered(contributions.methods)(engine, spec)
    options = [name for name in ranked if name in measured]
    fusing = [name for name in options if name not in alone]
    chosen = choose_several("Methods", options, (fusing or options)[:SHOWN], "methods")
    if not chosen:
        st.info("Choose one method at least.")
        return
    every = cells(engine, spec, TABLE, chosen, suite.contribution.conditions)
    here = by_main_rule(every, suite.contribution.rules)
    gain = remembered(contributions.fusion_gain)(engine, spec, condition, alone)
    show_shares(here[here["condition"] == condition], spec, chosen)
    show_rules(every[every["condition"] == condition], spec, suite, chosen)
    show_severities(here, spec, suite, chosen)
    show_classes(here[here["condition"] == condition], spec, chosen)
    show_scores(here[here["condition"] == condition], gain, spec, condition, chosen)
    show_imbalance(engine, spec, condition, alone, chosen)
    show_meaning()
    show_undefined(engine, spec, condition, chosen)


def modalities(spec: ProtocolSpec) -> list[str]:
    return [m for m in MODALITIES if m in spec.modalities]


def show_shares(here: pd.DataFrame, spec: ProtocolSpec, chosen: list[str]) -> None:
    left, right = st.columns(2)
    with left:
        st.header("Share of the prediction")
        share = here[(here["base"] == "shapley_share") & (here["detail"] == "")]
        rows = points(share, row="method", group="of")
        title = "share of the prediction (all sum to 100%)"
        chart = dots(rows, "shapley_share", title, chosen, modalities(spec), domain=(0, 1))
        draw(chart, rows, "Share of each modality in the prediction, a row a method")
        st.caption(
            "Label-free Shapley shares with 95% t intervals over runs; audio above video above text. How strongly each "
            "modality moves the prediction, whether that helps or not."
        )
    with right:
        score, meaning = contributions.worth(spec)
        st.header(f"Part of the {score}")
        values = here[(here["base"] == "shapley") & (here["detail"] == "")]
        title = f"Shapley value of the {score} (right: earns more)"
        rows = points(values, row="method", group="of")
        chart = dots(rows, "shapley", title, chosen, modalities(spec), zero=True)
        draw(chart, rows, f"Part of the {score} that each modality earns, a row a method")
        st.caption(
            f"{meaning}They add up to the {score} above guessing. Of a model that is no better than guessing they are "
            "all near zero, and say nothing about what it uses."
        )


def show_rules(every: pd.DataFrame, spec: ProtocolSpec, suite: Suite, chosen: list[str]) -> None:
    """The same Shapley values under each rule of what replaces an absent modality."""
    main_rule, *others = suite.contribution.rules
    values = every[(every["base"] == "shapley") & every["detail"].isin(["", *others])]
    values = values.assign(rule=values["detail"].replace("", main_rule).map(lambda rule: RULES.get(rule, rule)))
    if values.empty or not others:
        return
    st.header("What if a modality is taken away in another way?")
    rules = [RULES.get(rule, rule) for rule in suite.contribution.rules]
    rows = points(values, row="method", group="rule", modality="of")
    for place, modality in zip(st.columns(len(modalities(spec))), modalities(spec), strict=True):
        own = [row for row in rows if row["modality"] == modality]
        with place:
            st.markdown(f"**{modality}**")
            title = "Shapley value (right: earns more)"
            chart = dots(own, "shapley", title, chosen, rules, zero=True, hollow=rules[1:])
            draw(chart, own, f"Shapley value of {modality} under each rule of absence, a row a method")
    st.caption(
        f"An absent modality is replaced by its {rules[0]} (filled; the rule of every other figure), by digital "
        "silence or black frames, or by the stream of another example. Where the dots of a method lie apart, its "
        "numbers say as much about the rule as about the modality; the table below has the gap as a number."
    )


def show_severities(here: pd.DataFrame, spec: ProtocolSpec, suite: Suite, chosen: list[str]) -> None:
    conditions = suite.contribution.conditions
    share = here[(here["base"] == "shapley_share") & (here["detail"] == "")]
    if len(conditions) < 2 or share.empty:
        return
    st.header("With the severity of the corruption")
    common, names = severities(conditions)
    rows = points(share.assign(at=share["condition"].map(names)), method="method", at="at", group="of")
    present = [name for name in chosen if name in set(share["method"])]
    for start in range(0, len(present), 3):
        for place, name in zip(st.columns(3), present[start : start + 3], strict=False):
            own = [row for row in rows if row["method"] == name]
            place.markdown(f"**{plain(name)}**")
            with place:
                at = list(names.values())
                title = "share of the prediction"
                chart = lines(own, "shapley_share", title, at, modalities(spec), domain=(0, 1), across=common)
                draw(chart, own, f"Share of each modality in the prediction of {name} over severities")
    st.caption(
        "Label-free Shapley shares from mild to severe, with the band of the 95% t interval. A method that adapts "
        "leans on the modality that is left; lines that stay level say that it does not notice."
    )


def severities(conditions: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """What all conditions but the clean one have in common, and each condition without it."""
    corruptions = {condition.rpartition("/")[0] for condition in conditions if condition != "clean"}
    if len(corruptions) != 1:
        return None, {condition: condition for condition in conditions}
    return corruptions.pop(), {condition: condition.rpartition("/")[2] for condition in conditions}


def show_classes(here: pd.DataFrame, spec: ProtocolSpec, chosen: list[str]) -> None:
    own = here[(here["base"] == "shapley") & here["detail"].str.startswith("class=")]
    if own.empty:
        return
    st.header("Class by class")
    own = own.assign(named=own["detail"].str.removeprefix("class="))
    rows = points(own, row="named", column="method", modality="of")
    first = own[own["of"] == modalities(spec)[0]].groupby("named")["mean"].mean()
    classes, most = list(first.sort_values(ascending=False).index), float(own["mean"].abs().max()) or 1.0
    present = [name for name in chosen if name in set(own["method"])]
    for place, modality in zip(st.columns(len(modalities(spec))), modalities(spec), strict=True):
        with place:
            st.markdown(f"**{modality}**")
            of_it = [row for row in rows if row["modality"] == modality]
            chart = heat_map(of_it, "shapley", classes, present, most)
            draw(chart, of_it, f"Shapley value of {modality} for each class and method, in percent")
    st.caption(
        f"Shapley value of the {contributions.worth(spec)[0]} among the examples of each class, in percent; "
        f"point at a cell for its interval. In the order of what {modalities(spec)[0]} contributes. Few examples stand "
        "behind a class, so look at the intervals first."
    )


def show_scores(here: pd.DataFrame, gain: pd.DataFrame, spec: ProtocolSpec, condition: str, chosen: list[str]) -> None:
    st.header("Every score")
    over = ", ".join(gain["against"].unique())
    said = [
        (f"Fusion gain over {over}", row["method"], interval_text(row, spec.metrics[0]))
        for row in gain[gain["method"].isin(chosen)].to_dict("records")
    ]
    said += with_floors(here[~here["detail"].str.startswith("class=")], condition)
    tables.show(scores_table(said, chosen), "Every score")
    st.caption(
        "Mean ± half width of the 95% t interval over runs; a dash has its reason at the end of the page. The fusion "
        "gain is paired run by run with the best entry that was trained on one modality alone. In brackets: what PID "
        "finds in shuffled predictions, where nothing is to be found."
    )


def with_floors(here: pd.DataFrame, condition: str) -> list[tuple[str, str, str]]:
    """Texts of the scores; one that has a floor, the same of shuffled predictions, has it in brackets."""
    shuffled = here["metric"].str.endswith("/shuffled")
    floors = here[shuffled].assign(metric=here["metric"].str.removesuffix("/shuffled"))
    told = {
        (score_name(row["metric"]), row["method"]): f" ({value_text(row['mean'], row['metric'])})"
        for row in floors.to_dict("records")
    }
    return [
        (score, method, text + told.get((score, method), ""))
        for score, method, text in texts(here[~shuffled], TABLE, but=condition)
    ]


def show_imbalance(
    engine: sa.Engine, spec: ProtocolSpec, condition: str, alone: dict[str, str], chosen: list[str]
) -> None:
    found = cells(engine, spec, IMBALANCE, chosen)
    if found.empty:
        return
    st.header("Imbalance: is a modality left behind in training?")
    measured = list(dict.fromkeys(found.loc[found["base"] == "inside", "condition"]))
    at = condition if condition in measured or not measured else measured[0]
    gap = remembered(contributions.under_optimised)(engine, spec, at, alone)
    gap = gap[gap["method"].isin(chosen)]
    show_inside(engine, found[found["condition"] == at], spec, at, alone, chosen)
    said = [
        (
            f"Under-optimisation of {row['modality']} against {row['against']}",
            row["method"],
            interval_text(row, "inside"),
        )
        for row in gap.to_dict("records")
    ]
    said += texts(found[found["condition"].isin([at, "clean"])], IMBALANCE, but=at)
    tables.show(scores_table(said, chosen), "Scores of imbalance")
    st.caption(
        "Under-optimisation: score of the entry trained on the modality alone, less the score of that modality "
        "inside the method, paired run by run; positive where joint training left it behind. A discrepancy ratio "
        "above 1 means that the modality is ahead of the others on the true class."
    )


def show_inside(
    engine: sa.Engine, found: pd.DataFrame, spec: ProtocolSpec, at: str, alone: dict[str, str], chosen: list[str]
) -> None:
    """Score of each modality inside each method, and of the entries that were trained on it alone."""
    inside = found[(found["base"] == "inside") & (found["detail"] == "")]
    if inside.empty:
        return
    metric, both = contributions.inside_metric(spec), [inside]
    if metric is not None:
        separate = queries.cells(remembered(queries.seeds)(engine, spec, metric, at))
        separate = separate[separate["method"].isin(alone)]
        both.append(separate.assign(of=separate["method"].map(alone), metric="inside"))  # drawn on one axis
    trained = list(dict.fromkeys(both[-1]["method"])) if metric is not None else []
    order = [*[name for name in chosen if name in set(inside["method"])], *trained]
    score, within = contributions.worth(spec)[0], (0, 1) if spec.task == "classification" else None
    rows = points(pd.concat(both), row="method", group="of")
    chart = dots(
        rows, "inside", f"{score} of the modality by itself (higher is better)", order, modalities(spec), domain=within
    )
    draw(chart, rows, f"{score[0].upper()}{score[1:]} of each modality by itself, a row a method")
    named = ", ".join(trained) or "none of them was run"
    st.caption(
        plain(
            f"Under {at}. Inside a method: the others are absent. For comparison, trained on one modality alone with "
            f"the same budget: {named}."
        )
    )


def show_meaning() -> None:
    with st.expander("What each score can see, and what it cannot"):
        table = [{"Score": name, "Says": says, "Cannot see": blind} for name, (says, blind) in SEES.items()]
        tables.show(pd.DataFrame(table), "What each score can see", cards=True)


def show_undefined(engine: sa.Engine, spec: ProtocolSpec, condition: str, chosen: list[str]) -> None:
    why = remembered(queries.undefined)(engine, spec, (*TABLE, *IMBALANCE))
    why = why[why["method"].isin(chosen) & why["condition"].isin([condition, "clean"])]
    table = reasons_table(why)
    if len(table):
        with st.expander(f"Scores without a value, and why: {len(table)}"):
            tables.show(table, "Scores without a value", cards=True)


def draw(chart: dict, behind: Sequence, says: str) -> None:
    """A chart, or a sentence where nothing stands behind it."""
    if len(behind):
        show_chart(chart, says)
    else:
        st.caption("No value here; the end of the page says why.")


main()
