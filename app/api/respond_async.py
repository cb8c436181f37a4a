"""`Prefer: respond-async`: makes a route that returns audio return a job instead."""

from typing import Literal
from uuid import UUID

from litestar import Response
from msgspec import Struct

from app.domain.speech.service import Ticket
from app.http.bodies import AnyRequest


class Accepted(Struct, frozen=True, kw_only=True):
    """The job, and the URLs to poll its status, download its audio and listen to it live."""

    job_id: UUID
    status: Literal["queued"] = "queued"
    status_url: str
    audio_url: str
    stream_url: str


def prefers_async(request: AnyRequest) -> bool:
    """Whether the caller prefers to fetch the audio later."""
    preferences = request.headers.get("prefer", "").casefold()
    return any(part.strip() == "respond-async" for part in preferences.replace(";", ",").split(","))


def accepted(ticket: Ticket, shape: type[Accepted]) -> Response[Accepted]:
    """The 202 response for the job, in a dialect's shape."""
    headers = {
        "Location": f"/v1/jobs/{ticket.job_id}",
        "Preference-Applied": "respond-async",
        "X-Voice-Engine": ticket.engine,
    }
    if ticket.replayed:
        headers["Idempotent-Replayed"] = "true"
    view = shape(
        job_id=ticket.job_id,
        status_url=f"/tts/status/{ticket.job_id}",
        audio_url=f"/tts/audio/{ticket.job_id}",
        stream_url=f"/tts/stream/{ticket.job_id}",
    )
    return Response(view, status_code=202, headers=headers)
