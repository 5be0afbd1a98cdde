"""The command line. Imports stand inside the commands, so that --help costs no torch."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from runners import data_cli, moderate_cli, token_cli, weights_cli
from runners.bench_cli import bench
from runners.blend_cli import blend
from runners.downloads_cli import export, publish, verify
from runners.evaluate_cli import evaluate, measure_all
from runners.indexing import PATIENCE, fill
from runners.indexing import ingest as index
from runners.options import (
    FAILED,
    INTERRUPTED,
    WRONG_INPUT,
    Backend,
    BundleRoot,
    CacheRoot,
    Cluster,
    DatabaseUrl,
    DataRoot,
    Gpus,
    Json,
    TrackingUrl,
)
from runners.output import listed, print_card, print_ranking, print_rows, ranking_rows, say, until_year
from runners.papers_cli import papers
from runners.reproduce_cli import reproduce
from runners.review_cli import review
from runners.submit_cli import new, schema, submissions, submit, try_, validate
from runners.tune_cli import tune
from runners.worker_cli import worker


class Commands(typer.core.TyperGroup):
    """Every command. Ctrl-C is answered here, because Typer would end without a word."""

    def invoke(self, context):
        """Do what was asked; the last line of one that was interrupted says what is kept, and how to go on."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt as kept:
            say(f"Interrupted. {kept} The same command goes on from there." if kept.args else "Interrupted.")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="fuseboard",
    cls=Commands,
    help="Attention-based audio-visual fusion: run methods under shared protocols, rank, download.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing the rich one takes longer than all the rest
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_cli.app, name="data")
app.add_typer(weights_cli.app, name="weights")
app.command()(tune)
app.command()(evaluate)
app.command()(bench)
app.command()(blend)
app.command()(papers)
app.command()(reproduce)
app.command()(review)
app.command()(new)
app.command()(validate)
app.command("try")(try_)
app.command()(schema)
app.command()(submit)
app.command()(submissions)
app.command()(worker)
app.add_typer(moderate_cli.app, name="moderate")
app.add_typer(token_cli.app, name="token")
app.command()(export)
app.command()(verify)
app.command()(publish)


def main() -> None:
    """Entry point: turns refusals into one line and an exit code (0 done, 1 failed, 2 wrong input)."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        code = _exit_code(error)
        if code is None:
            raise
        say(f"Error: {error}")
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """2 for what the caller can mend, 1 for what failed outside; None for a fault of ours, shown whole.

    Looks only at modules that are loaded: an error cannot come from one that is not.
    """
    kinds = {
        ("runners.settings", "SettingsError"): WRONG_INPUT,
        ("zoo.spec", "SpecError"): WRONG_INPUT,
        ("zoo.weights", "WeightsError"): WRONG_INPUT,
        ("protocols.spec", "SpecError"): WRONG_INPUT,
        ("protocols.examples", "DataError"): WRONG_INPUT,
        ("runners.evaluate", "EvaluationError"): WRONG_INPUT,
        ("leaderboard.downloads.levels", "ExportError"): WRONG_INPUT,
        ("leaderboard.submissions", "SubmissionError"): WRONG_INPUT,
        ("leaderboard.access", "AccessError"): WRONG_INPUT,
        ("leaderboard.store", "StoreError"): FAILED,
        ("runners.bundle", "RunError"): FAILED,
    }
    for (module, name), code in kinds.items():
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            return code
    return None


@app.command()
def methods(
    show: Annotated[str | None, typer.Option(help="Print one card: a method, a preset or a YAML file.")] = None,
    json: Json = False,
):
    """List the methods and their presets, or print the card of one.

    A card says what is fused where, who attends to whom, what the method follows and how it differs. Ranked presets
    are those that 'run all' trains; the others need inputs or sizes of their own.
    """
    from zoo.spec import entries, load, presets

    if show is None:
        rows = [
            {"name": name, "title": spec.card.title, "fusion": spec.card.fusion_stage, "attention": spec.card.attention}
            | {"modalities": listed(spec.card.modalities), "evidence": spec.card.evidence}
            | {
                "ranked": "yes" if name in entries() else "no",
                "paper": spec.card.paper if json else until_year(spec.card.paper),
            }
            for name, spec in presets().items()
        ]
        print_rows(rows, json)
        return
    from runners.method_card import card_rows

    print_card(card_rows(load(show)), json)


@app.command()
def protocols(
    show: Annotated[str | None, typer.Option(help="Print one protocol whole: its name@version.")] = None,
    json: Json = False,
):
    """List the protocols, or print one."""
    from protocols.spec import committed, load

    if show is None:
        rows = [
            {
                "protocol": key,
                "title": spec.title,
                "data set": spec.dataset,
                "modalities": listed(spec.modalities),
                "primary metric": spec.metrics[0],
                "primary condition": spec.conditions[0],
                "runs": f"{spec.folds} folds" if spec.folds else f"{spec.seeds} seeds",
            }
            for key, spec in committed().items()
        ]
        print_rows(rows, json)
        return
    spec = load(show)
    if json:
        print(spec.model_dump_json(indent=2))
    else:
        import yaml

        print(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True).strip())


@app.command()
def settings(
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    tracking_url: TrackingUrl = None,
    cluster: Cluster = None,
    json: Json = False,
):
    """Show each setting, its value and where it came from.

    A flag wins over the environment variable FUSEBOARD_<NAME>, that over the file fuseboard.yaml of the working
    folder (or the file that FUSEBOARD_SETTINGS names), that over the default.
    """
    from runners.settings import SETTINGS, Settings

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    rows = [
        {
            "setting": name,
            "value": _without_password(str(getattr(found, name))),
            "from": found.origins[name],
            "meaning": setting.meaning,
        }
        for name, setting in SETTINGS.items()
    ]
    print_rows(rows, json)


def _without_password(url: str) -> str:
    import re

    return re.sub(r"(://[^:/@]+):[^@/]+@", r"\1:***@", url)


@app.command()
def run(
    methods: Annotated[list[str], typer.Argument(help="Methods, presets or YAML files; 'all' for every ranked one.")],
    protocol: Annotated[str, typer.Option(help="name@version, or a YAML file of your own.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds; the protocol's own number when not given.")] = None,
    backend: Backend = "serial",
    gpus: Gpus = None,
    evaluate: Annotated[bool, typer.Option(help="Measure every finished run by the protocol's suite too.")] = True,
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    tracking_url: TrackingUrl = None,
    cluster: Cluster = None,
    json: Json = False,
):
    """Train and score methods, one bundle a run.

    Everything is scored under the protocol's own conditions, then measured by the suite of the protocol (robustness,
    contribution, attention, cost), and the bundles are indexed for the board. Finished runs are not repeated: the same
    command goes on where it was interrupted.
    """
    from protocols.spec import load
    from runners.settings import SETTINGS, Settings

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    spec, chosen = load(protocol), _specs(methods)
    from runners.backends import device
    from runners.console import each
    from runners.trial import plan

    experiments, skipped = plan(chosen, spec, found, seeds=seeds, device=device(backend, gpus), progress=each)
    if spec.folds and seeds:
        say(f"{spec.key} has {spec.folds} folds, each run once; --seeds changes nothing.")
    for reason in dict.fromkeys(skipped.values()):
        say(f"skipped {', '.join(name for name in skipped if skipped[name] == reason)}: {reason}")
    if not experiments:
        say(f"Error: none of these methods can run under {spec.key}.")
        raise typer.Exit(WRONG_INPUT)
    outcomes = _execute(experiments, found, backend, gpus)
    failed = [o for o in outcomes if o["status"] != "completed"]
    refused = _evaluate_finished(outcomes, spec, found, backend, gpus) if evaluate else []
    if json:
        print_rows(outcomes, True)
    index(found, [found.bundle_root], patience=PATIENCE)
    if not json:
        _board(found, spec.key, None, None, False)
    if failed:
        say(f"{len(failed)} of {len(outcomes)} runs failed: {failed[0]['reason']}")
    if refused:
        say(f"{len(refused)} runs were not evaluated: {refused[0]['reason']}")
    if failed or refused:
        raise typer.Exit(FAILED)


def _evaluate_finished(outcomes: list[dict], spec, found, backend: str, gpus: float | None) -> list[dict]:
    """Measure the runs that are there and were not measured; gives back those that could not be."""
    from protocols.suite import suites
    from runners.evaluate import evaluated

    if spec.key not in suites():
        return []
    folders = [Path(o["bundle"]) for o in outcomes if o["status"] == "completed"]
    waiting = [folder for folder in folders if not evaluated(folder, suites()[spec.key])]
    return [row for row in measure_all(waiting, found, backend, gpus) if row["reason"]]


def _specs(names: list[str]) -> list:
    from zoo.spec import entries, load

    return list(entries().values()) if names == ["all"] else [load(name) for name in names]


def _execute(experiments: list, found, backend: str, gpus: float | None) -> list[dict]:
    """Do the runs, draw them, and tell what became of each."""
    import json as _json
    from contextlib import closing

    from runners.backends import execute
    from runners.console import run_progress

    rows = []
    with (
        run_progress(experiments, found.bundle_root) as progress,
        closing(execute(experiments, found, backend, progress.epoch, gpus)) as outcomes,
    ):
        for outcome in outcomes:
            row = {"run": outcome.experiment.run, "method": outcome.experiment.method.name}
            row |= {"split": outcome.experiment.split, "seed": outcome.experiment.seed}
            if outcome.place is None:
                row |= {"status": "failed", "reason": outcome.error, "bundle": None}
            else:
                manifest = _json.loads((outcome.place / "manifest.json").read_text())
                row |= {"status": manifest["status"], "reason": manifest["reason"], "bundle": str(outcome.place)}
                row |= {"epochs": manifest["epochs"], "seconds": manifest["seconds"]["fit"]}
                row |= {"peak_memory_gib": round(manifest["peak_memory_bytes"] / 2**30, 2)}
            rows.append(row)
            ended = row["reason"] or "{epochs} epochs, {seconds:.0f} s, {peak_memory_gib} GiB".format(**row)
            said = f"{row['method']} {row['split']} seed {row['seed']}: {row['status']}, {ended}"
            progress.outcome(outcome, said, failed=row["status"] != "completed")
    return rows


@app.command()
def ingest(
    rebuild: Annotated[bool, typer.Option(help="Empty the index first and make it anew from the bundles.")] = False,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
):
    """Index bundles in the database.

    Those below the bundle root, and those that come with the package. Twice is the same as once.
    """
    from leaderboard.store import records_root
    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root, database_url=database_url)
    done = index(found, [records_root(), found.bundle_root], rebuild=rebuild, patience=PATIENCE)
    if json:
        from dataclasses import asdict

        print_rows(asdict(done), True)
    else:
        print(
            f"{done.runs} runs and {done.evaluations} evaluations with {done.records} records added, "
            f"{done.skipped} bundles were there."
        )
    if done.failed:
        raise typer.Exit(FAILED)


@app.command()
def board(
    protocol: Annotated[str | None, typer.Option(help="name@version; all with results if not given.")] = None,
    metric: Annotated[str | None, typer.Option(help="The protocol's primary metric if not given.")] = None,
    condition: Annotated[str | None, typer.Option(help="The protocol's primary condition if not given.")] = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    json: Json = False,
):
    """Print a ranking: intervals, ties, seeds."""
    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root, database_url=database_url)
    fill(found)
    _board(found, protocol, metric, condition, json)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; only this machine by default.")] = "127.0.0.1",
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
):
    """Serve the board in the browser."""
    import os

    from runners.settings import Settings

    found = Settings.resolve(bundle_root=bundle_root, database_url=database_url)
    fill(found)
    places = {"FUSEBOARD_DATABASE_URL": found.database_url, "FUSEBOARD_BUNDLE_ROOT": str(found.bundle_root)}
    places["FUSEBOARD_DATA_ROOT"] = str(found.data_root)  # exhibits are shown over the user's own clips
    say(f"The board is at http://{address}:{port} (end it with Ctrl-C)")
    command = [sys.executable, "-m", "leaderboard", f"--server.port={port}", f"--server.address={address}"]
    os.execve(sys.executable, command, os.environ | places)


def _board(found, protocol: str | None, metric: str | None, condition: str | None, as_json: bool) -> None:
    """The ranking of one protocol, or of each that has results."""
    from leaderboard import queries, store
    from protocols.spec import committed, load

    engine = store.connect(found.database_url)
    present = queries.protocols(engine)
    if protocol in committed() and committed()[protocol].leaks:
        say(f"{protocol} chooses on the test part: its numbers stand in reports (fuseboard reproduce) and never rank.")
        raise typer.Exit(WRONG_INPUT)
    if protocol is not None and protocol not in present:
        say(f"No results for {load(protocol).key} yet. Run: fuseboard run <method> --protocol {protocol}")
        raise typer.Exit(WRONG_INPUT)
    if not present:
        say("No results yet. Run: fuseboard run all --protocol synthetic@1")
    rankings = []
    for key in [protocol] if protocol else present:
        spec = present[key]
        chosen = (metric or spec.metrics[0], condition or spec.conditions[0])
        for what, value, accepted in zip(
            ("metric", "condition"),
            chosen,
            (queries.metrics(engine, spec), queries.conditions(engine, spec)),
            strict=True,
        ):
            if accepted and value not in accepted:
                say(f"Error: {key} has no {what} {value!r}. Known: {', '.join(accepted)}.")
                raise typer.Exit(WRONG_INPUT)
        rankings.append((spec, *chosen, queries.ranking(engine, spec, *chosen)))
    if as_json:
        import json

        print(json.dumps([ranking_rows(*ranking) for ranking in rankings], indent=2))
        return
    for ranking in rankings:
        print_ranking(*ranking)


if __name__ == "__main__":
    main()
