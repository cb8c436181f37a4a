"""`GET /api/user/dashboard`: account, credits, storage, usage and recent jobs in one response."""

from datetime import date, datetime
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from msgspec import UNSET, Struct, UnsetType

from app.api.codevoice.account_schemas import credits_view, storage_view, user_view
from app.api.codevoice.schemas import Credits, StorageView, UserView
from app.domain.accounts.service import Accounts
from app.domain.billing.credits import credits as in_credits
from app.domain.billing.usage_summary import Usage, UsageSummaries
from app.domain.identity.scopes import ACCOUNT
from app.domain.jobs.history import OwnJob
from app.domain.speech.audio_urls import AudioUrls
from app.domain.storage_quotas import StorageQuotas
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from db.types import State


class DayView(Struct, frozen=True, kw_only=True):
    """Usage on one day (UTC)."""

    date: date
    requests: int
    credits: int | float


class KindView(Struct, frozen=True, kw_only=True):
    """Usage of one kind of job."""

    kind: str
    requests: int
    credits: int | float


class UsageView(Struct, frozen=True, kw_only=True):
    """Usage of the last thirty days. `success_rate` is from 0 to 1; null if no job has ended."""

    requests: int
    succeeded: int
    failed: int
    success_rate: float | None
    by_day: list[DayView]
    by_kind: list[KindView]


class JobView(Struct, frozen=True, kw_only=True):
    """A recent job. `credits`: what it cost, or holds while it is unfinished."""

    job_id: UUID
    kind: str
    voice: str | None
    status: State
    characters: int
    duration_ms: int | None
    credits: int | float
    created_at: datetime
    audio_url: str | UnsetType = UNSET


class DashboardView(Struct, frozen=True, kw_only=True):
    """GET /api/user/dashboard."""

    user: UserView
    credits: Credits
    storage: StorageView
    usage: UsageView
    recent: list[JobView]


@get("/api/user/dashboard", opt={"scope": ACCOUNT}, response_headers=NO_STORE)
async def dashboard(
    request: ApiRequest,
    accounts: NamedDependency[Accounts],
    usage_summaries: NamedDependency[UsageSummaries],
    storage: NamedDependency[StorageQuotas],
    audio_urls: NamedDependency[AudioUrls],
) -> DashboardView:
    """Show the account, its credits, its usage of the last thirty days and its recent jobs."""
    who = request.user
    user, balance = await accounts.me(who)
    return DashboardView(
        user=user_view(user),
        credits=credits_view(balance),
        storage=storage_view(await storage.stored(who)),
        usage=_usage(await usage_summaries.last_days(who)),
        recent=[_job(job, audio_urls) for job in await usage_summaries.recent(who)],
    )


def _usage(usage: Usage) -> UsageView:
    return UsageView(
        requests=usage.requests,
        succeeded=usage.succeeded,
        failed=usage.failed,
        success_rate=usage.success_rate,
        by_day=[
            DayView(date=day.date, requests=day.requests, credits=in_credits(day.spent))
            for day in usage.by_day
        ],
        by_kind=[
            KindView(kind=kind.kind, requests=kind.requests, credits=in_credits(kind.spent))
            for kind in usage.by_kind
        ],
    )


def _job(job: OwnJob, addresses: AudioUrls) -> JobView:
    is_kept = job.state == "completed" and job.has_audio
    return JobView(
        job_id=job.id,
        kind=job.kind,
        voice=job.voice,
        status=job.state,
        characters=job.characters,
        duration_ms=job.duration_ms,
        credits=in_credits(job.micro),
        created_at=job.created_at,
        audio_url=addresses.address(job.id) if is_kept else UNSET,
    )
