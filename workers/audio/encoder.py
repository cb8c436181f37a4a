"""Encodes PCM while it is synthesised, in the formats of `db.formats` at their sample rates."""

import hashlib
import struct
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from db.formats import FORMATS, Format
from db.types import SpeechParams
from workers.audio.mp3 import info_frame

Samples = NDArray[np.int16]
SAMPLE_BYTES = 2
_UNKNOWN = 0xFFFFFFFF
_WARM_UP_HZ = 22_050
_SLOW_HZ = 8000


class Encoder:
    """The encoder of one utterance. The first bytes it returns are header and sound, never a header alone."""

    def __init__(self, params: SpeechParams, *, engine_hz: int) -> None:
        form = FORMATS[params.format]
        self.content_type = form.content_type
        self.rate_hz = form.rate_hz(params.rate_hz, engine_hz)
        self.samples = 0  # at the file's rate, passed to the codec so far
        self._resampler = None if self.rate_hz == engine_hz else _resampler(engine_hz, self.rate_hz)
        self._codec = _codec(form, self.rate_hz, params.bitrate_kbps)

    def encode(self, pcm: bytes) -> bytes:
        """The encoded bytes ready now (may be empty), from signed 16-bit mono PCM at the engine's rate."""
        return self._encode(np.frombuffer(pcm, dtype="<i2"), last=False)

    def finish(self) -> bytes:
        """The remaining bytes. `encode` must not be called afterwards."""
        rest = self._encode(np.zeros(0, np.int16), last=True) if self._resampler else b""
        return rest + self._codec.finish()

    def header(self) -> bytes:
        """The final header, to overwrite the file's first bytes; empty if those are right already."""
        return self._codec.header()

    def _encode(self, samples: Samples, *, last: bool) -> bytes:
        if self._resampler:
            samples = self._resampler.resample_chunk(samples, last=last)
        if not len(samples):
            return b""
        self.samples += len(samples)
        return self._codec.encode(samples)


def warm_up() -> None:
    """Use every codec once: the first use takes 0.3 s, and no caller shall wait for it."""
    for name in FORMATS:
        encoder = Encoder(SpeechParams(text="", voice="", language="", format=name), engine_hz=_WARM_UP_HZ)
        encoder.encode(bytes(_WARM_UP_HZ // 2 * SAMPLE_BYTES))
        encoder.finish()


def wav_header(pcm_bytes: int | None, rate_hz: int) -> bytes:
    """The 44 bytes before signed 16-bit mono PCM; `pcm_bytes` is None while the length is unknown."""
    riff_bytes, data_bytes = (_UNKNOWN, _UNKNOWN) if pcm_bytes is None else (pcm_bytes + 36, pcm_bytes)
    riff = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * SAMPLE_BYTES, SAMPLE_BYTES, 16)
    return riff + fmt + struct.pack("<4sI", b"data", data_bytes)


class _Codec(Protocol):
    def encode(self, samples: Samples) -> bytes: ...
    def finish(self) -> bytes: ...
    def header(self) -> bytes: ...


def _codec(form: Format, rate_hz: int, kbps: int) -> _Codec:
    if form.name == "wav":
        return _Wav(rate_hz)
    if form.codec == "pcm":
        return _Pcm()
    if form.codec == "flac":
        return _Flac(rate_hz)
    assert form.bitrates_kbps is not None
    made = _SlowMp3 if form.codec == "mp3" and rate_hz <= _SLOW_HZ else _Compressed
    return made(*_MUXERS[form.codec], rate_hz=rate_hz, kbps=kbps or form.bitrates_kbps[2])


def _resampler(from_hz: int, to_hz: int) -> Any:
    import soxr

    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="HQ")


class _Pcm:
    def encode(self, samples: Samples) -> bytes:
        return samples.tobytes()

    def finish(self) -> bytes:
        return b""

    def header(self) -> bytes:
        return b""


class _Wav(_Pcm):
    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._pcm_bytes = 0

    def encode(self, samples: Samples) -> bytes:
        ahead = b"" if self._pcm_bytes else wav_header(None, self._rate_hz)
        pcm = samples.tobytes()
        self._pcm_bytes += len(pcm)
        return ahead + pcm

    def header(self) -> bytes:
        return wav_header(self._pcm_bytes, self._rate_hz)


_MUXERS: dict[str, tuple[str, str, dict[str, str]]] = {  # muxer, encoder, and the muxer's options
    "mp3": ("mp3", "libmp3lame", {"id3v2_version": "0", "write_xing": "0"}),
    "aac": ("adts", "aac", {}),
    "opus": ("ogg", "libopus", {"page_duration": "200000"}),  # a default page waits for a second of sound
    "flac": ("flac", "flac", {}),
}


class _Sink:
    """The file object that a muxer writes to."""

    def __init__(self) -> None:
        self.ready = bytearray()

    def write(self, part: bytes) -> int:
        self.ready += part
        return len(part)

    def taken(self) -> bytes:
        taken = bytes(self.ready)
        self.ready.clear()
        return taken


class _Compressed:
    """A codec of FFmpeg, muxed as a stream into a file that cannot be seeked."""

    def __init__(
        self, muxer: str, encoder: str, options: dict[str, str], *, rate_hz: int, kbps: int = 0
    ) -> None:
        import av

        self._sink = _Sink()
        self._file = av.open(self._sink, "w", format=muxer, options={"fflags": "+bitexact"} | options)
        self._stream: Any = self._file.add_stream(encoder, rate=rate_hz, layout="mono")
        self._stream.codec_context.thread_count = 1
        if kbps:
            self._stream.bit_rate = kbps * 1000
        self._rate_hz = rate_hz
        self._time_base = Fraction(1, rate_hz)
        self._samples = 0
        self._file.start_encoding()
        self._header_bytes = len(self._sink.ready)

    def encode(self, samples: Samples) -> bytes:
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, self._time_base, self._samples
        self._samples += len(samples)
        self._file.mux(self._stream.encode(frame))
        if len(self._sink.ready) <= self._header_bytes:
            return b""
        self._header_bytes = 0
        return self._sink.taken()

    def finish(self) -> bytes:
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.taken()

    def header(self) -> bytes:
        return b""


class _SlowMp3(_Compressed):
    """Adds an Info frame where the encoder's delay would exceed 0.2 s, so that players skip those samples."""

    _has_info_frame = False

    def encode(self, samples: Samples) -> bytes:
        return self._with_info_frame(super().encode(samples))

    def finish(self) -> bytes:
        return self._with_info_frame(super().finish())

    def _with_info_frame(self, new: bytes) -> bytes:
        if self._has_info_frame or not new:
            return new
        self._has_info_frame = True
        return info_frame(new, self._rate_hz) + new


class _Flac(_Compressed):
    """The header counts and digests the samples: zeros until they are known, which players accept."""

    _COUNT_AT = 4 + 4 + 13  # after the magic, the block header, sizes and rates: half a byte and four
    _DIGEST_AT = _COUNT_AT + 5

    def __init__(self, rate_hz: int) -> None:
        super().__init__(*_MUXERS["flac"], rate_hz=rate_hz)
        self._head = bytes(self._sink.ready[: self._DIGEST_AT])
        self._md5 = hashlib.md5(usedforsecurity=False)

    def encode(self, samples: Samples) -> bytes:
        self._md5.update(samples.tobytes())
        return super().encode(samples)

    def header(self) -> bytes:
        kept = self._head[self._COUNT_AT] & 0xF0
        count = bytes([kept | self._samples >> 32]) + struct.pack(">I", self._samples & 0xFFFFFFFF)
        return self._head[: self._COUNT_AT] + count + self._md5.digest()
