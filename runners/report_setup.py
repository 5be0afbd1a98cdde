"""The second half of a report: what the paper prints, what was run for it, and how to do it again."""

import csv
from collections import Counter
from collections.abc import Iterator

from protocols.paper import Evidence, Run
from protocols.spec import ProtocolSpec
from protocols.split import SPLITS
from runners.report import Circumstances
from runners.reproduce import Reproduction
from zoo import METHODS

EPOCH = {
    "test": "by the test part, as the released code shows",
    "validation": "by validation data",
    "unknown": "not said",
}
EVIDENCE = {
    "parity": "with the settings and weights of a run of the authors' code, its outputs are reproduced to 1e-5",
    "code-read": "written from the paper and the authors' code",
    "paper-read": "written from the paper",
    "derived-from-abstract": "written from the abstract alone",
    "generic": "a general architecture",
}


def setup(reproduction: Reproduction, made: Circumstances) -> Iterator[tuple]:
    """Blocks of the document."""
    yield "heading", "What the paper prints"
    yield "list", _published(reproduction)
    yield "heading", "What was run"
    yield from _run(reproduction)
    yield "heading", "How to make this report again"
    yield from _again(reproduction, made)
    yield "heading", "How often the test part was opened"
    yield from _openings(reproduction, made)


def _published(reproduction: Reproduction) -> list[str]:
    paper, table = reproduction.paper, reproduction.table
    lines = [
        f"{table.printed}: {table.caption}.",
        f"Data: {table.data}.",
        f"Split: {table.split}.",
        f"Epoch chosen: {EPOCH[table.selection]}.",
        f"Numbers are {_column_units(reproduction)}, digits as printed."
        + (" Higher is better." if {c.direction for c in table.columns} == {"higher"} else ""),
    ]
    if any(c.modalities for c in table.columns):
        lines.append("Columns are sets of modalities: T is text, V is video, A is audio.")
    if table.omitted:
        lines.append(f"Left out: {table.omitted}.")
    if table.origin == "others":
        lines.append("These are somebody else's runs of the method; the paper does not print them.")
    lines += [f"Read in: {text}." for text in _sources(reproduction)]
    notes = [*paper.notes, *table.notes, *(f"{row.heading}: {row.note}" for row in table.rows if row.note)]
    return lines + [note if note.endswith(".") else f"{note}." for note in notes]


def _column_units(reproduction: Reproduction) -> str:
    columns = reproduction.table.columns
    kinds = dict.fromkeys((column.metric or "of no metric of ours", column.unit) for column in columns)
    return "; ".join(f"{metric.replace('_', ' ')} in {unit}" for metric, unit in kinds)


def _sources(reproduction: Reproduction) -> list[str]:
    """Each source once, with the places in it."""
    places: dict[str, dict[str, None]] = {}
    for cell in reproduction.table.cells:
        for item in cell.evidence:
            places.setdefault(item.source, {})[_at(item)] = None
    told = []
    for key, found in places.items():
        source = reproduction.paper.sources[key]
        where = f"{source.where} at {source.commit}" if source.commit else source.where
        told.append(f"{source.kind}, {'; '.join(found)} ({where}{f', {source.file}' if source.file else ''})")
    return told


def _at(item: Evidence) -> str:
    return item.at


def rows(reproduction: Reproduction) -> Iterator[tuple]:
    """What stands for each row of the paper."""
    told = []
    for outcome in reproduction.runnable:
        for rerun in outcome.reruns:
            card = METHODS[rerun.spec.method]
            row = [outcome.cell.row.heading, rerun.preset, f"{card.title}: {card.summary}", EVIDENCE[card.evidence]]
            told += [row] if row not in told else []
    yield "table", (["row of the paper", "our settings", "what it is", "how it was checked"], told)


def _run(reproduction: Reproduction) -> Iterator[tuple]:
    specs = list({e.protocol.key: e.protocol for e in reproduction.experiments}.values())
    for spec in specs:
        yield "text", f"Protocol {spec.key}: {spec.title}. {spec.description}"
        yield "table", (["training", ""], _training(spec))
    seeds = sorted({e.seed for e in reproduction.experiments})
    yield "text", f"Seeds: {', '.join(map(str, seeds))}."
    yield "subheading", "Known differences from what the paper ran"
    differences: dict[str, list[str]] = {}
    for note, heading in _notes(reproduction):
        differences.setdefault(note, []).append(heading)
    differences["Every feature is standardised with mean and deviation of the training part."] = ["all"]
    methods = dict.fromkeys(rerun.spec.method for outcome in reproduction.runnable for rerun in outcome.reruns)
    for card in (METHODS[method] for method in methods):
        for said in card.differs:
            differences.setdefault(said, []).append(card.title)
    yield "table", (["difference", "of"], [[said, ", ".join(of)] for said, of in differences.items()])


def _training(spec: ProtocolSpec) -> list[list[str]]:
    budget = spec.budget
    stop = (
        "none"
        if budget.patience >= budget.epochs
        else f"when the validation loss has not fallen for {budget.patience} epochs"
    )
    rows = [
        ["optimiser", f"{'AdamW' if budget.weight_decay else 'Adam'}, learning rate {budget.learning_rate:g}"],
        ["weight decay", f"{budget.weight_decay:g}"],
        ["batch", f"{budget.batch_size} examples"],
        ["epochs", f"at most {budget.epochs}"],
        ["early stop", stop],
        ["split", _split(spec)],
    ]
    return rows + ([] if budget.clip_norm >= 1e5 else [["gradients", f"clipped at {budget.clip_norm:g}"]])


def _split(spec: ProtocolSpec) -> str:
    """The file that names every example, and how many are in each part of it."""
    path = SPLITS / f"{spec.split}.csv"
    if not path.is_file() or spec.folds:
        return (
            f"{spec.split}, as it comes with the data" if not path.is_file() else f"protocols/splits/{spec.split}.csv"
        )
    with open(path, newline="", encoding="utf-8") as file:
        counts = Counter(row["part"] for row in csv.DictReader(file))
    told = ", ".join(f"{counts[part]} {part}" for part in ("train", "validation", "test"))
    return f"protocols/splits/{spec.split}.csv: {told}"


def _notes(reproduction: Reproduction) -> Iterator[tuple[str, str]]:
    """Every note of a run with the rows that it is said of, each once."""
    seen = set()
    for outcome in reproduction.runnable:
        run: Run = outcome.cell.run
        told = (run.note, outcome.cell.row.heading)
        if run.note and told not in seen:
            seen.add(told)
            yield told


def _openings(reproduction: Reproduction, made: Circumstances) -> Iterator[tuple]:
    yield (
        "text",
        f"A run writes down each time that it opens the test part: {len(made.openings)} openings by the "
        f"{len(reproduction.experiments)} runs of this report. A run opens it once, at its end; one that also reads "
        "the epoch of the best test score opens it at its start too, and scores it after every epoch; one that was "
        "interrupted opens it again. Every single opening is in ledger.csv. Times are UTC.",
    )
    groups: dict[tuple[str, str], list[dict]] = {}
    for entry in made.openings:
        groups.setdefault((entry["protocol"], entry["method"].partition(".")[0]), []).append(entry)
    rows = []
    for (protocol, method), entries in sorted(groups.items()):
        times = sorted(entry["opened"] for entry in entries)
        runs = len({entry["run"] for entry in entries})
        rows.append([method, protocol, str(runs), str(len(entries)), _time(times[0]), _time(times[-1])])
    if rows:
        yield "table", (["method", "protocol", "runs", "openings", "first", "last"], rows)


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _again(reproduction: Reproduction, made: Circumstances) -> Iterator[tuple]:
    from protocols.datasets import dataset

    versions = dict.fromkeys(m["fuseboard"] for m in made.manifests)
    commits = list(dict.fromkeys(m["commit"] for m in made.manifests if m.get("commit")))
    lines = [
        f"Install fuseboard{f' {next(iter(versions))}' if versions else ''}, the package that this report comes with"
        f"{f' (commit {commits[0]})' if commits else ''}; its README says how."
    ]
    for key in dict.fromkeys(e.protocol.dataset for e in reproduction.experiments):
        card = dataset(key.partition("/")[0]).CARD
        lines.append(
            f"Data: {card.title}. {card.citation}. From {card.home}; {card.licence}. Put them into {card.folder} below "
            "a folder of your choice, which the commands call DATA; fuseboard data check --data-root DATA says which "
            "files are missing."
        )
    prints = dict.fromkeys(e.fingerprint for e in reproduction.experiments)
    lines += [f"SHA-256 over ids, labels and features as they were read: {text}." for text in prints]
    yield "list", lines
    yield "code", f"{made.command} --data-root DATA"
    seconds = sum(sum(m["seconds"].values()) for m in made.manifests)
    hardware = [m["hardware"] for m in made.manifests]
    devices = Counter(h["cpu"] if h["device"] == "cpu" else h["device"] for h in hardware)
    packages = dict.fromkeys(
        ", ".join(f"{package} {number}" for package, number in m["versions"].items()) for m in made.manifests
    )
    spent = f"{seconds / 3600:.1f} hours" if seconds > 3600 else f"{seconds / 60:.1f} minutes"
    told = [
        f"To load, train and score took the {len(reproduction.experiments)} runs {spent} together, each on one core or "
        "one GPU."
    ]
    told += [f"On {device}: {count} runs." for device, count in devices.items()]
    told += [f"Software: {text}." for text in packages]
    told.append(
        "On the same machine the same command gives the same digits. For each run manifest.json has a hash of the code "
        "that can move its number."
    )
    told.append(
        "Beside this report: table.csv (one row a number), claims.csv (one row a comparison), runs.csv (one row a run "
        "of each number), table.tex, ledger.csv, manifest.json (run ids, protocols)."
    )
    yield "list", told
