"""The API reference: every call, read from the OpenAPI document, with example code."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec import json as fast_json

from app.dashboard.code_snippets import NO_KEY, Snippet, quoted

Json = dict[str, Any]
_VERBS = ("get", "post", "delete")  # HEAD is GET without a body
_EXAMPLES: dict[str, object] = {
    "text": "Hello world from CodeVoice",
    "input": "Hello world from CodeVoice",
    "voice": "Emma",
    "email": "you@example.org",
    "password": "correct horse battery",
    "current_password": "correct horse battery",
    "new_password": "better horse battery",
    "name": "my server",
    "transcript": "What the browser heard",
    "scopes": ["speech"],
    "reason": "invoice 42",
    "amount": 100,
    "account": "you@example.org",
    "plan": "pro",
    "model": "tts-1",
}
_BY_TYPE: dict[str, object] = {
    "string": "…",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "null": None,
}
_PLACES = (
    ("/api/admin", "Operators"),
    ("/api/auth", "Accounts"),
    ("/api/user", "Accounts"),
    ("/api/keys", "Keys"),
    ("/api/v1", "YourVoic’s dialect"),
    ("/v1/audio", "OpenAI’s dialect"),
    ("/v1/models", "OpenAI’s dialect"),
    ("/v1/text-to-speech", "ElevenLabs’ dialect"),
    ("/v1/user", "ElevenLabs’ dialect"),
    ("/v2", "ElevenLabs’ dialect"),
    ("/api/stt", "Transcription"),
    ("/transcribe", "Transcription"),
    ("/health", "Health"),
    ("", "Speech"),
)
_ORDER = (
    *("Speech", "Transcription", "Accounts", "Keys"),
    *("YourVoic’s dialect", "OpenAI’s dialect", "ElevenLabs’ dialect", "Operators", "Health"),
)


class Field(Struct, frozen=True, kw_only=True):
    """A parameter, or a field of a request or response body."""

    name: str
    place: str
    kind: str
    is_needed: bool


class Call(Struct, frozen=True, kw_only=True):
    """One call of the API."""

    verb: str
    path: str
    anchor: str
    title: str
    about: str
    fields: Sequence[Field]
    answer: Sequence[Field]
    snippets: Sequence[Snippet]


class Reference:
    """Reads the document on first use, and again when the base URL changes."""

    def __init__(self, document: Callable[[], bytes]) -> None:
        self._document = document
        self._read: dict[str, dict[str, list[Call]]] = {}

    def groups(self, url: str) -> dict[str, list[Call]]:
        """The calls by topic."""
        if url not in self._read:
            self._read.clear()  # keeps the calls for one base URL only
            self._read[url] = _groups(fast_json.decode(self._document()), url)
        return self._read[url]


def _groups(document: Json, url: str) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {name: [] for name in _ORDER}
    for path, verbs in document["paths"].items():
        place = next(name for start, name in _PLACES if path.startswith(start))
        for verb in _VERBS:
            if verb in verbs:
                found[place].append(_call(document, url, verb, path, verbs[verb]))
    return {name: calls for name, calls in found.items() if calls}


def _call(document: Json, url: str, verb: str, path: str, operation: Json) -> Call:
    body, body_type = _body(document, operation)
    parameters = [
        Field(
            name=one["name"],
            place=one["in"],
            kind=_kind(one.get("schema", {})),
            is_needed=bool(one.get("required")),
        )
        for one in operation.get("parameters", [])
    ]
    return Call(
        verb=verb.upper(),
        path=path,
        anchor=re.sub(r"\W+", "-", f"{verb}{path}").strip("-").lower(),
        title=re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation.get("summary", path)).capitalize(),
        about=operation.get("description") or body.get("description", ""),
        fields=parameters + _fields(body, "form" if "multipart" in body_type else "body"),
        answer=_fields(_answer(document, operation), "answer"),
        snippets=_snippets(url, verb.upper(), path, body, body_type),
    )


def _body(document: Json, operation: Json) -> tuple[Json, str]:
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, found in content.items():
        return _resolved(document, found.get("schema", {})), media_type
    return {}, ""


def _answer(document: Json, operation: Json) -> Json:
    for status, found in operation.get("responses", {}).items():
        content = found.get("content", {}).get("application/json")
        if status.startswith("2") and content:
            return _resolved(document, content.get("schema", {}))
    return {}


def _resolved(document: Json, schema: Json) -> Json:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"].get(name, {}) if name else schema


def _fields(schema: Mapping[str, Any], place: str) -> list[Field]:
    needed = schema.get("required") or ()
    return [
        Field(name=name, place=place, kind=_kind(found), is_needed=name in needed)
        for name, found in schema.get("properties", {}).items()
    ]


def _kind(schema: Json) -> str:
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return name
    if options := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(option) for option in options))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"“{value}”" for value in schema.get("enum", [schema.get("const")]))
    kind = "file" if schema.get("format") == "binary" else schema.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _example(schema: Json) -> Json:
    needed = schema.get("required") or ()
    return {
        name: _EXAMPLES.get(name, _BY_TYPE.get(_kind(found).partition(" ")[0], "…"))
        for name, found in schema.get("properties", {}).items()
        if name in needed or name in ("email", "text")
    }


def _snippets(url: str, verb: str, path: str, body: Json, body_type: str) -> list[Snippet]:
    where = url + re.sub(r"{(\w+)}", lambda found: found[1].upper(), path)
    sent = json.dumps(_example(body), ensure_ascii=False) if body_type == "application/json" else ""
    is_upload = "multipart" in body_type
    texts = (
        ("curl", "curl", _curl(verb, where, sent, is_upload)),
        ("python", "Python", _python(verb, where, sent, is_upload)),
        ("javascript", "JavaScript", _javascript(verb, where, sent, is_upload)),
    )
    return [Snippet(language=language, title=title, text=text) for language, title, text in texts]


def _curl(verb: str, where: str, sent: str, is_upload: bool) -> str:
    head = f"curl -sS {'' if verb == 'GET' else f'-X {verb} '}{where} \\\n  -H 'X-API-Key: {NO_KEY}'"
    if is_upload:
        return f"{head} \\\n  -F file=@recording.wav"
    return f"{head} \\\n  -H 'Content-Type: application/json' \\\n  -d {quoted(sent)}" if sent else head


def _python(verb: str, where: str, sent: str, is_upload: bool) -> str:
    more = f",\n    json={_literal(sent)},\n" if sent else ",\n"
    if is_upload:
        more = ',\n    files={"file": open("recording.wav", "rb")},\n'
    return (
        "import requests\n\n"
        f'answer = requests.request(\n    "{verb}", "{where}",\n'
        f'    headers={{"X-API-Key": "{NO_KEY}"}}{more})\nanswer.raise_for_status()'
    )


def _literal(sent: str) -> str:
    """The JSON text as a Python literal."""
    return repr(json.loads(sent))


def _javascript(verb: str, where: str, sent: str, is_upload: bool) -> str:
    headers = f'"X-API-Key": "{NO_KEY}"' + (', "Content-Type": "application/json"' if sent else "")
    body = f",\n  body: JSON.stringify({sent})" if sent else ""
    before = ""
    if is_upload:
        before = (
            'import { openAsBlob } from "node:fs";\n\nconst body = new FormData();\n'
            'body.append("file", await openAsBlob("recording.wav"), "recording.wav");\n'
        )
        body = ",\n  body"
    return (
        f'{before}const answer = await fetch("{where}", {{\n  method: "{verb}",\n'
        f"  headers: {{ {headers} }}{body},\n}});"
    )
