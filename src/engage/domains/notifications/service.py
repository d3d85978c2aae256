"""All writes of the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import orjson

from engage.base import clock, db
from engage.base.actor import STAFF_ROLES, Actor, Scope, require
from engage.base.audit import named
from engage.base.errors import InvalidInput
from engage.base.ids import new_id
from engage.domains.notifications.events import MessageAdded, MessagesRead
from engage.domains.notifications.types import MessageCode
from engage.outbox import record

READ_MAX = 100


@db.command
async def add_message(member_id: UUID, code: MessageCode, params: dict[str, object]) -> UUID:
    """Put a message into an inbox; for handlers of events. Says MessageAdded."""
    message_id = new_id()
    await db.execute(
        "INSERT INTO messages (id, member_id, code, params, created_at) VALUES ($1, $2, $3, $4, $5)",
        message_id, member_id, code, orjson.dumps(params).decode(), clock.now(),
    )  # fmt: skip
    await record(MessageAdded(member_id, message_id, code))
    return message_id


@db.command
@named("mark_messages_read")
async def mark_read(actor: Actor, *, member_id: UUID, message_ids: Sequence[UUID]) -> int:
    """Mark messages of a member as read; answers how many were unread. Others' ids change nothing.

    Raises Forbidden, InvalidInput. Says MessagesRead when any were.
    """
    require(actor, STAFF_ROLES, Scope.MEMBERS_WRITE, own=member_id)
    if not 1 <= len(message_ids) <= READ_MAX:
        raise InvalidInput(f"Name 1 to {READ_MAX} messages at once.", path=["messageIds"])
    tag = await db.execute(
        "UPDATE messages SET read_at = $3 WHERE member_id = $1 AND id = ANY ($2) AND read_at IS NULL",
        member_id, list(message_ids), clock.now(),
    )  # fmt: skip
    count = db.rows_affected(tag)
    if count:
        await record(MessagesRead(member_id, count))
    return count
