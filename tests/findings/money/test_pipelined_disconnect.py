"""S2a: a client that disconnects from a stream pays for what was given, whatever followed the request."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.dialects import STREAMS, Call
from tests.findings.accounts import Account
from tests.stack import Running
from tests.wire import Connection, request

TEXT = ("The quick brown fox jumps over the lazy dog, again and again. " * 81)[:5_000]
GIVEN_BYTES = 100_000
BEHIND = {
    "a GET": request("GET", "/health/live", {}),
    "many GETs": request("GET", "/v1/voices", {}) * 20,
    "half a request": b"GET /health/live HTTP/1.1\r\nHos",
    "no HTTP": b"\x16\x03\x01\x00\xa5 this is not HTTP\r\n\r\n",
}


def _garbage(connection: Connection) -> None:
    with suppress(ConnectionError):  # the server may have closed: as good an end
        connection.send(b"\0\xff garbage \r\n\r\n")
    connection.reset()


LEAVING: dict[str, Callable[[Connection], None]] = {
    "RST": Connection.reset,
    "FIN": Connection.close,
    "garbage": _garbage,
}


def received(
    account: Account, call: Call, behind: bytes, leave: Callable[[Connection], None]
) -> tuple[str, int]:
    """One stream's job, and the bytes of it that came before its listener left; none where it was refused."""
    connection = Connection(account.url)
    sent = request("POST", call.path_of("ryan"), call.key(account.key), call.body(TEXT, "ryan"))
    connection.send(sent + behind)
    head = connection.head()
    if head.status != 200:
        connection.close()
        return "", 0
    given = len(connection.read(head, GIVEN_BYTES))
    leave(connection)
    return head.headers["x-job-id"], given


@pytest.mark.parametrize("leaving", LEAVING)
@pytest.mark.parametrize("call", STREAMS, ids=[call.name for call in STREAMS])
def test_a_listener_who_leaves_with_a_request_behind_pays(target: Running, call: Call, leaving: str) -> None:
    account = Account(target)
    tried = [received(account, call, behind, LEAVING[leaving]) for behind in list(BEHIND.values()) * 2]
    prices = {job["job_id"]: job["credits"] for job in account.all_ended()}
    given = {job: bytes_ for job, bytes_ in tried if bytes_}

    assert [prices[job] for job in given] == [1] * len(given)
    assert account.spent() == sum(prices.values())
    assert len(given) >= len(tried) // 2  # what is no HTTP may be refused, with all that was before it


def test_a_request_sent_in_mid_stream_changes_nothing(target: Running) -> None:
    account = Account(target)
    call = STREAMS[0]
    for _ in range(6):
        connection = Connection(account.url)
        connection.send(request("POST", call.path, call.key(account.key), call.body(TEXT, "ryan")))
        head = connection.head()
        connection.read(head, 10_000)
        connection.send(BEHIND["a GET"])
        assert len(connection.read(head, GIVEN_BYTES)) > 0
        connection.reset()
    account.all_ended()

    assert account.spent() == 6


def test_requests_one_behind_the_other_are_all_answered(account: Account) -> None:
    """Pipelining itself still works where no stream is under way."""
    with Connection(account.url) as connection:
        connection.send(request("GET", "/api/auth/me", account.headers) * 3)
        statuses = []
        for _ in range(3):
            head = connection.head()
            statuses.append(head.status)
            connection.read(head)
    assert statuses == [200] * 3
