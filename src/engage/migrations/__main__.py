"""`python -m engage.migrations`: write the SQL of each migration beside it, as the ORM would run it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.schema_editor import AsyncpgSchemaEditor
from tortoise.migrations.schema_generator.state import State
from tortoise.migrations.schema_generator.state_apps import StateApps

from engage.migrations import APP, orm_config

FOLDER = Path(__file__).parent
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
HEAD = "-- What `engage db migrate` runs. Written from {name}.py by `make migrations`.\n"


async def rendered() -> dict[str, str]:
    """The SQL of each migration by its name. Needs no database."""
    async with TortoiseContext() as context:
        await context.init(config=orm_config(NOWHERE))
        client = context.connections.get("default")
        executor = MigrationExecutor(client, {APP: orm_config(NOWHERE)["apps"][APP]})
        executor.loader.load_disk()
        state = State(models={}, apps=StateApps(default_connections={APP: "default"}))
        texts = {}
        for key, migration in sorted(executor.loader.disk_migrations.items()):
            editor = AsyncpgSchemaEditor(client, atomic=False, collect_sql=True)
            await migration.apply(state, schema_editor=editor, collect_sql=True)
            texts[key.name] = HEAD.format(name=key.name) + "".join(_line(part) for part in editor.collected_sql)
    return texts


def _line(part: str) -> str:
    """One statement with its end, or one comment: `--` stands above and below each, of which one is enough."""
    if part == "--":
        return ""
    if part.startswith("--"):
        return f"\n{part}\n"
    return part.strip().removesuffix(";") + ";\n"


def main() -> None:
    """Write the files that are not as they should be, and name them."""
    for name, text in asyncio.run(rendered()).items():
        path = FOLDER / f"{name}.sql"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
