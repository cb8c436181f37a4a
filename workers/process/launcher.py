"""Starts every process that opens an untrusted text or file, confined, and holds the connection to it.

Such a process is a server: it loads a library, gives up its rights, and forks a child for each request. The
children's rights are in `profiles.py`. The reasons are in docs/decisions/0019.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import structlog

from workers.process import landlock
from workers.process.confinement import missing
from workers.process.profiles import PROFILES

log = structlog.get_logger()
_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")


def received(stream: socket.socket, count: int) -> bytes:
    """`count` bytes from a child; fewer at the end of the stream."""
    found = b""
    while len(found) < count:  # one pass, unless a wait timed out in the middle
        part = stream.recv(count - len(found), socket.MSG_WAITALL)
        if not part:
            break
        found += part
    return found


def log_missing() -> None:
    """Log in one event what this machine lacks for a full confinement; children run without it."""
    if lacking := missing():
        log.warning("confinement_incomplete", missing=lacking, landlock=landlock.version(), uid=os.geteuid())


class ForkServer:
    """A running server. All its failures are OSErrors.

    Its control socket carries packets: out, once, what the server sends when it is ready; in, requests. Its
    end notifies the server that the worker is gone; the server then ends its children and itself.
    """

    def __init__(
        self,
        kind: str,
        program: Path,
        *arguments: str,
        start_s: float,
        send_s: float,
        hello_bytes_max: int = 16,
        bare: bool = False,
    ) -> None:
        """`bare`: without the installed packages, which take longer to find than some programs to start."""
        if kind not in PROFILES:
            raise ValueError(f"no profile {kind}")
        self._kind = kind
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = _start(kind, program, theirs, arguments, bare=bare)
        except OSError:
            self._control.close()
            raise
        try:
            limit_waits(self._control, start_s)
            self.hello = self._hello(hello_bytes_max)
            limit_waits(self._control, send_s)
        except OSError:
            self.stop()
            raise

    def send(self, packet: bytes, descriptors: list[int]) -> None:
        """Have a child serve this request, whose sockets and files are `descriptors`."""
        socket.send_fds(self._control, [packet], descriptors)

    def is_lost(self) -> bool:
        """Whether the server has ended or been stopped. A child's death is not its server's end."""
        try:
            return not self._control.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def log_death(self, deaths: int) -> None:
        """Log that a request killed a child, for the first or second time, while its server lives."""
        log.warning("confined_child_died", kind=self._kind, deaths=deaths)

    def stop(self) -> None:
        """Kill the server and its children; idempotent."""
        self._control.close()  # first: whoever sees a child end can tell that it was stopped
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def retire(self) -> None:
        """Kill only the server: its children may still complete their answers; idempotent."""
        self._process.kill()
        self._process.wait()
        self._control.close()  # last: a server that sees this end kills its children too

    def _hello(self, bytes_max: int) -> bytes:
        hello = self._control.recv(bytes_max)
        if not hello:
            raise ConnectionError(f"the {self._kind} server did not start")
        return hello


def limit_waits(stream: socket.socket, seconds: float) -> None:
    """Limit every wait on `stream`. By the kernel: Python's own timeout costs a poll for each call."""
    timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        stream.setsockopt(socket.SOL_SOCKET, option, timeval)


def _start(
    kind: str, program: Path, control: socket.socket, arguments: tuple[str, ...], *, bare: bool
) -> subprocess.Popen[bytes]:
    flags = ["-I", "-X", "utf8", *(["-S"] if bare else [])]
    return subprocess.Popen(
        [sys.executable, *flags, _BOOTSTRAP, kind, program, str(control.fileno()), *arguments],
        env={},  # the worker's has the passwords of its stores
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,  # a terminal's Ctrl-C is handled by the worker, and children end with their server
    )
