"""Texts by number, no two alike, so that no result can come from a cache."""

from itertools import count

_WHO = (
    "An old gardener", "A young engineer", "Our neighbour", "The night nurse", "Our driver", "A baker's son",
    "A tired teacher", "The new captain", "Her youngest sister", "The village doctor", "A quiet student",
)  # fmt: skip
_DID = (
    "carried a heavy basket", "found a silver key", "repaired the broken clock", "painted the wooden gate",
    "wrote a long letter", "sold the last ticket", "heard a strange noise", "opened the blue curtain",
    "read the morning paper", "forgot the warm coat", "planted a small tree", "lost the yellow umbrella",
    "cleaned the narrow stairs",
)  # fmt: skip
_WHERE = (
    "behind the station", "near the stone bridge", "beside the harbour", "in front of the museum",
    "under the church tower", "across the wide square", "by the river", "at the edge of the forest",
    "outside the theatre",
)  # fmt: skip
_WHEN = (
    "before the rain began", "on a cold Monday morning", "while everybody slept", "just after sunrise",
    "during the long summer", "when the market closed", "late in the evening",
)  # fmt: skip


def short_text(number: int) -> str:
    """One sentence of 80 to 100 characters. There are 9,009 sentences, of which half have that length."""
    fitting = (text for at in count(number * 7) if 80 <= len(text := _sentence(at)) <= 100)
    return next(fitting)


def long_text(number: int, *, characters: int = 1500) -> str:
    """So many characters, the first sentence of at most 100, the last one perhaps cut at a word."""
    text = short_text(number)
    for at in count(number * 31):
        if len(text) >= characters:
            break
        text += " " + _sentence(at)
    return text[:characters].rpartition(" ")[0].rstrip(".") + "."


def _sentence(at: int) -> str:
    """Neighbouring numbers differ in every part: the counts of parts have no common divisor."""
    parts = (group[at % len(group)] for group in (_WHO, _DID, _WHERE, _WHEN))
    return " ".join(parts) + "."
