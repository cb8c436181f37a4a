"""Slow clients: each connection is closed within a bound, and no other client is affected."""

import socket
import time
from contextlib import ExitStack
from statistics import median

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import Person, Run
from tests.clock import unhurried

HEAD_S, BODY_S = 1.0, 1.5
SLACK_S = 2.0  # of a busy machine
HEAD = b"GET /health/live HTTP/1.1\r\nhost: a\r\n"
BODY = b"POST /api/auth/login HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{"
CONNECTIONS = 60


@pytest.fixture(scope="module")
def patient(api_with: Run) -> ApiProcess:
    return api_with(CODEVOICE_HEADER_WAIT_S=str(HEAD_S), CODEVOICE_BODY_WAIT_S=str(BODY_S))


class Slow:
    """One connection that sends what it has a byte at a time."""

    def __init__(self, api: ApiProcess, at_once: bytes, drops: bytes) -> None:
        self.connection = socket.create_connection(api.address, timeout=30)
        self.connection.sendall(at_once)
        self.connection.setblocking(False)
        self.drops = drops
        self.answer: bytes | None = None
        self.received = b""

    def go_on(self) -> None:
        """Send one byte more and read what was received; `answer` is set once the server has closed."""
        try:
            if (
                self._is_open() and self.drops
            ):  # read first: a byte sent to a closed peer resets what was received
                self.connection.send(self.drops[:1])
        except OSError:
            self.answer = self.received

    def _is_open(self) -> bool:
        try:
            while chunk := self.connection.recv(4096):
                self.received += chunk
        except BlockingIOError:
            return True
        self.answer = self.received
        return False


@pytest.mark.parametrize(
    ("at_once", "drops", "within_s", "status"),
    [
        (b"", b"", HEAD_S, b""),
        (b"", b"\r", HEAD_S, b""),
        (HEAD, b"x", HEAD_S, b"HTTP/1.1 408"),
        (b"GET / HT", b"", HEAD_S, b"HTTP/1.1 408"),
        (BODY, b" ", BODY_S, b"HTTP/1.1 408"),
        (HEAD + b"\r\n", b"\r", HEAD_S, b"HTTP/1.1 200"),
    ],
    ids=["silent", "empty lines", "endless head", "half a line", "slow body", "empty lines after an answer"],
)
def test_a_slow_caller_is_let_go_of_and_nobody_else_notices(
    patient: ApiProcess, person: Person, at_once: bytes, drops: bytes, within_s: float, status: bytes
) -> None:
    began, waits = time.monotonic(), list[float]()
    with ExitStack() as stack:
        slow = [Slow(patient, at_once, drops) for _ in range(CONNECTIONS)]
        for one in slow:
            stack.callback(one.connection.close)
        while any(one.answer is None for one in slow) and time.monotonic() - began < 30:
            for one in slow:
                if one.answer is None:
                    one.go_on()
            asked_at = time.monotonic()
            assert patient.call("GET", "/api/auth/me", person.key).status_code == 200
            waits.append(time.monotonic() - asked_at)
            time.sleep(0.05)  # between two drops

    assert time.monotonic() - began < within_s + unhurried(SLACK_S)
    assert {(one.answer or b"")[: len(status)] for one in slow} == {status}
    assert median(waits) < unhurried(0.25)


def test_a_slow_client_within_the_limit_is_served(patient: ApiProcess) -> None:
    with socket.create_connection(patient.address, timeout=30) as connection:
        for _ in range(3):  # on one connection: the time is a request's, not the connection's
            for part in (HEAD[:10], HEAD[10:] + b"\r\n"):
                connection.sendall(part)
                time.sleep(0.3)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
