"""Signs after whose name a voice does not return to its own language: the clause is ended after them."""

import re

# From espeak 1.52's lists: a name ends in another table of phonemes, which garbles or drops the clause.
_SIGNS = {
    "af": "🤠",
    "da": "🙆",
    "de": "🆒🆓🆕🚼",
    "fr": "⚽🍛📸🤓🤵🤽🤾🥌🧩🃏🆒🛍",
    "ga": "💴💹🗻🤐🧿😁🀄",
    "gd": "🖕",
    "hyw": "👌🙆🤟🈶",
    "ml": "⏯🆖🆗🆙",
    "ms": "💶",
    "pt-PT": "©🤵🥌🥾",
    "vi": "⛩✝🌮🌯🍔🍕🍱🍶🎄🎅🎋🎬🎷🎸🎺🎻🏏💶📠📸📹📼🔘🕎🤵🥝🧫🧿🌍🌏🕴",
}
_PATTERNS = {
    language: re.compile(rf"([{signs}][\ufe0f\U0001f3fb-\U0001f3ff]*)(?!\u200d)(?=[^\S\n]*\S)")
    for language, signs in _SIGNS.items()
}


def end_switches(text: str, language: str) -> str:
    """Insert a comma and a line end after such a sign, if anything follows in its line."""
    if text.isascii():
        return text
    pattern = _PATTERNS.get(language) or _PATTERNS.get(language.partition("-")[0])
    return pattern.sub(r"\1,\n", text) if pattern else text
