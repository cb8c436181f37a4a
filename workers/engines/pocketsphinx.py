"""PocketSphinx: a small recogniser of American English, on any CPU, its model in its package.

It is of the time before neural networks: good for clear, short speech, poor for everything else. Here are the
starting and ending of its process, `pocketsphinx_server.py`, and the reading of what it says.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from db.rows import Capabilities
from db.settings import SettingsError
from db.transcripts import Segment, Word
from workers.engines import Interrupted
from workers.engines.transcriber import Heard, Wish

LANGUAGE = "en-US"
SECONDS_MAX = 4 * 3600
COST_US_PER_SECOND = 200_000  # measured: 150,000 to 400,000
_DESCRIPTION = (
    "PocketSphinx, a small recogniser of American English from before neural networks: fit for clear, short"
    " speech and for trying things out. For anything else run the engine 'whisper'."
)


class _Line(Struct, frozen=True):
    start: float
    end: float
    words: list[tuple[str, float, float]]


_LINE = msgspec.json.Decoder(_Line)


class PocketsphinxTranscriber:
    """Hears in a process of its own, which is started when first needed and again when it was ended."""

    def __init__(self) -> None:
        if find_spec("pocketsphinx") is None:
            raise SettingsError("CODEVOICE_ENGINE: pocketsphinx needs codevoice[embedded]")
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.capabilities = Capabilities(
            engine="pocketsphinx",
            kind="transcription",
            voices=(),
            sample_rate_hz=16_000,
            formats=(),
            characters_max=0,
            cost_us_per_character=0,
            description=_DESCRIPTION,
            languages=(LANGUAGE,),
            language_names=("English (United States)",),
            seconds_max=SECONDS_MAX,
            cost_us_per_second=COST_US_PER_SECOND,
        )

    def transcribe(self, pcm: memoryview, wish: Wish, stopped: threading.Event) -> Heard:
        return Heard(LANGUAGE, self._segments(pcm, wish, stopped))

    def close(self) -> None:
        self._closed = True
        self._end()

    def _segments(self, pcm: memoryview, wish: Wish, stopped: threading.Event) -> Iterator[Segment]:
        watch = threading.Thread(
            target=self._end_when, args=(stopped, over := threading.Event()), daemon=True
        )
        watch.start()
        is_complete = False
        try:
            number = 0
            for line in self._lines(pcm):
                if line.words:
                    yield _segment(number, line, wish)
                    number += 1
            is_complete = True
        except (OSError, ValueError) as error:  # ended by somebody, or by itself
            raise Interrupted("pocketsphinx") from error
        finally:
            over.set()
            watch.join()
            if not is_complete:  # what it would say next belongs to nobody
                self._end()

    def _end_when(self, stopped: threading.Event, over: threading.Event) -> None:
        while not over.wait(0.1):
            if stopped.is_set():
                return self._end()
        return None

    def _lines(self, pcm: memoryview) -> Iterator[_Line]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(pcm).to_bytes(4, "little"))
        process.stdin.write(pcm)
        process.stdin.flush()
        while (line := process.stdout.readline()) != b"\n":
            if not line:
                raise ConnectionError("the process ended")
            yield _LINE.decode(line)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise Interrupted("closed")
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", Path(__file__).with_name("pocketsphinx_server.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not written goes nowhere
                        pipe.close()


def _segment(number: int, line: _Line, wish: Wish) -> Segment:
    words = tuple(
        Word(word=word, start=round(start, 2), end=round(end, 2)) for word, start, end in line.words
    )
    return Segment(
        id=number,
        start=words[0].start,
        end=words[-1].end,
        text=" ".join(word.word for word in words),
        words=words if wish.words else (),
    )
