"""All reads of the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.actor import READING_ROLES, Actor, Scope, require
from engage.base.listings import OwnedListing
from engage.base.paging import NEWEST_FIRST
from engage.base.readings import Read, Reading, moment_of, read_alone, there
from engage.domains.notifications.types import MessageCode, MessageRecord, OwnedMessage


def _message(value: dict[str, Any]) -> MessageRecord:
    return MessageRecord(
        id=UUID(value["id"]),
        code=MessageCode(value["code"]),
        params=value["params"],
        created_at=datetime.fromisoformat(value["created_at"]),
        read_at=moment_of(value["read_at"]),
    )


def _owned(value: dict[str, Any]) -> OwnedMessage:
    return OwnedMessage(_message(value["message"]), UUID(value["member_id"]), value["locale"])


BY_ID: Reading[OwnedMessage | None] = Reading(
    "SELECT g.id::text, json_build_object('message', engage.message_row(g), 'member_id', g.member_id,"
    " 'locale', engage.member_locale(g.member_id)) FROM messages g WHERE g.id = ANY ($1)",
    _owned,
    None,
)
"""Messages by their ids."""

MESSAGES = OwnedListing(
    NEWEST_FIRST,
    """
    SELECT engage.message_row(g) AS value
      FROM messages g WHERE g.member_id = o.id AND g.id {past} $3 AND (NOT $4::boolean OR g.read_at IS NULL)
     ORDER BY g.id {sort} LIMIT $2
    """,
    row=_message,
    key=lambda message: (message.id,),
)
"""Messages of members, newest first; argument: unread only."""

UNREAD: Reading[int] = Reading("SELECT key, value FROM engage.messages_unread($1)", int, 0)
"""How many messages are unread."""


async def get_message(actor: Actor, message_id: UUID, *, read: Read = read_alone) -> OwnedMessage:
    """One message, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(BY_ID, message_id)
    require(actor, READING_ROLES, Scope.MEMBERS_READ, own=None if record is None else record.member_id)
    return there(record, "message")
