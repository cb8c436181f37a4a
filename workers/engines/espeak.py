"""The eSpeak NG engine: small, instant, robotic voices in many languages, on any CPU, without weights.

The library lives in a process of its own, `espeak_server.py`; here are its starting and ending, and the
reading of what its children say. Why so: docs/decisions/0003.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from db.formats import FORMATS
from db.rows import Capabilities
from workers.engines import Interrupted, Refused, Speech, Utterance
from workers.engines.espeak_voices import Catalogue, Listed, catalogue

SAMPLE_RATE_HZ = 22_050
START_S_MAX = 10.0
STALL_S_MAX = 10.0  # without one frame; an idle machine needs 3 ms
AUDIO_BYTES_MAX = 4 * 3600 * SAMPLE_RATE_HZ * 2
CHARACTERS_MAX = 100_000
COST_US_PER_CHARACTER = 150  # measured: 70 to 115 alone, 170 for short texts on all cores
HELLO_BYTES_MAX = 1 << 18  # espeak's list is 23 kB
WORDS_PER_MINUTE = 175  # at speed 1
_LENGTH = struct.Struct("<I")  # before each request and each frame


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    rate: int
    pitch: int


class EspeakEngine:
    """Speaks at once as many utterances as there are slots, each in a process of its own.

    A server that died or hangs is replaced by the next `begin`; what it began to speak may still end well.
    """

    def __init__(self, *, stall_s_max: float = STALL_S_MAX, audio_bytes_max: int = AUDIO_BYTES_MAX) -> None:
        self._stall_s_max = stall_s_max
        self._audio_bytes_max = audio_bytes_max
        self._server = _Server(stall_s_max)
        self._catalogue = catalogue(self._server.listed)
        self._capabilities = _capabilities(self._catalogue)
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def slots(self) -> int:
        return min(16, max(4, 2 * len(os.sched_getaffinity(0))))

    @property
    def mixed_lanes(self) -> bool:
        return True

    @property
    def batched(self) -> bool:
        return False

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Speech]:
        return [self._begin(utterance) for utterance in batch]

    def close(self) -> None:
        self._closed = True
        self._server.stop()

    def _begin(self, utterance: Utterance) -> Speech:
        try:
            voice = self._catalogue.identifier(utterance.voice, utterance.language)
            stream = self._ask(voice, _request(utterance))
        except (Refused, Interrupted) as error:
            return _Failed(error)
        return _EspeakSpeech(self._server, stream, self._audio_bytes_max)

    def _ask(self, voice: str, request: bytes) -> socket.socket:
        if not self._server.lost:
            with suppress(OSError):
                return self._server.ask(voice, request)
        if self._closed:
            raise Interrupted("closed")
        self._server.retire()
        try:
            self._server = _Server(self._stall_s_max)
            return self._server.ask(voice, request)
        except OSError as error:
            raise Interrupted("espeak server") from error


def _request(utterance: Utterance) -> bytes:
    request = _Request(
        text=utterance.text,
        rate=round(WORDS_PER_MINUTE * utterance.speed),
        pitch=min(99, max(0, round(50 + 2.5 * utterance.pitch))),
    )
    return msgspec.json.encode(request)


def _capabilities(known: Catalogue) -> Capabilities:
    return Capabilities(
        engine="espeak",
        kind="speech",
        voices=known.voices,
        sample_rate_hz=SAMPLE_RATE_HZ,
        formats=tuple(FORMATS),
        characters_max=CHARACTERS_MAX,
        cost_us_per_character=COST_US_PER_CHARACTER,
        speed_min=0.5,  # espeak goes no slower than 80 words a minute
        speed_max=4.0,
        pitch_min=-20.0,
        pitch_max=20.0,
    )


class _Server:
    """The running espeak server. All its failures are `OSError`s."""

    def __init__(self, stall_s_max: float) -> None:
        self.lost = False  # set by whoever waited in vain
        self._stall_s_max = stall_s_max
        folder = _library_folder()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _start(theirs, folder)
        try:
            self.listed = self._hello()
        except OSError:
            self.retire()
            raise
        self._control.settimeout(stall_s_max)

    def ask(self, voice: str, request: bytes) -> socket.socket:
        """Have a child speak this; what it says is read from the socket. `voice`: espeak's identifier and our
        variant, "gmw/en-US+f2".
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:  # a copy kept here would hide that the server dropped its own
                socket.send_fds(self._control, [voice.encode()], [theirs.fileno()])
            _limit(ours, self._stall_s_max)
            ours.sendall(_LENGTH.pack(len(request)) + request)
        except OSError:
            ours.close()
            raise
        return ours

    def stop(self) -> None:
        """Kill the server and its children."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self.retire()

    def retire(self) -> None:
        """Kill the server alone: its children may still speak well."""
        self._process.kill()
        self._process.wait()
        self._control.close()  # last: a server that sees this end takes its children along

    def _hello(self) -> tuple[Listed, ...]:
        self._control.settimeout(START_S_MAX)
        hello = self._control.recv(HELLO_BYTES_MAX)
        if not hello:
            raise ConnectionError("the espeak server did not start")
        return msgspec.json.decode(hello, type=tuple[Listed, ...])


def _library_folder() -> str:
    package = find_spec("espeakng_loader")  # found, never imported: its licence stays in the other process
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the espeak engine needs codevoice[embedded]", name="espeakng_loader")
    return package.submodule_search_locations[0]


def _start(control: socket.socket, folder: str) -> subprocess.Popen[bytes]:
    server = Path(__file__).with_name("espeak_server.py")
    # Bare Python, by path: importing site-packages or our own would take longer than starting espeak.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", server, str(control.fileno()), folder],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _limit(stream: socket.socket, seconds: float) -> None:
    """No wait on `stream` is longer. By the kernel: Python's own time limit costs a poll for each call."""
    timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        stream.setsockopt(socket.SOL_SOCKET, option, timeval)


class _EspeakSpeech:
    """What one child says."""

    def __init__(self, server: _Server, stream: socket.socket, audio_bytes_max: int) -> None:
        self._server = server
        self._stream = stream
        self._audio_bytes_max = audio_bytes_max
        self._lock = (
            threading.Lock()
        )  # over the flags and the descriptor's life, never while waiting for audio
        self._reading = False
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            if self._over:
                raise Interrupted("closed")
            self._reading = True
        try:
            yield from self._audio()
        finally:
            with self._lock:
                self._over = True
                self._stream.close()

    def close(self) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            self._stream.shutdown(socket.SHUT_RDWR)  # wakes the reader, and fails the child's next write
            if not self._reading:
                self._stream.close()

    def _audio(self) -> Iterator[bytes]:
        audio_bytes = 0
        while pcm := self._frame():
            audio_bytes += len(pcm)
            if audio_bytes > self._audio_bytes_max:
                raise Refused("audio_too_long")
            yield pcm

    def _frame(self) -> bytes:
        try:
            head = self._stream.recv(_LENGTH.size, socket.MSG_WAITALL)
            length = int.from_bytes(head, "little")
            pcm = self._stream.recv(length, socket.MSG_WAITALL) if length else b""
        except OSError as error:  # timed out, or reset: nobody read our request
            self._server.lost = True
            raise Interrupted("espeak server") from error
        if self._over or len(head) < _LENGTH.size or len(pcm) < length:
            raise Interrupted("broke off")
        return pcm


class _Failed:
    """Speech that could not even begin."""

    def __init__(self, error: Refused | Interrupted) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error

    def close(self) -> None:
        pass
