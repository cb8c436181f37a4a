"""The process that holds the eSpeak NG library and forks a child for each utterance.

espeak is neither thread-safe nor deterministic within a process, and its licence is GPL-3. It therefore lives
in a process of its own that never speaks itself. Only its children do, each once, all from the same initial
state, and confined before they read the text. Started by `workers/process/bootstrap.py`, without packages.

Arguments: the number of the inherited control socket, the folder with the library and its data.
Control socket (packets): out, when ready, one JSON list of espeak's voices and variants; in, for each
utterance its voice and a stream socket. Its end means that the worker is gone: everything here stops.
Stream: in, a length-prefixed JSON request; out, length-prefixed PCM (signed 16-bit, mono). An empty frame
means complete, an end without one means interrupted. Lengths are 4 bytes, little-endian. A request with
`ipa`, a list of texts, is not spoken: the output is one frame, the JSON list of their phonemes.
"""

import ctypes
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any, NoReturn

from workers.process.confinement import Confinement

SAMPLE_RATE_HZ = 22_050
FRAME_BYTES, FRAME_BYTES_MAX = 16_384, 65_536  # espeak's own 2,648 would wake the worker too often
VOICE_BYTES_MAX = 256
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
UTF8 = 1  # without other flags: text is never read as SSML or phonemes
TIED_IPA = 0x02 | 0x80 | ord("^") << 8  # IPA, with "^" between the letters of one sound
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


def main(confinement: Confinement, arguments: list[str]) -> NoReturn:
    """Announce the voices, then speak until the worker is gone."""
    control, folder = socket.socket(fileno=int(arguments[0])), arguments[1]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    espeak, data = _load(folder)
    speaker = _Speaker(espeak, confinement)
    voices = _voices(espeak, None) + _voices(espeak, b"variant")
    confinement.of_server([folder])
    _check_readable(data)
    control.send(json.dumps(voices).encode())
    _serve(speaker, control)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


class _Speaker:
    """Everything a child needs, made before the confinement: afterwards no memory becomes executable, which a
    callback requires, and no file but espeak's own can be opened.
    """

    def __init__(self, espeak: ctypes.CDLL, confinement: Confinement) -> None:
        self.espeak = espeak
        self.confinement = confinement
        self.frames = _Frames()
        self.on_audio = _OnAudio(self.frames.on_audio)


def _serve(speaker: _Speaker, control: socket.socket) -> None:
    while request := _received(control):
        voice, stream = request
        with stream:
            if os.fork() == 0:
                control.close()  # the server's death would not be noticed at its other end
                _answer(speaker, voice, stream)


def _received(way: socket.socket) -> tuple[bytes, socket.socket] | None:
    """A packet and the socket that came with it; None at the end."""
    packet, fds, _, _ = socket.recv_fds(way, VOICE_BYTES_MAX, 1)
    return (packet, socket.socket(fileno=fds[0])) if fds else None


def _load(folder: str) -> tuple[ctypes.CDLL, str]:
    """The initialised library, and the folder of its data."""
    # espeak's buffers hold about 155 characters of path. A folder's descriptor has a short name, however deep
    # the folder lies, and children inherit it.
    data = f"/proc/self/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}/espeak-ng-data"
    espeak = ctypes.CDLL(f"{folder}/libespeak-ng.so")
    espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rate_hz = espeak.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
    if rate_hz != SAMPLE_RATE_HZ:
        raise SystemExit(f"espeak did not start: {rate_hz}")
    espeak.espeak_SetVoiceByName(b"gmw/en-US")  # loads what every child would otherwise load again: 2 ms
    return espeak, data


def _check_readable(data: str) -> None:
    """Fail at the start rather than at each text: children open dictionaries as the current user."""
    try:
        os.close(os.open(f"{data}/phontab", os.O_RDONLY))
    except OSError as error:
        raise SystemExit(
            f"espeak's data cannot be read by uid {os.getuid()}: {error.strerror}. Let everybody read the"
            " folder of the package espeakng_loader: chmod -R o+rX"
        ) from None


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
    """espeak writes a priority byte and a tag for each language, and a zero after the last."""
    while ctypes.string_at(address, 1) != b"\0":
        tag = ctypes.string_at(address + 1)
        yield tag.decode()
        address += len(tag) + 2


def _answer(speaker: _Speaker, voice: bytes, stream: socket.socket) -> NoReturn:
    """Speak the request that comes by `stream`."""
    try:
        speaker.confinement.of_child()
        if speaker.espeak.espeak_SetVoiceByName(voice):
            raise LookupError(voice)
        request = _request(stream)
        answer = _say_phonemes if "ipa" in request else _speak
        answer(speaker, stream, request)
    finally:
        os._exit(0)  # the server's own state is not ours to tidy


def _request(stream: socket.socket) -> dict[str, Any]:
    with stream.makefile("rb") as request:
        (length,) = struct.unpack("<I", request.read(4))
        return json.loads(request.read(length))


def _speak(speaker: _Speaker, stream: socket.socket, request: dict[str, Any]) -> None:
    espeak, frames = speaker.espeak, speaker.frames
    frames.stream = stream
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices are noise: always the same noise
    espeak.espeak_SetSynthCallback(speaker.on_audio)
    espeak.espeak_SetParameter(RATE, request["rate"], 0)
    espeak.espeak_SetParameter(PITCH, request["pitch"], 0)
    text = request["text"].replace("\0", " ").encode() + b"\0"
    espeak.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, UTF8, None, None)
    frames.finish()


def _say_phonemes(speaker: _Speaker, stream: socket.socket, request: dict[str, Any]) -> None:
    answer = json.dumps([_ipa(speaker.espeak, text) for text in request["ipa"]]).encode()
    stream.sendall(struct.pack("<I", len(answer)) + answer)


def _ipa(espeak: ctypes.CDLL, text: str) -> str:
    """The phonemes of all clauses of `text`; espeak drops the punctuation between them."""
    whole = ctypes.create_string_buffer(text.replace("\0", " ").encode())
    rest = ctypes.c_void_p(ctypes.addressof(whole))
    clauses: list[str] = []
    while rest.value:
        found = espeak.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, TIED_IPA)
        clauses.append((found or b"").decode(errors="replace"))
    return " ".join(filter(None, clauses))


class _Frames:
    """Sends the first sound at once, for a quick start, then frames of growing size: 0.4 to 1.5 s.

    Silence alone is not sent: espeak makes 7 ms of silence from a text with nothing to say.
    """

    stream: socket.socket

    def __init__(self) -> None:
        self._pending = bytearray()
        self._enough_bytes = 1
        self._has_sound = False
        self._abandoned = False

    def on_audio(self, samples: int | None, count: int, _events: int | None) -> int:
        """espeak's callback: returning 1 stops it."""
        if samples and count > 0:
            pcm = ctypes.string_at(samples, count * 2)
            self._pending += pcm
            self._has_sound = self._has_sound or any(pcm)
            if not self._has_sound:  # else an hour of silence would be kept, and searched at every call
                del self._pending[:-FRAME_BYTES_MAX]
            if self._has_sound and len(self._pending) >= self._enough_bytes:
                self._send(self._pending)
                self._pending.clear()
                self._enough_bytes = min(FRAME_BYTES_MAX, max(FRAME_BYTES, 2 * self._enough_bytes))
        return int(self._abandoned)

    def finish(self) -> None:
        """Send the rest, and the mark of completeness."""
        if self._has_sound and self._pending:
            self._send(self._pending)
        self._send(b"")

    def _send(self, pcm: bytes | bytearray) -> None:
        try:
            if not self._abandoned:
                self.stream.sendall(struct.pack("<I", len(pcm)) + pcm)
        except OSError:  # the reader closed the stream: that is how it cancels
            self._abandoned = True
