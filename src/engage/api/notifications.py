"""The in-app inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from engage.api.context import Context, context_of
from engage.api.enums import MessageCode
from engage.api.errors import Forbidden, InvalidInput, OutcomeUnknown
from engage.api.fields import mutation
from engage.api.node_kinds import Node, by_id
from engage.api.relay import global_id, local_id
from engage.domains.notifications import queries, rules, service
from engage.domains.notifications import types as plain


@strawberry.type(description="A message to a member.")
class Message(Node):
    """In one language."""

    code: MessageCode = strawberry.field(description="What it is about, for programs.")
    title: str = strawberry.field(description="What it says, in a line.")
    body: str = strawberry.field(description="What it says, whole.")
    created_at: datetime = strawberry.field(description="When it came.")
    read_at: datetime | None = strawberry.field(description="When it was read.")


def message_node(row: plain.MessageRecord, locale: str) -> Message:
    """A message for the API, in the words of a language."""
    words = rules.words(row, locale)
    return Message(
        id=global_id("Message", row.id),
        code=row.code,
        title=words.title,
        body=words.body,
        created_at=row.created_at,
        read_at=row.read_at,
    )


@by_id("Message")
async def _message_by_id(context: Context, message_id: UUID) -> Message:
    found = await queries.get_message(context.actor, message_id, read=context.together.load)
    return message_node(found.message, found.locale)


@strawberry.input(description="Messages that a member has read.")
class MarkMessagesReadInput:
    """See markMessagesRead."""

    member_id: strawberry.ID = strawberry.field(description="Whose inbox.")
    message_ids: list[strawberry.ID] = strawberry.field(description="1 to 100.")


@strawberry.type(description="The messages are marked.")
class MarkMessagesReadPayload:
    """See markMessagesRead."""

    marked: int = strawberry.field(description="How many of them were unread.")
    unread_count: int = strawberry.field(description="How many are still unread.")


MarkMessagesReadResult = Annotated[
    MarkMessagesReadPayload | InvalidInput | Forbidden | OutcomeUnknown,
    strawberry.union("MarkMessagesReadResult", description="What markMessagesRead answers."),
]


@strawberry.type
class NotificationsMutation:
    """Commands of the inbox."""

    @mutation("Mark messages as read. Roles: the member, STAFF, ADMIN, SERVICE. Scope: members:write.")
    async def mark_messages_read(
        self,
        info: Info,
        data: Annotated[MarkMessagesReadInput, strawberry.argument(name="input", description="Which.")],
    ) -> MarkMessagesReadResult:
        """See engage.domains.notifications.service.mark_read."""
        context = context_of(info)
        member_id = local_id("Member", data.member_id, path=["memberId"])
        marked = await service.mark_read(
            context.actor,
            member_id=member_id,
            message_ids=[local_id("Message", one, path=["messageIds"]) for one in data.message_ids],
        )
        unread = await context.together.load(queries.UNREAD, member_id)
        return MarkMessagesReadPayload(marked=marked, unread_count=unread)
