"""Phonemes from eSpeak NG in its own process, which isolates its licence (GPL-3) and its crashes."""

import socket
import threading
from collections.abc import Sequence

import msgspec

from workers.engines.espeak.engine import Server
from workers.engines.protocol import Interrupted, Refused
from workers.process.launcher import received

STALL_S_MAX = 10.0
_DEATHS_MAX = 2
_LOSSES_MAX = 2
_ANSWER_BYTES_MAX = 1 << 20


class _Request(msgspec.Struct, frozen=True):
    ipa: Sequence[str]


class Phonemizer:
    """Returns the pronunciation of texts. Thread-safe. Its process starts with the first request."""

    def __init__(self, stall_s_max: float = STALL_S_MAX) -> None:
        self._stall_s_max = stall_s_max
        self._lock = threading.Lock()
        self._server: Server | None = None

    def ipa(self, voice: str, texts: Sequence[str]) -> list[str]:
        """The IPA of each text, "^" between the letters of one sound, without punctuation.

        `voice`: espeak's identifier ("roa/es"). Raises Refused if two children died of a text; Interrupted.
        """
        request = msgspec.json.encode(_Request(texts))
        deaths = losses = 0
        while deaths < _DEATHS_MAX:
            server = self._started()
            try:
                return _answer(server.ask(voice, request), len(texts))
            except (OSError, EOFError) as error:
                if isinstance(error, EOFError) and not server.is_lost():
                    deaths += 1
                    server.log_death(deaths)
                    continue
                self._drop(server)  # it hangs or is gone, perhaps because another thread has called `close`
                losses += 1
                if losses >= _LOSSES_MAX:
                    raise Interrupted("espeak server") from error
        raise Refused("unspeakable_text")

    def close(self) -> None:
        """End its process; the next request starts another."""
        with self._lock:
            if self._server is not None:
                self._server.stop()
            self._server = None

    def _started(self) -> Server:
        with self._lock:
            if self._server is not None and self._server.is_lost():
                self._server.stop()
                self._server = None
            if self._server is None:
                try:
                    self._server = Server(self._stall_s_max)
                except OSError as error:
                    raise Interrupted("espeak server") from error
            return self._server

    def _drop(self, server: Server) -> None:
        """Make the next request use another server."""
        with self._lock:
            server.stop()
            if self._server is server:
                self._server = None


def _answer(stream: socket.socket, count: int) -> list[str]:
    """Raises EOFError if the child ended before its answer did or sent an invalid one."""
    with stream:
        length = int.from_bytes(_received(stream, 4), "little")
        if length > _ANSWER_BYTES_MAX:
            raise EOFError
        try:
            found = msgspec.json.decode(_received(stream, length), type=list[str])
        except msgspec.DecodeError as error:
            raise EOFError from error
    if len(found) != count:
        raise EOFError
    return found


def _received(stream: socket.socket, count: int) -> bytes:
    found = received(stream, count)
    if len(found) < count:
        raise EOFError
    return found
