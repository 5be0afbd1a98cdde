"""What a protocol says in words and counts: its card, its parts, what leaks, its conditions with their units."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

import protocols.spec
from leaderboard import predictions, queries
from leaderboard.figures import axis_title
from leaderboard.sweep_charts import SEVERITY, UNITS
from protocols.corruptions import parse_condition
from protocols.datasets import DATASETS, Card, dataset
from protocols.spec import ProtocolSpec

SPLITS = Path(protocols.spec.__file__).parent / "splits"
PARTS = ("train", "validation", "test")
ABSENCE = {"zeros": "zeros after standardisation, that is, the mean of the training part"}
LEAKS = {
    "shared-actor": "People of the training part are in the test part: a method may know them by face or voice.",
    "shared-video": "Pieces of one video are in training and test part: a method may know the recording.",
}


def card(spec: ProtocolSpec) -> Card | None:
    """Of its data set; None where this version of the package does not know it."""
    family = spec.dataset.partition("/")[0]
    return dataset(family).CARD if family in DATASETS else None


def facts(spec: ProtocolSpec) -> dict[str, str]:
    """What was compared, term by term."""
    # The protocol of somebody's own runs comes from a manifest, as it was written.
    budget = spec.budget if isinstance(spec.budget, dict) else spec.budget.model_dump()
    about = card(spec)
    told = {
        "Data": f"{about.title}, {about.licence}" if about else spec.dataset,
        "Answer": f"{spec.target} ({spec.task})",
        "Input": ", ".join(f"{modality} as {form}" for modality, form in spec.inputs.items()),
        "Split": spec.split + (f", {spec.folds} folds" if spec.folds else ""),
        "Runs": f"one a fold, {spec.folds} folds" if spec.folds else f"{spec.seeds} seeds",
        "Trained under": ", ".join(spec.training_conditions),
        "Scored under": ", ".join(spec.conditions),
        "Metrics": ", ".join(axis_title(name) for name in spec.metrics),
        "An absent modality is": ABSENCE.get(spec.absence, spec.absence),
        "Epoch chosen on": spec.select_on,
        "Budget of every method": ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in budget.items()),
    }
    return told | ({"Repeats the recipe of": spec.replica_of} if spec.replica_of else {})


def home(spec: ProtocolSpec) -> str | None:
    """The page of the data's owner."""
    about = card(spec)
    return about.home if about else None


def leaks(spec: ProtocolSpec) -> list[str]:
    """What is known to leak from the test part, none where nothing is."""
    found = []
    if spec.leaks:
        found.append(
            f"A replica of {spec.replica_of}: the epoch is chosen on the test part, as in the released code. Its "
            "numbers explain a gap in a report and never rank."
        )
    standard = _standard(spec)
    if standard and standard.leak:
        found.append(LEAKS.get(standard.leak, standard.leak))
    return found


def _standard(spec: ProtocolSpec):
    about = card(spec)
    return about.splits.get(spec.split.rpartition("/")[2]) if about else None


def conditions(spec: ProtocolSpec) -> pd.DataFrame:
    """A row a test condition, the primary one first: condition, stream, what happens, how much, unit, in training."""
    rows = []
    for place, text in enumerate(spec.conditions):
        rows.append({"Condition": text} | _happens(text) | {"In training": "yes"})
        if text not in spec.training_conditions:
            rows[-1]["In training"] = "no"
        rows[-1]["Role"] = "primary" if place == 0 else ""
    return pd.DataFrame(rows)


def _happens(text: str) -> dict[str, str]:
    try:
        condition = parse_condition(text)
    except ValueError:  # of a version that knew other conditions
        return dict.fromkeys(("Stream", "What happens", "How much", "Measured as"), "–")
    what = (condition.corruption or "nothing").replace("_", " ")
    if condition.corruption == "missing":
        what = "absent in every example" if condition.severity is None else "absent at random"
    much = f"{condition.severity:g} {condition.unit}" if condition.severity is not None else "–"
    unit = SEVERITY.get(condition.corruption) or UNITS.get(condition.unit) or "–"
    return {
        "Stream": condition.modality or "all",
        "What happens": what,
        "How much": much,
        "Measured as": unit if condition.severity is not None else "–",
    }


def counts(spec: ProtocolSpec) -> pd.DataFrame | None:
    """Examples of each part, or of each fold, from the id lists; a column a class where the ids tell it.

    None where the lists come with the data and the card does not say how long they are.
    """
    path = SPLITS / f"{spec.split}.csv"
    if path.is_file():
        with open(path, newline="", encoding="utf-8") as lines:
            placed = [tuple(row.values())[:2] for row in csv.DictReader(lines)]
        return _counted(placed, spec)
    standard = _standard(spec)
    if standard is None or not standard.counts:
        return None
    return pd.DataFrame(
        {"Examples": [standard.counts.get(part, 0) for part in PARTS if part in standard.counts]},
        index=pd.Index([part for part in PARTS if part in standard.counts], name="Part"),
    )


def _counted(placed: Sequence[tuple[str, str]], spec: ProtocolSpec) -> pd.DataFrame:
    places = [str(fold) for fold in range(1, spec.folds + 1)] if spec.folds else PARTS
    total = Counter(place for _, place in placed)
    table = pd.DataFrame({"Examples": [total[place] for place in places]})
    table.index = pd.Index([f"fold {p}" if spec.folds else p for p in places], name="Fold" if spec.folds else "Part")
    classes, class_of = _classes(spec)
    each = Counter((place, class_of(name)) for name, place in placed)
    for kind in classes:
        table[kind] = [each[place, kind] for place in places]
    return table


def _classes(spec: ProtocolSpec) -> tuple[Sequence[str], Callable[[str], str | None]]:
    """The classes, and which of them the name of a clip tells; none for data sets whose names tell nothing."""
    family = spec.dataset.partition("/")[0]
    if family == "grid":
        from protocols.datasets.grid_clips import SLOTS

        slot, words = list(SLOTS).index(spec.target), SLOTS[spec.target]
        return list(words.values()), lambda name: words[name[slot]]
    if family in ("ravdess", "ravdess_vectors"):
        from protocols.datasets.ravdess import EMOTIONS

        return EMOTIONS, lambda name: EMOTIONS[int(name.split("-")[2]) - 1]
    return (), lambda name: None


def rule(spec: ProtocolSpec) -> str:
    """Who made the split, and how, as far as the data set's card says."""
    standard = _standard(spec)
    return standard.rule if standard else ""


def tested(engine: sa.Engine, roots: Sequence[Path], spec: ProtocolSpec) -> pd.DataFrame | None:
    """Scored items of each test part and the class of each, from the predictions of one run; None without any."""
    kept = queries.current_runs(engine, spec.key)[0].drop_duplicates("split")
    items = predictions.read(engine, roots, kept, spec.conditions[0]).items
    if "label" not in items:
        return None
    bundles = queries.evaluated_bundles(engine, spec)
    folders = [path for bundle in bundles for root in roots if (path := Path(root) / bundle).is_dir()]
    names: Mapping[int, Any] = dict(enumerate(predictions.class_names(spec, folders) or ()))
    table = items.pivot_table(index="split", columns="label", values="id", aggfunc="count", fill_value=0)
    table.columns = [names.get(number, f"class {number}") for number in table.columns]
    table.insert(0, "Scored items", table.sum(axis=1))
    table.index.name = "Part"
    return table
