"""``fuseboard evaluate``: finished runs measured again, without training."""

from pathlib import Path
from typing import Annotated

import typer

from runners.indexing import PATIENCE, ingest
from runners.options import FAILED, Backend, BundleRoot, CacheRoot, Cluster, DatabaseUrl, DataRoot, Gpus, Json
from runners.output import print_rows, say


def evaluate(
    runs: Annotated[list[str], typer.Argument(help="Run ids (their first digits), methods, or 'all'.")],
    protocol: Annotated[str | None, typer.Option(help="name@version; every protocol if not given.")] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="Only print the scores under this condition of the suite; may be given again."),
    ] = None,
    backend: Backend = "serial",
    gpus: Gpus = None,
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    cluster: Cluster = None,
    json: Json = False,
):
    """Measure finished runs by the suite of their protocol, without training.

    Robustness, modality contribution, imbalance, attention, faithfulness and cost, from the run's own weights. What
    was measured already is not measured again: the same command goes on where it was interrupted.
    """
    from runners.settings import SETTINGS, Settings

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    from runners.evaluate import find_runs, scores_under

    if protocol is not None:
        from protocols.spec import load

        protocol = load(protocol).key
    folders = find_runs(found.bundle_root, runs, protocol)
    if condition:
        print_rows([row for folder in folders for row in scores_under(folder, tuple(condition), found)], json)
        return
    outcomes = measure_all(folders, found, backend, gpus)
    if json:
        print_rows(outcomes, True)
    ingest(found, [found.bundle_root], patience=PATIENCE)
    refused = [row for row in outcomes if row["reason"]]
    if not json:
        print(f"{len(outcomes) - len(refused)} runs evaluated. See them: fuseboard serve")
    if refused:
        say(f"{len(refused)} of {len(outcomes)} runs were not evaluated: {refused[0]['reason']}")
        raise typer.Exit(FAILED)


def measure_all(folders: list[Path], found, backend: str, gpus: float | None = None) -> list[dict]:
    """Evaluate finished runs, draw them, and tell what became of each."""
    from contextlib import closing

    from runners.backends import measure
    from runners.console import done_of

    rows = []
    try:
        with done_of(len(folders), "evaluating") as done, closing(measure(folders, found, backend, gpus)) as ended:
            for folder, error in ended:
                rows.append({"run": folder.name, "method": folder.parent.name, "reason": error})
                done(f"{folder.parent.name} {folder.name}: {error or 'evaluated'}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(rows)} of {len(folders)} runs were measured, and stay so.") from None
    return rows
