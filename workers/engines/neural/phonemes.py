"""Splits phonemes into parts that fit into one call of a model."""

from collections.abc import Iterator


def in_parts(phonemes: str, *, most: int, marks: str) -> Iterator[str]:
    """Parts of at most `most` phonemes, cut behind one of the `marks`, else behind a word, else anywhere."""
    while len(phonemes) > most:
        mark = max(phonemes.rfind(f"{mark} ", most // 2, most) for mark in marks)
        word = phonemes.rfind(" ", 1, most)
        end = mark + 1 if mark > 0 else word if word > 0 else most
        yield phonemes[:end]
        phonemes = phonemes[end:].lstrip()
    if phonemes:
        yield phonemes
