"""Clauses no longer than an engine can hold: adds commas and paragraph breaks where there are none."""

import re

from workers.text.loads import CLAUSE_WORDS_MAX, NEVER_SPOKEN, Loads, loads
from workers.text.words import may_cut

_TOKEN = re.compile(r"\s+|[^\s、。，！？；：]+[、。，！？；：]*|[、。，！？；：]+")
_PARTS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_ENDS = ".,;:!?،؟؛։।።"
_ENDS_UNSPACED = ("、", "。", "，", "！", "？", "；", "：")
_ROMAN = re.compile(r"\W*[IVXL]{1,3}\.")
_PARAGRAPH = re.compile(r"\n\s*\n")
_REPEATED_MAX = 10
_SPELLED = 1 / 60  # of a clause, for each letter of a word like xxxxxx
_CAPITAL_WITHIN = re.compile(r"(?<=[\u0561-\u0587])[\u0531-\u0556]")
_TO_LATIN = re.compile(r"[^\x00-\u024f\W\d_][A-Za-z]")
_TO_LATIN_MIN = 3  # minimum in a word: Latin letters here and there, each read by itself
_NAMED = 1 / 40  # of a clause, for each of these, and each Armenian capital within a word: letters are named
_ONE_SYMBOL = 0.3  # of a clause, however often it occurs in one token
_PIECE, _PIECE_MAX = 0.7, 0.9  # of a clause, where a single token must be cut
_BREAK = ",\n"  # at a line's end a comma counts even where nothing before it is a letter


def break_clauses(text: str, language: str) -> str:
    """Insert breaks where a clause would be too long: after a word, or within a chain without spaces."""
    if len(text) < 12:
        return text
    clause = _Clause(loads(language))
    for token in _TOKEN.findall(text):
        if token.isspace():
            clause.space(token)
        else:
            clause.word(token)
    return clause.text()


class _Clause:
    """The text so far, and the size of its last clause."""

    def __init__(self, table: Loads) -> None:
        self._table = table
        self._known: dict[str, float] = {}
        self._out: list[str] = []
        self._load = 0.0
        self._speaks = False  # a comma ends only a clause with a letter or a digit
        self._symbol, self._symbols = "", 0

    def text(self) -> str:
        return "".join(self._out)

    def space(self, space: str) -> None:
        """Add white space: the clause ends here if the word before it ends one."""
        self._out.append(space)
        if _PARAGRAPH.search(space):
            self._begin()

    def word(self, token: str) -> None:
        """Add a token between white space."""
        if self._out and self._ended(token):
            self._begin()
        load = self._known.get(token) or self._measured(token)
        if self._load and (self._load + load > 1 or self._repeats(token)):
            self._break()
        if load > 1:
            token = self._in_pieces(token)
            load = _PIECE
        self._out.append(token)
        self._load += load
        self._count(token)

    def _ended(self, following: str) -> bool:
        """Whether espeak ends the clause before the word `following`. If in doubt, no."""
        space = self._out[-1]
        if self._speaks and space.endswith(_ENDS_UNSPACED):
            return True
        if not space.isspace() or len(self._out) < 2:
            return False
        word = self._out[-2]
        end = word[len(word.rstrip(_ENDS)) :]
        if not end or "\n" in space:
            return bool(end)
        is_abbreviation = end[0] == "." and (_is_small(following[0]) or bool(_ROMAN.fullmatch(word)))
        return self._speaks and not is_abbreviation

    def _begin(self) -> None:
        self._load, self._speaks = 0.0, False
        self._symbol, self._symbols = "", 0

    def _break(self) -> None:
        """End the clause behind its last word."""
        if self._out[-1].isspace():
            self._out.pop()
        self._out.append(_gap(self._out[-1]))
        self._begin()

    def _measured(self, token: str) -> float:
        table = self._table
        parts = 1 if token.isalpha() else len(_PARTS.findall(token))
        load = sum(table[character].clause for character in token) + parts / CLAUSE_WORDS_MAX
        if not token.isascii():
            load += _NAMED * _named(token)
        if len(set(token)) > 1:
            pass
        elif token.isalpha():
            load = max(load, len(token) * _SPELLED)
        elif not token.isdigit():
            load = min(load, _ONE_SYMBOL)
        self._known[token] = load
        return load

    def _repeats(self, token: str) -> bool:
        """Whether a symbol or a lone letter comes so often that it would not be spoken again."""
        symbol = _symbol(token)
        return symbol == self._symbol != "" and self._symbols + token.count(symbol) > _REPEATED_MAX

    def _count(self, token: str) -> None:
        is_spoken = any(map(str.isalnum, token))
        self._speaks = self._speaks or is_spoken
        if symbol := _symbol(token):
            self._symbols = token.count(symbol) + (self._symbols if symbol == self._symbol else 0)
            self._symbol = symbol
        elif is_spoken:
            self._symbol = ""

    def _in_pieces(self, token: str) -> str:
        """A chain without spaces, with breaks in it."""
        pieces, start, load = list[str](), 0, 0.0
        for at, character in enumerate(token):
            if load > _PIECE and (may_cut(token, at, start) or load > _PIECE_MAX):
                pieces.append(token[start:at])
                start, load = at, 0.0
            load += self._table[character].clause + _is_new(token, at) / CLAUSE_WORDS_MAX
        return "".join([*(piece + _gap(piece) for piece in pieces), token[start:]])


def _named(token: str) -> int:
    """The number of places where a word falls apart into letters that are named one by one."""
    to_latin = len(_TO_LATIN.findall(token))
    return len(_CAPITAL_WITHIN.findall(token)) + (to_latin if to_latin >= _TO_LATIN_MIN else 0)


def _is_small(letter: str) -> bool:
    """Georgian has no capitals in use, so espeak treats none of its letters as a small one."""
    return letter.islower() and not "\u10d0" <= letter <= "\u10ff"


def _symbol(token: str) -> str:
    """The only symbol of a token that is spoken, if there is exactly one; or its only letter."""
    if len(token) == 1 and token.isalpha():
        return token
    spoken = {sign for sign in token if sign not in NEVER_SPOKEN}
    return spoken.pop() if len(spoken) == 1 and not any(map(str.isalnum, token)) else ""


def _is_new(token: str, at: int) -> bool:
    here, before = token[at], token[at - 1]
    return not here.isalnum() or here.isalpha() != before.isalpha()


def _gap(word: str) -> str:
    """The characters that end a clause behind `word`."""
    return "\n" if word.endswith(tuple(_ENDS)) else _BREAK
