"""Fuzz targets for untrusted bytes: functions that raise if a promise is broken."""

import io
import os
import wave
from collections.abc import Callable, Mapping
from typing import Any

from db.storage.uploads import CONTAINERS, container_of
from db.types import SpeechParams
from workers.audio import decode_server
from workers.audio.encoder import SAMPLE_BYTES, Encoder, wav_header
from workers.text.split import split

Target = Callable[[bytes], None]
_RATES_HZ = (8000, 11025, 16000, 22050, 44100, 48000)
_LANGUAGES = ("en", "de-DE", "ja", "ar", "th", "xx", "")
_SECONDS_MAX = 2


def wav_writing(data: bytes) -> None:
    """However the sound is cut into pieces: a header of the right length, and every sample behind it."""
    rate_hz, piece = _RATES_HZ[_first(data) % len(_RATES_HZ)], 2 * (1 + _first(data[1:]))
    pcm = data[2:][: len(data[2:]) // SAMPLE_BYTES * SAMPLE_BYTES]
    params = SpeechParams(text="", voice="", language="", format="wav", rate_hz=rate_hz)
    encoder = Encoder(params, engine_hz=rate_hz)
    out = (
        b"".join(encoder.encode(pcm[at : at + piece]) for at in range(0, len(pcm), piece)) + encoder.finish()
    )

    assert out == (wav_header(None, rate_hz) + pcm if pcm else b"")
    whole = encoder.header() + out[len(encoder.header()) :]
    with wave.open(io.BytesIO(whole)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (rate_hz, 1, SAMPLE_BYTES)
        assert read.readframes(read.getnframes()) == pcm


def decode_guard(data: bytes) -> None:
    """A file is one of the containers or none; what is refused, is refused by name; nothing else escapes."""
    sizes = list[int]()
    with open(os.memfd_create("upload"), "w+b") as file:  # the kernel's idea of places, not Python's
        file.write(data)
        container = container_of(file)
        assert file.tell() == 0
        assert container is None or container in CONTAINERS
        report = decode_server._report(file, _limits(container or "mp4"), lambda pcm: sizes.append(len(pcm)))
    if "refused" in report:
        assert report["refused"] in _REFUSALS
    else:
        assert sum(sizes) == report["samples"] * SAMPLE_BYTES
        assert report["samples"] <= _SECONDS_MAX * decode_server.RATE_HZ


def text_splitter(data: bytes) -> None:
    """Nothing but white space is lost, no piece is empty, and what does not fit could not be cut."""
    language, most = _LANGUAGES[_first(data) % len(_LANGUAGES)], 1 + _first(data[1:]) % 60
    text = data[2:].decode("utf-8", errors="replace")
    pieces = split(text, language=language, fits=lambda piece: len(piece) <= most)

    assert "".join("".join(pieces).split()) == "".join(text.split())
    for piece in pieces:
        assert piece.strip()
        assert len(piece) <= most or _is_one_letter(piece)


TARGETS: Mapping[str, Target] = {
    "wav": wav_writing,
    "guard": decode_guard,
    "split": text_splitter,
}
_REFUSALS = {
    *("no_audio", "broken_audio", "audio_too_complex", "audio_too_long", "external_reference"),
    *("sample_rate_not_supported", "too_many_channels"),
}


def seeds(name: str) -> list[bytes]:
    """What to begin from, so that not all is refused at the first byte."""
    if name != "guard":
        return [b"\x00\x05Hello, world. How are you?", "\x01\x03مرحبا é👩‍👩‍👧 日本語。".encode()]
    sound = bytes(range(256)) * 20
    moov = b"dref" + bytes(4) + (1).to_bytes(4) + (12).to_bytes(4) + b"url " + bytes(4)
    boxes = [(8).to_bytes(4) + b"ftyp", (8 + len(moov)).to_bytes(4) + b"moov" + moov]
    huge = b"\x00\x00\x00\x01free" + b"\x7f" + b"\xff" * 7
    return [
        wav_header(len(sound), 16_000) + sound,
        b"".join(boxes),
        boxes[0] + huge + boxes[1],
        boxes[0] + bytes(4) + b"moov",
        *(
            magic + sound
            for magic in (b"OggS", b"fLaC", b"\x1a\x45\xdf\xa3", b"ID3\x04\x00\x00\x00\x00\x00\x0a")
        ),
    ]


def _first(data: bytes) -> int:
    return data[0] if data else 0


def _is_one_letter(piece: str) -> bool:
    """A letter and what combines with it: the splitter knows no place to cut."""
    from workers.text.split import _may_end

    return not any(_may_end(piece, end) for end in range(1, len(piece)))


def _limits(container: str) -> dict[str, Any]:
    return {
        "container": container,
        "samples_max": _SECONDS_MAX * decode_server.RATE_HZ,
        "channels_max": 8,
        "rates_hz": (4000, 192_000),
        "errors_max": 100,
    }
