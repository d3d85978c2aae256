"""Expected refusals of those who control promised work. `state` is that of the row."""

from __future__ import annotations

from uuid import UUID

from engage.base.errors import NotFound, Refusal


def no_such_job(job_id: UUID, path: str) -> NotFound:
    """What is said of an id that no row has."""
    return NotFound(f"There is no job {job_id}; what is finished is forgotten after some days.", path=[path])


class JobNotRetryable(Refusal):
    """It is done, cancelled or at work, or another job with its key is undone."""

    code = "JOB_NOT_RETRYABLE"


class JobNotCancellable(Refusal):
    """It is finished or dead, or an event at work."""

    code = "JOB_NOT_CANCELLABLE"
