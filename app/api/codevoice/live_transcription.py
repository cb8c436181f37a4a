"""The routes under /api/stt/live: live transcripts that the browser makes."""

from typing import Literal

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.domain.billing.credits import credits
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.live_sessions import LiveSessions, Transcript
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body

_ROUTE = "POST /api/stt/live/complete"
_SCOPE = {"scope": TRANSCRIPTION, "limit": "post"}
_NO_STORE = {"Cache-Control": "no-store"}


class SessionView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/stt/live/start."""

    session_id: str


class UsedCredits(Struct, frozen=True, kw_only=True):
    """The credits a request used, and the total remaining; null: unlimited."""

    used: int | float
    remaining: int | float | None


class CompletedView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/stt/live/complete."""

    status: Literal["completed"] = "completed"
    credits: UsedCredits
    message: str


_BODY = msgspec.json.Decoder(Transcript)


def live_routes(live: LiveSessions, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that start and complete a live session."""
    return [_start_route(live), _complete_route(live, body_bytes_max)]


def _start_route(live: LiveSessions) -> HTTPRouteHandler:
    @post("/api/stt/live/start", status_code=200, opt=_SCOPE)
    async def start_live_session(request: AnyRequest) -> Response[SessionView]:
        return Response(SessionView(session_id=live.start(request.scope["user"])), headers=_NO_STORE)

    return start_live_session


def _complete_route(live: LiveSessions, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/stt/live/complete", status_code=200, opt=_SCOPE, operation_class=request_body(Transcript))
    async def complete_live_session(request: AnyRequest) -> Response[CompletedView]:
        transcript = await read_json(request, _BODY, bytes_max=bytes_max)
        key = request.headers.get("idempotency-key")
        receipt = await live.complete(request.scope["user"], transcript, key, route=_ROUTE)
        remaining = None if receipt.remaining is None else credits(receipt.remaining)
        view = CompletedView(
            credits=UsedCredits(used=credits(receipt.used), remaining=remaining), message=receipt.message
        )
        headers = {"Idempotent-Replayed": "true"} if receipt.replayed else {}
        return Response(view, headers=_NO_STORE | headers)

    return complete_live_session
