"""JSON Schemas of OpenAI's responses, written from its API reference; further fields are allowed."""

from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator

BASE64 = {"type": "string", "pattern": "^[A-Za-z0-9+/]+=*$"}
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
MAYBE_TEXT = {"type": ["string", "null"]}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


ERROR = _object({"error": _object({"message": TEXT, "type": TEXT, "param": MAYBE_TEXT, "code": MAYBE_TEXT})})
MODEL = _object({"id": TEXT, "object": {"const": "model"}, "created": WHOLE, "owned_by": TEXT})
MODELS = _object({"object": {"const": "list"}, "data": _list(MODEL)})
_COUNTS = {"input_tokens": WHOLE, "output_tokens": WHOLE, "total_tokens": WHOLE}
_TOKENS = _object({"type": {"const": "tokens"}, **_COUNTS})
_DURATION = _object({"type": {"const": "duration"}, "seconds": NUMBER})
TRANSCRIPTION = _object({"text": TEXT}, usage={"oneOf": [_TOKENS, _DURATION]})
_SEGMENT = _object(
    {
        "id": WHOLE,
        "seek": WHOLE,
        "start": NUMBER,
        "end": NUMBER,
        "text": TEXT,
        "tokens": _list(WHOLE),
        "temperature": NUMBER,
        "compression_ratio": NUMBER,
    },
    # Required there. An engine that measures none (PocketSphinx) leaves them out: 0 would read as certainty.
    avg_logprob=NUMBER,
    no_speech_prob=NUMBER,
)
_WORD = _object({"word": TEXT, "start": NUMBER, "end": NUMBER})
VERBOSE_TRANSCRIPTION = _object(
    {"language": TEXT, "duration": NUMBER, "text": TEXT},
    segments=_list(_SEGMENT),
    words=_list(_WORD),
    usage=_DURATION,
)
TRANSCRIPT_EVENT = {
    "oneOf": [
        _object({"type": {"const": "transcript.text.delta"}, "delta": TEXT}),
        _object({"type": {"const": "transcript.text.done"}, "text": TEXT}, usage=_TOKENS),
    ]
}
SPEECH_EVENT = {
    "oneOf": [
        _object({"type": {"const": "speech.audio.delta"}, "audio": BASE64}),
        _object({"type": {"const": "speech.audio.done"}, "usage": _object(_COUNTS)}),
    ]
}


def faults(shape: dict[str, Any], answer: Any) -> Sequence[str]:
    """The differences between the response and the shape."""
    found = Draft202012Validator(shape).iter_errors(answer)
    return [f"{fault.json_path}: {fault.message}" for fault in found]
