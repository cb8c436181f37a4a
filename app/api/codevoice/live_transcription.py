"""The routes under /api/stt/live: live transcripts that the browser makes."""

from typing import Literal

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.domain import errors as e
from app.domain.billing.credits import credits
from app.domain.identity.scopes import TRANSCRIPTION
from app.domain.transcription.live_sessions import LiveSessions, Transcript
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE, JsonResponse, replayed
from app.openapi.errors import SPENDING
from app.openapi.parameters import IdempotencyKey

_ROUTE = "POST /api/stt/live/complete"
_COMPLETE_ERRORS = (e.MissingText, e.TextTooLong, e.NotFound, *SPENDING)


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


_OPT = {"scope": TRANSCRIPTION, "limit": "post"}


class LiveTranscriptionController(Controller):
    """Live transcription in the browser: counted here, recognised there."""

    path = "/api/stt/live"
    opt = _OPT
    response_headers = NO_STORE

    @post("/start", status_code=200)
    async def start_live_session(
        self, request: ApiRequest, live: NamedDependency[LiveSessions]
    ) -> SessionView:
        """Begin a session."""
        return SessionView(session_id=live.start(request.user))

    @post("/complete", status_code=200, opt={"errors": _COMPLETE_ERRORS})
    async def complete_live_session(
        self,
        data: JSONBody[Transcript],
        request: ApiRequest,
        live: NamedDependency[LiveSessions],
        idempotency_key: IdempotencyKey = None,
    ) -> JsonResponse[CompletedView]:
        """Charge for the transcript of a session."""
        receipt = await live.complete(request.user, data, idempotency_key, route=_ROUTE)
        remaining = None if receipt.remaining is None else credits(receipt.remaining)
        view = CompletedView(
            credits=UsedCredits(used=credits(receipt.used), remaining=remaining), message=receipt.message
        )
        return JsonResponse(view, headers=replayed(receipt.replayed))
