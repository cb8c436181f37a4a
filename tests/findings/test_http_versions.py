"""D6, S13: HTTP/1.0 is answered without chunks, and a request with two hosts is none."""

import pytest

from tests.dialects import STREAMS, WHOLES, Call
from tests.wire import Connection, Headers, request

from .accounts import Account

TEXT = "The quick brown fox jumps over the lazy dog, again and again. " * 3
CALLS = (*STREAMS, *WHOLES)


def answered(account: Account, sent: bytes) -> tuple[Headers, bytes]:
    with Connection(account.url) as connection:
        connection.send(sent)
        head = connection.head()
        assert head.status == 200
        return head.headers, connection.read(head)


@pytest.mark.parametrize("keep_alive", [{}, {"Connection": "keep-alive"}], ids=["plain", "keep-alive"])
@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
def test_http_1_0_gets_audio_without_framing(account: Account, call: Call, keep_alive: Headers) -> None:
    ask = (call.path_of("ryan"), call.key(account.key) | keep_alive, call.body(TEXT, "ryan"))
    headers, old = answered(account, request("POST", *ask, version="1.0"))
    _, new = answered(account, request("POST", *ask))

    assert "transfer-encoding" not in headers
    assert old == new


def test_an_overheard_job_by_http_1_0_has_no_framing(account: Account) -> None:
    job = account.queue(TEXT * 10, format="mp3")
    headers, live = answered(account, request("GET", f"/tts/stream/{job}", {}, version="1.0"))
    account.ended(job)

    assert "transfer-encoding" not in headers
    assert live == account.ask("GET", f"/tts/audio/{job}").content


@pytest.mark.parametrize("second", ["Host: test", "Host: other.example", "host: test", "HOST: other.example"])
@pytest.mark.parametrize("path", ["/health/live", "/v1/voices", "/", "/tts/status/none"])
def test_two_hosts_are_refused(account: Account, path: str, second: str) -> None:
    with Connection(account.url) as connection:
        connection.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n{second}\r\n\r\n".encode())
        assert connection.head().status == 400


def test_one_host_is_enough(account: Account) -> None:
    with Connection(account.url) as connection:
        connection.send(request("GET", "/health/live", {}))
        assert connection.head().status == 200
