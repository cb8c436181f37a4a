"""How many words of a text a recogniser got wrong."""

from collections.abc import Sequence

from msgspec import Struct


class WordErrors(Struct, frozen=True):
    """Words changed, left out or added, of the `words` there are."""

    errors: int
    words: int


def word_errors(references: Sequence[Sequence[str]], recognised: Sequence[str]) -> WordErrors:
    """Against the reference that fits best: a number may be written in digits or in words."""
    counted = [
        WordErrors(_edits(reference, recognised), len(reference)) for reference in references if reference
    ]
    return min(counted, key=lambda each: each.errors / each.words)


def word_error_rate(each: Sequence[WordErrors]) -> float:
    """Of all texts together: long ones count more."""
    return sum(one.errors for one in each) / sum(one.words for one in each)


def _edits(reference: Sequence[str], recognised: Sequence[str]) -> int:
    """Levenshtein's distance, in words."""
    row = list(range(len(recognised) + 1))
    for n, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], n
        for k, other in enumerate(recognised, 1):
            diagonal, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, diagonal + (word != other))
    return row[-1]
