"""S5: a job of which a byte was given is paid, though it is cancelled at that very moment."""

import time
from typing import Any

import pytest

from tests.dialects import STREAMS, Call
from tests.findings.accounts import Account
from tests.stack import Running
from tests.wire import Connection, Head, request

TRIES = 25
TEXT = ("The quick brown fox jumps over the lazy dog, again and again. " * 81)[:5_000]


class Cancelled:
    """One job that was cancelled about when its first byte was given."""

    def __init__(self, job: str, given_bytes: int) -> None:
        self.job = job
        self.given_bytes = given_bytes


def by_post(account: Account, call: Call, nth: int) -> Cancelled:
    """Its own stream; cancelled when its head is there, or with the first bytes of its body."""
    with Connection(account.url, read_bytes=1 << 12) as stream, Connection(account.url) as other:
        body = call.body(TEXT, "ryan")
        stream.send(request("POST", call.path_of("ryan"), call.key(account.key), body))
        head = stream.head()
        assert head.status == 200
        if nth % 2:
            stream.read(head, 1)
        other.send(request("DELETE", f"/v1/jobs/{head.headers['x-job-id']}", account.headers))
        return Cancelled(head.headers["x-job-id"], len(_rest(stream, head)))


def by_get(account: Account, form: str, nth: int) -> Cancelled:
    """A queued job with a listener; cancelled milliseconds after the listener connected, or by its head."""
    job = account.queue(TEXT, format=form)
    with Connection(account.url, read_bytes=1 << 12) as stream, Connection(account.url) as other:
        other.send(request("GET", "/health/live", {}))  # the connection is up
        stream.send(request("GET", f"/tts/stream/{job}", {}))
        cancel = request("DELETE", f"/v1/jobs/{job}", account.headers)
        if nth % 2:
            time.sleep(nth / 1000)  # sweeps over the moment of the first byte
            other.send(cancel)
            head = stream.head()
        else:
            head = stream.head()
            other.send(cancel)
        return Cancelled(job, len(_rest(stream, head)) if head.status == 200 else 0)


def _rest(stream: Connection, head: Head) -> bytes:
    return stream.read(head)


def words_that_lie(account: Account, job: str, charged: bool) -> list[str]:
    """What the status reports wrongly about the credit."""
    status: dict[str, Any] = account.status(job)
    lies = [] if status.get("charged") is charged else [f"charged is {status.get('charged')}"]
    says_returned = "returned" in status.get("error", "")
    if status["status"] == "failed" and says_returned == charged:
        lies.append(status["error"])
    return lies


def check(account: Account, tried: list[Cancelled]) -> None:
    prices = {job["job_id"]: job["credits"] for job in account.all_ended()}
    free = [each.given_bytes for each in tried if each.given_bytes and prices[each.job] != 1]
    lies = [lie for each in tried for lie in words_that_lie(account, each.job, prices[each.job] == 1)]

    assert any(each.given_bytes for each in tried)
    assert free == []  # bytes that were given and not paid
    assert lies == []
    assert account.spent() == sum(prices.values())


@pytest.mark.parametrize("call", STREAMS, ids=[call.name for call in STREAMS])
def test_a_stream_cancelled_at_its_first_bytes_is_paid(target: Running, call: Call) -> None:
    account = Account(target)
    check(account, [by_post(account, call, nth) for nth in range(TRIES)])


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_an_overheard_job_cancelled_at_its_first_bytes_is_paid(target: Running, form: str) -> None:
    account = Account(target)
    check(account, [by_get(account, form, nth) for nth in range(TRIES)])


def test_a_job_cancelled_before_anybody_listened_is_free(account: Account) -> None:
    behind = [account.queue(TEXT * 10) for _ in range(20)]  # more than there are slots: the last waits
    for job in reversed(behind):
        account.ask("DELETE", f"/v1/jobs/{job}")
    jobs = {job["job_id"]: job for job in account.all_ended()}

    assert (jobs[behind[-1]]["status"], jobs[behind[-1]]["credits"]) == ("cancelled", 0)
    assert [job["credits"] for job in jobs.values() if job["status"] == "cancelled"].count(0) >= 1
    assert words_that_lie(account, behind[-1], charged=False) == []
