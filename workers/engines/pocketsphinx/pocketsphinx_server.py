"""The process that holds PocketSphinx's model and forks a child for each recording.

The library keeps Python's lock while it searches, for seconds: in the worker, leases would expire. Each
recording is untrusted: its child is confined before it reads the recording, and ends with it. Started by
`workers/process/bootstrap.py`.

Argument: the number of the inherited control socket. Control socket (packets): out, when ready, one packet;
in, for each recording JSON limits and a stream socket.
Stream: in, a 4-byte length (little-endian) and signed 16-bit mono PCM at 16 kHz; out, for each stretch of
speech a JSON line `{"start", "end", "words": [[word, start, end], …]}`, in seconds; an empty line when the
recording is over. An end without one: the child crashed or was killed.
"""

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

from pocketsphinx import Decoder, Endpointer

from workers.process.confinement import Confinement

RATE_HZ = 16_000
SAMPLE_BYTES = 2
_REQUEST_BYTES_MAX = 4096
_SPEECH_S_MAX = 15.0  # speech without a pause is cut here
_FRAMES_A_S = 100


def main(confinement: Confinement, arguments: list[str]) -> NoReturn:
    """Announce readiness, then serve until the worker is gone."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    # Batch mode: each stretch is levelled by itself, so that a result does not depend on what came before.
    decoder = Decoder(samprate=RATE_HZ, cmn="batch", loglevel="FATAL")
    confinement.of_server()
    control.send(b"ready")
    while True:
        request, fds, _, _ = socket.recv_fds(control, _REQUEST_BYTES_MAX, 1)
        if not request:
            break
        if os.fork() == 0:
            control.close()
            _answer(confinement, decoder, json.loads(request), socket.socket(fileno=fds[0]))
        for fd in fds:
            os.close(fd)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


def _answer(
    confinement: Confinement, decoder: Any, limits: dict[str, int], stream: socket.socket
) -> NoReturn:
    """The child's whole life."""
    try:
        confinement.of_child(confinement.profile._replace(**limits))
        with stream.makefile("rb") as recordings:
            pcm = recordings.read(int.from_bytes(recordings.read(4), "little"))
        for start_s, speech in _speech(pcm):
            words = _words(decoder, speech, start_s)
            end_s = start_s + len(speech) / SAMPLE_BYTES / RATE_HZ
            line = json.dumps({"start": start_s, "end": end_s, "words": words})
            stream.sendall(line.encode() + b"\n")
        stream.sendall(b"\n")
    finally:
        os._exit(0)  # the server's own state must not be cleaned up here


def _speech(pcm: bytes) -> Iterator[tuple[float, bytes]]:
    """Stretches of speech, with the second at which each begins."""
    found, collected, start_s = Endpointer(sample_rate=RATE_HZ), bytearray(), 0.0
    bytes_max = int(_SPEECH_S_MAX * RATE_HZ) * SAMPLE_BYTES
    for at in range(0, len(pcm), found.frame_bytes):
        frame = pcm[at : at + found.frame_bytes]
        is_last = at + found.frame_bytes >= len(pcm)
        speech = found.end_stream(frame) if is_last else found.process(frame)
        if speech and not collected:
            start_s = max(0.0, found.speech_start)
        collected += speech or b""
        is_over = not found.in_speech or is_last
        if collected and (is_over or len(collected) >= bytes_max):
            yield start_s, bytes(collected)
            start_s += len(collected) / SAMPLE_BYTES / RATE_HZ
            collected.clear()


def _words(decoder: Any, speech: bytes, start_s: float) -> list[tuple[str, float, float]]:
    decoder.start_utt()
    decoder.process_raw(speech, full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    return [
        (
            _spelled(found.word),
            start_s + found.start_frame / _FRAMES_A_S,
            start_s + (found.end_frame + 1) / _FRAMES_A_S,
        )
        for found in decoder.seg()
        if found.word[0] not in "<["  # silence, noise
    ]


def _spelled(word: str) -> str:
    """`to(3)` is a pronunciation of `to`."""
    return word.partition("(")[0]
