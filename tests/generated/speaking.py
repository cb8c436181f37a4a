"""A case spoken by the real engine, and judged: whole, if it takes as long as its like in short pieces."""

import threading
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from uuid import UUID

from msgspec import Struct

from workers.engines.protocol import Engine, Interrupted, Refused, Utterance
from workers.text.shapes import prepare_text

from .cases import Case

SHORT = 40  # characters of a piece
_PIECES = (3, 9)  # this many at first, and more where those leave a doubt
_LEAST, _MOST = 0.5, 1.5
_SURE = (0.75, 1.3)
_BYTES_A_SECOND = 22_050 * 2


class Outcome(Struct, frozen=True, kw_only=True):
    """How it went. `verdict`: whole, silent, refused, died, short, long. `ratio`: of the seconds expected."""

    case: Case
    verdict: str
    seconds: float = 0.0
    ratio: float | None = None
    code: str | None = None


class Speaker:
    """Speaks with one engine, from many threads.

    `compared_every`: pieces are spoken for one in this many cases.
    """

    def __init__(self, engine: Engine, *, compared_every: int = 1) -> None:
        self._engine = engine
        self._compared_every = compared_every
        self._lock = threading.Lock()
        self._voices: dict[str, list[str]] = {}
        for voice in engine.capabilities.voices:
            for language in voice.languages:
                self._voices.setdefault(language, []).append(voice.id)

    @property
    def languages(self) -> list[str]:
        """All there are, in one order."""
        return sorted(self._voices)

    def outcome(self, case: Case) -> Outcome:
        """Speak it and its pieces. Raises nothing of the engine's."""
        try:
            seconds = self._seconds(case, case.text)
            is_compared = len(case.text) > SHORT and case.number % self._compared_every == 0
            expected = self._expected(case, seconds) if is_compared else seconds
        except Refused as error:
            return Outcome(case=case, verdict="refused", code=error.code)
        except Interrupted as error:
            return Outcome(case=case, verdict="died", code=str(error))
        if not seconds and not expected:
            return Outcome(case=case, verdict="silent")
        ratio = seconds / expected if expected else 99.0
        verdict = "short" if ratio < _LEAST else "long" if ratio > _MOST else "whole"
        return Outcome(case=case, verdict=verdict, seconds=seconds, ratio=ratio)

    def _expected(self, case: Case, seconds: float) -> float:
        """What it would take at the rate of some of its pieces, each spoken alone."""
        pieces = _pieces(case.text)
        Random(case.number).shuffle(pieces)
        known: dict[str, float] = {}
        spoken, characters = 0.0, 0
        for more in _PIECES:
            taken, pieces = pieces[:more], pieces[more:]
            for piece in taken:
                if piece not in known:
                    known[piece] = self._seconds(case, piece)
                spoken += known[piece]
                characters += len(piece)
            expected = spoken / characters * len(case.text)
            if not pieces or _SURE[0] * expected < seconds < _SURE[1] * expected:
                return expected
        return expected

    def _seconds(self, case: Case, text: str) -> float:
        utterance = Utterance(
            job_id=UUID(int=case.number),
            text=prepare_text(text, case.language),
            voice=self._voices[case.language][case.woman],
            language=case.language,
            speed=case.speed,
            pitch=case.pitch,
        )
        with self._lock:
            (speech,) = self._engine.begin([utterance])
        return sum(map(len, speech)) / _BYTES_A_SECOND


def _pieces(text: str) -> list[str]:
    """Cut before letters rather than within what belongs to one."""
    pieces, start = list[str](), 0
    while start < len(text):
        end = start + SHORT
        while end > start + SHORT // 2 and unicodedata.category(text[end : end + 1] or " ")[0] in "MC":
            end -= 1
        pieces.append(text[start:end])
        start = end
    return pieces


def outcomes(speaker: Speaker, cases: Iterable[Case], threads: int) -> Iterator[Outcome]:
    """The outcomes in order; `threads` cases are spoken at once."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Outcome]] = []
        for each in cases:
            waiting.append(pool.submit(speaker.outcome, each))
            if len(waiting) > 2 * threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
