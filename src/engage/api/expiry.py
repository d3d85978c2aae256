"""What expires when, and new ends for points that are there: previewed, then done by a job."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.errors import Forbidden, InvalidInput, NotFound, OutcomeUnknown, PreviewOutdated
from engage.api.fields import field, mutation
from engage.api.ledger import DEFAULT_PROGRAM
from engage.api.ledger import Program as ProgramCode
from engage.api.relay import global_id, local_id
from engage.api.scalars import Points
from engage.domains.ledger.policy import queries, service
from engage.domains.ledger.policy import types as plain


@strawberry.type(description="Points that expire in one month.")
class ExpiryMonth:
    """One line of an outlook."""

    month: date | None = strawberry.field(
        description="Its first day, in the program's time zone; null for points that never expire."
    )
    amount: Points = strawberry.field(description="What expires then, as the ends are.")
    proposed: Points = strawberry.field(description="What would expire then by the version that was named.")


@strawberry.type(description="What expires when: of a member, or of a whole program. Pending points are in it.")
class ExpiryOutlook:
    """By months."""

    months: list[ExpiryMonth] = strawberry.field(description="In order; what never expires comes last.")
    total: Points = strawberry.field(description="All of it.")
    sooner: Points = strawberry.field(description="What would expire sooner by the version that was named.")
    later: Points = strawberry.field(description="What would expire later, or never.")
    lots: int = strawberry.field(description="How many lots would get another end.")


def _outlook(value: plain.ExpiryOutlook) -> ExpiryOutlook:
    return ExpiryOutlook(
        months=[
            ExpiryMonth(month=line.month, amount=Points(line.amount), proposed=Points(line.proposed))
            for line in value.months
        ],
        total=Points(value.total),
        sooner=Points(value.sooner),
        later=Points(value.later),
        lots=value.lots,
    )


@strawberry.type
class ExpiryQuery:
    """Reads of what expires."""

    @field(
        "What would expire when, by months. Roles: the member, STAFF, MODERATOR, ADMIN, SERVICE for one member; "
        "ADMIN for the whole program. Scope: points:read for one member, reports:read for the program."
    )
    async def expiry_preview(
        self,
        info: Info,
        program: ProgramCode = DEFAULT_PROGRAM,
        member_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Whose points; all of the program's if left out.")
        ] = None,
        version: Annotated[
            int | None,
            strawberry.argument(description="A published policy: beside it, as if that held for these points."),
        ] = None,
    ) -> ExpiryOutlook | None:
        """See engage.domains.ledger.policy.queries.get_expiry_outlook."""
        member = None if member_id is None else local_id("Member", member_id, path=["memberId"])
        actor = context_of(info).actor
        return _outlook(await queries.get_expiry_outlook(actor, program=program, member_id=member, version=version))


@strawberry.input(description="A version that is to hold for the points that are there.")
class PreviewExpiryChangeInput:
    """See previewExpiryChange."""

    version: int = strawberry.field(description="A published version of the program's points policy.")
    program: str = strawberry.field(default=DEFAULT_PROGRAM, description="Code of the program.")
    notice: str = strawberry.field(
        default="P30D", description="ISO 8601: what would come sooner comes no sooner than after this."
    )


@strawberry.input(description="A preview that is to be carried out.")
class ApplyExpiryChangeInput:
    """See applyExpiryChange."""

    preview_id: strawberry.ID = strawberry.field(description="What previewExpiryChange has answered.")


@strawberry.type(description="What would become of the points that are there. Nothing is changed.")
class PreviewExpiryChangePayload:
    """See previewExpiryChange."""

    preview_id: strawberry.ID = strawberry.field(description="Give it to applyExpiryChange within a day.")
    previewed_at: datetime = strawberry.field(description="When it was made.")
    outlook: ExpiryOutlook = strawberry.field(description="The whole program's points, now and then.")


@strawberry.type(description="The change is on its way.")
class ApplyExpiryChangePayload:
    """See applyExpiryChange."""

    job_id: strawberry.ID = strawberry.field(description="The job that does it; see `job`.")


PreviewExpiryChangeResult = Annotated[
    PreviewExpiryChangePayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("PreviewExpiryChangeResult", description="What previewExpiryChange answers."),
]
ApplyExpiryChangeResult = Annotated[
    ApplyExpiryChangePayload | InvalidInput | NotFound | Forbidden | PreviewOutdated | OutcomeUnknown,
    strawberry.union("ApplyExpiryChangeResult", description="What applyExpiryChange answers."),
]


@strawberry.type
class ExpiryMutation:
    """Commands on what expires."""

    @mutation(
        "Show what a published version would do to the points that are there; they keep their ends until "
        "applyExpiryChange. Ends that were given by hand stay. Role: ADMIN. Scope: programs:write."
    )
    async def preview_expiry_change(
        self,
        info: Info,
        data: Annotated[PreviewExpiryChangeInput, strawberry.argument(name="input", description="Which version.")],
    ) -> PreviewExpiryChangeResult:
        """See engage.domains.ledger.policy.service.preview_expiry_change."""
        made = await service.preview_expiry_change(
            context_of(info).actor, program=data.program, version=data.version, notice=data.notice
        )
        return PreviewExpiryChangePayload(
            preview_id=global_id("ExpiryPreview", made.id),
            previewed_at=made.previewed_at,
            outlook=_outlook(made.outlook),
        )

    @mutation(
        "Have done what a preview has shown, by a job. Repeated, it answers the same job. Role: ADMIN."
        " Scope: programs:write."
    )
    async def apply_expiry_change(
        self,
        info: Info,
        data: Annotated[ApplyExpiryChangeInput, strawberry.argument(name="input", description="Which preview.")],
    ) -> ApplyExpiryChangeResult:
        """See engage.domains.ledger.policy.service.apply_expiry_change."""
        job_id = await service.apply_expiry_change(
            context_of(info).actor, preview_id=local_id("ExpiryPreview", data.preview_id, path=["previewId"])
        )
        return ApplyExpiryChangePayload(job_id=global_id("Job", job_id))
