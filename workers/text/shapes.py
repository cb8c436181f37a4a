"""Text without the shapes that break engines: each goes on only as far as an engine can read it."""

from workers.text.characters import cleaned, readable
from workers.text.clauses import break_clauses
from workers.text.mixtures import part_scripts
from workers.text.runs import break_digits, break_dotted_letters, break_repeats
from workers.text.switches import end_switches
from workers.text.words import break_words


def prepare(text: str, language: str, *, broken_up: bool = True) -> str:
    """`text` as an engine may see it, to be read in `language` (BCP-47).

    Text of ordinary words, numbers and sentences comes back unchanged. Where a shape goes on beyond what a
    person would read in one breath (dotted letters, digits, one character, a word, a clause), spaces,
    commas and line ends are put in. Nothing that would be spoken is left out. Linear in the text's length.

    `broken_up`: for engines with bounds on words and clauses (espeak). Others have a text without control
    characters and heaps of signs that are never spoken, and nothing is put into it.
    """
    if not broken_up:
        return cleaned(text)
    text = end_switches(readable(text, language), language)
    text = part_scripts(break_digits(text), language)
    text = break_repeats(break_dotted_letters(text, language))
    return break_clauses(break_words(text, language), language)
