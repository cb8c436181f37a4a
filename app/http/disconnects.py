"""Clients that disconnect: noticed at once, while they wait for an answer and while they receive one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import structlog
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from app.domain.errors import DomainError
from app.domain.speech.synchronous import Ending
from db.storage.objects import StoreError

T = TypeVar("T")
_CANCEL_AGAIN_S = 0.05
_ending: set["asyncio.Task[None]"] = set()  # the loop itself does not keep its tasks


class ClientDisconnected(DomainError):
    """The client disconnected before the answer. Nobody receives this: it is for the log and the metrics."""

    status, code = 499, "client_disconnected"

    def __init__(self) -> None:
        super().__init__("The client disconnected before the answer was there.")


@runtime_checkable
class Closable(Protocol):
    """What holds something until it is closed."""

    def close(self, ending: Ending) -> None:
        """Release it."""
        ...


async def cancel_on_disconnect(receive: Receive, act: Coroutine[Any, Any, T]) -> T:
    """What `act` returns; it is cancelled as soon as the client has disconnected. Raises ClientLeft.

    What it returns nevertheless is closed.
    """
    acting, leaving = asyncio.create_task(act), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            raise ClientDisconnected
        await _end(leaving)
    except BaseException:
        acting.add_done_callback(_discard)  # before the wait, which may itself be cancelled
        await _end(acting, leaving)
        raise
    return acting.result()


def _discard(acting: "asyncio.Task[Any]") -> None:
    """Close what nobody will take. An error of a task that was cancelled is of no interest to anybody."""
    if acting.cancelled() or acting.exception() is not None:
        return
    result = acting.result()
    if isinstance(result, Closable):
        result.close("left")


class LiveResponse(Response[bytes]):
    """An answer sent as it is made. `ended` is called once, whatever happens.

    Where the chunks end in an error the connection is cut, without the end that says that all is there.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        headers: dict[str, str],
        media_type: str,
        status_code: int = 200,
        ended: Callable[[Ending], None] = lambda _: None,
    ) -> None:
        super().__init__(b"", headers=headers, media_type=media_type, status_code=status_code)
        self._chunks = chunks
        self._ended = ended

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:  # noqa: ARG002
        """The ASGI application that sends it."""
        return _Sending(
            self._chunks,
            self._ended,
            headers={**(given.get("headers") or {}), **self.headers},
            cookies=[*self.cookies, *(given.get("cookies") or ())],
            media_type=str(self.media_type),
            status_code=self.status_code,
        )


class _Unsent(Exception):
    """What is to be sent cannot be: the client is not there any more."""


class _Sending(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, chunks: AsyncIterator[bytes], ended: Callable[[Ending], None], **given: Any) -> None:
        super().__init__(**given)
        self._chunks = chunks
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        leaving = asyncio.create_task(_left(receive))
        sending = asyncio.create_task(self._send(_reported(send), leaving))
        ending: Ending = "broken"
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            ending = sending.result() if sending.done() else "left"
        finally:
            self._ended(ending)
            await _end(sending, leaving)

    async def _send(self, send: Send, leaving: "asyncio.Task[None]") -> Ending:
        """Only what the chunks raise is our fault: whatever prevents sending, the client is not there."""
        try:
            async with aclosing(cast("Any", self._chunks)) as chunks:
                await self.start_response(send)
                async for chunk in chunks:
                    if leaving.done():
                        return "left"
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # the server drops what is sent after a disconnect, and says nothing
            if leaving.done():
                return "left"
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except _Unsent:
            return "left"
        except (DomainError, StoreError) as error:  # returning unfinished makes the server cut the connection
            reason = error.code if isinstance(error, DomainError) else "store_lost"
            structlog.get_logger().warning("answer_broken_off", reason=reason)
            return "broken"
        return "whole"


def _reported(send: Send) -> Send:
    """`send`, whose errors can be told from those of the chunks."""

    async def sent(message: Message) -> None:
        try:
            await send(message)
        except Exception as error:
            structlog.get_logger().warning("answer_not_sent", reason=type(error).__name__)
            raise _Unsent from error

    return sent


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel, again if need be: one that comes as a read of Redis returns was seen to be lost.

    It goes on by itself where its own caller is cancelled meanwhile.
    """
    pending = set(tasks)
    try:
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    except asyncio.CancelledError:
        rest = asyncio.create_task(_end(*pending))
        _ending.add(rest)
        rest.add_done_callback(_ending.discard)
        raise
