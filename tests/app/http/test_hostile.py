"""Hostile requests: each gets a clear error in its dialect's shape, and the next caller is unaffected."""

import json
import socket
from typing import Any

import pytest

from tests.app.api_process import ApiProcess
from tests.app.conftest import Person

HELLO = b'{"text": "hello", "voice": "ryan"'


@pytest.fixture(autouse=True)
def _the_api_server_still_responds(api: ApiProcess) -> Any:
    before = api.log.read_text().count('"unhandled"')
    yield
    assert api.call("GET", "/health/live").status_code == 200
    assert api.log.read_text().count('"unhandled"') == before


def parsed(received: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


def post(api: ApiProcess, key: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    answer = api.call("POST", "/v1/tts", key, content=body, headers={"Content-Type": content_type})
    return answer.status_code, answer.json()["detail"]["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b"\xff\xfe\x00",
        HELLO,
        HELLO + b"} x",
        HELLO + b', "speed": NaN}',
        b'{"text": "\\ud800", "voice": "ryan"}',
        b'{"text": "\xed\xa0\x80", "voice": "ryan"}',
        b'{"text": "\xff", "voice": "ryan"}',
    ],
)
def test_what_is_no_json_is_malformed(api: ApiProcess, person: Person, body: bytes) -> None:
    assert post(api, person.key, body) == (400, "malformed_json")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"5",
        b'"text"',
        HELLO + b', "speed": 1e999}',
        HELLO + b', "speed": ' + b"9" * 5000 + b"}",
        HELLO + b', "speed": true}',
        HELLO + b', "api_key": {}}',
        b'{"text": "\\udc00", "voice": "ryan"}',
        b'{"text": "hello", "voice": "\\udc00"}',
        b'{"text": "hello", "voice": "ryan", "language": "\\udc00"}',
        b'{"text": "hello", "voice": "ryan", "format": "\\u0000"}',
        b'{"text": ' + b"[" * 50_000 + b"]" * 50_000 + b', "voice": "ryan"}',
    ],
)
def test_json_of_another_type_is_invalid(api: ApiProcess, person: Person, body: bytes) -> None:
    status, error = post(api, person.key, body)

    assert status == 422 or (status, error) == (400, "malformed_json")


def test_depth_has_an_end(api: ApiProcess, person: Person) -> None:
    deep = HELLO + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    assert post(api, person.key, deep) == (400, "bad_request")


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "MULTIPART/mixed"],
)
@pytest.mark.parametrize("path", ["/v1/tts", "/api/auth/login", "/api/auth/register"])
def test_forms_are_not_json(api: ApiProcess, person: Person, content_type: str, path: str) -> None:
    headers = {"Content-Type": content_type, "X-API-Key": person.key}
    answer = api.call("POST", path, content=b"text=hello&voice=ryan", headers=headers)

    assert (answer.status_code, answer.json()["detail"]["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "nonsense", "application/json; charset=latin-1", "application/x-www-form-urlencoded"],
)
def test_json_is_taken_under_other_names(api: ApiProcess, person: Person, content_type: str) -> None:
    answer = api.call(
        "POST", "/v1/tts", person.key, content=HELLO + b"}", headers={"Content-Type": content_type}
    )

    assert answer.status_code == 200


def test_a_large_body_is_refused(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/v1/tts", person.key, content=b" " * 2_000_001)

    detail = answer.json()["detail"]
    assert (answer.status_code, detail["error"], detail["limit"]) == (413, "body_too_large", 2_000_000)


def test_a_large_body_without_a_length_is_refused(api: ApiProcess, person: Person) -> None:
    answer = api.call("POST", "/v1/tts", person.key, content=iter([b" " * 500_000] * 5))

    assert (answer.status_code, answer.json()["detail"]["error"]) == (413, "body_too_large")


@pytest.mark.parametrize("length", [b"abc", b"-1", b"99999999999999999999999"])
def test_an_invalid_content_length_is_refused(api: ApiProcess, person: Person, length: bytes) -> None:
    key = person.key.encode()
    received = api.raw(
        b"POST /v1/tts HTTP/1.1\r\nhost: a\r\nx-api-key: " + key
        + b"\r\nconnection: close\r\ncontent-length: " + length + b"\r\n\r\n{}"
    )  # fmt: skip

    assert parsed(received)[0] in (400, 413)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\r\n : c\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_garbage_gets_json(api: ApiProcess, sent: bytes) -> None:
    status, headers, body = parsed(api.raw(sent))

    assert (status, headers["content-type"], headers["connection"]) == (400, "application/json", "close")
    assert body["detail"]["error"] == "bad_request"
    assert len(headers["x-request-id"]) == 32


def test_garbage_in_a_body_gets_json(api: ApiProcess, person: Person) -> None:
    head = (
        f"POST /v1/tts HTTP/1.1\r\nhost: a\r\nx-api-key: {person.key}\r\ntransfer-encoding: chunked\r\n\r\n"
    )

    status, headers, body = parsed(api.raw(head.encode() + b"zz\r\nhello\r\n"))

    assert (status, body["detail"]["error"], headers["connection"]) == (400, "bad_request", "close")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (b"/v1/tts", {"error": "headers_too_large", "user_type": None, "limit": 65_536}),
        (b"/v2/voices", {"status": "headers_too_large"}),
    ],
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_large_head_is_refused(api: ApiProcess, path: bytes, error: dict[str, Any], is_whole: bool) -> None:
    head = b"GET " + path + b" HTTP/1.1\r\nhost: a\r\nx-request-id: kept\r\nx-big: " + b"a" * 100_000
    if not is_whole:
        head += b"a" * 400_000

    status, headers, body = parsed(api.raw(head + (b"\r\n\r\n" if is_whole else b"")))

    assert (status, headers["x-request-id"]) == (431, "kept")
    assert error.items() <= body["detail"].items()


def test_many_small_headers_are_a_large_head(api: ApiProcess) -> None:
    lines = b"".join(b"x-%d: aaaaaaaaaaaaaaaaaaaa\r\n" % n for n in range(4000))

    assert parsed(api.raw(b"GET / HTTP/1.1\r\n" + lines + b"\r\n"))[0] == 431


def test_a_long_path_is_refused(api: ApiProcess) -> None:
    assert parsed(api.raw(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"))[0] == 431


def test_requests_behind_a_large_body_are_not_mistaken_for_its_head(api: ApiProcess) -> None:
    body = b" " * 200_000
    first = b"POST /api/auth/login HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n" + body
    second = b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"

    received = api.raw(first + second)

    assert received.startswith(b"HTTP/1.1 400")
    assert received.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize("host", [b"", b"a b", b"<script>", b"a\xff"])
def test_a_strange_host_causes_no_unhandled_error(api: ApiProcess, host: bytes) -> None:
    received = api.raw(b"GET /v1/voices HTTP/1.1\r\nconnection: close\r\nhost: " + host + b"\r\n\r\n")

    assert received[9:12] in (b"200", b"400")


def test_a_request_for_another_protocol_is_answered_in_http(api: ApiProcess) -> None:
    received = api.raw(
        b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n"
    )

    assert received.startswith(b"HTTP/1.1 200")


def test_a_client_that_disconnects_midway_causes_no_unhandled_error(api: ApiProcess, person: Person) -> None:
    head = f"POST /v1/tts HTTP/1.1\r\nhost: a\r\nx-api-key: {person.key}\r\ncontent-length: 100\r\n\r\n{{"
    for _ in range(5):
        with socket.create_connection(api.address) as connection:
            connection.sendall(head.encode())
    assert api.call("GET", "/health/live").status_code == 200


@pytest.mark.parametrize("query", ["language=%ff", "gender=%00", "limit=" + "9" * 5000, "cursor=%ed%a0%80"])
def test_a_strange_query_causes_no_unhandled_error(api: ApiProcess, query: str) -> None:
    assert api.call("GET", f"/v1/voices?{query}").status_code in (200, 422)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("register", b'{"email": "a@b.org", "password": "\\udc00aaaaaaaa"}'),
        ("register", b'{"email": "a@b.org", "password": "aaaaaaaa", "name": "\\udc00"}'),
        ("register", b'{"email": "\\udc00@b.org", "password": "aaaaaaaa"}'),
        ("login", b'{"email": "a@b.org", "password": "\\udc00"}'),
        ("login", b'{"email": "\\udc00", "password": "a"}'),
        ("refresh", b'{"refresh_token": "\\udc00"}'),
    ],
)
def test_an_unpaired_surrogate_causes_no_unhandled_error(api: ApiProcess, path: str, body: bytes) -> None:
    answer = api.call("POST", f"/api/auth/{path}", content=body)

    assert answer.status_code in (400, 401, 422)
