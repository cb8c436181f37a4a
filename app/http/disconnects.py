"""Client disconnects: noticed at once, while the client waits for a response or receives one."""

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
_cancelling: set["asyncio.Task[None]"] = set()  # keeps references: the event loop itself keeps none


class ClientDisconnected(DomainError):
    """The client disconnected before the response. Used only for the log and the metrics: nobody gets it."""

    status, code = 499, "client_disconnected"

    def __init__(self) -> None:
        super().__init__("The client disconnected before the answer was there.")


@runtime_checkable
class Closable(Protocol):
    """A result that holds resources until it is closed."""

    def close(self, ending: Ending) -> None:
        """Release it."""
        ...


async def cancel_on_disconnect(receive: Receive, act: Coroutine[Any, Any, T]) -> T:
    """The result of `act`, which is cancelled as soon as the client disconnects.

    Raises ClientDisconnected. If `act` returns a result all the same, that result is closed.
    """
    acting, disconnect = asyncio.create_task(act), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({acting, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            raise ClientDisconnected
        await _cancel(disconnect)
    except BaseException:
        acting.add_done_callback(_discard)  # before the wait, which may itself be cancelled
        await _cancel(acting, disconnect)
        raise
    return acting.result()


def _discard(acting: "asyncio.Task[Any]") -> None:
    """Close a result that nobody will use. Errors of the cancelled task are ignored."""
    if acting.cancelled() or acting.exception() is not None:
        return
    result = acting.result()
    if isinstance(result, Closable):
        result.close("left")


class LiveResponse(Response[bytes]):
    """A response sent while it is made. `ended` is called once, whatever happens.

    If the chunks end in an error, the connection is cut without the final chunk that marks a complete body.
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
        """The ASGI application that sends the response."""
        return _Sending(
            self._chunks,
            self._ended,
            headers={**(given.get("headers") or {}), **self.headers},
            cookies=[*self.cookies, *(given.get("cookies") or ())],
            media_type=str(self.media_type),
            status_code=self.status_code,
        )


class _Unsent(Exception):
    """A message could not be sent: the client has disconnected."""


class _Sending(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, chunks: AsyncIterator[bytes], ended: Callable[[Ending], None], **given: Any) -> None:
        super().__init__(**given)
        self._chunks = chunks
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        disconnect = asyncio.create_task(_disconnected(receive))
        sending = asyncio.create_task(self._send(_reported(send), disconnect))
        ending: Ending = "broken"
        try:
            await asyncio.wait({sending, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            ending = sending.result() if sending.done() else "left"
        finally:
            self._ended(ending)
            await _cancel(sending, disconnect)

    async def _send(self, send: Send, disconnect: "asyncio.Task[None]") -> Ending:
        """Only an error of the chunks is our fault; an error while sending counts as a disconnect."""
        try:
            async with aclosing(cast("Any", self._chunks)) as chunks:
                await self.start_response(send)
                async for chunk in chunks:
                    if disconnect.done():
                        return "left"
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # the server silently drops what is sent after a disconnect
            if disconnect.done():
                return "left"
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except _Unsent:
            return "left"
        except (DomainError, StoreError) as error:  # the server cuts the unfinished response
            reason = error.code if isinstance(error, DomainError) else "store_lost"
            structlog.get_logger().warning("answer_broken_off", reason=reason)
            return "broken"
        return "whole"


def _reported(send: Send) -> Send:
    """`send`, raising _Unsent for its own errors, so that they differ from those of the chunks."""

    async def sent(message: Message) -> None:
        try:
            await send(message)
        except Exception as error:
            structlog.get_logger().warning("answer_not_sent", reason=type(error).__name__)
            raise _Unsent from error

    return sent


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks, repeatedly if needed: a cancellation was seen lost as a read from Redis returned.

    If the caller is cancelled meanwhile, the cancelling goes on in a task of its own.
    """
    pending = set(tasks)
    try:
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    except asyncio.CancelledError:
        rest = asyncio.create_task(_cancel(*pending))
        _cancelling.add(rest)
        rest.add_done_callback(_cancelling.discard)
        raise
