"""The confined children that speak pieces, one child per thread, and the server that forks them."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from workers.engines.neural.model import Hello, Piece
from workers.engines.neural.queue import Queue, Work
from workers.engines.protocol import DeviceLost, Interrupted, Refused
from workers.models.store import ModelError
from workers.process.launcher import ForkServer, limit_waits, received
from workers.process.profiles import PROFILES

log = structlog.get_logger()
HELLO_BYTES_MAX = 256
FRAME_BYTES_MAX = 1 << 18  # our server's frames have half of it; a child that announces more is not trusted
PIECE_PCM_BYTES_MAX = 32 << 20  # eleven minutes at 24 kHz
REFUSAL_CODES = frozenset({"unspeakable_text", "nothing_to_say", "unsupported_script", "text_not_readable"})
_DEATHS_MAX = 2  # of one piece, in fresh children
_LOSSES_MAX = 3  # of the server, during one piece
_REFUSED = 1 << 31
_LENGTH_BYTES = 4


class Program(Struct, frozen=True, kw_only=True):
    """What a server runs, and its time limits. `kind`: its profile's name."""

    kind: str
    module: str  # with `load` and `SAMPLE`: see model.py
    folders: Callable[[], Mapping[str, str]]  # called at each start; verifies the folders' content
    start_s: float = 60.0
    stall_s: float = 30.0  # without a frame
    ends_unwanted: bool = False  # a child whose piece is no longer wanted is killed, not awaited


class ChildDied(Exception):
    """A child ended, stalled, or sent what no child of ours sends; its server is alive."""


class Servers:
    """The running server: started when a child is first needed, replaced when it is lost."""

    def __init__(self, program: Program) -> None:
        self.kind = program.kind
        self._program = program
        self._lock = threading.Lock()
        self._server: ForkServer | None = None
        self._is_closed = False

    def start(self) -> Hello:
        """Start the server if none runs. Raises OSError."""
        with self._lock:
            return msgspec.json.decode(self._running().hello, type=Hello)

    @property
    def ends_unwanted(self) -> bool:
        """See `Program`."""
        return self._program.ends_unwanted

    def child(self) -> "Child":
        """A fresh child. Raises OSError; a server that cannot fork one is replaced at the next call."""
        with self._lock:
            server = self._running()
            try:
                return Child(server, self._program)
            except OSError:
                self._stop()
                raise

    def stop(self) -> None:
        """End the server and its children; the next `child` starts another one."""
        with self._lock:
            self._stop()

    def close(self) -> None:
        """End it for good."""
        self._is_closed = True
        server = self._server  # a thread that is starting one now ends it itself: do not wait for that start
        if server is not None:
            server.stop()
        self.stop()

    def _running(self) -> ForkServer:
        if self._is_closed:
            raise ConnectionAbortedError("closed")
        if self._server is not None and self._server.is_lost():
            self._stop()
        if self._server is None:
            self._server = self._started()
        return self._server

    def _started(self) -> ForkServer:
        program = self._program
        return ForkServer(
            program.kind,
            Path(__file__).with_name("neural_server.py"),
            program.module,
            msgspec.json.encode(program.folders()).decode(),
            start_s=program.start_s,
            send_s=program.stall_s,
            hello_bytes_max=HELLO_BYTES_MAX,
        )

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        self._server = None


class Child:
    """One confined child. For one thread, except `end`."""

    def __init__(self, server: ForkServer, program: Program) -> None:
        self._server = server
        self._profile = PROFILES[program.kind]
        self._since = time.monotonic()
        self._busy_s = 0.0
        self.is_fresh = True  # it has not had a piece yet
        self._lock = threading.Lock()  # guards the descriptor's lifetime
        self._pidfd: int | None = None
        self._stream, theirs = socket.socketpair()
        try:
            with theirs:  # a copy kept here would hide that the server closed its own
                server.send(b"child", [theirs.fileno()])
            limit_waits(self._stream, program.stall_s)
            self._pidfd = os.pidfd_open(int.from_bytes(self._received(_LENGTH_BYTES), "little"))
        except (OSError, ChildDied) as error:
            self._stream.close()
            raise ConnectionError("no child") from error

    def speak(self, piece: Piece) -> Iterator[bytes]:
        """The piece's audio. Raises Refused, ChildDied, or OSError if the server is lost."""
        self.is_fresh = False
        began = time.monotonic()
        try:
            request = msgspec.json.encode(piece)
            self._stream.sendall(len(request).to_bytes(_LENGTH_BYTES, "little") + request)
            yield from self._frames()
        except (OSError, ChildDied) as error:
            if self._server.is_lost():
                raise ConnectionError("neural server") from error
            raise ChildDied from error
        finally:
            self._busy_s += time.monotonic() - began

    def is_spent(self) -> bool:
        """Whether it should be replaced, well before its limits kill it."""
        age_s = time.monotonic() - self._since
        return self._busy_s > self._profile.cpu_s / 2 or age_s > self._profile.wall_s / 2

    def end(self) -> None:
        """Kill it; from any thread, at any time."""
        with self._lock:
            if self._pidfd is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Kill it and close its stream; idempotent."""
        self.end()
        with self._lock:
            if self._pidfd is not None:
                os.close(self._pidfd)
                self._stream.close()
            self._pidfd = None

    def _frames(self) -> Iterator[bytes]:
        given = 0
        while pcm := self._frame():
            given += len(pcm)
            if given > PIECE_PCM_BYTES_MAX:
                raise ChildDied
            yield pcm

    def _frame(self) -> bytes:
        length = int.from_bytes(self._received(_LENGTH_BYTES), "little")
        if length > _REFUSED:
            code = self._received(min(length - _REFUSED, 64)).decode("ascii", "replace")
            if code in REFUSAL_CODES:
                raise Refused(code)
            raise ChildDied
        if length > FRAME_BYTES_MAX or length % 2:
            raise ChildDied
        return self._received(length)

    def _received(self, count: int) -> bytes:
        found = received(self._stream, count)
        if len(found) < count:
            raise ChildDied
        return found


class Speaker:
    """A thread that has one child speak the queue's pieces until the queue is closed."""

    def __init__(
        self, queue: Queue, servers: Servers, *, idle_s: float | None, idle: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._servers = servers
        self._idle_s = idle_s
        self._idle = idle
        self._child: Child | None = None
        self.is_working = False
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, after the queue's."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            work = self._queue.take(self._idle_s)
            if work is not None:
                self.is_working = True
                self._make(work)
                self.is_working = False
            elif self._queue.is_closed:
                self._drop()
                return
            else:
                self._drop()
                self._idle()

    def _make(self, work: Work) -> None:
        try:
            if not work.job.is_over:
                self._until_spoken(work)
        except (Refused, Interrupted) as error:
            work.fail(error)
        except Exception:
            log.exception("speaker_failed")
            work.fail(Interrupted("speaker"))
            self._drop()
        finally:
            work.finish()

    def _until_spoken(self, work: Work) -> None:
        deaths = losses = 0
        while True:
            is_fresh = False
            try:
                child = self._spoken_by()
                is_fresh = child.is_fresh
                self._speak(child, work)
            except ChildDied:
                self._drop()
                if work.job.is_over:
                    return
                deaths += is_fresh
                log.warning("confined_child_died", kind=self._servers.kind, deaths=deaths)
                if deaths >= _DEATHS_MAX:
                    raise Refused("unspeakable_text") from None
            except ModelError as error:  # damaged or removed since: another process waits for its repair
                raise DeviceLost(f"the model cannot be used any more: {error}") from error
            except OSError as error:  # another server may start
                self._drop()
                losses += 1
                if losses >= _LOSSES_MAX or work.job.is_over:
                    raise Interrupted("neural server") from error
            else:
                return

    def _spoken_by(self) -> Child:
        """The current child, or a fresh one. Raises OSError."""
        if self._child is not None and self._child.is_spent():
            self._drop()
        if self._child is None:
            self._child = self._servers.child()
        return self._child

    def _speak(self, child: Child, work: Work) -> None:
        """All of the piece except what an earlier child has delivered; stops when nobody wants more."""
        skipped, said = work.given_bytes, 0
        if self._servers.ends_unwanted:
            work.end_child = child.end
        for pcm in child.speak(work.piece):
            new = pcm[max(0, skipped - said) :]
            said += len(pcm)
            if new and not work.give(new):
                self._drop()  # it would continue with a piece that nobody wants
                return

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None
