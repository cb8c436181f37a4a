"""Drives one case: requests a job in its dialect, causes its ending, and returns what its caller received."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Barrier

from msgspec import Struct

from tests.dialects import Call
from tests.wire import Connection, Head, request

from .cases import DIALECTS, DISCONNECTS, Case
from .customer import Customer

BEGIN_S = 20.0
NOTICED_S = 15.0  # that a caller has disconnected
ANSWERED_S = 30.0  # how a job ended
PIPELINED = request("GET", "/health/live", {})
_GIVEN_BYTES = 4_000  # more than the header of any file


class Outcome(Struct, frozen=True):
    """What the caller received: bytes of audio, or the words of an error."""

    case: Case
    given_bytes: int
    status: int | None = None
    words: str = ""


class Driver:
    """Drives cases. `expire` makes a queued job's deadline pass. Cases whose worker is to be killed meet at
    `killed`, before it and after it.
    """

    def __init__(self, folder: Path, expire: Callable[[Case], None], killed: Barrier | None = None) -> None:
        self._folder = folder
        self._expire = expire
        self._killed = killed

    def drive(self, customer: Customer, case: Case) -> Outcome:
        """Raises AssertionError or OSError where something does not come in time."""
        return (self._queued if case.cell.is_queued else self._answered)(customer, case)

    def begun(self, case: Case) -> str:
        """The job's id, once the engine has it."""
        file = self._folder / f"begun-{case.token}-1"
        deadline = time.monotonic() + BEGIN_S
        while not file.exists():
            assert time.monotonic() < deadline, f"never begun: {case}"
            time.sleep(0.01)
        return file.read_text()

    def go(self, case: Case) -> None:
        """The engine may come to the end."""
        (self._folder / f"go-{case.token}").touch()

    def _queued(self, customer: Customer, case: Case) -> Outcome:
        job = customer.queue(case.text, case.voice)
        if case.cell.ending == "expired":
            self._expire(case)
            return Outcome(case, 0)
        self.begun(case)
        if not case.cell.has_audio and case.cell.ending not in DISCONNECTS:
            self._bring_about(customer, case, job)
            return Outcome(case, 0)
        with Connection(customer.url, timeout_s=ANSWERED_S) as listener:
            listener.send(request("GET", f"/tts/stream/{job}", {}) + _pipelined(case))
            outcome = self._received(customer, case, listener, job)
        self.go(case)  # the job goes on without its listener
        return outcome

    def _answered(self, customer: Customer, case: Case) -> Outcome:
        with Connection(customer.url, timeout_s=ANSWERED_S) as caller:
            caller.send(_requested(DIALECTS[case.cell.dialect], customer, case) + _pipelined(case))
            if case.cell.ending == "expired":
                self._expire(case)
                return _rest(case, caller, caller.head())
            return self._received(customer, case, caller, self.begun(case))

    def _received(self, customer: Customer, case: Case, caller: Connection, job: str) -> Outcome:
        """From when the engine has the job: audio first, where there is to be any, then the ending."""
        head = None
        if case.cell.has_audio:
            if not (case.cell.is_stream or case.cell.is_queued):
                self.go(case)  # this dialect gives nothing before all is made
            head = caller.head()
            caller.read(head, _GIVEN_BYTES)
        if case.cell.ending in DISCONNECTS:
            (caller.close if case.cell.ending == "FIN" else caller.reset)()
            if not case.cell.is_queued:
                customer.ended(job, within_s=NOTICED_S)
            return Outcome(case, len(caller.body), head.status if head else None)
        self._bring_about(customer, case, job)
        return _rest(case, caller, head or caller.head())

    def _bring_about(self, customer: Customer, case: Case, job: str) -> None:
        match case.cell.ending:
            case "cancelled":
                customer.cancel(job)
            case "DELETE":
                customer.ask("DELETE", f"/v1/jobs/{job}")
            case "cut" if self._killed is not None:
                self._killed.wait(BEGIN_S)
                self._killed.wait(BEGIN_S)
            case _:
                self.go(case)


def _requested(call: Call, customer: Customer, case: Case) -> bytes:
    body = call.body(case.text, case.voice)
    return request("POST", call.path_of(case.voice), call.key(customer.key), body)


def _pipelined(case: Case) -> bytes:
    return PIPELINED if case.cell.ending == "pipelined" else b""


def _rest(case: Case, caller: Connection, head: Head) -> Outcome:
    """The answer to its end, which may be an early one."""
    body = caller.read(head)
    if head.status == 200:
        return Outcome(case, len(body), 200)
    return Outcome(case, 0, head.status, body.decode(errors="replace"))
