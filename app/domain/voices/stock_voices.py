"""Stock voice names: our own, OpenAI's and ElevenLabs' default voice ids; and which voices they prefer."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from db.types import Voice

Family = Literal["codevoice", "openai", "elevenlabs"]
_QUALITIES = ("high", "standard", "low")


class Profile(Struct, frozen=True):
    """What a stock name promises. `preferred`: ids of voices, of any engine, the best first."""

    gender: Literal["female", "male", "neutral"]
    locale: str
    preferred: tuple[str, ...]

    def rank(self, voice: Voice, *, present: bool) -> tuple[object, ...]:
        """A sort key: the voice with the lowest rank speaks. In order: a running engine, the right gender,
        English as default language, natural over robotic, `preferred`, the accent, and the quality.
        """
        known = voice.id in self.preferred
        return (
            not present,
            self.gender not in ("neutral", voice.gender),
            voice.languages[0].partition("-")[0].casefold() != "en",
            voice.quality == "low",
            self.preferred.index(voice.id) if known else len(self.preferred),
            self.locale not in voice.languages,
            _QUALITIES.index(voice.quality),
        )


class StockVoice(Struct, frozen=True):
    """A name that can be requested like a voice."""

    id: str
    name: str
    family: Family
    profile: Profile


# hibari's voices first (fast on any CPU), then Kokoro's, then the name's eSpeak voice.
_HEART = Profile("female", "en-US", ("heart", "af_heart", "espeak-emma"))
_ANY = Profile("neutral", "en-US", ("heart", "af_heart", "espeak-emma"))
_BELLA = Profile("female", "en-US", ("af_bella", "heart", "af_heart", "espeak-emma"))
_KORE = Profile("female", "en-US", ("kore", "af_kore", "heart", "af_heart", "espeak-emma"))
_RYAN = Profile("male", "en-US", ("fenrir", "am_fenrir", "am_michael", "am_puck", "espeak-ryan"))
_PETER = Profile("male", "en-US", ("am_michael", "fenrir", "am_fenrir", "am_puck", "espeak-peter"))
_JAMES = Profile("male", "en-US", ("fenrir", "am_fenrir", "am_michael", "am_puck", "espeak-james"))
_PUCK = Profile("male", "en-US", ("am_puck", "fenrir", "am_fenrir", "am_michael", "espeak-peter"))
_BRITISH_WOMAN = Profile("female", "en-GB", ("emma-gb", "bf_emma", "bf_isabella", "espeak-emma"))
_GEORGE = Profile("male", "en-GB", ("bm_george", "fable", "bm_fable", "bm_lewis", "espeak-james"))
_FABLE = Profile("male", "en-GB", ("fable", "bm_fable", "bm_george", "bm_lewis", "espeak-james"))

_CODEVOICE = {"Emma": _HEART, "ryan": _RYAN, "Peter": _PETER, "James": _JAMES}
_OPENAI = {
    "alloy": _ANY, "ash": _PUCK, "ballad": _GEORGE, "cedar": _PETER, "coral": _HEART, "echo": _RYAN,
    "fable": _FABLE, "marin": _HEART, "nova": _HEART, "onyx": _PETER, "sage": _KORE, "shimmer": _BELLA,
    "verse": _PUCK,
}  # fmt: skip
_ELEVENLABS = {  # the ids that ElevenLabs' documentation and SDKs give as default voices, old and new
    "21m00Tcm4TlvDq8ikWAM": ("Rachel", _HEART), "29vD33N1CtxCmqQRPOHJ": ("Drew", _PETER),
    "2EiwWnXFnvU5JabPnv8n": ("Clyde", _PETER), "5Q0t7uMcjvnagumLfvZi": ("Paul", _PETER),
    "9BWtsMINqrJLrRacOk9x": ("Aria", _HEART), "AZnzlk1XvdvUeBnXmlld": ("Domi", _KORE),
    "CYw3kZ02Hs0563khs1Fj": ("Dave", _FABLE), "CwhRBWXzGAHq8TQ4Fs17": ("Roger", _PETER),
    "D38z5RcWu1voky8WS1ja": ("Fin", _FABLE), "EXAVITQu4vr4xnSDxMaL": ("Sarah", _HEART),
    "ErXwobaYiN019PkySvjV": ("Antoni", _RYAN), "FGY2WhTYpPnrIDTdsKH5": ("Laura", _BELLA),
    "GBv7mTt0atIp3Br8iCZE": ("Thomas", _RYAN), "IKne3meq5aSn9XLyUdCD": ("Charlie", _GEORGE),
    "JBFqnCBsd6RMkjVDRZzb": ("George", _GEORGE), "LcfcDJNUP1GQjkzn1xUU": ("Emily", _HEART),
    "MF3mGyEYCl7XYWbV9V6O": ("Elli", _BELLA), "N2lVS1w4EtoT3dr4eOWO": ("Callum", _RYAN),
    "ODq5zmih8GrVes37Dizd": ("Patrick", _PETER), "SAz9YHcvj6GT2YYXdXww": ("River", _ANY),
    "SOYHLrjzK2X1ezoPC6cr": ("Harry", _PUCK), "TX3LPaxmHKxFdv7VOQHJ": ("Liam", _PUCK),
    "ThT5KcBeYPX3keUQqHPh": ("Dorothy", _BRITISH_WOMAN), "TxGEqnHWrfWFTfGW9XjX": ("Josh", _PETER),
    "VR6AewLTigWG4xSOukaG": ("Arnold", _RYAN), "XB0fDUnXU5powFXDhCwa": ("Charlotte", _HEART),
    "Xb7hH8MSUJpSbSDYk0k2": ("Alice", _BRITISH_WOMAN), "XrExE9yKIg1WjnnlVkGX": ("Matilda", _HEART),
    "Yko7PKHZNXotIFUBG7I9": ("Matthew", _GEORGE), "ZQe5CZNOzWyzPSCn5a3c": ("James", _JAMES),
    "Zlb1dXrM653N07WRdFW3": ("Joseph", _GEORGE), "bIHbv24MWmeRgasZH58o": ("Will", _PUCK),
    "bVMeCyTHy58xNoL34h3p": ("Jeremy", _PUCK), "cgSgspJ2msm6clMCkdW9": ("Jessica", _BELLA),
    "cjVigY5qzO86Huf0OWal": ("Eric", _RYAN), "flq6f7yk4E4fJM5XTYuZ": ("Michael", _PETER),
    "g5CIjZEefAph4nQFvHAz": ("Ethan", _PUCK), "iP95p4xoKVk53GoZ742B": ("Chris", _RYAN),
    "jBpfuIE2acCO8z3wKNLl": ("Gigi", _BELLA), "jsCqWAovK2LkecY7zXl4": ("Freya", _KORE),
    "nPczCjzI2devNBz1zQrb": ("Brian", _PETER), "oWAxZDx7w5VEj9dCyTzz": ("Grace", _HEART),
    "onwK4e9ZLuTAKqWW03F9": ("Daniel", _GEORGE), "pFZP5JQG7iQjIQuC4Bku": ("Lily", _BRITISH_WOMAN),
    "pMsXgVXv3BLzUgSXRplE": ("Serena", _HEART), "pNInz6obpgDQGcFmaJgB": ("Adam", _RYAN),
    "piTKgcLEGmPE4e6mEKli": ("Nicole", _HEART), "pqHfZKP75CvOlQylNhV4": ("Bill", _PETER),
    "t0jbNlBVZ17f02VDIeMI": ("Jessie", _PETER), "wViXBPUzp2ZZixB1xQuM": ("Ryan", _RYAN),
    "yoZ06aMxZJJ28mfd3POQ": ("Sam", _RYAN), "z9fAnlkpzviPz146aGWa": ("Glinda", _KORE),
    "zcAOhNBS3c14rBihAFp1": ("Giovanni", _PUCK), "zrHiDhphv9ZnVXBqCLjz": ("Mimi", _BELLA),
}  # fmt: skip


def _stock_voices() -> dict[str, StockVoice]:
    ours = [StockVoice(name.lower(), name, "codevoice", profile) for name, profile in _CODEVOICE.items()]
    openai = [StockVoice(name, name, "openai", profile) for name, profile in _OPENAI.items()]
    others = [StockVoice(id, name, "elevenlabs", profile) for id, (name, profile) in _ELEVENLABS.items()]
    return {stock.id.casefold(): stock for stock in (*ours, *openai, *others)}


STOCK: Mapping[str, StockVoice] = _stock_voices()  # by case-folded id
# By case-folded name; a catalog voice of the same name takes precedence.
STOCK_NAMES: Mapping[str, StockVoice] = {stock.name.casefold(): stock for stock in reversed(STOCK.values())}
PROFILES = frozenset(stock.profile for stock in STOCK.values())
