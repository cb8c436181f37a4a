"""Response endings: sent whole, left by the client, or broken by us; and what is closed then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from app.domain.errors import SpeechFailed
from app.domain.speech.synchronous import Ending
from app.http.disconnects import ClientDisconnected, LiveResponse, cancel_on_disconnect
from db.storage.objects import StoreError


class Connection:
    """`receive` and `send` of a request whose body is here; what `fails` sending raises is `error`."""

    def __init__(self, error: Exception | None = None, *, fails_at: int = 0) -> None:
        self.has_left = asyncio.Event()
        self.sent: list[Any] = []
        self._error = error
        self._fails_at = fails_at

    async def receive(self) -> Any:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self._error is not None and len(self.sent) == self._fails_at:
            raise self._error
        self.sent.append(message)

    async def answer(self, chunks: AsyncIterator[bytes]) -> list[Ending]:
        """Every ending that was reported."""
        endings: list[Ending] = []
        live = LiveResponse(chunks, headers={}, media_type="audio/wav", ended=endings.append)
        await live.to_asgi_response(None, cast("Any", None))(cast("Any", {}), self.receive, self.send)
        return endings


async def three() -> AsyncIterator[bytes]:
    for chunk in (b"a", b"b", b"c"):
        yield chunk


async def failing(error: Exception) -> AsyncIterator[bytes]:
    yield b"a"
    raise error


async def test_a_response_sent_to_its_end_is_whole() -> None:
    connection = Connection()

    assert await connection.answer(three()) == ["whole"]
    assert b"".join(message.get("body", b"") for message in connection.sent) == b"abc"


@pytest.mark.parametrize("fails_at", range(5))
@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), OSError(), ConnectionResetError()])
async def test_what_cannot_be_sent_was_left(error: Exception, fails_at: int) -> None:
    assert await Connection(error, fails_at=fails_at).answer(three()) == ["left"]


@pytest.mark.parametrize("error", [SpeechFailed("made_anew"), StoreError("away")])
async def test_a_response_that_cannot_be_made_is_broken_and_not_completed(error: Exception) -> None:
    connection = Connection()

    assert await connection.answer(failing(error)) == ["broken"]
    assert [message.get("more_body") for message in connection.sent] == [None, True]


async def test_a_bug_in_making_a_response_is_not_hidden() -> None:
    endings: list[Ending] = []
    live = LiveResponse(failing(ZeroDivisionError()), headers={}, media_type="a/b", ended=endings.append)
    connection = Connection()

    with pytest.raises(ZeroDivisionError):
        await live.to_asgi_response(None, cast("Any", None))(
            cast("Any", {}), connection.receive, connection.send
        )
    assert endings == ["broken"]


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_response_the_server_drops_silently_counts_as_left(is_last: bool) -> None:
    connection = Connection()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        connection.has_left.set()
        yield b"b"
        if not is_last:
            await asyncio.Event().wait()

    assert await connection.answer(chunks()) == ["left"]


async def test_a_disconnect_is_reported_before_the_chunks_are_closed() -> None:
    connection, is_closing, may_close = Connection(), asyncio.Event(), asyncio.Event()
    endings: list[Ending] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            connection.has_left.set()
            await asyncio.Event().wait()
        finally:
            is_closing.set()
            with suppress(asyncio.CancelledError):
                await may_close.wait()

    live = LiveResponse(chunks(), headers={}, media_type="a/b", ended=endings.append)
    answer = live.to_asgi_response(None, cast("Any", None))
    sending = asyncio.create_task(answer(cast("Any", {}), connection.receive, connection.send))
    await is_closing.wait()
    reported = list(endings)
    may_close.set()
    await sending

    assert (reported, endings) == (["left"], ["left"])


class Sound:
    """Records how it was closed."""

    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def close(self, ending: Ending) -> None:
        self.endings.append(ending)


def returning(sound: Sound, lost: int, begun: asyncio.Event) -> Callable[[], Awaitable[Sound]]:
    """Work that swallows `lost` cancellations and still returns."""

    async def act() -> Sound:
        begun.set()
        for _ in range(lost):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return sound

    return act


@pytest.mark.parametrize("lost", [1, 2])
async def test_what_comes_although_its_client_has_left_is_closed(lost: int) -> None:
    connection, sound, begun = Connection(), Sound(), asyncio.Event()
    waiting = asyncio.create_task(
        cancel_on_disconnect(connection.receive, cast("Any", returning(sound, lost, begun)()))
    )
    await begun.wait()
    connection.has_left.set()

    with pytest.raises(ClientDisconnected):
        await waiting
    assert sound.endings == ["left"]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_result_that_comes_after_its_request_was_cancelled_is_closed(times: int) -> None:
    connection, sound, begun = Connection(), Sound(), asyncio.Event()
    waiting = asyncio.create_task(
        cancel_on_disconnect(connection.receive, cast("Any", returning(sound, 2, begun)()))
    )
    await begun.wait()
    for _ in range(times):  # the second while the first is being carried out
        waiting.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await waiting
    while not sound.endings:
        await asyncio.sleep(0)
    assert sound.endings == ["left"]


async def test_a_result_that_comes_in_time_is_handed_over_open() -> None:
    sound = Sound()
    act = returning(sound, 0, asyncio.Event())

    assert await cancel_on_disconnect(Connection().receive, cast("Any", act())) is sound
    assert sound.endings == []


async def test_a_refusal_is_passed_on() -> None:
    async def act() -> None:
        raise SpeechFailed("engine_failed")

    with pytest.raises(SpeechFailed):
        await cancel_on_disconnect(Connection().receive, act())
