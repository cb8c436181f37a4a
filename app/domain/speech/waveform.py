"""Computes a waveform: the peak of each of up to PEAKS equal parts of the audio, from 0 to 100.

Of long audio only samples at even distances are read, so that time and memory are bounded.
"""

import io
import time
import wave
from array import array
from collections.abc import AsyncIterator
from itertools import chain, pairwise

PEAKS = 240
_LOUDEST = 32_767
_SAMPLES_A_PEAK = 200
_DECODED_STEP = 8  # of decoded audio, whose length is unknown beforehand, every eighth sample
_DECODE_S_MAX = 2.0


class Unreadable(Exception):
    """The bytes are not audio that can be read."""


async def of_wav(chunks: AsyncIterator[bytes], size_bytes: int) -> list[int]:
    """The peaks of a WAV file of that size, read in chunks; the first contains the header.

    Raises Unreadable.
    """
    head = await anext(chunks, b"")
    start = _samples_start(head)
    step = max(1, (size_bytes - start) // 2 // (PEAKS * _SAMPLES_A_PEAK))
    samples, rest = _each(step, head[start:])
    async for chunk in chunks:
        more, rest = _each(step, rest + chunk)
        samples.extend(more)
    return _loudest(samples)


def _samples_start(head: bytes) -> int:
    file = io.BytesIO(head)
    try:
        with wave.open(file) as opened:
            if opened.getsampwidth() != 2:
                raise Unreadable("not 16 bits a sample")
            return file.tell()
    except (wave.Error, EOFError) as error:
        raise Unreadable(str(error)) from error


def _each(step: int, content: bytes) -> "tuple[array[int], bytes]":
    """Every `step`-th sample, and the bytes after the last whole step."""
    whole = len(content) - len(content) % (2 * step)
    return array("h", content[:whole])[::step], content[whole:]


def of_other(audio: bytes) -> list[int]:
    """The peaks of a file in another format, decoded with a worker's codecs if they are installed here.

    Blocks for two seconds at most. Raises Unreadable, also if that is not enough.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        raise Unreadable("no codecs are installed") from None
    until = time.monotonic() + _DECODE_S_MAX
    samples = array("h")
    try:
        with av.open(io.BytesIO(audio), mode="r") as file:
            to_mono = av.AudioResampler(format="s16", layout="mono")
            for frame in chain(file.decode(audio=0), [None]):
                if time.monotonic() > until:
                    raise Unreadable("too long")
                for plain in to_mono.resample(frame):
                    samples.extend(array("h", bytes(plain.planes[0])[: plain.samples * 2])[::_DECODED_STEP])
    except (FFmpegError, IndexError) as error:
        raise Unreadable(str(error)) from error
    return _loudest(samples)


def _loudest(samples: "array[int]") -> list[int]:
    size = len(samples)
    parts = min(PEAKS, size)
    edges = [size * n // max(1, parts) for n in range(parts + 1)]
    found = [max(max(samples[start:end]), -min(samples[start:end])) for start, end in pairwise(edges)]
    return [min(100, round(100 * peak / _LOUDEST)) for peak in found]
