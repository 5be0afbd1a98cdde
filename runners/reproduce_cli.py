"""``fuseboard reproduce``: a published table, recomputed cell by cell."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from runners.options import (
    FAILED,
    WRONG_INPUT,
    Backend,
    BundleRoot,
    CacheRoot,
    Cluster,
    DataRoot,
    Gpus,
    Json,
    TrackingUrl,
)
from runners.output import print_rows, say, table_of


def reproduce(
    key: Annotated[str, typer.Argument(help="The paper; fuseboard papers lists them.")],
    table: Annotated[str, typer.Option(help="Its number, or the id of one part, e.g. 1 or 1-mosi.")],
    rows: Annotated[list[str] | None, typer.Option(help="Only rows whose name contains this; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each cell; one is never a verdict.")] = 5,
    also: Annotated[bool, typer.Option("--also", help="Run a row's further presets too, to explain a gap.")] = False,
    backend: Backend = "serial",
    gpus: Gpus = None,
    out: Annotated[Path | None, typer.Option(help="Folder for reports; .fuseboard/reports by default.")] = None,
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    tracking_url: TrackingUrl = None,
    cluster: Cluster = None,
    json: Json = False,
):
    """Recompute a published table: reported, ours with interval and runs, difference, verdict, reason.

    Cells appear as their runs finish, and a report is written (Markdown, HTML, CSV, LaTeX). The rules are printed
    before the first run. The same command goes on where it was interrupted.
    """
    from protocols.papers import paper
    from runners.backends import device
    from runners.brought import here
    from runners.settings import SETTINGS, Settings

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    told = paper(key)
    parts = told.chosen(table)
    ready = [part for part in parts if any(here(cell, found.data_root) for cell in part.cells)]
    if not ready:
        _cannot(told, parts)
        raise typer.Exit(WRONG_INPUT)
    asked = {"seeds": seeds, "rows": rows or [], "also": also, "device": device(backend, gpus)}
    failed = False
    for part in ready:
        place = (out or Path(".fuseboard/reports")) / key / f"table-{part.id}"
        failed |= _one(told, part, found, asked, backend, gpus, place, json)
    if failed:
        raise typer.Exit(FAILED)


def _one(told, table, found, asked: dict, backend: str, gpus: float | None, place: Path, as_json: bool) -> bool:
    """One table; True if a run failed.

    Args:
        asked: what `reproduce.prepare` takes.
    """
    from contextlib import closing

    from runners.console import each, run_progress
    from runners.report import Circumstances, line, write
    from runners.reproduce import prepare, recompute

    prepared = prepare(told, table, found, **asked, progress=each)
    if not prepared.runnable:
        say(f"Error: table {table.id} has no runnable row like {', '.join(asked['rows'])}. Rows: {_row_names(table)}.")
        raise typer.Exit(WRONG_INPUT)
    _say_rules(told, table, prepared, asked["seeds"])
    failed, cells, above = False, 0, Filling(prepared)
    with (
        run_progress(prepared.experiments, found.bundle_root, above) as progress,
        closing(recompute(prepared, found, backend, progress.epoch, gpus)) as runs,
    ):
        for done, bundle, finished in runs:
            progress.passed(done, failed=bundle is None)
            failed |= bundle is None
            for outcome in finished:
                cells += 1
                progress.say(f"[{cells}/{len(prepared.runnable)}] {line(outcome)}")
            if finished:
                above.draw()
    command = f"fuseboard reproduce {told.key} --table {table.id} --seeds {asked['seeds']}"
    command += " --also" if asked["also"] else ""
    command += f" --backend {backend} --gpus {gpus:g}" if gpus is not None else ""  # decides where runs are trained
    command += "".join(f" --rows {shlex.quote(row)}" for row in asked["rows"])
    write(prepared, Circumstances.of(prepared, found.bundle_root, command), place)
    if as_json:
        print_rows(_json(prepared), True)
    else:
        _print_table(prepared)
    say(f"The report is in {place}: begin with report.html, or report.md.")
    return failed


class Filling:
    """The table in the paper's layout, above the bar: cells appear as their runs finish."""

    def __init__(self, prepared):
        self._prepared = prepared
        self.draw()

    def draw(self) -> None:
        """Take in what has finished."""
        from runners.report import layout

        self._table = table_of(*layout(self._prepared))

    def __call__(self):
        return self._table


def _say_rules(told, table, prepared, seeds: int) -> None:
    say(f"{told.short}, table {table.id}: {len(prepared.runnable)} cells, {len(prepared.experiments)} runs.")
    say(
        f"Fixed before the first run: reproduced if the 95 % interval over {seeds} runs lies inside reported ± "
        f"tolerance ({table.tolerance:g} in the table's unit unless the paper gives a spread), not reproduced if "
        "outside, inconclusive if it straddles an end."
    )
    for spec in {e.protocol.key: e.protocol for e in prepared.experiments}.values():
        say(f"Protocol {spec.key}: {spec.title}{' (leaks by design, never ranks)' if spec.leaks else ''}.")


def _print_table(prepared) -> None:
    """The paper's layout, then one line for each cell that did not hold."""
    from runners.report import layout

    header, rows = layout(prepared)
    print_rows([dict(zip(header, row, strict=True)) for row in rows], False)
    print("\nreported → ours ± half width of the 95 % interval (runs)   ✓ reproduced  ✗ not reproduced  ? inconclusive")


def _row_names(table) -> str:
    return ", ".join(dict.fromkeys(row.heading for row in table.rows))


def _cannot(told, tables) -> None:
    """What to bring, and where to put it; or why nothing can be run."""
    from runners.papers_cli import print_bring

    names = ", ".join(table.id for table in tables)
    waiting = [table for table in tables if table.coverage()["data"]]
    if waiting:
        say(f"{told.key}, table {names}: its data are not here, and nobody may pass them on. Bring these:")
        print_bring(waiting)
        say("Put them below the data root (--data-root, or FUSEBOARD_DATA_ROOT) and call the same command again.")
        return
    say(f"{told.key}, table {names}: no cell can be recomputed.")
    for reason in dict.fromkeys(cell.reason for table in tables for cell in table.cells if cell.reason):
        say(f"- {reason}")


def _json(prepared) -> list[dict]:
    rows = []
    for outcome in prepared.outcomes:
        cell = outcome.cell
        row = {"row": cell.row.heading, "column": cell.column.title, "reported": cell.value, "verdict": outcome.verdict}
        row |= {"reason": outcome.reason, "tolerance": cell.tolerance, "trivial": outcome.trivial}
        for rerun in outcome.reruns:
            found = {f.rule: rerun.judged(f.rule) for f in rerun.footings}
            row[rerun.preset] = {name: vars(judged) for name, judged in found.items() if judged}
        rows.append(row)
    return rows
