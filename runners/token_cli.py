"""``fuseboard token``: who may submit to a shared database, and who maintains it."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from runners.options import DatabaseUrl, Json
from runners.output import print_rows, say
from runners.submit_cli import identified

app = typer.Typer(help="Tokens of a shared database; for maintainers.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Who it is for; submissions carry this name.")],
    role: Annotated[str, typer.Option(help="submitter or maintainer.")] = "submitter",
    database_url: DatabaseUrl = None,
    json: Json = False,
):
    """Make a token and print it, once: the database keeps its hash alone.

    The first maintainer of a shared database needs no token to be made.
    """
    from leaderboard import access, store
    from runners.settings import Settings

    engine = store.connect(Settings.resolve(database_url=database_url).database_url)
    shown = os.environ.get(access.VARIABLE)
    actor = access.identify(engine, shown) if shown or access.is_local(engine) else None
    token, secret = access.create(engine, actor, owner, role)
    if json:
        print_rows({**asdict(token), "secret": secret}, True)
        return
    say(f"Token {token.token} for {token.owner}, {token.role}. It is shown this once; set {access.VARIABLE} to:")
    print(secret)


@app.command("list")
def list_(database_url: DatabaseUrl = None, json: Json = False):
    """List tokens without their secrets: all for a maintainer, one's own for others."""
    from leaderboard import access

    engine, actor = identified(database_url)
    rows = [asdict(token) for token in access.listed(engine, actor)]
    if rows or json:
        print_rows(rows, json)
    else:
        say("No token yet. Make one with: fuseboard token create <owner>")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its public part, as the list shows it.")],
    database_url: DatabaseUrl = None,
):
    """End a token at once."""
    from leaderboard import access

    engine, actor = identified(database_url)
    access.revoke(engine, actor, token)
    print(f"Token {token} is revoked.")
