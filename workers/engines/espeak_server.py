"""The process that holds the eSpeak NG library and forks a child for each utterance. Started by path.

espeak is neither thread-safe nor deterministic within a process, and its licence is GPL-3; so it lives in
a process of its own that never speaks. Only children do, each once, all from the same untouched state.

Arguments: the number of the inherited control socket, the folder with the library and its data.
Control socket (packets): out, when ready, one JSON list of espeak's voices and variants; in, a stream
socket for each utterance. Its end means that the worker is gone: everything here stops.
Stream: in, a length-prefixed JSON request; out, length-prefixed PCM (signed 16-bit, mono). An empty frame
means complete, an end without one interrupted. Lengths are 4 bytes, little-endian.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

SAMPLE_RATE_HZ = 22_050
CPU_S_MAX = 120  # of one utterance; many times what the longest allowed text takes
FRAME_BYTES = 16_384  # espeak gives at most 2,648 at a time; 0.37 s of audio spares the worker system calls
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
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
    while fds := socket.recv_fds(control, 1, 1)[1]:
        with socket.socket(fileno=fds[0]) as stream:
            if os.fork() == 0:
                control.close()  # else we would keep it open for a server that died
                _answer(espeak, stream)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


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


def _answer(espeak: ctypes.CDLL, stream: socket.socket) -> NoReturn:
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
        _speak(espeak, stream, _request(stream))
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
    if espeak.espeak_SetVoiceByName(request["voice"].encode()):
        raise LookupError(request["voice"])
    espeak.espeak_SetParameter(RATE, request["rate"], 0)
    espeak.espeak_SetParameter(PITCH, request["pitch"], 0)
    text = request["text"].replace("\0", " ").encode() + b"\0"
    espeak.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, UTF8, None, None)
    frames.finish()


class _Frames:
    """Sends the first sound at once, for a quick start, and what follows in frames of a useful size.

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
                self._enough_bytes = FRAME_BYTES
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
