"""The process that holds the eSpeak NG library and forks a child for each utterance. Started by path.

espeak is neither thread-safe nor deterministic within a process, and its licence is GPL-3; so it lives in
a process of its own that never speaks. Only children do, each once, all from the same untouched state.

Arguments: the number of the inherited control socket, the folder with the library and its data.
Control socket (packets): out, when ready, one JSON list of espeak's voices and variants; in, for each
utterance its voice and a stream socket. Its end means that the worker is gone: everything here stops.
Stream: in, a length-prefixed JSON request; out, length-prefixed PCM (signed 16-bit, mono). An empty frame
means complete, an end without one interrupted. Lengths are 4 bytes, little-endian.
"""

import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

SAMPLE_RATE_HZ = 22_050
CPU_S_MAX = 120  # of one utterance; many times what the longest allowed text takes
FRAME_BYTES, FRAME_BYTES_MAX = 16_384, 65_536  # espeak gives 2,648 at a time: the worker would wake for each
VOICE_BYTES_MAX = 256
IDLE_S = 0.02
CALM_S = 0.03  # between requests of which each comes alone
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
POPULATE_WRITE = 23  # of madvise, since Linux 5.14; older ones refuse it, which does no harm
UTF8 = 1  # and nothing else: text is never read as SSML or phonemes
RATE, PITCH = 1, 3


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_OnAudio = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def main(control: socket.socket, folder: str) -> NoReturn:
    """Announce the voices, then speak until the worker is gone."""
    os.setpgid(0, 0)  # so that a terminal's Ctrl-C is the worker's to handle, and our children end with us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    espeak = _load(folder)
    control.send(json.dumps(_voices(espeak, None) + _voices(espeak, b"variant")).encode())
    _serve(espeak, control)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


def _serve(espeak: ctypes.CDLL, control: socket.socket) -> None:
    ahead: _Ahead | None = None
    last, last_at = b"", 0.0
    while come := _received(control):
        is_calm, last_at = time.monotonic() - last_at > CALM_S, time.monotonic()
        voice, stream = come
        fits = ahead is not None and ahead.voice == voice
        with stream:
            if ahead and fits and ahead.take(stream):
                ahead = None
            elif os.fork() == 0:
                _leave(control, ahead)
                _answer(espeak, voice, lambda come=come: come)
        if voice == last and (ahead is None or not fits) and _is_idle(control):
            _leave(ahead)
            ahead = _Ahead(espeak, voice, control, is_calm=is_calm)
        last = voice


def _received(way: socket.socket) -> tuple[bytes, socket.socket] | None:
    """A packet and the socket that came with it; None at the end."""
    packet, fds, _, _ = socket.recv_fds(way, VOICE_BYTES_MAX, 1)
    return (packet, socket.socket(fileno=fds[0])) if fds else None


def _is_idle(control: socket.socket) -> bool:
    """Whether nothing is asked for so long that what is under way has most likely ended."""
    return not select.select([control], [], [], IDLE_S)[0]


class _Ahead:
    """A child forked ahead, its voice set: most of what an utterance has to wait for before it sounds."""

    def __init__(self, espeak: ctypes.CDLL, voice: bytes, control: socket.socket, *, is_calm: bool) -> None:
        self.voice = voice
        self._way, theirs = socket.socketpair()
        with theirs:
            if os.fork() == 0:
                _leave(control, self)
                _answer(espeak, voice, partial(_awaited, theirs, is_calm))

    def take(self, stream: socket.socket) -> bool:
        """Have it speak what `stream` says; false where it is no more."""
        with self._way:
            try:
                socket.send_fds(self._way, [b"speak"], [stream.fileno()])
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Let it end."""
        self._way.close()


def _awaited(way: socket.socket, is_calm: bool) -> tuple[bytes, socket.socket] | None:
    if is_calm:  # else others may need the processor more
        _take_memory()
    return _received(way)


def _take_memory() -> None:
    """Have all that is shared with the server copied now: once it speaks that costs a fault a page, in all a
    millisecond.
    """
    libc = ctypes.CDLL(None)
    with open("/proc/self/maps") as maps:
        for line in maps:
            where, rights, *_ = line.split()
            if rights == "rw-p":
                start, end = (int(edge, 16) for edge in where.split("-"))
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), POPULATE_WRITE)


def _leave(*ours: socket.socket | _Ahead | None) -> None:
    """What a child must not keep: its server's death would not be seen by those at the other ends."""
    for each in ours:
        if each:
            each.close()


def _load(folder: str) -> ctypes.CDLL:
    # espeak's buffers end at about 155 characters of path. A folder's descriptor has a short name, however
    # deep the folder lies, and children inherit it.
    short = f"/proc/self/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}"
    espeak = ctypes.CDLL(f"{folder}/libespeak-ng.so")
    espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    rate_hz = espeak.espeak_Initialize(SYNCHRONOUS, 0, f"{short}/espeak-ng-data".encode(), DONT_EXIT)
    if rate_hz != SAMPLE_RATE_HZ:
        raise SystemExit(f"espeak did not start: {rate_hz}")
    espeak.espeak_SetVoiceByName(b"gmw/en-US")  # loads what every child would load again: 2 ms
    return espeak


def _voices(espeak: ctypes.CDLL, kind: bytes | None) -> list[dict[str, Any]]:
    found = espeak.espeak_ListVoices(ctypes.byref(_Voice(languages=_address(kind))) if kind else None)
    voices: list[dict[str, Any]] = []
    while found[len(voices)]:
        voice = found[len(voices)].contents
        voices.append(
            {
                "name": voice.name.decode(),
                "identifier": voice.identifier.decode(),
                "gender": voice.gender,
                "languages": list(_languages(voice.languages)),
            }
        )
    return voices


def _address(text: bytes) -> int | None:
    return ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value


def _languages(address: int) -> Iterator[str]:
    """espeak writes a priority byte and a tag for each, and a zero after the last."""
    while ctypes.string_at(address, 1) != b"\0":
        tag = ctypes.string_at(address + 1)
        yield tag.decode()
        address += len(tag) + 2


def _answer(
    espeak: ctypes.CDLL, voice: bytes, wait: Callable[[], tuple[bytes, socket.socket] | None]
) -> NoReturn:
    """Speak what comes by the stream that `wait` gives; nothing, where it gives none."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
        if espeak.espeak_SetVoiceByName(voice):
            raise LookupError(voice)
        if come := wait():
            _speak(espeak, come[1], _request(come[1]))
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(0)  # the server's own state is not ours to tidy


def _request(stream: socket.socket) -> dict[str, Any]:
    with stream.makefile("rb") as request:
        (length,) = struct.unpack("<I", request.read(4))
        return json.loads(request.read(length))


def _speak(espeak: ctypes.CDLL, stream: socket.socket, request: dict[str, Any]) -> None:
    frames = _Frames(stream)
    on_audio = _OnAudio(frames.on_audio)
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices are noise: always the same one
    espeak.espeak_SetSynthCallback(on_audio)
    espeak.espeak_SetParameter(RATE, request["rate"], 0)
    espeak.espeak_SetParameter(PITCH, request["pitch"], 0)
    text = request["text"].replace("\0", " ").encode() + b"\0"
    espeak.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, UTF8, None, None)
    frames.finish()


class _Frames:
    """Sends the first sound at once, for a quick start, and what follows in frames that grow: 0.4 to 1.5 s.

    Silence alone is not sent: espeak makes 7 ms of it of a text with nothing to say.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._pending = bytearray()
        self._enough_bytes = 1
        self._heard = False
        self._abandoned = False

    def on_audio(self, samples: int | None, count: int, _events: int | None) -> int:
        """espeak's callback: 1 tells it to stop."""
        if samples and count > 0:
            self._pending += ctypes.string_at(samples, count * 2)
            self._heard = self._heard or any(self._pending)
            if self._heard and len(self._pending) >= self._enough_bytes:
                self._send(self._pending)
                self._pending.clear()
                self._enough_bytes = min(FRAME_BYTES_MAX, max(FRAME_BYTES, 2 * self._enough_bytes))
        return int(self._abandoned)

    def finish(self) -> None:
        """Send what is left, and the mark that this was all."""
        if self._heard and self._pending:
            self._send(self._pending)
        self._send(b"")

    def _send(self, pcm: bytes | bytearray) -> None:
        try:
            if not self._abandoned:
                self._stream.sendall(struct.pack("<I", len(pcm)) + pcm)
        except OSError:  # the reader left: that is how it cancels
            self._abandoned = True


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
