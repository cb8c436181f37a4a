"""Long runs of digits, dotted letters and repeated characters, broken into groups."""

import re

from db.writing_scripts import is_native
from workers.text.loads import NEVER_SPOKEN

_DIGITS_MAX = 14  # beyond, most languages' rules have no name for the number
_DIGITS_GROUP = 3
_DECIMALS_MAX = 20  # behind a point: spoken one by one
_DIGITS_RUN = re.compile(rf"(?<=(\d[.,٫]))?(\d{{{_DIGITS_MAX + 1},}})")
_CHAIN_DIGITS_MAX = 20  # of 1,234,567 or 192.168.0.1 or 2024-11-30T12:00
_CHAIN_DIGITS_PART = 12
_CHAIN = re.compile(r"\d+(?:[.,'’٫٬:/\u00a0\u202f-]\d+){3,}")
_THOUSANDS = re.compile(r"\d{1,3}(?:[ \u00a0\u202f]\d{3}){5,}")  # one number, if spaces separate thousands
_PART = re.compile(r"\d+\D?")

_LETTER = r"(?:[^\W\d_]|[^\x00-\x7f\s\w])"  # a mark by itself counts as a letter
_LINK = r"[^\w,;:،؛]"  # a comma ends the chain by itself
_DOTTED = re.compile(rf"(?<![^\W\d_]){_LETTER}(?:{_LINK}{{0,3}}\.{_LINK}{{0,3}}{_LETTER}(?![^\W\d_])){{3,}}")
_DOTTED_MAX, _DOTTED_GROUP = 8, 6  # letters of the voice's own script: U.S.A., N.A.A.C.P.
_DOTTED_FOREIGN_MAX, _DOTTED_FOREIGN_GROUP = 3, 2  # engines read a.b.c of others as "a b c, b c, c"

_DOTTED_PART = re.compile(rf"{_LETTER}{_LINK}*")

_LETTERS_REPEATED = re.compile(r"([^\W\d_\u3040-\u30ff\u4e00-\u9fff])\1{12,}")  # Han and kana do no harm
_SYMBOLS = re.compile(r"[^\w\s]{11,}")
_LETTERS_REPEATED_MAX = 12
_SYMBOLS_REPEATED_MAX = 10
_RULE_MAX = 250  # characters of a line that only separates others


def break_digits(text: str) -> str:
    """Long runs of digits in groups, with a short pause after each; long chains of numbers in parts."""
    grouped = _DIGITS_RUN.sub(_in_groups, text)
    return _THOUSANDS.sub(lambda found: _in_parts(found[0], ","), _CHAIN.sub(_chain, grouped))


def _in_groups(found: re.Match[str]) -> str:
    behind_point, digits = found.groups()
    if behind_point and len(digits) <= _DECIMALS_MAX:
        return digits
    return (" " if behind_point else ", ").join(
        digits[at : at + _DIGITS_GROUP] for at in range(0, len(digits), _DIGITS_GROUP)
    )


def _chain(found: re.Match[str]) -> str:
    is_long = sum(map(str.isdigit, found[0])) > _CHAIN_DIGITS_MAX
    return _in_parts(found[0], " ") if is_long else found[0]


def _in_parts(numbers: str, gap: str) -> str:
    """`numbers` with a gap at a separator after every so many digits: behind a sign, before a space."""
    parts, digits = list[str](), 0
    for part in _PART.findall(numbers):
        parts.append(part)
        digits += sum(map(str.isdigit, part))
        if digits >= _CHAIN_DIGITS_PART and not part[-1].isdigit():
            parts[-1] = part[:-1] + gap + part[-1] if part[-1].isspace() else part + gap
            digits = 0
    return "".join(parts)


def break_dotted_letters(text: str, language: str) -> str:
    """Long chains of single letters with dots (a.b.c.d) in groups that are spoken by themselves."""

    def grouped(found: re.Match[str]) -> str:
        native = all(is_native(letter, language) for letter in found[0] if letter.isalpha())
        most, group = (_DOTTED_MAX, _DOTTED_GROUP) if native else (_DOTTED_FOREIGN_MAX, _DOTTED_FOREIGN_GROUP)
        parts = _DOTTED_PART.findall(found[0])
        if len(parts) <= most:
            return found[0]
        last = len(parts)
        return "".join(
            _apart(part) if n % group == 0 and n != last else part for n, part in enumerate(parts, 1)
        )

    return _DOTTED.sub(grouped, text)


def _apart(part: str) -> str:
    """A letter with a comma for its dot: only the end of a clause is sure to end the chain."""
    link = part[1:].replace(".", "").rstrip()
    return f"{part[0]}{link}, "


def break_repeats(text: str) -> str:
    """Long runs of one letter or one spoken symbol in groups, except in lines that only separate others."""
    return _SYMBOLS.sub(_symbols, _LETTERS_REPEATED.sub(_letters, text))


def _letters(found: re.Match[str]) -> str:
    return _in_tens(found[0], _LETTERS_REPEATED_MAX)


def _symbols(found: re.Match[str]) -> str:
    """Engines say a symbol three times and skip the rest, until a clause ends."""
    run = found[0]
    spoken = set(run) - NEVER_SPOKEN
    if len(spoken) != 1 or run.count(spoken.pop()) <= _SYMBOLS_REPEATED_MAX or _is_rule(found):
        return run
    return _in_tens(run, _SYMBOLS_REPEATED_MAX)


def _in_tens(run: str, most: int) -> str:
    return " ".join(run[at : at + most] for at in range(0, len(run), most))


def _is_rule(found: re.Match[str]) -> bool:
    """Whether the run's line, one of several, begins or ends with its symbol: it separates the others."""
    text, start, end = found.string, found.start(), found.end()
    begin = text.rfind("\n", max(0, start - _RULE_MAX), start) + 1
    until = text.find("\n", end, end + _RULE_MAX)
    line = text[begin or max(0, start - _RULE_MAX) : until if until >= 0 else end + _RULE_MAX].strip()
    run, mark = found[0], found[0][0] * 3
    parts = line == run or line.startswith(mark) or line.endswith(mark)
    return parts and len(run) <= _RULE_MAX and len(line) < len(text.strip())
