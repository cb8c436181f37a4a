"""Helpers for the eSpeak engine in tests: utterances and processes."""

import os
import select
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Synthesis, Utterance

SENTENCE = "The quick brown fox jumps over the lazy dog."
LONG = "It was the best of times, it was the worst of times. " * 380  # 20,000 characters, 20 minutes


def utterance(
    text: str = SENTENCE,
    voice: str = "ryan",
    language: str = "en-US",
    *,
    speed: float = 1.0,
    pitch: float = 0.0,
) -> Utterance:
    return Utterance(job_id=UUID(int=1), text=text, voice=voice, language=language, speed=speed, pitch=pitch)


def begin(engine: EspeakEngine, what: Utterance) -> Synthesis:
    (speech,) = engine.begin([what])
    return speech


def say(engine: EspeakEngine, what: Utterance) -> bytes:
    return b"".join(begin(engine, what))


def children(pid: int) -> list[int]:
    """The processes `pid` started that still live, the youngest last."""
    found: list[tuple[int, int]] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append((int(fields[19]), int(stat.parent.name)))
    return [child for _, child in sorted(found)]


def command(pid: int) -> str:
    """Its command line; empty where it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def server() -> int:
    """The server of the engine that was made last."""
    return [pid for pid in children(os.getpid()) if "espeak_server" in command(pid)][-1]


def ends(pid: int, within_s: float = 5) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], within_s)[0])
    finally:
        os.close(watch)
