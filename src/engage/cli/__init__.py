"""The command line: `engage --help`."""

from __future__ import annotations

import typer

from engage.cli import database, dev, importing, ledger, serving, tokens

app = typer.Typer(
    name="engage",
    help="engage: the member-engagement back end. Begin with `engage dev`.\n\n"
    "Settings come from the environment: ENGAGE_DATABASE_URL, ENGAGE_REDIS_URL, ENGAGE_JWT_SECRET and others; "
    "docs/SETTINGS.md lists them. Commands that need a database find that of a running `engage dev` by themselves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev")(dev.dev)
app.command("serve")(serving.serve)
app.command("worker")(serving.worker)
app.command("schema")(serving.schema)
app.command("token")(tokens.token)
app.add_typer(database.app, name="db")
app.add_typer(importing.app, name="import")
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    """Run the command that was typed."""
    app()
