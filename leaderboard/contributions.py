"""Contribution and attention as tables: names taken apart, and runs that were trained alike set against each other."""

from collections.abc import Collection, Sequence

import pandas as pd
import sqlalchemy as sa

from leaderboard import queries
from leaderboard.figures import metric_title
from protocols.metrics import metric as metric_card
from protocols.spec import ProtocolSpec

SHARED = ["split", "seed"]  # what two runs have in common that were trained on the same draw
PAIRED = ["method", "modality", "against", "mean", "low", "high", "n"]


def cells(
    engine: sa.Engine,
    spec: ProtocolSpec,
    metrics: Sequence[str],
    methods: Sequence[str],
    conditions: Collection[str] | None = None,
) -> pd.DataFrame:
    """Means with intervals of whole families of scores: what `queries.cells` gives, with their names taken apart.

    ``base`` is the key of METRICS, ``of`` what follows the first slash, ``detail`` what follows the second; empty
    where nothing follows.

    Args:
        metrics: keys of METRICS; everything that qualifies them comes along.
        conditions: None for all.
    """
    values = queries.measured(engine, spec, tuple(metrics), method=methods)
    if conditions is not None:
        values = values[values["condition"].isin(conditions)]
    return taken_apart(queries.cells(values))


def by_main_rule(found: pd.DataFrame, rules: Sequence[str]) -> pd.DataFrame:
    """Without the scores that were taken under another absence rule than the first: their names end in it."""
    main = [name.rpartition("/")[2] not in rules[1:] for name in found["metric"]]
    return found[pd.Series(main, index=found.index, dtype=bool)]


def taken_apart(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows with ``base``, ``of`` and ``detail``: ``shapley/audio/class=two`` is shapley, audio, class=two."""
    parts = [(name.split("/", 2) + ["", ""])[:3] for name in table["metric"]]
    named = pd.DataFrame(parts, columns=["base", "of", "detail"], index=table.index, dtype=object)
    return pd.concat([table, named], axis=1)


def score_name(metric: str) -> str:
    """``shapley/audio/other_sample`` as people read it: Shapley value of the score: audio, other sample."""
    base, _, rest = metric.partition("/")
    unit = metric_card(base).unit
    title = metric_title(base) + (f" ({unit})" if unit in ("bits", "nats") else "")
    return title + (": " if rest else "") + link_name(rest).replace("/", ", ").replace("_", " ")


def link_name(link: str) -> str:
    """``video<-audio``, who looks at whom, with an arrow."""
    return link.replace("<-", " ← ")


def methods(engine: sa.Engine, spec: ProtocolSpec) -> tuple[list[str], dict[str, str]]:
    """Every method with a completed run, the best under the protocol's primary score first; and the modality of
    those that take one only."""
    table = queries.ranking(engine, spec, spec.metrics[0], spec.conditions[0]).table
    alone = {}
    for name in table.loc[table["unimodal"], "method"]:
        (alone[name],) = queries.card_of(queries.newest_manifest(engine, name)).modalities
    return list(table["method"]), alone


def fusion_gain(engine: sa.Engine, spec: ProtocolSpec, condition: str, alone: dict[str, str]) -> pd.DataFrame:
    """What a method scores above the best entry that takes one modality, run by run: PAIRED, less the modality.

    Both were trained by the same protocol, with the same budget; runs are paired by seed, or by fold. The best entry
    is the one with the highest mean under this very condition, so the gain is rather too small than too large.

    Args:
        alone: entries that take one modality -> that modality.
    """
    metric = spec.metrics[0]
    values = queries.seeds(engine, spec, metric, condition)
    means = values[values["method"].isin(alone)].groupby("method")["value"].mean()
    if means.empty:
        return pd.DataFrame(columns=PAIRED)
    higher = metric_card(metric).higher_is_better is not False
    best = means.idxmax() if higher else means.idxmin()
    several = values[~values["method"].isin(alone)]
    gain = _differences(several, values[values["method"] == best], "", sign=1 if higher else -1)
    return gain.assign(against=best)[PAIRED]


def under_optimised(engine: sa.Engine, spec: ProtocolSpec, condition: str, alone: dict[str, str]) -> pd.DataFrame:
    """How far a modality inside a method stays behind the entry that was trained on it alone: PAIRED.

    ``accuracy of the entry - accuracy inside the method``, run by run; positive where joint training left the
    modality behind. Outside classification the primary score takes the place of the accuracy; of errors there is none.
    """
    metric = inside_metric(spec)
    if metric is None:
        return pd.DataFrame(columns=PAIRED)
    inside = taken_apart(queries.measured(engine, spec, "inside", condition))
    separate = queries.seeds(engine, spec, metric, condition)
    means = separate.groupby("method")["value"].mean()
    found = [pd.DataFrame(columns=PAIRED)]
    for modality in [m for m in spec.modalities if m in alone.values()]:
        entries = [name for name, own in alone.items() if own == modality and name in means]
        within = inside[(inside["of"] == modality) & ~inside["method"].isin(alone)]
        if entries and len(within):
            best = max(entries, key=means.get)
            gap = _differences(within, separate[separate["method"] == best], modality, sign=-1)
            found.append(gap.assign(against=best)[PAIRED])
    return pd.concat([f for f in found if len(f)] or found, ignore_index=True)


def inside_metric(spec: ProtocolSpec) -> str | None:
    """The metric of a run that ``inside`` compares with; None of errors, of which it is the part that is gone."""
    if spec.task == "classification":
        return "accuracy"
    return spec.metrics[0] if metric_card(spec.metrics[0]).higher_is_better else None


def worth(spec: ProtocolSpec) -> tuple[str, str]:
    """What contributions share out, as people call it, and what that is where its name does not say it."""
    if (metric := inside_metric(spec)) is not None:
        return metric_title(metric).lower(), ""
    title = metric_title(spec.metrics[0]).lower()
    return "skill", f"Skill is the part of the {title} of the targets' mean that a method takes away. "


def _differences(values: pd.DataFrame, other: pd.DataFrame, modality: str, sign: int = 1) -> pd.DataFrame:
    """Means with intervals of the differences between runs that share split and seed."""
    pairs = values.merge(other[[*SHARED, "value"]], on=SHARED, suffixes=("", "_other"))
    pairs["value"] = sign * (pairs["value"] - pairs["value_other"])
    return queries.cells(pairs).assign(modality=modality)
