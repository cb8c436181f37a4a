"""Generated texts, forms and headers: each is refused in shape and free of charge, or accepted unchanged."""

import json
import re
import secrets
import socket
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.app.api_process import ApiProcess
from tests.app.conftest import OpenAccount
from tests.routes import every_route

REFUSALS = {400, 413, 415, 422}
EXAMPLES = 60
quick = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
# Any code point, halves of pairs and NUL among them; marks that pile up; both directions at once.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.text(st.sampled_from("a\u0301\u0323\u20dd\ufe0f\u200d🎧\x00\ud83d\udfa7"), max_size=60),
    st.text(st.sampled_from("abc \u202e\u2066\u2069אبא123\u200f"), max_size=60),
)


@pytest.fixture(scope="module")
def key(open_account: OpenAccount) -> str:
    return open_account(unlimited=True)


@pytest.fixture(autouse=True)
def _nothing_is_unhandled(api: ApiProcess) -> Any:
    before = api.log.read_text().count('"unhandled"')
    yield
    assert api.log.read_text().count('"unhandled"') == before


def text_of(owner: psycopg.Connection[Any], job: str) -> str:
    row = owner.execute("SELECT params ->> 'text' FROM cv.job WHERE id = %s", [job]).fetchone()
    assert row is not None
    return str(row[0])


def test_any_text_is_spoken_as_it_is_or_refused(
    api: ApiProcess, key: str, owner: psycopg.Connection[Any]
) -> None:
    @quick
    @example("\x00", {})
    @example("\ud800", {})
    @example("a" + "\u0301" * 99_999, {})
    @example("\u202e\u2066" * 1000 + "x", {"language": "\u202e"})
    @given(TEXTS, st.dictionaries(st.sampled_from(["language", "format", "voice"]), TEXTS))
    def tried(text: str, others: dict[str, str]) -> None:
        sent = {"text": text, "voice": "ryan", **others}
        answer = api.call("POST", "/v1/tts", key, content=json.dumps(sent).encode())
        if answer.status_code == 200:
            assert text_of(owner, answer.json()["job_id"]) == text
        else:
            assert answer.status_code in REFUSALS
            assert set(answer.json()["detail"]) >= {"error", "message", "user_type"}

    tried()


@pytest.mark.parametrize("path", ["/v1/tts", "/api/v1/tts/generate", "/v1/audio/speech"])
def test_a_million_marks_on_one_letter_are_too_much(api: ApiProcess, key: str, path: str) -> None:
    field = "input" if "audio" in path else "text"

    for marks in (200_000, 1_000_000):  # over the text's limit, and over the body's
        sent = {field: "a" + "\u0301" * marks, "voice": "ryan"}
        body = json.dumps(sent, ensure_ascii=False).encode()
        assert api.call("POST", path, key, content=body).status_code == 413


def parts(boundary: bytes) -> st.SearchStrategy[bytes]:
    """Bodies that are nearly multipart."""
    piece = st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"\r\n",
                b"--",
                b"--" + boundary,
                b"--" + boundary + b"--\r\n",
                b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
                b'Content-Disposition: form-data; name="language"\r\n\r\n',
                b"Content-Disposition: form-data; name*=utf-8''%00\r\n\r\n",
                b"Content-Length: 99999999999\r\n",
                b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n",
                b"RIFF\xff\xff\xff\xffWAVEfmt ",
            ]
        ),
    )
    return st.lists(piece, max_size=12).map(b"".join)


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions", "/login"])
def test_any_form_is_refused_in_shape(api: ApiProcess, key: str, path: str) -> None:
    kinds = ["multipart/form-data; boundary=x", "multipart/form-data", 'multipart/form-data; boundary="x\\"']

    @quick
    @given(parts(b"x"), st.sampled_from(kinds))
    def tried(body: bytes, kind: str) -> None:
        answer = api.call("POST", path, key, content=body, headers={"Content-Type": kind})
        assert answer.status_code in REFUSALS | {403, 503}  # a form without token; no transcription engine

    tried()


ROUTES = sorted((route.method, re.sub(r"{\w+:\w+}", "0", route.path)) for route in every_route())
HEADERS = (
    *("Authorization", "X-API-Key", "xi-api-key", "Cookie", "X-CSRF-Token", "Idempotency-Key", "Prefer"),
    *("Range", "If-Range", "If-None-Match", "Accept", "Accept-Encoding", "Content-Type", "X-Request-ID"),
    *("X-Forwarded-For", "Forwarded", "Origin", "Access-Control-Request-Method", "Expect", "TE"),
)
VALUES = st.one_of(
    st.binary(max_size=60).map(lambda value: value.translate(None, b"\r\n\0")),
    st.sampled_from(
        [b"bytes=0-,-1", b"bytes=99999999999999999999-", b"Bearer ", b"Bearer a.b.c", b'"', b"W/", b"*"]
    ),
    st.sampled_from([b"=; =;;a=b=c", b"a" * 8000, b"\xff\xfe", b"1.2.3.4, ::1, evil", b"100-continue"]),
)


def test_any_header_is_borne(api: ApiProcess) -> None:
    @settings(quick, max_examples=4 * EXAMPLES)
    @given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=5))
    def tried(route: tuple[str, str], headers: dict[str, bytes]) -> None:
        method, path = route
        lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n".encode()
        status = answered(api.raw, head + lines + b"\r\n")
        assert status < 500 or status == 503, (route, headers)

    tried()


def answered(raw: Callable[[bytes], bytes], sent: bytes) -> int:
    received = raw(sent)
    found = re.findall(rb"^HTTP/1\.1 (\d{3})", received, re.MULTILINE)
    assert found, received[:200]
    return int(found[-1])


def test_a_flood_of_bytes_is_cut_off(api: ApiProcess) -> None:
    """A caller that sends without end is cut off at the limit."""
    head = b"POST /v1/tts HTTP/1.1\r\nhost: a\r\nx-api-key: " + secrets.token_hex(8).encode()
    sent = 0
    with socket.create_connection(api.address, timeout=10) as connection:
        connection.sendall(head + b"\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
        try:
            while sent < 200_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
    assert sent < 100_000_000
