"""What several commands have in common: options and exit codes."""

from pathlib import Path
from typing import Annotated

import typer

WRONG_INPUT, FAILED, INTERRUPTED = 2, 1, 130

DataRoot = Annotated[Path | None, typer.Option(help="Folder that holds the data sets you brought.")]
CacheRoot = Annotated[Path | None, typer.Option(help="Folder for decoded data; safe to delete.")]
BundleRoot = Annotated[Path | None, typer.Option(help="Folder of result bundles.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="SQLite or PostgreSQL URL of the index.")]
TrackingUrl = Annotated[str | None, typer.Option(help="MLflow tracking store, or 'off'.")]
Cluster = Annotated[str | None, typer.Option(help="Ray cluster: 'local', 'auto' or an address.")]


def _known(backend: str) -> str:
    from runners.backends import BACKENDS
    from runners.output import say

    if backend not in BACKENDS:
        say(f"Error: no backend {backend!r}. Known: {', '.join(BACKENDS)}.")
        raise typer.Exit(WRONG_INPUT)
    return backend


Backend = Annotated[str, typer.Option(help="serial, or ray: one task a run, on all cores.", callback=_known)]
Gpus = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Share of a GPU for each Ray task, e.g. 0.25; a whole one where there are some."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]


def sizes_by_modality(text: str | None, option: str) -> dict[str, int | tuple[int, ...]]:
    """``audio=40,video=224x224x3`` -> {"audio": 40, "video": (224, 224, 3)}; nothing -> {}.

    Raises:
        ValueError: naming the option and the part that is not understood.
    """
    found = {}
    for part in text.split(",") if text else ():
        name, _, size = part.partition("=")
        try:
            shape = tuple(int(n) for n in size.split("x"))
        except ValueError:
            raise ValueError(f"{option}: {part!r} is not modality=number, e.g. audio=40.") from None
        if min(shape) < 1:
            raise ValueError(f"{option}: {part!r}; wanted 1 or more.")
        found[name.strip()] = shape[0] if len(shape) == 1 else shape
    return found
