"""From espeak's IPA to the symbols Kokoro was trained on, and how many of them one call takes. Pure."""

import re
from collections.abc import Iterator

from workers.engines.neural.phonemes import in_parts

PHONEMES_MAX = 510  # of one call of the model
# espeak is configured to tie the letters of one sound by "^". These sounds are one symbol each …
_JOINED = {
    "a^ɪ": "I", "a^ʊ": "W", "d^z": "ʣ", "d^ʒ": "ʤ", "e^ɪ": "A", "o^ʊ": "O", "s^s": "S", "t^s": "ʦ",
    "t^ʃ": "ʧ", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
}  # fmt: skip
# … and for these, which were not in the model's training data, a similar symbol is used.
_NEIGHBOURS = {"g": "ɡ", "ɦ": "h", "ɫ": "l", "ɬ": "l", "ɭ": "l", "ɱ": "m", "ʉ": "u", "ʑ": "ʒ"}
_ANOTHER_LANGUAGE = re.compile(r"\([^)]*\)")  # "(en)": espeak's mark for a word read as another language's
_JOINED_SOUND = re.compile("|".join(map(re.escape, _JOINED)))
_NEIGHBOUR = re.compile("|".join(map(re.escape, _NEIGHBOURS)))
_RUNS = {  # the model's vocabulary: the first symbol's number, and symbols with consecutive numbers
    1: ";:,.!?", 9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ",
    147: "ʒʔ", 156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
IDS = {symbol: first + place for first, run in _RUNS.items() for place, symbol in enumerate(run)}


def from_ipa(ipa: str) -> str:
    """Kokoro's symbols for espeak's output; what the model has no symbol for is left out."""
    known = _JOINED_SOUND.sub(lambda sound: _JOINED[sound[0]], _ANOTHER_LANGUAGE.sub("", ipa))
    known = _NEIGHBOUR.sub(lambda sound: _NEIGHBOURS[sound[0]], known)
    return "".join(symbol for symbol in known if symbol in IDS)


def calls(phonemes: str) -> Iterator[str]:
    """`phonemes` in parts that fit into one call."""
    return in_parts(phonemes, most=PHONEMES_MAX, marks=",;:.!?—…")
