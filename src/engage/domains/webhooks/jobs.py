"""Long and scheduled work of webhooks: telling again, giving up, tidying up."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.base.settings import settings
from engage.domains.webhooks import queries, service
from engage.domains.webhooks.types import DELIVER, DisabledReason, WebhookRecord, WebhookState
from engage.outbox import Hopeless, Run, Step, job, lanes
from engage.outbox.replays import InLog, Replayed, promise_since, promise_stream
from engage.outbox.targets import discard, forget_lane, list_targets

BATCH = 500
"""Events or rows in one step."""

TRIED_LATELY = timedelta(days=1)
"""An endpoint that has been tried in vain within this counts as failing; of others nothing is known."""

LANE_STAYS = timedelta(hours=1)
"""What was on its way to a deleted endpoint has come to rest after this."""

BURIED = "The endpoint was disabled while this waited: resume it, then retry this or replay."


@job("webhooks.replay")
async def replay(run: Run) -> None:
    """Promise events of the log again, as `service.replay` has asked."""

    async def batch() -> Step:
        found = await queries.find_endpoint(UUID(run.args["endpoint"]))
        if found is None or found.state is WebhookState.DISABLED:
            raise Hopeless("The endpoint is gone or disabled: nothing can be told to it.")
        done = await (_of_stream if "stream" in run.args else _of_all)(run, found)
        return Step(state={"after": _kept(done)}, done=done.promised)

    while run.state.get("after", "") is not None:
        await run.step(batch)


async def _of_stream(run: Run, endpoint: WebhookRecord) -> Replayed:
    return await promise_stream(
        DELIVER,
        str(endpoint.id),
        endpoint.events,
        stream=run.args["stream"],
        after=run.state.get("after", run.args["after"]),
        asked_at=datetime.fromisoformat(run.args["asked_at"]),
        limit=BATCH,
    )


async def _of_all(run: Run, endpoint: WebhookRecord) -> Replayed:
    at, stream, position = run.state.get("after", (run.args["since"], "", 0))
    return await promise_since(
        DELIVER,
        str(endpoint.id),
        endpoint.events,
        after=InLog(datetime.fromisoformat(at), stream, position),
        asked_at=datetime.fromisoformat(run.args["asked_at"]),
        limit=BATCH,
    )


def _kept(done: Replayed) -> object:
    """Where to go on, as JSON."""
    if isinstance(done.last, InLog):
        return [done.last.at.isoformat(), done.last.stream, done.last.position]
    return done.last


@job("webhooks.bury")
async def bury(run: Run) -> None:
    """Give up what waits for an endpoint that was disabled: dead, to be retried or told again when it is resumed."""
    endpoint_id = UUID(run.args["endpoint"])
    buried = 1

    async def batch() -> Step:
        nonlocal buried
        found = await queries.find_endpoint(endpoint_id)
        disabled = found is not None and found.state is WebhookState.DISABLED
        buried = await lanes.bury_waiting(DELIVER, str(endpoint_id), BURIED, BATCH) if disabled else 0
        return Step(done=buried)

    while buried:
        await run.step(batch)


@job("webhooks.disable_failing", cron="*/10 * * * *")
async def disable_failing() -> None:
    """Disable endpoints that have failed without a success for as long as the setting says."""
    now = clock.now()
    for lane in await lanes.list_failing(DELIVER, now - timedelta(hours=settings().webhook_disable_after_hours)):
        if lane.target and lane.not_before is not None and lane.not_before > now - TRIED_LATELY:
            await service.disable_endpoint(SYSTEM, UUID(lane.target), DisabledReason.FAILING)


@job("webhooks.tidy", cron="23 * * * *")
async def tidy(run: Run) -> None:
    """Discard what waited for endpoints that were deleted, and their lanes."""
    targets = [UUID(target) for target in await list_targets(DELIVER)]
    known = await queries.load_known(targets)
    for target in targets:
        if target not in known:
            await _discard_all(run, str(target))
            await forget_lane(DELIVER, str(target), clock.now() - LANE_STAYS)


async def _discard_all(run: Run, target: str) -> None:
    gone = 1

    async def batch() -> Step:
        nonlocal gone
        gone = await discard(DELIVER, target, BATCH)
        return Step(done=gone)

    while gone:
        await run.step(batch)
