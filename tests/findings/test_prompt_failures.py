"""S10: a failed job is reported at once, in every dialect, and not only when its wait is over."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from tests.dialects import STREAMS, WHOLES, Call
from tests.wire import Connection, request

from .accounts import FINAL, Account
from .processes import engine_processes

TEXT = "99999999999 " * 410  # takes an engine seconds
WITHIN_S = 5.0
_PATIENCE_S = 20.0
CALLS = (*WHOLES, *STREAMS)


@contextmanager
def engine_that_dies(worker: int) -> Generator[None]:
    """For the block, every process that begins to speak is killed."""
    over = threading.Event()
    before = {each.pid for each in engine_processes(worker)}

    def kill() -> None:
        while not over.wait(0.001):
            found = engine_processes(worker)
            servers = before & {each.parent for each in found} or before  # whose children speak
            for each in found:
                if each.pid not in servers:
                    with suppress(ProcessLookupError):
                        os.kill(each.pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        yield
    finally:
        over.set()
        killing.join()


class TimedCall:
    """A call in a thread of its own: when its answer was over, be it an error, or cut."""

    def __init__(self, account: Account, call: Call, text: str) -> None:
        self.status = 0
        self.over_at = float("inf")
        self._thread = threading.Thread(target=self._ask, args=(account, call, text))
        self._thread.start()

    def _ask(self, account: Account, call: Call, text: str) -> None:
        body = call.body(text, "ryan")
        with Connection(account.url, timeout_s=_PATIENCE_S) as connection, suppress(TimeoutError):
            connection.send(request("POST", call.path_of("ryan"), call.key(account.key), body))
            head = connection.head()
            self.status = head.status
            connection.read(head)
            self.over_at = time.monotonic()

    def waited_s(self, since: float) -> float:
        self._thread.join()
        return self.over_at - since


def failed_at(account: Account) -> float:
    """When the account's one job had failed."""
    deadline = time.monotonic() + 30
    while not (jobs := account.jobs()) or jobs[0]["status"] not in FINAL:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert jobs[0]["status"] == "failed"
    return time.monotonic()


@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
def test_a_job_whose_engine_died_is_answered_at_once(
    target_pids: dict[str, int], account: Account, call: Call
) -> None:
    with engine_that_dies(target_pids["worker"]):
        timed = TimedCall(account, call, TEXT)
        at = failed_at(account)

    assert timed.waited_s(at) < WITHIN_S
    assert timed.status >= 400 or call in STREAMS  # which may have begun


@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
def test_a_text_with_nothing_to_say_is_answered_at_once(account: Account, call: Call) -> None:
    for text in ("...", "—", "\U0001f600 \U0001f680", "!?!", "…"):
        began = time.monotonic()
        assert TimedCall(account, call, text).waited_s(began) < WITHIN_S, text
