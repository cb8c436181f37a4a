"""Callers who leave: noticed at once, while they wait for an answer and while they listen to one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar, cast

import structlog
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from app.domain.answers import Ending
from app.domain.errors import BadRequest, DomainError
from db.objects import StoreError

T = TypeVar("T")
_CANCEL_AGAIN_S = 0.05


async def unless_left(receive: Receive, act: Coroutine[Any, Any, T]) -> T:
    """What `act` returns; it is cancelled as soon as the caller has left."""
    acting, leaving = asyncio.create_task(act), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if acting.done():
            return acting.result()
        raise BadRequest("You left before the answer was there.")
    finally:
        await _end(acting, leaving)


class Live(Response[bytes]):
    """An answer sent as it is made. `ended` is called once, whatever happens.

    Where the chunks end in an error the connection is cut, without the end that says that all is there.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        headers: dict[str, str],
        media_type: str,
        ended: Callable[[Ending], None] = lambda _: None,
    ) -> None:
        super().__init__(b"", headers=headers, media_type=media_type, status_code=200)
        self._chunks = chunks
        self._ended = ended

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:  # noqa: ARG002
        """The ASGI application that sends it."""
        headers = {**(given.get("headers") or {}), **self.headers}
        return _Sending(self._chunks, self._ended, headers=headers, media_type=str(self.media_type))


class _Sending(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, chunks: AsyncIterator[bytes], ended: Callable[[Ending], None], **given: Any) -> None:
        super().__init__(status_code=200, **given)
        self._chunks = chunks
        self._ended = ended
        self._is_over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        sending, leaving = asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))
        ending: Ending = "broken"
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            ending = sending.result() if sending.done() else "left"
        finally:
            self._is_over = True
            self._ended(ending)
            await _end(sending, leaving)

    async def _send(self, send: Send) -> Ending:
        try:
            async with aclosing(cast("Any", self._chunks)) as chunks:
                await self.start_response(send)
                async for chunk in chunks:
                    if self._is_over:
                        return "left"
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (DomainError, StoreError) as error:  # returning unfinished makes the server cut the connection
            reason = error.code if isinstance(error, DomainError) else "store_lost"
            structlog.get_logger().warning("answer_broken_off", reason=reason)
            return "broken"
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "whole"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel, again if need be: one that comes as a read of Redis returns was seen to be lost."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
