"""The audio formats: names, content types, and the sample rates and bitrates each supports."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Codec = Literal["pcm", "flac", "mp3", "aac", "opus"]


class Format(Struct, frozen=True, kw_only=True):
    """One format. `bitrates_kbps` are the least, the most and the default; None: the codec offers none."""

    name: str
    codec: Codec
    content_type: str
    rates_hz: tuple[int, ...]
    bitrates_kbps: tuple[int, int, int] | None = None

    @property
    def extension(self) -> str:
        """The extension of its files."""
        return self.name

    def rate_hz(self, requested_hz: int, engine_hz: int) -> int:
        """The file's sample rate: the requested one; if 0, the engine's, or the next the codec supports."""
        if requested_hz:
            return requested_hz
        if self.bitrates_kbps is None:  # samples as they are
            return engine_hz
        return next((rate for rate in self.rates_hz if rate >= engine_hz), self.rates_hz[-1])


_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
# AAC pads by up to 2,047 samples, which ADTS cannot signal to players: at 8 kHz that is more than 0.2 s.
_AAC_RATES_HZ = _RATES_HZ[1:]

_FORMATS = (
    Format(
        name="mp3", codec="mp3", content_type="audio/mpeg", rates_hz=_RATES_HZ, bitrates_kbps=(8, 320, 64)
    ),
    Format(name="wav", codec="pcm", content_type="audio/wav", rates_hz=_RATES_HZ),
    Format(
        name="ogg",
        codec="opus",
        content_type="audio/ogg",
        rates_hz=_OPUS_RATES_HZ,
        bitrates_kbps=(6, 256, 32),
    ),
    Format(
        name="opus",
        codec="opus",
        content_type="audio/ogg",
        rates_hz=_OPUS_RATES_HZ,
        bitrates_kbps=(6, 256, 32),
    ),
    Format(name="flac", codec="flac", content_type="audio/flac", rates_hz=_RATES_HZ),
    Format(
        name="aac", codec="aac", content_type="audio/aac", rates_hz=_AAC_RATES_HZ, bitrates_kbps=(8, 256, 64)
    ),
    Format(name="pcm", codec="pcm", content_type="audio/pcm", rates_hz=_RATES_HZ),
)
FORMATS: Mapping[str, Format] = {each.name: each for each in _FORMATS}
