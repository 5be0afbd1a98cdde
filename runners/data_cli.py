"""``fuseboard data``: what the data sets are, whether yours is complete, decoding."""

from pathlib import Path
from typing import Annotated

import typer

from runners.options import FAILED, WRONG_INPUT, CacheRoot, DataRoot, Json
from runners.output import listed, print_card, print_rows, say

app = typer.Typer(help="Data sets: list, check, prepare.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def data_list(json: Json = False):
    """List the data sets: what they hold, licence, home."""
    from protocols.datasets import DATASETS, dataset

    rows = []
    for name in DATASETS:
        card = dataset(name).CARD
        rows.append(
            {
                "data set": name,
                "title": card.title,
                "modalities": listed(tuple(card.inputs)) or "any",
                "targets": listed(card.targets) or "any",
                "counts": ", ".join(f"{n} {what}" for what, n in card.counts.items()),
                "licence": card.licence,
                "home": card.home,
            }
        )
    print_rows(rows, json)


@app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="A data set, as 'data list' names it.")],
    json: Json = False,
):
    """Print the card of a data set: owner, licence, how to get it, where it goes, splits and what they leak."""
    card = _dataset(name.partition("/")[0]).CARD
    rows = {"data set": name, "title": card.title, "owner": card.owner or "see home", "home": card.home}
    rows |= {"licence": card.licence, "citation": card.citation, "get it": card.obtain}
    rows |= {"put it": f"{card.folder or '<folder>'}/ below the data root: {card.layout}"}
    rows |= {"inputs": [f"{modality}: {listed(names)}" for modality, names in card.inputs.items()]}
    rows |= {"targets": listed(card.targets), "counts": [f"{count} {what}" for what, count in card.counts.items()]}
    rows |= {"splits": [_standard(key, split) for key, split in card.splits.items()] or ["see the protocols"]}
    print_card(rows | {"traps": list(card.traps)}, json)


def _standard(name: str, split) -> str:
    counts = ", ".join(f"{count} {part}" for part, count in split.counts.items())
    leak = f"leaks: {split.leak}. " if split.leak else ""
    return f"{name}: {leak}{split.rule.removesuffix('.')}.{f' {counts}.' if counts else ''}"


@app.command("check")
def data_check(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; all when none is named.")] = None,
    data_root: DataRoot = None,
    json: Json = False,
):
    """Say what is missing or wrong, and where to get it.

    Exit code 1 if anything is.
    """
    from protocols.datasets import DATASETS
    from runners.settings import Settings

    root = Settings.resolve(data_root=data_root).data_root
    wanted = names or [name for name in DATASETS if name != "features"]
    rows = [{"data set": name, "problems": _check(name, root)} for name in wanted]
    if json:
        print_rows(rows, True)
    else:
        for row in rows:
            print(f"{row['data set']}: {'complete' if not row['problems'] else ''}".rstrip())
            for problem in row["problems"]:
                print(f"  - {problem}")
    if any(row["problems"] for row in rows):
        raise typer.Exit(FAILED)


def _check(name: str, root: Path) -> list[str]:
    base, _, folder = name.partition("/")
    return _dataset(base).check(root, **({"folder": folder} if folder else {}))


def _dataset(name: str):
    from protocols.datasets import dataset

    try:
        return dataset(name)
    except KeyError as error:
        say(f"Error: {error.args[0]}")
        raise typer.Exit(WRONG_INPUT) from None


@app.command("prepare")
def data_prepare(
    protocol: Annotated[str, typer.Argument(help="A protocol: its data are decoded, standardised and described.")],
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    json: Json = False,
):
    """Decode the data of a protocol once, and say what is in them."""
    import numpy as np

    from protocols.spec import load
    from protocols.split import read_split
    from runners.console import each
    from runners.settings import Settings
    from runners.trial import load_examples, split_path

    spec, found = load(protocol), Settings.resolve(data_root=data_root, cache_root=cache_root)
    examples = load_examples(spec, found.data_root, found.cache_root, each)
    path = split_path(spec, found.data_root, found.cache_root, examples.ids)
    parts = read_split(path, examples.ids, folds=spec.folds, fold=1 if spec.folds else None)
    rows = []
    for modality, stream in examples.streams.items():
        steps = [len(stream.features(stream.raw(i))) for i in np.concatenate(list(parts.values()))[:100]]
        rows.append(
            {
                "modality": modality,
                "representation": spec.inputs[modality],
                "width": stream.width,
                "steps (min, mean, max of 100)": f"{min(steps)}, {np.mean(steps):.1f}, {max(steps)}",
            }
        )
    print_rows(rows, json)
    if not json:
        sizes = ", ".join(f"{len(index)} {part}" for part, index in parts.items())
        what = {"classification": "classes", "regression": "targets", "multilabel": "labels"}[examples.task]
        print(f"{len(examples.ids)} examples ({sizes}), {len(examples.classes)} {what}: {', '.join(examples.classes)}")
        print(f"fingerprint {examples.fingerprint}")
