"""Bytes a client sends behind a running request: buffered within a bound, and hiding no disconnect."""

import json
from collections.abc import Generator
from itertools import repeat

import pytest

from tests.app.small_server import MORE_THAN_SOCKETS_HOLD, Broken, Bug, Client, SmallServer, request, serving

SECOND = request("/second")
BEHIND = {
    "nothing": b"",
    "a request": SECOND,
    "half a request": SECOND[:-4],
    "garbage": b"\x00\x01 nonsense\r\n\r\n",
    "a stream": request("/live"),
}


@pytest.fixture
def server() -> Generator[SmallServer]:
    with serving(SmallServer()) as server:
        yield server


@pytest.fixture
def client(server: SmallServer) -> Generator[Client]:
    client = Client(server.address)
    yield client
    client.leave("close")


def path_of(body: bytes) -> str:
    return str(json.loads(body)["path"])


def begin_stream(server: SmallServer, client: Client, behind: bytes) -> None:
    """A stream whose first chunk has arrived; the bytes behind its request were sent with it."""
    client.send(request("/live") + behind)
    server.say(b"first")
    client.head()
    assert client.chunk() == b"first"


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_whoever_leaves_a_stream_has_left_whatever_came_behind(
    server: SmallServer, client: Client, behind: bytes, how: str
) -> None:
    begin_stream(server, client, behind)
    client.leave(how)

    assert server.ending() == "left"


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_a_disconnect_before_the_first_byte_is_noticed_whatever_came_behind(
    server: SmallServer, client: Client, behind: bytes, how: str
) -> None:
    client.send(request("/wait") + behind)
    server.await_request()
    client.leave(how)

    assert server.ending() == "left"


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("behind", [b"", SECOND], ids=["nothing", "a request"])
def test_leaving_is_noticed_while_nothing_can_be_sent(
    server: SmallServer, client: Client, behind: bytes, how: str
) -> None:
    begin_stream(server, client, behind)
    server.say(*repeat(bytes(1 << 20), MORE_THAN_SOCKETS_HOLD >> 20))  # it waits for the client to read
    client.leave(how)

    assert server.ending() == "left"


@pytest.mark.parametrize("path", ["/live", "/wait"])
def test_garbage_behind_is_refused_after_the_answer(server: SmallServer, client: Client, path: str) -> None:
    client.send(request(path) + b"\x00 nonsense\r\n\r\n")
    server.say(b"first", None)
    first, second = client.answer(), client.answer()

    assert (first[0], second[0], second[1]["connection"]) == (200, 400, "close")
    assert server.ending() == "whole"
    assert client.is_closed()


@pytest.mark.parametrize("is_together", [True, False])
@pytest.mark.parametrize("path", ["/live", "/wait"])
def test_a_request_behind_is_answered_after_the_answer(
    server: SmallServer, client: Client, path: str, is_together: bool
) -> None:
    client.send(request(path) + (SECOND if is_together else b""))
    server.await_request()
    if not is_together:
        client.send(SECOND)
    server.say(b"first", None)
    first, second = client.answer(), client.answer()

    assert (first[0], path_of(second[2])) == (200, "/second")
    assert server.ending() == "whole"


@pytest.mark.parametrize("error", [Broken, Bug])
def test_a_request_behind_a_stream_that_breaks_is_not_answered(
    server: SmallServer, client: Client, error: type[Exception]
) -> None:
    begin_stream(server, client, SECOND)
    server.say(error)

    assert client.is_closed()
    assert server.ending() == "broken"


def test_many_requests_at_once_are_answered_in_order(client: Client) -> None:
    client.send(b"".join(request(f"/{number}") for number in range(1000)))

    assert [path_of(client.answer()[2]) for _ in range(1000)] == [f"/{number}" for number in range(1000)]


def test_bodies_behind_are_read_in_order(client: Client) -> None:
    client.send(b"".join(request(f"/{n}", method="POST", body=b"\r\n\r\n%d" % n) for n in range(100)))
    answers = [json.loads(client.answer()[2]) for _ in range(100)]

    assert [(seen["path"], seen["body"]) for seen in answers] == [
        (f"/{n}", f"\r\n\r\n{n}") for n in range(100)
    ]


@pytest.mark.parametrize("path", ["/live", "/wait"])
def test_more_than_is_kept_makes_the_answer_under_way_the_last(
    server: SmallServer, client: Client, path: str
) -> None:
    client.send(request(path))
    server.await_request()
    client.send(SECOND * (MORE_THAN_SOCKETS_HOLD // len(SECOND)))
    server.say(b"first", None)

    assert client.answer()[0] == 200
    assert server.ending() == "whole"
    assert client.is_closed()


def test_whoever_goes_on_and_on_behind_a_stream_is_cut_off(server: SmallServer, client: Client) -> None:
    begin_stream(server, client, b"")
    sent = 0
    try:
        while sent < 100_000_000:
            client.send(bytes(1 << 16))
            sent += 1 << 16
    except OSError:
        pass

    assert sent < 100_000_000
    assert server.ending() == "left"


def test_bytes_behind_the_last_request_are_ignored(client: Client) -> None:
    client.send(request("/echo", "Connection: close") + SECOND)

    assert path_of(client.answer()[2]) == "/echo"
    assert client.is_closed()
