"""All reads of the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.actor import READING_ROLES, Actor, require
from engage.base.errors import InvalidInput
from engage.base.paging import Page, decode_cursor
from engage.base.readings import Read, Reading, moment_of, read_alone, there
from engage.domains.notifications.types import MessageCode, MessageRecord, OwnedMessage

AFTER_ALL = UUID(int=2**128 - 1)
"""Above any message: an inbox begins below it."""


def _message(value: dict[str, Any]) -> MessageRecord:
    return MessageRecord(
        id=UUID(value["id"]),
        code=MessageCode(value["code"]),
        params=value["params"],
        created_at=datetime.fromisoformat(value["created_at"]),
        read_at=moment_of(value["read_at"]),
    )


def _messages(value: list[dict[str, Any]]) -> list[MessageRecord]:
    return [_message(row) for row in value]


def _owned(value: dict[str, Any]) -> OwnedMessage:
    return OwnedMessage(_message(value["message"]), UUID(value["member_id"]), value["locale"])


BY_ID: Reading[OwnedMessage | None] = Reading(
    "SELECT g.id::text, json_build_object('message', engage.message_row(g), 'member_id', g.member_id,"
    " 'locale', engage.member_locale(g.member_id)) FROM messages g WHERE g.id = ANY ($1)",
    _owned,
    None,
)
"""Messages by their ids."""

MESSAGES: Reading[list[MessageRecord]] = Reading(
    "SELECT key, value FROM engage.messages_pages($1, $2, $3, $4)", _messages, []
)
"""Messages of members, newest first; arguments: page size, id below which the page begins, unread only."""

UNREAD: Reading[int] = Reading("SELECT key, value FROM engage.messages_unread($1)", int, 0)
"""How many messages are unread."""


def messages_page(rows: list[MessageRecord], first: int) -> Page[MessageRecord]:
    """The page in what MESSAGES answered, which is one row more when there are more."""
    return Page(rows[:first], len(rows) > first)


def messages_below(after: str | None) -> UUID:
    """The id below which a page after this cursor begins. Raises InvalidInput."""
    if after is None:
        return AFTER_ALL
    try:
        return UUID(str(decode_cursor(after, [str])[0]))
    except ValueError as error:
        raise InvalidInput("This is not a cursor of an inbox.", path=["after"]) from error


async def get_message(actor: Actor, message_id: UUID, *, read: Read = read_alone) -> OwnedMessage:
    """One message, for its member and those who may look at any. Raises Forbidden, NotFound."""
    record = await read(BY_ID, message_id)
    require(actor, READING_ROLES, own=None if record is None else record.member_id)
    return there(record, "message")
