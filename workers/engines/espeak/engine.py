"""The eSpeak NG engine: small, instant, robotic voices in many languages, on any CPU, without weights.

The library lives in a process of its own, `espeak_server.py`; this module starts and stops it and reads what
its children send. The reasons are in docs/decisions/0003.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import msgspec

from db.formats import FORMATS
from db.types import Capabilities
from workers.engines.espeak.espeak_voices import Catalogue, Listed, catalogue
from workers.engines.fair_turns import FairTurns, Turn
from workers.engines.protocol import Interrupted, Refused, Synthesis, Utterance
from workers.process.launcher import ForkServer, limit_waits, received

SAMPLE_RATE_HZ = 22_050
START_S_MAX = 10.0
STALL_S_MAX = 10.0  # without a frame; an idle machine needs 3 ms
AUDIO_BYTES_MAX = 4 * 3600 * SAMPLE_RATE_HZ * 2
CHARACTERS_MAX = 100_000
COST_US_PER_CHARACTER = 150  # measured: 70 to 115 alone, 170 for short texts on all cores
HELLO_BYTES_MAX = 1 << 18  # espeak's list is 23 kB
FRAME_BYTES_MAX = 1 << 20  # our server's frames have 64 kB; a child that announces more is not trusted
WORDS_PER_MINUTE = 175  # at speed 1
_LENGTH = struct.Struct("<I")  # precedes each request and each frame


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    rate: int
    pitch: int


def slots_here() -> int:
    """Utterances that the engine speaks at the same time on this machine."""
    return min(16, max(4, 2 * len(os.sched_getaffinity(0))))


class EspeakEngine:
    """Speaks as many utterances at the same time as there are slots, each in a process of its own.

    Further utterances take turns: a child whose audio is not read stops by itself after about five seconds of
    it. A server that died or hangs is replaced by the next `begin`; utterances it has begun may still
    complete.
    """

    mixed_lanes = True  # each utterance has a process of its own
    batched = False

    def __init__(self, *, stall_s_max: float = STALL_S_MAX, audio_bytes_max: int = AUDIO_BYTES_MAX) -> None:
        self._stall_s_max = stall_s_max
        self._audio_bytes_max = audio_bytes_max
        self._server = Server(stall_s_max)
        self._turns = FairTurns(self.slots)
        self._catalogue = catalogue(self._server.listed)
        self.capabilities = _capabilities(self._catalogue)
        self._closed = False

    @property
    def slots(self) -> int:
        """See `slots_here`."""
        return slots_here()

    @property
    def extra_slots(self) -> int:
        """Utterances beyond the slots, which take turns with them."""
        return max(8, self.slots)

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """See `Engine.begin`."""
        return [self._begin(utterance) for utterance in batch]

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        self._server.stop()

    def _begin(self, utterance: Utterance) -> Synthesis:
        try:
            voice = self._catalogue.identifier(utterance.voice, utterance.language)
            request = _request(utterance)
            stream = self._ask(voice, request)
        except (Refused, Interrupted) as error:
            return _Failed(error)
        again = partial(self._server.ask, voice, request)
        turn = self._turns.join(utterance.owner)
        return _EspeakSpeech(self._server, stream, again, self._audio_bytes_max, turn)

    def _ask(self, voice: str, request: bytes) -> socket.socket:
        if not self._server.lost:
            with suppress(OSError):
                return self._server.ask(voice, request)
        if self._closed:
            raise Interrupted("closed")
        self._server.retire()
        try:
            self._server = Server(self._stall_s_max)
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
        texts_broken_up=True,
    )


class Server:
    """The running espeak server. All its failures are `OSError`s."""

    def __init__(self, stall_s_max: float) -> None:
        self.lost = False  # set by a caller whose wait timed out
        self._stall_s_max = stall_s_max
        self._process = ForkServer(
            "espeak",
            Path(__file__).with_name("espeak_server.py"),
            _library_folder(),
            start_s=START_S_MAX,
            send_s=stall_s_max,
            hello_bytes_max=HELLO_BYTES_MAX,
            bare=True,  # importing site-packages would take longer than starting espeak
        )
        self.listed = msgspec.json.decode(self._process.hello, type=tuple[Listed, ...])
        self.is_lost = self._process.is_lost
        self.log_death = self._process.log_death
        self.stop = self._process.stop
        self.retire = self._process.retire

    def ask(self, voice: str, request: bytes) -> socket.socket:
        """Send the request to a child; its output is read from the returned socket. `voice`: espeak's
        identifier and our variant, "gmw/en-US+f2".
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:  # a copy kept here would hide that the server closed its own
                self._process.send(voice.encode(), [theirs.fileno()])
            limit_waits(ours, self._stall_s_max)
            ours.sendall(_LENGTH.pack(len(request)) + request)
        except OSError:
            ours.close()
            raise
        return ours


def _library_folder() -> str:
    package = find_spec("espeakng_loader")  # located, never imported: its licence stays in the other process
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the espeak engine needs codevoice[embedded]", name="espeakng_loader")
    return package.submodule_search_locations[0]


class _Died(Exception):
    """A child ended before its text did, or stopped in the middle, without being closed."""


class _EspeakSpeech:
    """The output of one child; if it dies, of a second one, from the point where the first one died.

    A text that kills two children is refused. Both make the same audio from the same request, so the part
    that the first one sent is skipped in the second one's.
    """

    def __init__(
        self,
        server: Server,
        stream: socket.socket,
        ask_again: Callable[[], socket.socket],
        audio_bytes_max: int,
        turn: Turn,
    ) -> None:
        self._server = server
        self._stream = stream
        self._ask_again = ask_again
        self._audio_bytes_max = audio_bytes_max
        self._turn = turn
        # Guards the flags and the descriptor's lifetime; never held while waiting for audio.
        self._lock = threading.Lock()
        self._reading = False
        self._over = False
        self._has_begun = False  # the current child has begun: its server has responded

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            if self._over:
                raise Interrupted("closed")
            self._reading = True
        try:
            self._turn.take()
            for pcm in self._audio():
                yield pcm
                self._turn.pass_on()
        finally:
            self._turn.leave()
            with self._lock:
                self._over = True
                self._stream.close()

    @property
    def engine_s(self) -> float:
        """How long it has had a turn."""
        return self._turn.engine_s

    def close(self) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            self._stream.shutdown(socket.SHUT_RDWR)  # wakes the reader and makes the child's next write fail
            if not self._reading:
                self._stream.close()
                self._turn.leave()
            self._turn.cancel()

    def _audio(self) -> Iterator[bytes]:
        given = 0
        try:
            for pcm in self._counted(0):
                given += len(pcm)
                yield pcm
        except _Died:
            self._server.log_death(1)
            self._begin_again()
        else:
            return
        try:
            yield from self._counted(given)
        except _Died:
            self._server.log_death(2)
            raise Refused("unspeakable_text") from None

    def _counted(self, skipped: int) -> Iterator[bytes]:
        """The child's output without its first `skipped` bytes."""
        audio_bytes = 0
        while pcm := self._frame():
            new = pcm[max(0, skipped - audio_bytes) :]
            audio_bytes += len(pcm)
            if audio_bytes > self._audio_bytes_max:
                raise Refused("audio_too_long")
            if new:
                yield new

    def _begin_again(self) -> None:
        try:
            stream = self._ask_again()
        except OSError as error:
            raise Interrupted("espeak server") from error
        with self._lock:
            self._stream.close()
            self._stream = stream
            self._has_begun = False
            if self._over:
                raise Interrupted("closed")

    def _frame(self) -> bytes:
        try:
            head = received(self._stream, _LENGTH.size)
            length = int.from_bytes(head, "little")
            pcm = received(self._stream, length) if 0 < length <= FRAME_BYTES_MAX else b""
        except OSError as error:  # timed out, or reset: nobody read the request
            if self._has_begun and not self._over and not self._server.is_lost():
                raise _Died from error
            self._server.lost = True
            raise Interrupted("espeak server") from error
        is_whole = len(head) == _LENGTH.size and len(pcm) == length and length % 2 == 0
        if self._over or (not is_whole and self._server.is_lost()):
            raise Interrupted("broke off")
        if not is_whole:
            raise _Died
        self._has_begun = True
        return pcm


class _Failed:
    """A synthesis that could not begin."""

    def __init__(self, error: Refused | Interrupted) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error

    def close(self) -> None:
        pass
