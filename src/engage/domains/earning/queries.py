"""All reads of earning."""

from __future__ import annotations

from engage.domains.earning.types import Desk
from engage.domains.members import queries as members


async def load_desk(program: str) -> Desk:
    """What orders of a program are checked against, as it stands now. Raises NotFound."""
    record = await members.get_program(program)
    channels = frozenset(place.code for place in await members.list_channels())
    return Desk(record, channels, await members.store_codes(record.id))
