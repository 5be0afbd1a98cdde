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
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
