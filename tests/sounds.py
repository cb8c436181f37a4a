"""Audio files for tests: valid ones in every format, and malicious ones."""

import io
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import av

CLIPS = Path(__file__).parent / "data" / "speech"
# Name of the ending -> muxer, codec.
FORMATS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "ogg": ("ogg", "libopus"),
    "opus": ("opus", "libopus"),
    "flac": ("flac", "flac"),
    "webm": ("webm", "libopus"),
    "aac": ("adts", "aac"),
}
_RATE_HZ = 16_000


def clips() -> dict[str, tuple[bytes, str]]:
    """Each clip's file, and the words spoken in it."""
    lines = (CLIPS / "clips.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    return {name: ((CLIPS / f"{name}.wav").read_bytes(), text) for name, _, text in rows}


def encoded(pcm: bytes, ending: str) -> bytes:
    """Signed 16-bit mono PCM at 16 kHz as a file of that kind."""
    muxer, codec = FORMATS[ending]
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=_RATE_HZ, layout="mono")
        fifo = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=_RATE_HZ)
        for frame in resampler.resample(_frame(pcm)):
            frame.pts = None
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while frame := fifo.read(size, partial=True):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _frame(pcm: bytes) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = _RATE_HZ
    frame.planes[0].update(pcm)
    return frame


def wav(pcm: bytes, *, rate_hz: int = _RATE_HZ, channels: int = 1, bits: int = 16, kind: int = 1) -> bytes:
    """A WAV file with these header values, true or not."""
    block = channels * bits // 8
    rates = rate_hz, rate_hz * block & 0xFFFFFFFF, block & 0xFFFF, bits
    riff = struct.pack("<4sI4s", b"RIFF", len(pcm) + 36, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, *rates)
    return riff + fmt + struct.pack("<4sI", b"data", len(pcm)) + pcm


def hostile(canary: Path, speech: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each. `canary`: a file on this machine that none may read; `speech`: good PCM."""
    yield from _of_other_kinds(canary)
    yield from _references(canary, speech)
    yield from _headers(speech)
    yield from _bombs()
    yield from _damaged(speech)


def _of_other_kinds(canary: Path) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "one byte", b"R"
    yield "text", b"hello world\n" * 100
    yield "html", b"<!doctype html><html><body>hi</body></html>"
    yield "pdf", b"%PDF-1.7\n" + bytes(500)
    yield "zip", b"PK\x03\x04" + bytes(500)
    yield "png", b"\x89PNG\r\n\x1a\n" + bytes(500)
    yield "zeros", bytes(5000)
    yield "random", random.Random(1).randbytes(5000)
    yield "ffconcat", b"ffconcat version 1.0\nfile '%s'\n" % bytes(canary)
    yield "concat", b"file '%s'\n" % bytes(canary)
    yield "hls", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n#EXT-X-ENDLIST\n" % bytes(canary)
    yield "m3u", bytes(canary) + b"\n"
    yield "sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    yield "dash", b'<?xml version="1.0"?><MPD><BaseURL>file://%s</BaseURL></MPD>' % bytes(canary)
    yield "avi", b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(100)
    yield "midi", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60" + bytes(50)


def _references(canary: Path, speech: bytes) -> Iterator[tuple[str, bytes]]:
    """Containers that point elsewhere."""
    url = b"file://" + bytes(canary) + b"\0"
    good = encoded(speech, "m4a")
    own = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    assert own in good
    outside = struct.pack(">I4sI", 12 + len(url), b"url ", 0) + url
    yield "mov with a data reference", _grown(good, own, outside)
    concat = b"ffconcat version 1.0\nfile '%s'\n" % bytes(canary)
    yield "ogg that goes on as ffconcat", b"OggS\n" + concat
    yield "wav that goes on as a playlist", b"RIFF\x24\x00\x00\x00WAVE#EXTM3U\n" + bytes(canary)
    yield "id3 before ffconcat", b"ID3\x04\x00\x00\x00\x00\x00\x00" + concat
    yield "flac that goes on as html", b"fLaC<html>" + bytes(canary)


def _grown(file: bytes, old: bytes, new: bytes) -> bytes:
    """`file` with a box replaced, and every box around it made longer by as much."""
    at, more = file.index(old), len(new) - len(old)
    grown = bytearray(file)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = file.rindex(name, 0, at) - 4
        size = int.from_bytes(file[start : start + 4])
        grown[start : start + 4] = (size + more).to_bytes(4)
    return bytes(grown[:at]) + new + bytes(grown[at + len(old) :])


def _headers(speech: bytes) -> Iterator[tuple[str, bytes]]:
    yield "wav at 1 Hz", wav(speech[:2000], rate_hz=1)
    yield "wav at 3999 Hz", wav(speech, rate_hz=3999)
    yield "wav at 4 GHz", wav(speech, rate_hz=0xFFFFFFFF)
    yield "wav at 0 Hz", wav(speech, rate_hz=0)
    yield "wav with 0 channels", wav(speech, channels=0)
    yield "wav with 9 channels", wav(speech, channels=9)
    yield "wav with 65535 channels", wav(speech, channels=65535)
    yield "wav of an unknown codec", wav(speech, kind=0x7A21)
    yield "wav with no samples", wav(b"")
    yield "wav header alone", wav(speech)[:44]
    yield "half a wav header", wav(speech)[:20]
    yield "mp3 header alone", b"\xff\xfb\x90\x00"
    yield "id3 tag of 256 MB", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(1000)


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "an hour of silence in flac", encoded(bytes(2 * _RATE_HZ * 3600), "flac")
    yield "eleven minutes of silence in opus", encoded(bytes(2 * _RATE_HZ * 660), "opus")
    yield "eleven minutes of silence in 4 kHz wav", wav(bytes(2 * 4000 * 660), rate_hz=4000)


def _damaged(speech: bytes) -> Iterator[tuple[str, bytes]]:
    """Of each format the mere beginning, and one whose content is noise behind a good beginning."""
    noise = random.Random(2)
    for ending in FORMATS:
        if ending in ("mp4", "opus"):
            continue
        good = encoded(speech, ending)
        yield f"the beginning of {ending}", good[:40]
        if ending != "wav":  # any bytes are samples
            yield f"noise in {ending}", good[:24] + noise.randbytes(len(good))
