"""All reads of the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.errors import InvalidInput
from engage.base.paging import Page, decode_cursor
from engage.base.readings import Reading
from engage.domains.notifications.types import MessageCode, MessageRecord

AFTER_ALL = UUID(int=2**128 - 1)
"""Above any message: an inbox begins below it."""


def _message(value: dict[str, Any]) -> MessageRecord:
    return MessageRecord(
        id=UUID(value["id"]),
        code=MessageCode(value["code"]),
        params=value["params"],
        created_at=datetime.fromisoformat(value["created_at"]),
        read_at=None if value["read_at"] is None else datetime.fromisoformat(value["read_at"]),
    )


def _messages(value: list[dict[str, Any]]) -> list[MessageRecord]:
    return [_message(row) for row in value]


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
