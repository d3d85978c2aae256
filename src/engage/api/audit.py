"""The audit log for admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

from engage.api.context import Context, context_of
from engage.api.enums import describe
from engage.api.fields import field
from engage.api.node_kinds import Node, by_id
from engage.api.relay import After, Before, Connection, First, Last, connection, global_id, local_id
from engage.base.actor import Role
from engage.base.audit_log import AuditFilter, AuditRecord, get_audit_entry, list_audit
from engage.base.origin import Via
from engage.base.paging import window

strawberry.enum(Via, name="AuditVia", description="By which way a command came.")
describe(
    Via,
    {
        Via.HTTP: "A request.",
        Via.WEBSOCKET: "An operation of a websocket.",
        Via.SSE: "A request that is answered with Server-Sent Events.",
        Via.CLI: "The command line of those who run engage.",
        Via.JOB: "A job, or the handler of an event.",
        Via.INTERNAL: "engage itself.",
    },
)

KINDS = {
    "member_id": "Member",
    "recipient_id": "Member",
    "transfer_id": "Transfer",
    "hold_id": "Hold",
    "gift_id": "Gift",
    "adjustment_id": "Adjustment",
    "rate_id": "ExchangeRate",
    "preview_id": "ExpiryPreview",
    "message_ids": "Message",
    "job_id": "Job",
    "job_ids": "Job",
    "endpoint_id": "WebhookEndpoint",
    "key_id": "ApiKey",
}
"""What the ids among a command's arguments are ids of."""


@strawberry.type(description="A thing that a command was given: its id, or a code such as that of a program.")
class AuditSubject:
    """One id; a list of them is as many subjects."""

    name: str = strawberry.field(description="As the command calls it, such as memberId.")
    value: str = strawberry.field(description="A global id; a code, or an id of something that has none, as it is.")


@strawberry.type(description="One command: who did what to whom, from where, with which result. Never changed.")
class AuditEntry(Node):
    """Ids and codes; never what somebody has typed."""

    at: datetime = strawberry.field(description="When it was done or refused.")
    actor: str = strawberry.field(description="Subject of the caller's token; `system` for engage itself.")
    role: Role = strawberry.field(description="Role of the caller.")
    via: Via = strawberry.field(description="By which way it came.")
    command: str = strawberry.field(description="Name of the command, such as spend_points.")
    subjects: list[AuditSubject] = strawberry.field(description="The ids and codes that it was given, by name.")
    member_id: strawberry.ID | None = strawberry.field(description="Global id of the member whom it was about.")
    result: str = strawberry.field(
        description="OK; REPLAYED for the first answer given again; the code of its problem; FAILED for a fault."
    )
    request_id: str | None = strawberry.field(description="Id of the request, the socket or the job.")
    address: str | None = strawberry.field(description="Address of the client.")
    credential: str | None = strawberry.field(description="Id of the token or key that the caller came with.")


def _entry(record: AuditRecord) -> AuditEntry:
    return AuditEntry(
        id=global_id("AuditEntry", record.id),
        at=record.at,
        actor=record.actor,
        role=record.role,
        via=record.via,
        command=record.command,
        subjects=[one for name, value in sorted(record.subjects.items()) for one in _subjects(name, value)],
        member_id=None if record.member_id is None else global_id("Member", record.member_id),
        result=record.result,
        request_id=record.request_id,
        address=record.address,
        credential=record.credential,
    )


def _subjects(name: str, value: Any) -> list[AuditSubject]:  # noqa: ANN401 -- JSON
    kind = KINDS.get(name)
    values = value if isinstance(value, list) else [value]
    return [
        AuditSubject(name=to_camel_case(name), value=one if kind is None else global_id(kind, UUID(one)))
        for one in values
    ]


@by_id("AuditEntry")
async def _entry_by_id(context: Context, entry_id: UUID) -> AuditEntry:
    return _entry(await get_audit_entry(context.actor, entry_id, read=context.together.load))


@strawberry.type
class AuditQuery:
    """Reads of the audit log."""

    @field("Who did what to whom, newest first: every command, the refused ones too. Role: ADMIN. Scope: audit:read.")
    async def audit_log(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        actor: Annotated[str | None, strawberry.argument(description="Only by this caller.")] = None,
        role: Annotated[Role | None, strawberry.argument(description="Only by callers of this role.")] = None,
        command: Annotated[str | None, strawberry.argument(description="Only this, such as spend_points.")] = None,
        member_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only about this member; a global id.")
        ] = None,
        result: Annotated[
            str | None, strawberry.argument(description="Only with this result, such as OK or FORBIDDEN.")
        ] = None,
        since: Annotated[
            datetime | None, strawberry.argument(name="from", description="Only at this moment or later.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(name="to", description="Only before this moment.")
        ] = None,
    ) -> Connection[AuditEntry]:
        """See engage.base.audit_log.list_audit."""
        member = None if member_id is None else local_id("Member", member_id, path=["memberId"])
        wanted = AuditFilter(actor, role, command, member, result, since, until)
        page = await list_audit(context_of(info).actor, wanted, window(first, last, after, before))
        return connection(page, _entry)
