"""``fuseboard worker``: the process that runs approved submissions."""

from typing import Annotated

import typer

from runners.options import Backend, BundleRoot, CacheRoot, Cluster, DatabaseUrl, DataRoot, Gpus, TrackingUrl


def worker(
    backend: Backend = "serial",
    gpus: Gpus = None,
    drain: Annotated[bool, typer.Option("--drain", help="End when no submission waits.")] = False,
    lease: Annotated[float, typer.Option(min=1, help="Seconds of silence after which a worker counts as dead.")] = 60,
    data_root: DataRoot = None,
    cache_root: CacheRoot = None,
    bundle_root: BundleRoot = None,
    database_url: DatabaseUrl = None,
    tracking_url: TrackingUrl = None,
    cluster: Cluster = None,
):
    """Run approved submissions, one after the other, until told to stop.

    Any number of workers share a queue: each submission goes to one of them. What a dead worker held goes to another,
    which continues from the last checkpoint where both see one bundle root. SIGTERM ends a worker at once and cleanly.
    """
    from runners.settings import SETTINGS, Settings

    found = Settings.resolve(**{name: value for name, value in locals().items() if name in SETTINGS})
    from runners.worker import Options, work

    work(found, Options(backend, drain, lease, gpus))
