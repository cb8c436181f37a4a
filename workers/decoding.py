"""From an uploaded file to PCM, by way of `decode_server.py`: here are its starting, asking and ending."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec
from msgspec import Struct

from db.uploads import container_of
from workers.engines import Interrupted, Refused

RATE_HZ = 16_000
SAMPLE_BYTES = 2
_START_S_MAX = 20.0
_SLACK_S = 5.0  # beyond the child's own clock
_REPORT_BYTES_MAX = 4096


class DecodeLimits(Struct, frozen=True, kw_only=True):
    """What one file may cost."""

    seconds_max: int
    cpu_s: int = 60
    wall_s: int = 120
    memory_bytes: int = 512 << 20
    channels_max: int = 8
    rates_hz: tuple[int, int] = (4000, 192_000)
    errors_max: int = 100


class Pcm(Struct, frozen=True):
    """Signed 16-bit mono at 16 kHz, in a file nobody else sees. `errors`: packets left out."""

    samples: memoryview
    errors: int
    truncated: bool

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_BYTES / RATE_HZ


class _Report(Struct, frozen=True):
    refused: str = ""
    samples: int = 0
    errors: int = 0
    truncated: bool = False


class Decoder:
    """Decodes files, each in a process of its own. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = _Server()

    @contextmanager
    def decoded(self, file: BinaryIO, limits: DecodeLimits, call: "DecodeCall") -> Generator[Pcm]:
        """The file's sound, for the block. Raises `Refused`; `Interrupted` where `call` was closed."""
        container = container_of(file)
        if container is None:
            raise Refused("unsupported_audio")
        with TemporaryFile() as pcm:
            report = self._ask(file, pcm, container, limits, call)
            if report.refused:
                raise Refused(report.refused)
            with mmap(pcm.fileno(), 0, access=ACCESS_READ) as mapped, memoryview(mapped) as samples:
                yield Pcm(samples, report.errors, report.truncated)

    def close(self) -> None:
        """Kill the server and its children."""
        self._server.stop()

    def _ask(
        self, file: BinaryIO, pcm: BinaryIO, container: str, limits: DecodeLimits, call: "DecodeCall"
    ) -> _Report:
        request = msgspec.to_builtins(limits) | {
            "container": container,
            "samples_max": limits.seconds_max * RATE_HZ,
        }
        ours, theirs = socket.socketpair()
        with ours, call.over(ours):
            with theirs:
                packet = msgspec.json.encode(request)
                self._send(packet, [file.fileno(), pcm.fileno(), theirs.fileno()])
            answer = _answer(ours, limits.wall_s + _SLACK_S)
        if call.closed.is_set():
            raise Interrupted("closed")
        # Nothing said: killed by one of its limits, or by the codec's own fault.
        return msgspec.json.decode(answer, type=_Report) if answer else _Report("audio_too_complex")

    def _send(self, packet: bytes, fds: list[int]) -> None:
        with self._lock:
            with suppress(OSError):
                return self._server.send(packet, fds)
            self._server.stop()
            try:
                self._server = _Server()
                self._server.send(packet, fds)
            except OSError as error:
                raise Interrupted("decode server") from error


class DecodeCall:
    """One file being decoded, to be given up from any thread."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._answer: socket.socket | None = None

    def close(self) -> None:
        """Wait no longer; the child ends at its next look."""
        self.closed.set()
        with self._lock:
            if self._answer is not None:
                with suppress(OSError):
                    self._answer.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def over(self, answer: socket.socket) -> Generator[None]:
        """While the block runs, `close` ends what is read from `answer`."""
        with self._lock:
            self._answer = answer
        if self.closed.is_set():
            raise Interrupted("closed")
        try:
            yield
        finally:
            with self._lock:
                self._answer = None


def _answer(stream: socket.socket, seconds: float) -> bytes:
    stream.settimeout(seconds)
    said = b""
    with suppress(OSError):
        while len(said) < _REPORT_BYTES_MAX and (part := stream.recv(_REPORT_BYTES_MAX)):
            said += part
    return said


class _Server:
    """The running decode server. All its failures are OSErrors."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", Path(__file__).with_name("decode_server.py"), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._control.settimeout(_START_S_MAX)
        try:
            if not self._control.recv(16):
                raise ConnectionError("the decode server did not start")
        except OSError:
            self.stop()
            raise

    def send(self, packet: bytes, fds: list[int]) -> None:
        """Have a child answer this."""
        socket.send_fds(self._control, [packet], fds)

    def stop(self) -> None:
        """Kill the server and its children; idempotent."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()  # where it had no group of its own yet
        self._process.wait()
        self._control.close()
