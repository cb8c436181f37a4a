"""A request that waits for its own job: what a disconnect does to the job."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from app.domain.jobs.job_call import JobCall
from app.domain.jobs.notifications import JobNotifications


class Background:
    """Runs what a disconnected request leaves behind, as `JobNotifications` does."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def run_in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.ensure_future(work))


@pytest.mark.parametrize("is_keyed", [False, True])
@pytest.mark.parametrize("is_replay", [False, True])
async def test_a_disconnect_during_the_submission_cancels_a_new_job_without_a_key(
    is_keyed: bool, is_replay: bool
) -> None:
    background, job, cancelled = Background(), uuid4(), list[UUID]()
    may_end = asyncio.Event()

    async def submission() -> UUID:
        await may_end.wait()
        return job

    async def cancel(found: UUID) -> None:
        cancelled.append(found)

    call = JobCall(cast(JobNotifications, background), cancel, is_keyed=is_keyed)
    request = asyncio.ensure_future(call.submit(submission(), lambda new: None if is_replay else new))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    may_end.set()
    await asyncio.gather(*background.tasks)  # all that a closing process waits for

    assert cancelled == ([] if is_keyed or is_replay else [job])


async def test_a_job_that_is_not_awaited_to_its_end_is_cancelled_once() -> None:
    background, job, cancelled = Background(), uuid4(), list[UUID]()

    async def submission() -> UUID:
        return job

    async def cancel(found: UUID) -> None:
        cancelled.append(found)

    call = JobCall(cast(JobNotifications, background), cancel, is_keyed=False)
    await call.submit(submission(), lambda new: new)
    with pytest.raises(LookupError), call.cancelling():
        raise LookupError
    await asyncio.gather(*background.tasks)

    assert cancelled == [job]
