"""20,000 characters in one job, spoken, recognised, compared: `python -m ops.bench.voices.long_text [VOICE]`.

Prints a JSON object: `wer_percent`; `sentences_missing`, of which less than half of the words were
recognised in their place; `words_added_percent`, which a sentence spoken twice would raise; `pace_ratio`,
seconds a character of the last tenth ÷ of the first; `memory_growth`, the engine's memory at the end ÷ after
a tenth. Whisper base recognises.
"""

import json
import os
import re
import sys
import threading
import time
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from msgspec import Struct

from ops.bench import Figures, fund
from ops.bench.harness.cpu import worker_of
from ops.bench.harness.memory import family_pss_mib
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import engines_ready, ready
from ops.bench.listeners.texts import long_text
from ops.bench.voices.speaking import RATE_HZ, Speech, speak
from workers.models.store import models_folder, verified

CHARACTERS = 20_000
_RECOGNISER_HZ = 16_000
_SAMPLE_S = 0.1


class _Word(Struct, frozen=True):
    text: str
    start_s: float
    end_s: float


def long_speech(voice: str = "Emma", *, engines: str = "hibari") -> Figures:
    """Measure one long job of the voice. Raises BenchError."""
    text = long_text(1, characters=CHARACTERS)
    with own_stack(engines=engines, CODEVOICE_ANSWER_CHARACTERS_MAX="100000") as stack:
        engines_ready(stack, engines.split(","))
        fund(stack, credits=1_000_000)
        ready(stack, voice)
        engine = speak(stack, "This sentence is not counted.", voice).engine
        worker = worker_of(stack.pids["supervisor"], engine)
        memory = _Memory(worker)
        speech = speak(stack, text, voice)
        seen = memory.stop()
    return _compared(text, _recognised(speech)) | {
        "audio_s": speech.audio_s,
        "seconds": speech.seconds,
        "memory_mib": seen[-1],
        "memory_growth": seen[-1] / seen[len(seen) // 10],
    }


class _Memory:
    """Samples the memory of a process with its descendants, in MiB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> list[float]:
        """The samples so far, in order."""
        self._over.set()
        self._thread.join()
        return self._seen

    def _sample(self) -> None:
        while True:
            self._seen.append(family_pss_mib(self._pid))
            if self._over.wait(_SAMPLE_S):
                return


def _recognised(speech: Speech) -> list[_Word]:
    from faster_whisper import WhisperModel

    folder = verified("whisper-base", models_folder(os.environ))
    model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    at = np.arange(0, len(speech.samples), RATE_HZ / _RECOGNISER_HZ)
    samples = np.interp(at, np.arange(len(speech.samples)), speech.samples).astype(np.float32)
    segments, _ = model.transcribe(samples, language="en", beam_size=2, word_timestamps=True)
    return [
        _Word(plain, word.start, word.end)
        for segment in segments
        for word in segment.words
        for plain in _words(word.word)
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("neighbor", "neighbour").replace("harbor", "harbour"))


def _compared(text: str, found: list[_Word]) -> Figures:
    sentences = [_words(sentence) for sentence in re.split(r"(?<=\.) ", text)]
    wanted = [word for sentence in sentences for word in sentence]
    blocks = SequenceMatcher(
        None, wanted, [word.text for word in found], autojunk=False
    ).get_matching_blocks()
    where = {block.a + n: block.b + n for block in blocks for n in range(block.size)}  # wanted → found
    return {
        "wer_percent": 100 * (max(len(wanted), len(found)) - len(where)) / len(wanted),
        "words_added_percent": 100 * (len(found) - len(where)) / len(wanted),
        "sentences": len(sentences),
        "sentences_missing": _missing(sentences, where),
        "pace_ratio": _pace(wanted, found, where),
    }


def _missing(sentences: list[list[str]], where: dict[int, int]) -> int:
    missing = start = 0
    for sentence in sentences:
        matched = sum(n in where for n in range(start, start + len(sentence)))
        missing += 2 * matched < len(sentence)
        start += len(sentence)
    return missing


def _pace(wanted: list[str], found: list[_Word], where: dict[int, int]) -> float:
    """Seconds a character between the outermost recognised words of each tenth."""

    def seconds_a_character(numbers: range) -> float:
        matched = [n for n in numbers if n in where]
        first, last = matched[0], matched[-1]
        characters = sum(len(word) + 1 for word in wanted[first:last])
        return (found[where[last]].start_s - found[where[first]].start_s) / characters

    tenth = len(wanted) // 10
    return seconds_a_character(range(len(wanted) - tenth, len(wanted))) / seconds_a_character(range(tenth))


if __name__ == "__main__":
    began = time.monotonic()
    print(json.dumps(long_speech(*sys.argv[1:2])))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
