"""`Prefer: respond-async`: makes a route that returns audio return a job instead."""

from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from app.domain.speech.service import Ticket
from app.http.json_response import JsonResponse, replayed


class Accepted(Struct, frozen=True, kw_only=True):
    """The job, and the URLs to poll its status, download its audio and listen to it live."""

    job_id: UUID
    status: Literal["queued"] = "queued"
    status_url: str
    audio_url: str
    stream_url: str


ACCEPTED: Mapping[int, ResponseSpec] = {
    202: ResponseSpec(Accepted, description="With `Prefer: respond-async`: the job", generate_examples=False)
}


def prefers_async(prefer: str | None) -> bool:
    """Whether the caller prefers to fetch the audio later, by its Prefer header."""
    preferences = (prefer or "").casefold()
    return any(part.strip() == "respond-async" for part in preferences.replace(";", ",").split(","))


def accepted(ticket: Ticket, shape: type[Accepted]) -> JsonResponse[Accepted]:
    """The 202 response for the job, in a dialect's shape."""
    headers = {
        "Location": f"/v1/jobs/{ticket.job_id}",
        "Preference-Applied": "respond-async",
        "X-Voice-Engine": ticket.engine,
    }
    view = shape(
        job_id=ticket.job_id,
        status_url=f"/tts/status/{ticket.job_id}",
        audio_url=f"/tts/audio/{ticket.job_id}",
        stream_url=f"/tts/stream/{ticket.job_id}",
    )
    return JsonResponse(view, status_code=202, headers=headers | replayed(ticket.replayed))
