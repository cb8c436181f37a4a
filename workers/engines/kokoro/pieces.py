"""Splits texts into the pieces that Kokoro speaks one by one: short ones first for live listeners. Pure.

A piece of t seconds of speech takes about 0.3 + 0.55 t seconds of one core. The first is therefore short, and
each is at most half as long again as the one before it, which is still playing when the next is ready.
"""

import re
from collections import Counter
from collections.abc import Iterator

from db.speech_length import estimated_seconds
from db.writing_scripts import script_of
from workers.text.split import sentences, split

FIRST_S, GROWTH, LONGEST_S = 2.2, 1.5, 12.0  # of speech in a piece
JOINED_S = 6.0  # short sentences are joined up to this length
_SHORTEST_S = 1.0  # minimum before a cut: a shorter piece would be over before the next one is ready
_STRETCHED = 1.3  # how much longer a first piece may be if it then ends at a clause
_WINDOW_CHARACTERS = 400  # of a long sentence, the range searched for its next cut
_JAPANESE_S = {"Hani": 0.22, "Kana": 0.13}
_MARK = re.compile(r"(?<=[,;:)\]»”،؛।—–])\s+|(?<=[、，；：）」])|\n+")
_JOINTS = {  # words that often begin a clause
    "en": "and|but|or|because|that|which|who|when|where|while|if|so|than|as|to|for|with|from|of|in|on|at|by",
    "es": "y|o|pero|porque|que|cuando|donde|si|como|para|con|de|en|por|a",
    "fr": "et|ou|mais|parce|que|qui|quand|où|si|comme|pour|avec|de|en|dans|sur|par|à",
    "it": "e|o|ma|perché|che|quando|dove|se|come|per|con|di|in|da|a",
    "pt": "e|ou|mas|porque|que|quando|onde|se|como|para|com|de|em|por|a",
    "hi": "और|या|लेकिन|क्योंकि|कि|जब|जहाँ|अगर|तो",
}
_WORD = re.compile(r"\s+")
_AFTER_PARTICLE = re.compile(r"(?<=[ぁ-ん])(?=[一-龯ァ-ヶ])")  # Japanese has no spaces


def in_pieces(text: str, language: str, speed: float, *, live: bool) -> Iterator[str]:
    """`text` in order; only white space between the pieces is lost. Sentences, short ones joined, long ones
    cut at clauses. `live`: the first pieces are short.
    """
    longest_s = FIRST_S if live else LONGEST_S
    waiting = ""
    for sentence in sentences(text, language):
        if waiting and _seconds(waiting + sentence, language, speed) > min(longest_s, JOINED_S):
            yield waiting.strip()
            waiting, longest_s = "", _grown(longest_s)
        waiting += sentence
        while (end := _cut(waiting, language, speed, longest_s)) < len(waiting):
            yield waiting[:end].strip()
            waiting, longest_s = waiting[end:], _grown(longest_s)
    if waiting.strip():
        yield waiting.strip()


def _grown(seconds: float) -> float:
    return min(LONGEST_S, GROWTH * seconds)


def _cut(text: str, language: str, speed: float, longest_s: float) -> int:
    """Where a text that is too long is cut; its length if it is not too long."""

    def seconds(end: int) -> float:
        return _seconds(text[:end], language, speed)

    window = min(len(text), _WINDOW_CHARACTERS)
    stretched_s = _STRETCHED * longest_s if longest_s < LONGEST_S else longest_s
    if window == len(text) and seconds(window) <= stretched_s:
        return window
    for boundary, most_s in ((_MARK, stretched_s), (_joint(language), longest_s), (_WORD, longest_s)):
        ends = (found.end() for found in boundary.finditer(text, 0, window))
        if fitting := [end for end in ends if _SHORTEST_S <= seconds(end) <= most_s]:
            return fitting[-1]
    parts = split(
        text[:window], language=language, fits=lambda part: _seconds(part, language, speed) <= longest_s
    )
    return text.index(parts[0]) + len(parts[0]) if parts else len(text)


def _joint(language: str) -> re.Pattern[str]:
    joints = _JOINTS.get(language.partition("-")[0])
    return re.compile(rf"\s+(?=(?:{joints})\s)", re.IGNORECASE) if joints else _AFTER_PARTICLE


def _seconds(text: str, language: str, speed: float) -> float:
    """Approximate seconds of speech; espeak's names for Japanese signs do not apply here."""
    if not language.startswith("ja"):
        return estimated_seconds(text, language, speed)
    signs = Counter(map(script_of, text))
    said_s = sum(count * _JAPANESE_S.get(script, 0.0) for script, count in signs.items())
    others = "".join(sign for sign in text if script_of(sign) not in _JAPANESE_S)
    return said_s / speed + estimated_seconds(others, language, speed)
