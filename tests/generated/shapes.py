"""The shapes of texts: each a maker of endless pieces from a script's letters, by chance alone."""

import base64
from collections.abc import Callable, Iterator, Mapping
from random import Random

from .scripts import COMBINING, DIGITS, LETTERS, MARKS

Maker = Callable[[Random, str], Iterator[str]]
_SEPARATORS = ".·:-/,;'’_|+*=&~"
_SYMBOLS = "=*#~@+%$€£§°^|\\/&<>±×÷√∞→♥★©"
_PUNCTUATION = ".,;:!?-–—…'\"()[]{}«»„“”¿¡"
_EMOJI = "😀😁😂🚀🐶🍎❤🎉🏠👍🔥🤖🥦🦊"
_TAGS = (
    "<speak>",
    "</speak>",
    '<break time="9s"/>',
    "<voice name='x'>",
    "<mark/>",
    "&amp;",
    "&#65;",
    "<!-- -->",
    "<",
)
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\u00ad\u2060"


def text(shape: str, script: str, characters: int, random: Random) -> str:
    """Exactly `characters` characters of the shape."""
    made, pieces = "", SHAPES[shape](random, script)
    while len(made) < characters:
        made += "".join(next(pieces) for _ in range(32))
    return made[:characters]


def _letter(random: Random, script: str) -> str:
    return random.choice(LETTERS[script])


def _digit(random: Random, script: str) -> str:
    return random.choice(DIGITS.get(script, "0123456789"))


def _word(random: Random, script: str, longest: int = 9) -> str:
    return "".join(_letter(random, script) for _ in range(random.randint(1, longest)))


def _endless(piece: Callable[[Random, str], str]) -> Maker:
    def maker(random: Random, script: str) -> Iterator[str]:
        while True:
            yield piece(random, script)

    return maker


def _same(piece: Callable[[Random, str], str]) -> Maker:
    """One piece, again and again."""

    def maker(random: Random, script: str) -> Iterator[str]:
        one = piece(random, script)
        while True:
            yield one

    return maker


def _separated(separators: str, piece: Callable[[Random, str], str]) -> Maker:
    """Pieces with one separator between, whichever chance takes for this text."""

    def maker(random: Random, script: str) -> Iterator[str]:
        separator = random.choice(separators)
        while True:
            yield piece(random, script) + separator

    return maker


def _sentence(random: Random, script: str) -> str:
    words = " ".join(_word(random, script) for _ in range(random.randint(3, 14)))
    return (
        words.capitalize()
        + random.choice([".", "!", "?", ",", ";", ":"])
        + random.choice([" ", " ", "\n", "\n\n"])
    )


def _number(random: Random, script: str) -> str:
    return "".join(_digit(random, script) for _ in range(random.randint(1, 7)))


def _thousands(random: Random, script: str) -> str:
    return "".join(_digit(random, script) for _ in range(3))


def _any_sign(random: Random, _script: str) -> str:
    while True:
        point = random.choice(
            (random.randrange(0x20, 0x3000), random.randrange(0x20, 0x1FFFF), random.randrange(0x110000))
        )
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def _url(random: Random, script: str) -> str:
    host, path = (_word(random, script) for _ in range(2))
    return f"https://{host}.org/{path}?{_letter(random, script)}=%20&"


def _nested(random: Random, script: str) -> str:
    return random.choice(["(", "[", "{", ")", "]", "}"]) + (
        _letter(random, script) if random.random() < 0.4 else ""
    )


def _base64(random: Random, _script: str) -> str:
    return base64.b64encode(random.randbytes(30)).decode()


def _camel(random: Random, script: str) -> str:
    return _letter(random, script).upper() + _letter(random, script)


def _piled(random: Random, script: str) -> str:
    marks = MARKS.get(script, COMBINING) if random.random() < 0.5 else COMBINING
    return _letter(random, script) + "".join(random.choice(marks) for _ in range(random.randint(1, 12)))


def _marked(random: Random, script: str) -> str:
    """A letter of any script with marks of others, and a symbol: ﷂุ֦|-"""
    letter = random.choice("ﷂﬁ" + _letter(random, random.choice([script, *LETTERS])))
    marks = "".join(random.choice(random.choice([*MARKS.values()])) for _ in range(random.randint(0, 2)))
    symbols = (random.choice(_SYMBOLS + _PUNCTUATION) for _ in range(random.randint(1, 2)))
    return letter + marks + "".join(symbols) + random.choice(["", "", "-", "1", " "])


def _hidden(random: Random, script: str) -> str:
    return _letter(random, script) + random.choice(_INVISIBLE) * random.choice([1, 2, 12])


def _family(random: Random, _script: str) -> str:
    return random.choice(["👩‍👩‍👧", "👍🏽", "🇩🇪", "🇺🇸", "1️⃣", "🏳️‍🌈", "👨🏿‍🚀", "❤️"])


SHAPES: Mapping[str, Maker] = {
    "word without end": _endless(_letter),
    "one letter": _same(_letter),
    "one capital": _same(lambda random, script: _letter(random, script).upper()),
    "capitals": _endless(lambda random, script: _letter(random, script).upper()),
    "camel case": _endless(_camel),
    "letters apart": _endless(lambda random, script: _letter(random, script) + " "),
    "one letter apart": _same(lambda random, script: _letter(random, script) + " "),
    "dotted letters": _endless(lambda random, script: _letter(random, script) + "."),
    "dotted capitals": _endless(lambda random, script: _letter(random, script).upper() + "."),
    "one dotted letter": _same(lambda random, script: _letter(random, script) + "."),
    "dots apart": _separated(".", lambda random, script: _letter(random, script) + " "),
    "abbreviations": _same(lambda random, script: f"{_letter(random, script)}.{_letter(random, script)}. "),
    "separated letters": _separated(_SEPARATORS, _letter),
    "separated words": _separated(_SEPARATORS, lambda random, script: _word(random, script, 5)),
    "words": _endless(lambda random, script: _word(random, script) + " "),
    "one word": _same(lambda random, script: _word(random, script) + " "),
    "long words": _endless(lambda random, script: _word(random, script, 80) + " "),
    "sentences": _endless(_sentence),
    "lines": _endless(
        lambda random, script: _word(random, script) + random.choice(["\n", "\r\n", "\t", "\n\n\n"])
    ),
    "digits": _endless(_digit),
    "one digit": _same(_digit),
    "digits apart": _endless(lambda random, script: _digit(random, script) + " "),
    "numbers": _separated(" ,.;:-/'", _number),
    "thousands": _separated(" ,.'’\u202f", _thousands),
    "decimals": _endless(lambda random, script: f"{_number(random, script)}.{_number(random, script)} "),
    "amounts": _endless(lambda random, script: random.choice("$€£¥") + _number(random, script) + " "),
    "ordinals": _endless(
        lambda random, script: _number(random, script) + random.choice(["st ", "nd ", "th ", ". "])
    ),
    "letters and digits": _endless(lambda random, script: _letter(random, script) + _digit(random, script)),
    "identifiers": _endless(lambda random, script: random.choice([_letter, _digit])(random, script)),
    "with Latin": _endless(lambda random, script: _letter(random, script) + _letter(random, "latin")),
    "mixed scripts": _endless(lambda random, script: _letter(random, random.choice([script, *LETTERS]))),
    "piled marks": _endless(_piled),
    "marks of others and symbols": _endless(_marked),
    "hidden signs": _endless(_hidden),
    "private use": _endless(
        lambda random, script: _letter(random, script) + chr(0xE000 + random.randrange(0x1900))
    ),
    "controls": _endless(lambda random, script: _word(random, script) + chr(random.randrange(1, 32))),
    "one symbol": _same(lambda random, _: random.choice(_SYMBOLS)),
    "symbols": _endless(lambda random, _: random.choice(_SYMBOLS)),
    "symbols and letters": _endless(lambda random, script: _letter(random, script) + random.choice(_SYMBOLS)),
    "punctuation and letters": _endless(
        lambda random, script: _letter(random, script) + random.choice(_PUNCTUATION)
    ),
    "apostrophes": _separated("'’`´", lambda random, script: _word(random, script, 2)),
    "hyphens": _separated("-‐‑–—", lambda random, script: _word(random, script, 3)),
    "brackets": _endless(_nested),
    "quotes": _endless(lambda random, script: f'"{_word(random, script)}"“{_letter(random, script)}” '),
    "addresses": _endless(_url),
    "mail addresses": _endless(
        lambda random, script: f"{_word(random, script)}@{_word(random, script)}.org;"
    ),
    "emoji": _endless(lambda random, _: random.choice(_EMOJI)),
    "one emoji": _same(lambda random, _: random.choice(_EMOJI)),
    "joined emoji": _endless(_family),
    "base64": _endless(_base64),
    "hexadecimal": _endless(lambda random, _: f"{random.randrange(256):02x}"),
    "Roman numerals": _endless(
        lambda random, _: random.choice("IVXLCDM") + random.choice(["", "", " ", ". "])
    ),
    "markup": _endless(lambda random, script: random.choice(_TAGS) + _word(random, script)),
    "phonemes": _endless(lambda random, script: f"[[{_word(random, script)}]]"),
    "anything": _endless(_any_sign),
    "anything apart": _endless(lambda random, script: _any_sign(random, script) + " "),
}
