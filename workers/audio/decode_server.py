"""The process that decodes untrusted audio files: it forks a strictly confined child for each file.

Codecs are large and their inputs hostile. A file is therefore decoded in a child of its own that can open no
file and no socket (no new descriptor at all) and ends when it has used up its memory, CPU or time. Started by
`workers/process/bootstrap.py`.

Argument: the number of the inherited control socket. Control socket (packets): out, when ready, one packet;
in, a JSON `limits` for each file, with three descriptors: the file, the PCM output file, a stream socket.
Stream socket: out, one JSON report, then end of stream. No report means: the child crashed or was killed.
PCM is signed 16-bit little-endian mono at 16 kHz. The only other CodeVoice code imported is the confinement.
"""

import errno
import json
import os
import signal
import socket
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, NoReturn

import av
import av.error
import av.logging

from workers.process.confinement import Confinement
from workers.process.profiles import Profile

RATE_HZ = 16_000
_SAMPLE_BYTES = 2
_REQUEST_BYTES_MAX = 4096
_PACKETS_MAX = 10_000_000
_BOXES_MAX, _MOOV_BYTES_MAX, _REFERENCES_MAX = 1000, 64 << 20, 100
# libav's names of the container formats; libav never guesses the format.
_DEMUXERS = {
    "wav": "wav", "mp3": "mp3", "mp4": "mov", "ogg": "ogg", "flac": "flac", "webm": "matroska",
    "aac": "aac",
}  # fmt: skip
_OPTIONS = {"format_whitelist": "wav,mp3,mov,ogg,flac,matroska,aac", "protocol_whitelist": "pipe"}
_SHORT_S = 0.5  # a file that ends this much earlier than its header says is truncated


class Refusal(Exception):
    """The file will never be decoded; the message is a stable code."""


def main(confinement: Confinement, arguments: list[str]) -> NoReturn:
    """Announce readiness, then serve until the worker is gone."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    av.logging.set_level(None)
    _warm_up()
    confinement.of_server()
    control.send(b"ready")
    while True:
        request, fds, _, _ = socket.recv_fds(control, _REQUEST_BYTES_MAX, 3)
        if not request:
            break
        if os.fork() == 0:
            control.close()
            _answer(confinement, json.loads(request), *fds)
        for fd in fds:
            os.close(fd)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


def _warm_up() -> None:
    """Import and open everything that loads lazily: a confined child can open nothing."""
    silence = bytes(RATE_HZ // 10 * _SAMPLE_BYTES)
    with BytesIO() as file:
        with av.open(file, "w", format="wav") as container:
            stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(silence) // _SAMPLE_BYTES)
            frame.sample_rate = RATE_HZ
            frame.planes[0].update(silence)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        file.seek(0)
        limits = {
            "container": "wav",
            "samples_max": RATE_HZ,
            "channels_max": 1,
            "rates_hz": (1, 10**6),
            "errors_max": 1,
        }
        _Decoding(file, limits, _forget).report()


def _forget(samples: bytes) -> None:
    """Discard the warm-up's output."""


def _answer(confinement: Confinement, limits: dict[str, Any], upload: int, pcm: int, stream: int) -> NoReturn:
    """The child's whole life."""
    try:
        confinement.of_child(_profile(confinement.profile, limits))
        with socket.socket(fileno=stream) as answer, open(upload, "rb") as file:
            file.seek(0)  # the position of the shared descriptor depends on the worker's buffering

            def take(samples: bytes) -> None:
                _check_awaited(answer)
                while samples:
                    samples = samples[os.write(pcm, samples) :]

            try:
                report = _report(file, limits, take)
            except Exception as error:  # a bug of ours, or an exception the codecs are not known to raise
                report = {"failed": type(error).__name__}  # nothing from the file goes to the log
            answer.sendall(json.dumps(report).encode())
    finally:
        os._exit(0)  # the server's own state must not be cleaned up here


def _profile(profile: Profile, limits: dict[str, Any]) -> Profile:
    """The child's limits: no new descriptor; memory, CPU time and time. Exceeding a limit kills the child."""
    return profile._replace(
        memory_bytes=limits["memory_bytes"],
        cpu_s=limits["cpu_s"],
        wall_s=limits["wall_s"],
        file_bytes=(limits["samples_max"] + RATE_HZ) * _SAMPLE_BYTES,
    )


def _check_awaited(answer: socket.socket) -> None:
    """Stop when the reader has gone."""
    try:
        gone = not answer.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    if gone:
        os._exit(0)


def _report(file: BinaryIO, limits: dict[str, Any], take: Any) -> dict[str, Any]:
    try:
        return _Decoding(file, limits, take).report()
    except Refusal as refusal:
        return {"refused": str(refusal)}
    except MemoryError:
        return {"refused": "audio_too_complex"}
    except (av.error.FFmpegError, ValueError, AttributeError, OverflowError):  # by libav and its binding
        return {"refused": "broken_audio"}
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return {"refused": "broken_audio"}  # the file contains an offset that no file can have


def _check_self_contained(file: BinaryIO) -> None:
    """Refuse an MP4 whose tracks are in other files: libav would not open them, and the sender gets the
    reason.
    """
    for _ in range(_BOXES_MAX):
        size, name, head_bytes = _box(file)
        if name == b"moov":
            moov = file.read(min(size - head_bytes, _MOOV_BYTES_MAX))
            if any(not flags & 1 for flags in _reference_flags(moov)):
                raise Refusal("external_reference")
        elif size < head_bytes:  # the box extends to the end of the file, or is invalid
            break
        else:
            file.seek(size - head_bytes, os.SEEK_CUR)
    file.seek(0)


def _box(file: BinaryIO) -> tuple[int, bytes, int]:
    """Size of the box that begins here, its name, and the bytes read from it."""
    head = file.read(8)
    size, name = int.from_bytes(head[:4]), head[4:]
    return (int.from_bytes(file.read(8)), name, 16) if size == 1 else (size, name, 8)


def _reference_flags(moov: bytes) -> Iterator[int]:
    """The flags of each entry of each data reference table; bit 0 means: in this file."""
    for table in moov.split(b"dref")[1:]:
        at = 8  # after version, flags and count
        for _ in range(min(int.from_bytes(table[4:8]), _REFERENCES_MAX)):
            yield int.from_bytes(table[at + 9 : at + 12])
            at += max(12, int.from_bytes(table[at : at + 4]))


class _Decoding:
    """Decodes one file to PCM."""

    def __init__(self, file: BinaryIO, limits: dict[str, Any], take: Any) -> None:
        self._file = file
        self._limits = limits
        self._take = take
        self._resampler: Any = None
        self._source: Any = None  # the input format the resampler was built for
        self._samples = 0
        self._errors = 0
        self._good = 0

    def report(self) -> dict[str, Any]:
        if self._limits["container"] == "mp4":
            _check_self_contained(self._file)
        demuxer = _DEMUXERS[self._limits["container"]]
        with av.open(
            self._file, format=demuxer, options=dict(_OPTIONS), metadata_errors="ignore"
        ) as container:
            if not container.streams.audio:
                raise Refusal("no_audio")
            stream = container.streams.audio[0]
            stream.codec_context.thread_count = 1
            expected_s = (
                float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            )
            for frame in self._frames(container, stream):
                self._resample(frame)
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
        if self._errors > self._good or not self._samples:
            raise Refusal("broken_audio")
        seconds = self._samples / RATE_HZ
        is_short = expected_s - seconds > max(_SHORT_S, expected_s / 20)
        return {"samples": self._samples, "errors": self._errors, "truncated": is_short}

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """The frames that can be decoded; a broken packet is skipped and counted."""
        packets = container.demux(stream)
        for _ in range(_PACKETS_MAX):
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the container cannot be read further
                self._errors += 1
                return
            try:
                yield from packet.decode()
                self._good += 1
            except av.error.FFmpegError as error:
                if not isinstance(error, av.error.EOFError):
                    self._errors += 1
            if self._errors > self._limits["errors_max"]:
                return

    def _resample(self, frame: Any) -> None:
        source = frame.format.name, frame.layout.name, frame.sample_rate
        if source != self._source:
            self._check(frame)
            if self._resampler is not None:
                self._keep(self._resampler.resample(None))
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            self._source = source
        frame.pts = None
        self._keep(self._resampler.resample(frame))

    def _check(self, frame: Any) -> None:
        least_hz, most_hz = self._limits["rates_hz"]
        if not least_hz <= frame.sample_rate <= most_hz:
            raise Refusal("sample_rate_not_supported")
        if not 1 <= frame.layout.nb_channels <= self._limits["channels_max"]:
            raise Refusal("too_many_channels")

    def _keep(self, frames: Any) -> None:
        for frame in frames:
            self._samples += frame.samples
            if self._samples > self._limits["samples_max"]:
                raise Refusal("audio_too_long")
            self._take(bytes(frame.planes[0])[: frame.samples * _SAMPLE_BYTES])
