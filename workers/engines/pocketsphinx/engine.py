"""PocketSphinx: a small recogniser of American English, on any CPU, its model in its package.

It predates neural networks: good for clear, short speech, poor for everything else. This module starts and
stops its server, `pocketsphinx_server.py`, and reads what its children send.
"""

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from db.settings import SettingsError
from db.storage.transcripts import Segment, Word
from db.types import Capabilities
from workers.engines.protocol import Interrupted, Refused
from workers.engines.transcriber import Recognition, TranscriptionOptions
from workers.engines.turns import Turns
from workers.process.launcher import ForkServer

LANGUAGE = "en-US"
RATE_HZ, SAMPLE_BYTES = 16_000, 2
SLOTS = 2  # while one is recognised, the next is decoded
SECONDS_MAX = 4 * 3600
START_S_MAX = 20.0
CPU_S_LEAST, CPU_S_A_SECOND = 60, 4  # ten times what it takes
WALL_PER_CPU = 5  # other processes need the processor too
USED_UP = 0.9  # of the limit: the kernel counts CPU time in ticks, so a child killed for it may show less
POLL_S = 0.1
# Limits of a child's output, since a child may have been taken over. It recognises at most 15 s at a time.
STALL_S_LEAST, STALL_A_SECOND = 300, 0.1  # without a line; silence has none
LINE_BYTES_MAX = 1 << 16
ITEMS_LEAST, ITEMS_A_SECOND = 100, 10  # words and lines
CHARACTERS_MAX = 50  # of a word
TIME_SLACK_S = 60
COST_US_PER_SECOND = 200_000  # measured: 150,000 to 400,000
_DESCRIPTION = (
    "PocketSphinx, a small recogniser of American English from before neural networks: fit for clear, short"
    " speech and for trying things out. For anything else run the engine 'whisper'."
)
WARNING = (
    "PocketSphinx heard this, a recogniser of the last resort: expect wrong words. The engine 'whisper' does"
    " better."
)


_Spelling = Annotated[str, Meta(pattern=r"\A[!-~]+\Z", max_length=CHARACTERS_MAX)]
_Second = Annotated[float, Meta(ge=0, le=SECONDS_MAX + TIME_SLACK_S)]


class _Line(Struct, frozen=True):
    start: _Second
    end: _Second
    words: list[tuple[_Spelling, _Second, _Second]]


_LINE = msgspec.json.Decoder(_Line)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Died(Exception):
    """A child ended before its recording did, without being stopped."""


class PocketsphinxTranscriber:
    """Transcribes each recording in a process of its own, forked from a server that starts when first needed
    and again after a loss.

    One recording at a time: its child has a processor for itself. A recording that kills two processes is
    refused. Both recognise the same in the same recording, so what the first one found is skipped in the
    second one's output.
    """

    slots = SLOTS

    def __init__(self, *, stall_s_least: float = STALL_S_LEAST) -> None:
        if find_spec("pocketsphinx") is None:
            raise SettingsError("CODEVOICE_ENGINE: pocketsphinx needs codevoice[embedded]")
        self._stall_s_least = stall_s_least
        self._lock = threading.Lock()
        self._turns = Turns()
        self._server: ForkServer | None = None
        self._closed = False
        self.capabilities = Capabilities(
            engine="pocketsphinx",
            kind="transcription",
            sample_rate_hz=16_000,
            description=_DESCRIPTION,
            languages=(LANGUAGE,),
            language_names=("English (United States)",),
            seconds_max=SECONDS_MAX,
            cost_us_per_second=COST_US_PER_SECOND,
            accuracy="low",
        )

    def transcribe(
        self, pcm: memoryview, options: TranscriptionOptions, stopped: threading.Event
    ) -> Recognition:
        """See `Transcriber.transcribe`."""
        recognition = Recognition(language=LANGUAGE, segments=iter(()), warnings=[WARNING])
        recognition.segments = self._transcribed(pcm, options, stopped, recognition)
        return recognition

    def close(self) -> None:
        """See `Transcriber.close`."""
        with self._lock:
            self._closed = True
            if self._server is not None:
                self._server.stop()

    def _transcribed(
        self,
        pcm: memoryview,
        options: TranscriptionOptions,
        stopped: threading.Event,
        recognition: Recognition,
    ) -> Iterator[Segment]:
        with self._turns.turn(_seconds(pcm), stopped):
            began = time.monotonic()
            try:
                yield from self._segments(pcm, options, stopped)
            finally:
                recognition.busy_s = time.monotonic() - began

    def _segments(
        self, pcm: memoryview, options: TranscriptionOptions, stopped: threading.Event
    ) -> Iterator[Segment]:
        number = 0
        for line in self._twice(pcm, stopped):
            if line.words:
                yield _segment(number, line, options)
                number += 1

    def _twice(self, pcm: memoryview, stopped: threading.Event) -> Iterator[_Line]:
        """The lines of a child; if it dies, of a second one, from the point where the first one died."""
        given = 0
        try:
            for line in self._lines(pcm, stopped, deaths=1):
                given += 1
                yield line
        except _Died:
            pass
        else:
            return
        try:
            yield from islice(self._lines(pcm, stopped, deaths=2), given, None)
        except _Died:
            raise Refused("broken_audio") from None

    def _lines(self, pcm: memoryview, stopped: threading.Event, *, deaths: int) -> Iterator[_Line]:
        """The output of a fresh child. Raises `_Died` if this is the `deaths`-th death."""
        limits, began = _limits(pcm), time.monotonic()
        server, stream = self._started_child(msgspec.json.encode(limits))
        patience = _Patience(self._stall_s_least + STALL_A_SECOND * _seconds(pcm))
        try:
            with stream, _ended_when(stopped, patience, stream):
                stream.sendall(len(pcm).to_bytes(4, "little"))
                stream.sendall(pcm)
                with stream.makefile("rb") as said:
                    for line in _read(said, _seconds(pcm)):
                        with patience.paused():
                            yield line
            return
        except (OSError, *_MALFORMED) as error:
            if stopped.is_set() or server.is_lost():
                raise Interrupted("pocketsphinx") from error
        if time.monotonic() - began > USED_UP * limits["cpu_s"]:
            raise Refused("audio_too_complex")
        server.log_death(deaths)
        raise _Died

    def _started_child(self, request: bytes) -> tuple[ForkServer, socket.socket]:
        """A child's stream, and its server."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                return self._sent(request, theirs), ours
        except OSError as error:
            ours.close()
            raise Interrupted("pocketsphinx server") from error
        except Interrupted:
            ours.close()
            raise

    def _sent(self, request: bytes, stream: socket.socket) -> ForkServer:
        if self._closed:
            raise Interrupted("closed")
        if self._server is not None:
            with suppress(OSError):
                self._server.send(request, [stream.fileno()])
                return self._server
            self._server.stop()
        self._server = _start()
        self._server.send(request, [stream.fileno()])
        return self._server


def _start() -> ForkServer:
    program = Path(__file__).with_name("pocketsphinx_server.py")
    return ForkServer("pocketsphinx", program, start_s=START_S_MAX, send_s=START_S_MAX)


def _seconds(pcm: memoryview) -> int:
    return len(pcm) // SAMPLE_BYTES // RATE_HZ


def _limits(pcm: memoryview) -> dict[str, int]:
    cpu_s = CPU_S_LEAST + CPU_S_A_SECOND * _seconds(pcm)
    return {"cpu_s": cpu_s, "wall_s": WALL_PER_CPU * cpu_s}


def _read(said: BufferedReader, seconds: int) -> Iterator[_Line]:
    """Lines up to the empty one. Raises ConnectionError if that does not come, or if there are more than a
    recording of that length can have.
    """
    items_left = ITEMS_LEAST + ITEMS_A_SECOND * seconds
    while (line := said.readline(LINE_BYTES_MAX)) != b"\n":
        if not line.endswith(b"\n"):
            raise ConnectionError("the process ended")
        found = _LINE.decode(line)
        items_left -= 1 + len(found.words)
        if items_left < 0:
            raise ConnectionError("more than can have been said")
        yield found


class _Patience:
    """How long a child may send nothing while we wait for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = time.monotonic()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Stop the time inside the block; afterwards it starts anew."""
        self._since = None
        yield
        self._since = time.monotonic()

    def is_over(self) -> bool:
        since = self._since
        return since is not None and time.monotonic() - since > self._seconds


@contextmanager
def _ended_when(stopped: threading.Event, patience: _Patience, stream: socket.socket) -> Generator[None]:
    """Within the block, `stopped` or the end of `patience` ends all reading from and writing to `stream`; its
    child ends soon.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            if stopped.is_set() or patience.is_over():
                with suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _segment(number: int, line: _Line, options: TranscriptionOptions) -> Segment:
    words = tuple(
        Word(word=word, start=round(start, 2), end=round(end, 2)) for word, start, end in line.words
    )
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text=" ".join(word.word for word in words),
        words=words if options.words else (),
    )
