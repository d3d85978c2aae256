"""Control of promised work: try again, give up, hold back, cancel.

None of it moves points or stock, so no command takes a key: repeating one does nothing more.
"""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from engage.api.context import context_of
from engage.api.errors import Forbidden, InvalidInput, JobNotCancellable, JobNotRetryable, NotFound, OutcomeUnknown
from engage.api.fields import field, mutation
from engage.api.jobs import Job, JobKind, job_kinds, job_node
from engage.api.relay import local_id
from engage.outbox import queries, service


@strawberry.input(description="Work to try again.")
class RetryJobsInput:
    """See retryJobs."""

    ids: list[strawberry.ID] = strawberry.field(description="1 to 100.")


@strawberry.input(description="Which dead work to try again.")
class RetryDeadJobsInput:
    """See retryDeadJobs."""

    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str | None = strawberry.field(default=None, description="Only what is for this one; all if left out.")


@strawberry.input(description="Which dead work to forget.")
class DiscardDeadJobsInput:
    """See discardDeadJobs."""

    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str | None = strawberry.field(default=None, description="Only what is for this one; all if left out.")


@strawberry.input(description="What to hold back.")
class PauseJobKindInput:
    """See pauseJobKind."""

    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str = strawberry.field(default="", description="Only what is for this one; all of the kind if left out.")


@strawberry.input(description="What to hold back no longer.")
class ResumeJobKindInput:
    """See resumeJobKind."""

    kind: str = strawberry.field(description="Name of the handler or job.")
    target: str = strawberry.field(default="", description="As it was paused.")


@strawberry.input(description="Work to cancel.")
class CancelJobInput:
    """See cancelJob."""

    id: strawberry.ID = strawberry.field(description="Global id.")


@strawberry.type(description="The work is due now.")
class RetryJobsPayload:
    """See retryJobs."""

    jobs: list[Job] = strawberry.field(description="As they stand now, in the order asked for.")


@strawberry.type(description="A kind of work has changed.")
class JobKindChanged:
    """What a command about a kind answers with; read only where it is asked for."""

    name: strawberry.Private[str]

    @field("The kind in figures, one line for each target. Role: ADMIN. Scope: jobs:read.")
    async def kinds(self, info: Info) -> list[JobKind]:
        """As they stand after the command."""
        return await job_kinds(info, self.name)


@strawberry.type(description="The dead work is due now.")
class RetryDeadJobsPayload(JobKindChanged):
    """See retryDeadJobs."""

    retried: int = strawberry.field(description="How many there were.")


@strawberry.type(description="The dead work is forgotten.")
class DiscardDeadJobsPayload(JobKindChanged):
    """See discardDeadJobs."""

    discarded: int = strawberry.field(description="How many there were.")


@strawberry.type(description="Nothing of it is begun any more.")
class PauseJobKindPayload(JobKindChanged):
    """See pauseJobKind."""


@strawberry.type(description="It is carried out again.")
class ResumeJobKindPayload(JobKindChanged):
    """See resumeJobKind."""


@strawberry.type(description="The work is cancelled, or will be at its next step.")
class CancelJobPayload:
    """See cancelJob."""

    job: Job = strawberry.field(description="As it stands now; CANCELLED unless it is still at work.")


RetryJobsResult = Annotated[
    RetryJobsPayload | InvalidInput | NotFound | Forbidden | JobNotRetryable | OutcomeUnknown,
    strawberry.union("RetryJobsResult", description="What retryJobs answers."),
]
RetryDeadJobsResult = Annotated[
    RetryDeadJobsPayload | InvalidInput | Forbidden | OutcomeUnknown,
    strawberry.union("RetryDeadJobsResult", description="What retryDeadJobs answers."),
]
DiscardDeadJobsResult = Annotated[
    DiscardDeadJobsPayload | InvalidInput | Forbidden | OutcomeUnknown,
    strawberry.union("DiscardDeadJobsResult", description="What discardDeadJobs answers."),
]
PauseJobKindResult = Annotated[
    PauseJobKindPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("PauseJobKindResult", description="What pauseJobKind answers."),
]
ResumeJobKindResult = Annotated[
    ResumeJobKindPayload | InvalidInput | NotFound | Forbidden | OutcomeUnknown,
    strawberry.union("ResumeJobKindResult", description="What resumeJobKind answers."),
]
CancelJobResult = Annotated[
    CancelJobPayload | InvalidInput | NotFound | Forbidden | JobNotCancellable | OutcomeUnknown,
    strawberry.union("CancelJobResult", description="What cancelJob answers."),
]


@strawberry.type
class JobsMutation:
    """Commands about promised work."""

    @mutation(
        "Have work that waits or is dead tried again now, its attempts counted anew; all or none. Role: ADMIN."
        " Scope: jobs:write."
    )
    async def retry_jobs(
        self,
        info: Info,
        data: Annotated[RetryJobsInput, strawberry.argument(name="input", description="Which.")],
    ) -> RetryJobsResult:
        """See engage.outbox.service.retry_jobs."""
        actor = context_of(info).actor
        retried = await service.retry_jobs(actor, [local_id("Job", one, path=["ids"]) for one in data.ids])
        found = await queries.find_records(retried)
        return RetryJobsPayload(jobs=[job_node(found[one]) for one in retried if one in found])

    @mutation("Have all dead work of a kind tried again now. Role: ADMIN. Scope: jobs:write.")
    async def retry_dead_jobs(
        self,
        info: Info,
        data: Annotated[RetryDeadJobsInput, strawberry.argument(name="input", description="Which.")],
    ) -> RetryDeadJobsResult:
        """See engage.outbox.service.retry_dead."""
        retried = await service.retry_dead(context_of(info).actor, data.kind, data.target)
        return RetryDeadJobsPayload(name=data.kind, retried=retried)

    @mutation("Forget all dead work of a kind: it will never be done. Role: ADMIN. Scope: jobs:write.")
    async def discard_dead_jobs(
        self,
        info: Info,
        data: Annotated[DiscardDeadJobsInput, strawberry.argument(name="input", description="Which.")],
    ) -> DiscardDeadJobsResult:
        """See engage.outbox.service.discard_dead."""
        discarded = await service.discard_dead(context_of(info).actor, data.kind, data.target)
        return DiscardDeadJobsPayload(name=data.kind, discarded=discarded)

    @mutation("Have nothing of a kind begun any more; what is at work ends as usual. Role: ADMIN. Scope: jobs:write.")
    async def pause_job_kind(
        self,
        info: Info,
        data: Annotated[PauseJobKindInput, strawberry.argument(name="input", description="What.")],
    ) -> PauseJobKindResult:
        """See engage.outbox.service.pause_kind."""
        await service.pause_kind(context_of(info).actor, data.kind, data.target)
        return PauseJobKindPayload(name=data.kind)

    @mutation(
        "Have a kind that was paused, or held back since it fails, carried out again. Role: ADMIN. Scope: jobs:write."
    )
    async def resume_job_kind(
        self,
        info: Info,
        data: Annotated[ResumeJobKindInput, strawberry.argument(name="input", description="What.")],
    ) -> ResumeJobKindResult:
        """See engage.outbox.service.resume_kind."""
        await service.resume_kind(context_of(info).actor, data.kind, data.target)
        return ResumeJobKindPayload(name=data.kind)

    @mutation(
        "Cancel work: at once, or a job that is at work at its next step. What its steps have committed stays. "
        "Role: ADMIN. Scope: jobs:write."
    )
    async def cancel_job(
        self,
        info: Info,
        data: Annotated[CancelJobInput, strawberry.argument(name="input", description="Which.")],
    ) -> CancelJobResult:
        """See engage.outbox.service.cancel_job."""
        record = await service.cancel_job(context_of(info).actor, local_id("Job", data.id, path=["id"]))
        return CancelJobPayload(job=job_node(record))
