"""``fuseboard moderate``: what maintainers decide over submissions."""

from typing import Annotated

import typer

from runners.options import BundleRoot, DatabaseUrl
from runners.submit_cli import identified

app = typer.Typer(help="Decide over submissions; for maintainers.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(help="Id of the submission, or its first digits.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit log, open to all.")]


def _decide(verb: str, submission: str, database_url: str | None, *told, **more) -> None:
    from leaderboard import moderation, submissions

    engine, actor = identified(database_url)
    meant = submissions.get(engine, submission).submission
    made = getattr(moderation, verb)(engine, actor, meant, *told, **more)
    print(f"{made.submission}  {made.name} under {made.protocol}: {made.standing}")


@app.command()
def approve(
    submission: Id,
    over_cap: Annotated[bool, typer.Option("--over-cap", help="Although it is expected to train for days.")] = False,
    database_url: DatabaseUrl = None,
):
    """Let a submission join the queue of the workers."""
    _decide("approve", submission, database_url, over_cap=over_cap)


@app.command()
def refuse(submission: Id, reason: Reason, database_url: DatabaseUrl = None):
    """End a submission that is not scored yet; a worker that runs it stops."""
    _decide("refuse", submission, database_url, reason)


@app.command()
def hide(submission: Id, reason: Reason, database_url: DatabaseUrl = None):
    """Take the results of a submission off every board; the bundles stay."""
    _decide("hide", submission, database_url, reason)


@app.command()
def unhide(submission: Id, reason: Reason, database_url: DatabaseUrl = None, bundle_root: BundleRoot = None):
    """Bring the results of a hidden submission back."""
    from runners.indexing import fill
    from runners.settings import Settings

    _decide("unhide", submission, database_url, reason)
    fill(Settings.resolve(database_url=database_url, bundle_root=bundle_root))


@app.command()
def rerun(submission: Id, reason: Reason, database_url: DatabaseUrl = None):
    """Queue a submission again that has ended; finished runs of unchanged code are not repeated."""
    _decide("rerun", submission, database_url, reason)
