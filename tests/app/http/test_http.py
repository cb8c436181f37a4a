"""Requests and responses on the wire, by RFC 9112: framing, Host, trailers, HTTP/1.0."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.app.small_server import HEAD_BYTES_MAX, Broken, Bug, Client, SmallServer, chunked, request, serving

CHUNKED = "Transfer-Encoding: chunked"
TRAILERS = [
    "X-Forwarded-For: 198.51.100.7",
    "X-API-Key: zzz",
    "Authorization: Bearer zzz",
    "Cookie: a=b",
    "Host: b",
    "Expect: 100-continue",
    "Connection: close",
    "Upgrade: websocket",
]


@pytest.fixture(scope="module")
def server() -> Generator[SmallServer]:
    with serving(SmallServer()) as server:
        yield server


@pytest.fixture
def client(server: SmallServer) -> Generator[Client]:
    client = Client(server.address)
    yield client
    client.leave("close")


def seen(client: Client) -> dict[str, Any]:
    """What the application saw of a request."""
    status, _, body = client.answer()
    assert status == 200, body
    return json.loads(body)


def refusal(client: Client) -> tuple[int, str, str | None]:
    status, headers, body = client.answer()
    assert client.is_closed()
    return status, json.loads(body)["detail"]["error"], headers.get("connection")


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_trailer_is_not_a_header_of_its_request_nor_of_the_next(
    client: Client, trailer: str, is_first: bool
) -> None:
    if not is_first:
        client.send(request("/before", CHUNKED, method="POST") + chunked(b"x", trailers=("A: b",)))
        seen(client)
    client.send(request("/echo", CHUNKED, method="POST") + chunked(b"ab", b"c", trailers=(trailer, "X: y")))
    first = seen(client)
    client.send(request("/after"))
    second = seen(client)

    assert (first["body"], first["headers"]) == ("abc", [["host", "a"], ["transfer-encoding", "chunked"]])
    assert (second["path"], second["headers"]) == ("/after", [["host", "a"]])


@pytest.mark.parametrize("trailer", ["Content-Length: 5", CHUNKED])
def test_a_trailer_that_would_frame_the_body_is_refused(client: Client, trailer: str) -> None:
    client.send(request("/echo", CHUNKED, method="POST") + chunked(b"abc", trailers=(trailer,)) + b"GET / ")

    assert refusal(client) == (400, "bad_request", "close")


@pytest.mark.parametrize("framing", [b"0\r\nx: ", b"1;x="])
def test_trailers_and_chunk_extensions_are_bounded_as_heads_are(client: Client, framing: bytes) -> None:
    client.send(request("/echo", CHUNKED, method="POST") + chunked(b"abc")[:-5] + framing)
    for _ in range(1000):  # the limit, and as much again as is received at once, is far less
        client.send(b"a" * HEAD_BYTES_MAX)
        if client.has_answer(within_s=0.05):
            break

    assert refusal(client) == (431, "headers_too_large", "close")


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (["Host: a", "Host: a"], "1.1"),
        (["Host: a", "Host: b"], "1.1"),
        (["Host: a", "hOST: b"], "1.0"),
        ([], "1.1"),
        (["Host: a b"], "1.1"),
        (["Host: <script>"], "1.1"),
        (["Host: a/b"], "1.1"),
        (["Host: a@b"], "1.1"),
        (["Host: a:b"], "1.1"),
        (["Host: a:1:2"], "1.1"),
        (["Host: ::1"], "1.1"),
        (["Host: [::1"], "1.1"),
        (["Host: %zz"], "1.1"),
        (["Host: \xff"], "1.0"),
    ],
)
def test_a_request_names_exactly_one_valid_host(client: Client, lines: list[str], version: str) -> None:
    client.send("\r\n".join((f"GET /echo HTTP/{version}", *lines, "", "")).encode("latin-1"))

    assert refusal(client) == (400, "bad_request", "close")


@pytest.mark.parametrize(
    "host", ["", "a", "a.example:8080", "127.0.0.1:", "[::1]:80", "[v1.a:b]", "a_b", "%61", "a!$&'()*+,;=~"]
)
def test_any_host_a_uri_can_name_is_accepted(client: Client, host: str) -> None:
    client.send(f"GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert seen(client)["headers"] == [["host", host]]


def test_http_1_0_needs_no_host(client: Client) -> None:
    client.send(b"GET /echo HTTP/1.0\r\n\r\n")

    assert seen(client)["headers"] == []


HOST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
REFUSED = {
    "Content-Length twice": HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "Content-Length as a list": HOST + b"Content-Length: 1, 1\r\n\r\na",
    "Content-Length with a sign": HOST + b"Content-Length: +1\r\n\r\na",
    "Content-Length empty": HOST + b"Content-Length: \r\n\r\n",
    "Transfer-Encoding and Content-Length": HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    b"0\r\n\r\n",
    "Content-Length and Transfer-Encoding": HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "Transfer-Encoding twice": HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "Transfer-Encoding in two lines": HOST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "Transfer-Encoding gzip, chunked": HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding chunked, gzip": HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding identity": HOST + b"Transfer-Encoding: identity\r\n\r\n",
    "Transfer-Encoding in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding with Upgrade": HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "obs-fold": HOST + b"A: b\r\n c\r\n\r\n",
    "obs-fold in the first line": b"POST /echo HTTP/1.1\r\n Host: a\r\n\r\n",
    "whitespace before the colon": HOST + b"A : b\r\n\r\n",
    "no name": HOST + b": b\r\n\r\n",
    "bare CR in a value": HOST + b"A: b\rc\r\n\r\n",
    "bare CR as the end": HOST + b"A: b\r\rC: d\r\n\r\n",
    "bare LF as the end": HOST + b"A: b\nC: d\r\n\r\n",
    "bare LF as the empty line": HOST + b"\n",
    "bare LF after the request line": b"GET /echo HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a chunk's size": HOST + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "bare LF after a chunk": HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
    "NUL in a value": HOST + b"A: b\0c\r\n\r\n",
    "HTTP/0.9": b"GET /echo\r\n\r\n",
    "HTTP/1.2": b"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_a_request_whose_end_could_be_disputed_is_refused(client: Client, sent: bytes) -> None:
    client.send(sent)

    assert refusal(client) == (400, "bad_request", "close")


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (("Content-Type: application/json", "Content-Type: text/plain"), b""),
        (("X-Empty:",), b""),
        (("Transfer-Encoding: Chunked",), chunked(b"a\r\n\r\nb", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n")),
        (("Transfer-Encoding: chunked",), b"001;a=b\r\nx\r\n000\r\n\r\n"),
        (
            ("Connection: upgrade", "Upgrade: h2c", "Content-Length: 30"),
            b"GET /smuggled HTTP/1.1\r\n\r\n1234",
        ),
        (("Connection: upgrade", "Upgrade: h2c"), b""),
        (("Expect: 100-continue", "Content-Length: 0"), b""),
    ],
    ids=["two Content-Types", "empty", "chunks", "extension", "Upgrade with a body", "Upgrade", "Expect"],
)
@pytest.mark.parametrize("piece", [1, 3, 10_000])
def test_the_request_behind_is_found_however_the_bytes_arrive(
    client: Client, lines: tuple[str, ...], body: bytes, piece: int
) -> None:
    sent = request("/first", *lines, method="POST") + body + request("/second")
    for start in range(0, len(sent), piece):
        client.send(sent[start : start + piece])
    if "Expect: 100-continue" in lines:
        assert client.head() == (100, {})
    first, second = seen(client), seen(client)
    client.send(request("/third"))

    assert (first["path"], len(first["headers"])) == ("/first", 1 + len(lines))
    assert (second["path"], second["headers"], second["body"]) == ("/second", [["host", "a"]], "")
    assert seen(client)["path"] == "/third"
    if "Upgrade: h2c" in lines:
        assert first["body"].encode() == body


def test_an_http_1_0_stream_is_the_bytes_alone_and_ends_with_the_connection(
    server: SmallServer, client: Client
) -> None:
    client.send(b"GET /live HTTP/1.0\r\n\r\n")
    server.say(b"first", b"", b"second", None)
    status, headers, body = client.answer()

    assert (status, body, headers["connection"]) == (200, b"firstsecond", "close")
    assert "transfer-encoding" not in headers
    assert "content-length" not in headers
    assert server.ending() == "whole"


@pytest.mark.parametrize("error", [Broken, Bug])
def test_an_http_1_0_stream_that_breaks_off_does_not_look_whole(
    server: SmallServer, client: Client, error: type[Exception]
) -> None:
    client.send(b"GET /live HTTP/1.0\r\n\r\n")
    server.say(b"first")
    client.head()
    assert client.read(5) == b"first"
    server.say(error)

    with pytest.raises(ConnectionResetError):
        client.read()
    assert server.ending() == "broken"


@pytest.mark.parametrize("line", ["Connection: keep-alive", "Connection: close", "X: y"])
def test_an_http_1_0_answer_of_known_length_is_framed_by_it_and_the_connection_closes(
    server: SmallServer, client: Client, line: str
) -> None:
    client.send(request("/sized/11", line, version="1.0"))
    server.say(b"first", b"second", None)
    status, headers, body = client.answer()

    assert (status, body, headers["connection"]) == (200, b"firstsecond", "close")
    assert client.is_closed()
    assert server.ending() == "whole"


def test_an_http_1_0_post_is_read_by_its_length_and_gets_no_interim_answer(client: Client) -> None:
    lines = ("Expect: 100-continue", "Connection: keep-alive")
    client.send(request("/echo", *lines, method="POST", version="1.0", body=b"abc") + b"ignored")

    assert seen(client)["body"] == "abc"
    assert client.is_closed()


def test_an_http_1_0_head_request_has_no_body(client: Client) -> None:
    client.send(request("/echo", method="HEAD", version="1.0"))
    status, headers = client.head()

    assert (status, headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_an_http_1_0_refusal_is_framed_and_closes(client: Client) -> None:
    client.send(b"GET /echo HTTP/1.0\r\na b\r\n\r\n")

    assert refusal(client) == (400, "bad_request", "close")
