"""The process that holds PocketSphinx's model and hears one recording after the other. Started by path.

The library keeps Python's lock while it searches, for seconds: in the worker, leases would run out.

Standard input: for each recording a 4-byte length (little-endian) and signed 16-bit mono PCM at 16 kHz.
Standard output: for each stretch of speech a JSON line `{"start", "end", "words": [[word, start, end], …]}`,
in seconds; an empty line when the recording is over. The end of the input ends us.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from pocketsphinx import Decoder, Endpointer

RATE_HZ = 16_000
SAMPLE_BYTES = 2
_SPEECH_S_MAX = 15.0  # somebody who never pauses is cut here
_FRAMES_A_S = 100


def main(recordings: BinaryIO, answers: BinaryIO) -> None:
    """Serve until the input ends."""
    # Batch: each stretch is levelled by itself, so that an answer does not depend on who came before.
    decoder = Decoder(samprate=RATE_HZ, cmn="batch", loglevel="FATAL")
    while len(head := recordings.read(4)) == 4:
        pcm = recordings.read(int.from_bytes(head, "little"))
        for start_s, speech in _speech(pcm):
            words = _words(decoder, speech, start_s)
            end_s = start_s + len(speech) / SAMPLE_BYTES / RATE_HZ
            _say(answers, json.dumps({"start": start_s, "end": end_s, "words": words}).encode())
        _say(answers, b"")


def _say(answers: BinaryIO, line: bytes) -> None:
    answers.write(line + b"\n")
    answers.flush()


def _speech(pcm: bytes) -> Iterator[tuple[float, bytes]]:
    """Stretches of speech, with the second each begins at."""
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
    """`to(3)` is a way to say `to`."""
    return word.partition("(")[0]


if __name__ == "__main__":
    os.setpgid(0, 0)  # a terminal's Ctrl-C is the worker's to handle
    main(sys.stdin.buffer, sys.stdout.buffer)
