"""The process that holds one neural model and forks the children that speak with it.

The model is loaded once and shared by forking: a child copies only what it changes. Each child serves many
pieces, one after the other, and is confined before it reads the first. Started by
`workers/process/bootstrap.py`.

Arguments: the number of the inherited control socket, the module with `load` and `SAMPLE` (model.py),
the folders it loads from as a JSON object.
Control socket (packets): out, when ready, `Hello` as JSON; in, for each child its stream socket. Its end
means that the worker is gone: everything here stops.
Stream: out, once, from this server before the child has read anything, the child's process id in 4 bytes.
Then for each piece: in, a length-prefixed JSON `Piece`; out, length-prefixed PCM (signed 16-bit, mono). An
empty frame means complete. A length of `REFUSED` plus n: a code of n bytes follows, the piece is unspeakable.
An end without either: the child died. Numbers are 4 bytes, little-endian.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import NoReturn

# Must be set before any of these imports numpy: its threads would not survive a fork.
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import msgspec
import numpy as np

from workers.engines.neural.model import Hello, Model, Piece, Unspeakable
from workers.process.confinement import Confinement

REFUSED = 1 << 31
FRAME_SAMPLES = 1 << 16
PIECE_BYTES_MAX = 1 << 20
IDLE_S = 0.5  # after this long, the memory of the last piece is freed


def main(confinement: Confinement, arguments: list[str]) -> NoReturn:
    """Load, announce readiness, then fork a child for each stream until the worker is gone."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    # Neither read nor written: a compiled file beside a source is in no catalogue.
    sys.dont_write_bytecode, sys.pycache_prefix = True, os.devnull
    module = import_module(arguments[1])
    model: Model = module.load(json.loads(arguments[2]))
    hello = _measured(module, model)
    trim = _memory_trimmer()
    confinement.of_server()
    trim()
    gc.freeze()  # else the children's collector would touch every object, and so copy it
    control.send(msgspec.json.encode(hello))
    serve = _serve if model.forks else _serve_alone
    serve(model, confinement, trim, control)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


def _measured(module: ModuleType, model: Model) -> Hello:
    """What it takes to speak the sample; the first time warms up, and is not counted."""
    piece: Piece = module.SAMPLE
    for _ in model.speak(piece):
        pass
    began = time.process_time()
    samples = sum(len(part) for part in model.speak(piece))
    return Hello(
        sample_rate_hz=model.sample_rate_hz,
        cpu_s=time.process_time() - began,
        audio_s=samples / model.sample_rate_hz,
    )


def _serve(model: Model, confinement: Confinement, trim: Callable[[], None], control: socket.socket) -> None:
    while fds := socket.recv_fds(control, 16, 1)[1]:
        with socket.socket(fileno=fds[0]) as stream:
            child = os.fork()
            if child == 0:
                control.close()  # an open copy here would hide the server's death from the other end
                _answer(model, confinement, trim, stream)
            try:
                stream.sendall(child.to_bytes(4, "little"))
            except OSError:  # the requester has closed its end
                continue


def _serve_alone(
    model: Model, confinement: Confinement, trim: Callable[[], None], control: socket.socket
) -> None:
    """Speak without children: a piece that kills this process ends the server, which the worker replaces."""
    confinement.of_child()
    while fds := socket.recv_fds(control, 16, 1)[1]:
        with socket.socket(fileno=fds[0]) as stream, suppress(OSError):
            stream.sendall(os.getpid().to_bytes(4, "little"))
            while (piece := _next_piece(stream, trim)) is not None:
                _speak(model, piece, stream)


def _answer(
    model: Model, confinement: Confinement, trim: Callable[[], None], stream: socket.socket
) -> NoReturn:
    try:
        confinement.of_child()
        while (piece := _next_piece(stream, trim)) is not None:
            _speak(model, piece, stream)
    finally:
        os._exit(0)  # the server's own state must not be cleaned up here


def _next_piece(stream: socket.socket, trim: Callable[[], None]) -> Piece | None:
    """None when the worker needs this child no longer."""
    if not _is_readable(stream):
        trim()
    length = int.from_bytes(_received(stream, 4), "little")
    if not 0 < length <= PIECE_BYTES_MAX:
        return None
    return msgspec.json.decode(_received(stream, length), type=Piece)


def _is_readable(stream: socket.socket) -> bool:
    """Whether data comes before the child counts as idle. Uses poll: select is not allowed here."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(1000 * IDLE_S))


def _received(stream: socket.socket, count: int) -> bytes:
    """`count` bytes; fewer at the end of the stream."""
    received = bytearray()
    while len(received) < count and (part := stream.recv(count - len(received))):
        received += part
    return bytes(received)


def _speak(model: Model, piece: Piece, stream: socket.socket) -> None:
    try:
        for part in model.speak(piece):
            pcm = (np.clip(part, -1.0, 1.0) * 32767.0).astype("<i2")
            for start in range(0, len(pcm), FRAME_SAMPLES):
                _send(stream, pcm[start : start + FRAME_SAMPLES].tobytes())
    except Unspeakable as refusal:
        code = refusal.code.encode()
        stream.sendall((REFUSED + len(code)).to_bytes(4, "little") + code)
    else:
        _send(stream, b"")


def _send(stream: socket.socket, pcm: bytes) -> None:
    stream.sendall(len(pcm).to_bytes(4, "little") + pcm)


def _memory_trimmer() -> Callable[[], None]:
    """A function that returns free memory to the system; it does nothing if the C library cannot."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def trim() -> None:
        if malloc_trim is not None:
            malloc_trim(ctypes.c_size_t(0))

    return trim
