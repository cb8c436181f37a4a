"""What a piece of audio looks like: its loudest sample in each of so many equal parts, from 0 to 100."""

import io
import wave
from array import array
from itertools import pairwise

PEAKS = 240
_LOUDEST = 32_767


class Unreadable(Exception):
    """These bytes are no audio we can look into."""


def peaks(audio: bytes, content_type: str) -> list[int]:
    """The peaks of a whole file. Blocking. Raises Unreadable.

    WAV is read here; other formats by the codecs of a worker, where they are installed beside us.
    """
    is_wav = content_type.partition(";")[0] in ("audio/wav", "audio/x-wav")
    return _loudest(_of_wav(audio) if is_wav else _of_any(audio))


def _of_wav(audio: bytes) -> "array[int]":
    try:
        with wave.open(io.BytesIO(audio)) as file:
            if file.getsampwidth() != 2:
                raise Unreadable("not 16 bits a sample")
            return array("h", file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise Unreadable(str(error)) from error


def _of_any(audio: bytes) -> "array[int]":
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        raise Unreadable("no codecs are installed") from None
    samples = array("h")
    try:
        with av.open(io.BytesIO(audio), mode="r") as file:
            to_mono = av.AudioResampler(format="s16", layout="mono")
            for frame in [*file.decode(audio=0), None]:
                for plain in to_mono.resample(frame):
                    samples.frombytes(bytes(plain.planes[0])[: plain.samples * 2])
    except (FFmpegError, IndexError) as error:
        raise Unreadable(str(error)) from error
    return samples


def _loudest(samples: "array[int]") -> list[int]:
    size = len(samples)
    parts = min(PEAKS, size)
    edges = [size * n // parts for n in range(parts + 1)]
    found = [max(max(samples[start:end]), -min(samples[start:end])) for start, end in pairwise(edges)]
    return [min(100, round(100 * peak / _LOUDEST)) for peak in found]
