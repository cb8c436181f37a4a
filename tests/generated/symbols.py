"""Each symbol alone, in each language: which of them end a voice's process."""

import argparse
import time
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

from workers.engines.espeak.engine import EspeakEngine
from workers.engines.protocol import Interrupted, Refused, Utterance
from workers.text.shapes import prepare_text

_PLACES = ("{}", "a {}", "{}-a")  # alone, at a paragraph's end, before a hyphen


def symbols(first: int, last: int) -> str:
    """Printable characters that are neither letters nor digits of a script."""
    points = (chr(point) for point in range(first, last + 1))
    return "".join(sign for sign in points if unicodedata.category(sign)[0] in "PSN" and not sign.isdecimal())


def deadly(engine: EspeakEngine, signs: str, end: float) -> Iterator[tuple[str, str]]:
    """Each language and text over which a voice died."""
    languages = {language: voice.id for voice in engine.capabilities.voices for language in voice.languages}
    for sign in signs:
        for language, voice in languages.items():
            for place in _PLACES:
                if time.monotonic() > end:
                    return
                text = place.format(sign)
                if not _lives(engine, text, voice, language):
                    yield language, text


def _lives(engine: EspeakEngine, text: str, voice: str, language: str) -> bool:
    options = Utterance(
        job_id=UUID(int=1), text=prepare_text(text, language), voice=voice, language=language, speed=4.0
    )
    try:
        (speech,) = engine.begin([options])
        return sum(map(len, speech)) >= 0
    except (Refused, Interrupted):
        return False


def main() -> None:
    """Print each that dies, as it is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=lambda text: int(text, 16), default=0x21, help="hexadecimal")
    parser.add_argument("--last", type=lambda text: int(text, 16), default=0x1FAFF, help="hexadecimal")
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    signs = symbols(options.first, options.last)
    found = 0
    with closing(EspeakEngine()) as engine:
        for language, text in deadly(engine, signs, time.monotonic() + 60 * options.minutes):
            found += 1
            print(language, ascii(text), flush=True)
    raise SystemExit(found > 0)


if __name__ == "__main__":
    main()
