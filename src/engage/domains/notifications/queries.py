"""All reads of the inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from engage.base.listings import OwnedListing
from engage.base.paging import NEWEST_FIRST
from engage.base.readings import Reading
from engage.domains.notifications.types import MessageCode, MessageRecord


def _message(value: dict[str, Any]) -> MessageRecord:
    return MessageRecord(
        id=UUID(value["id"]),
        code=MessageCode(value["code"]),
        params=value["params"],
        created_at=datetime.fromisoformat(value["created_at"]),
        read_at=None if value["read_at"] is None else datetime.fromisoformat(value["read_at"]),
    )


MESSAGES = OwnedListing(
    NEWEST_FIRST,
    """
    SELECT json_build_object('id', g.id, 'code', g.code, 'params', g.params, 'created_at', g.created_at,
                             'read_at', g.read_at) AS value
      FROM messages g WHERE g.member_id = o.id AND g.id {past} $3 AND (NOT $4::boolean OR g.read_at IS NULL)
     ORDER BY g.id {sort} LIMIT $2
    """,
    row=_message,
    key=lambda message: (message.id,),
)
"""Messages of members, newest first; argument: unread only."""

UNREAD: Reading[int] = Reading("SELECT key, value FROM engage.messages_unread($1)", int, 0)
"""How many messages are unread."""
