"""The command line: `engage --help`.

A command's module is loaded when the command is used: GraphQL, the ORM and their like take a second to load, and
most commands need few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

COMMANDS = {
    "dev": "engage.cli.dev:dev",
    "serve": "engage.cli.serving:serve",
    "worker": "engage.cli.working:worker",
    "schema": "engage.cli.serving:schema",
    "token": "engage.cli.tokens:token",
    "keys": "engage.cli.keys:app",
    "db": "engage.cli.database:app",
    "import": "engage.cli.importing:app",
    "ledger": "engage.cli.ledger:app",
    "jobs": "engage.cli.jobs:app",
    "webhooks": "engage.cli.webhooks:app",
    "audit": "engage.cli.audit:app",
}
"""Where each command is: a function, or a group of commands, in a module."""


class _Commands(TyperGroup):
    """The commands above, each loaded when it is named."""

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401 -- typer keeps the type of contexts to itself
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 -- the same of commands
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(found)
        return get_command(single)


app = typer.Typer(
    cls=_Commands,
    name="engage",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def engage() -> None:
    """engage: the member-engagement back end. Begin with `engage dev`.

    Settings come from the environment: ENGAGE_DATABASE_URL, ENGAGE_REDIS_URL, ENGAGE_JWT_SECRET and others;
    docs/SETTINGS.md lists them. Commands that need a database find that of a running `engage dev` by themselves.
    """


def main() -> None:
    """Run the command that was typed."""
    app()
