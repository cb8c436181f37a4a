"""Decodes an uploaded file to PCM in `decode_server.py`: starts that process, sends requests, stops it."""

import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO, Literal

import msgspec
import structlog
from msgspec import Meta, Struct

from db.storage.uploads import container_of
from workers.engines.protocol import Interrupted, Refused
from workers.process.launcher import ForkServer

log = structlog.get_logger()
RATE_HZ = 16_000
SAMPLE_BYTES = 2
_START_S_MAX = 20.0
_SLACK_S = 5.0  # on top of the child's own time limit
_USED_UP = 0.9  # of a time limit: the kernel counts CPU time in ticks, so a child killed for it may show less
_REPORT_BYTES_MAX = 4096


class DecodeLimits(Struct, frozen=True, kw_only=True):
    """The resources that decoding one file may use."""

    seconds_max: int
    cpu_s: int = 60
    wall_s: int = 120
    memory_bytes: int = 512 << 20
    channels_max: int = 8
    rates_hz: tuple[int, int] = (4000, 192_000)
    errors_max: int = 100


class Pcm(Struct, frozen=True):
    """Signed 16-bit mono at 16 kHz, in a file that no other process can open. `errors`: packets skipped."""

    samples: memoryview
    errors: int
    truncated: bool

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_BYTES / RATE_HZ


# Reasons to refuse a file: the child's, then this module's.
_Refusal = Literal[
    "",
    "audio_too_complex",
    "audio_too_long",
    "broken_audio",
    "external_reference",
    "no_audio",
    "sample_rate_not_supported",
    "too_many_channels",
]
_Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_]{0,40}\Z")]
_Count = Annotated[int, Meta(ge=0, le=2**40)]
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Report(Struct, frozen=True):
    refused: _Refusal = ""
    failed: _Name = ""  # a bug: the name of an exception
    samples: _Count = 0
    errors: _Count = 0
    truncated: bool = False


class Decoder:
    """Decodes files, each in a process of its own. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = _start()

    @contextmanager
    def decoded(self, file: BinaryIO, limits: DecodeLimits, call: "DecodeCall") -> Generator[Pcm]:
        """The file's PCM, valid inside the block. Raises `Refused`; `Interrupted` if `call` was closed."""
        container = container_of(file)
        if container is None:
            raise Refused("unsupported_audio")
        with TemporaryFile() as pcm:
            report = self._ask(file, pcm, container, limits, call)
            if report.refused:
                raise Refused(report.refused)
            if report.samples == 0 or os.fstat(pcm.fileno()).st_size != report.samples * SAMPLE_BYTES:
                log.error("decoder_failed", error="samples")
                raise Refused("broken_audio")
            with _mapped(pcm) as samples:
                yield Pcm(samples, report.errors, report.truncated)

    def close(self) -> None:
        """Kill the server and its children."""
        self._server.stop()

    def _ask(
        self, file: BinaryIO, pcm: BinaryIO, container: str, limits: DecodeLimits, call: "DecodeCall"
    ) -> _Report:
        """The child's report. If it dies, a second child tries; a file that kills two is broken."""
        request = msgspec.to_builtins(limits) | {
            "container": container,
            "samples_max": limits.seconds_max * RATE_HZ,
        }
        packet = msgspec.json.encode(request)
        for deaths in (1, 2):
            began = time.monotonic()
            answer, server = self._answer(packet, file, pcm, limits.wall_s + _SLACK_S, call)
            if call.closed.is_set():
                raise Interrupted("closed")
            if answer:
                return _believed(answer)
            if time.monotonic() - began > _USED_UP * min(limits.cpu_s, limits.wall_s):
                return _Report("audio_too_complex")
            if server.is_lost():
                raise Interrupted("decode server")
            server.log_death(deaths)
            os.ftruncate(pcm.fileno(), 0)
            os.lseek(pcm.fileno(), 0, os.SEEK_SET)  # the child shares this file position
        return _Report("broken_audio")

    def _answer(
        self, packet: bytes, file: BinaryIO, pcm: BinaryIO, wait_s: float, call: "DecodeCall"
    ) -> tuple[bytes, ForkServer]:
        """What a fresh child answers, and its server; empty if the child died or did not answer in time."""
        ours, theirs = socket.socketpair()
        with _place_kept(file), ours, call.over(ours):
            with theirs:
                server = self._send(packet, [file.fileno(), pcm.fileno(), theirs.fileno()])
            return _answer(ours, wait_s), server

    def _send(self, packet: bytes, fds: list[int]) -> ForkServer:
        with self._lock:
            with suppress(OSError):
                self._server.send(packet, fds)
                return self._server
            self._server.stop()
            try:
                self._server = _start()
                self._server.send(packet, fds)
            except OSError as error:
                raise Interrupted("decode server") from error
            return self._server


@contextmanager
def _mapped(file: BinaryIO) -> Generator[memoryview]:
    """The file's bytes, valid inside the block."""
    mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
    samples = memoryview(mapped)
    try:
        yield samples
    finally:
        with suppress(BufferError):  # a traceback may still hold views of the map; it releases them
            samples.release()
            mapped.close()


def _start() -> ForkServer:
    program = Path(__file__).with_name("decode_server.py")
    return ForkServer("decoder", program, start_s=_START_S_MAX, send_s=_START_S_MAX)


def _believed(answer: bytes) -> _Report:
    """The validated report. A child may have been taken over by its file, so nothing in it is trusted."""
    try:
        report = msgspec.json.decode(answer, type=_Report)
    except _MALFORMED:
        report = _Report(failed="report")
    if report.failed:
        log.error("decoder_failed", error=report.failed)
        return _Report("broken_audio")
    return report


class DecodeCall:
    """One file being decoded; any thread can cancel it."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._answer: socket.socket | None = None

    def close(self) -> None:
        """Stop waiting; the child ends when it next checks its stream."""
        self.closed.set()
        with self._lock:
            if self._answer is not None:
                with suppress(OSError):
                    self._answer.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def over(self, answer: socket.socket) -> Generator[None]:
        """While the block runs, `close` ends reading from `answer`."""
        with self._lock:
            self._answer = answer
        if self.closed.is_set():
            raise Interrupted("closed")
        try:
            yield
        finally:
            with self._lock:
                self._answer = None


@contextmanager
def _place_kept(file: BinaryIO) -> Generator[None]:
    """Restore the position: the child shares the descriptor, and `file`'s own buffer relies on it."""
    place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    try:
        yield
    finally:
        os.lseek(file.fileno(), place, os.SEEK_SET)


def _answer(stream: socket.socket, seconds: float) -> bytes:
    stream.settimeout(seconds)
    said = b""
    with suppress(OSError):
        while len(said) < _REPORT_BYTES_MAX and (part := stream.recv(_REPORT_BYTES_MAX)):
            said += part
    return said
