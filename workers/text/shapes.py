"""Text without the patterns that break engines: each is limited to a length that an engine can read."""

from workers.text.characters import cleaned, readable
from workers.text.clauses import break_clauses
from workers.text.mixtures import part_scripts
from workers.text.runs import break_digits, break_dotted_letters, break_repeats
from workers.text.switches import end_switches
from workers.text.words import break_words


def prepare_text(text: str, language: str, *, broken_up: bool = True) -> str:
    """`text` as an engine may see it, to be read in `language` (BCP-47).

    Text of ordinary words, numbers and sentences comes back unchanged. Where a pattern is longer than what a
    person would read in one breath (dotted letters, digits, one character, a word, a clause), spaces, commas
    and line ends are inserted. Nothing that would be spoken is left out. Linear in the text's length.

    `broken_up`: for engines with limits on words and clauses (espeak). For others the text only loses control
    characters and long runs of signs that are never spoken, and nothing is inserted.
    """
    if not broken_up:
        return cleaned(text)
    text = end_switches(readable(text, language), language)
    text = part_scripts(break_digits(text), language)
    text = break_repeats(break_dotted_letters(text, language))
    return break_clauses(break_words(text, language), language)
