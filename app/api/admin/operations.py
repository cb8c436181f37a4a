"""Admin API: plans, jobs, the ledger audit and the log of admin operations."""

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from app.api.admin.context import (
    POST,
    READ,
    AdminContext,
    Reason,
    json_response,
    operation_of,
    operation_response,
)
from app.domain.admin import jobs, ledger
from app.domain.admin import plans as terms
from app.domain.admin.jobs import JobOperationResult, JobRow, JobShown
from app.domain.admin.ledger import Audit
from app.domain.admin.operations import OperationRow, list_operations
from app.domain.admin.plans import PlanRow
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body

_REASON = msgspec.json.Decoder(Reason)


class Plans(Struct, frozen=True, kw_only=True):
    """GET /api/admin/plans."""

    items: list[PlanRow]


def operation_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes for plans, jobs (listed, shown, retried, cancelled), the audit and the operations log."""
    return [
        _plans_route(context),
        _jobs_route(context),
        _job_route(context),
        _retry_route(context, bytes_max),
        _cancel_route(context, bytes_max),
        _audit_route(context),
        _operations_route(context),
    ]


def _plans_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/plans", opt=READ)
    async def plans() -> Response[Plans]:
        async with context.moment() as connection:
            return json_response(Plans(items=await terms.list_plans(connection)))

    return plans


def _jobs_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/jobs", opt=READ)
    async def list_jobs(
        account: FromQuery[str | None] = None,
        in_state: Annotated[str | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[Page[JobRow]]:
        async with context.moment() as connection:
            found = await jobs.list_jobs(
                connection, account=account, state=in_state, limit=limit, cursor=cursor
            )
        return json_response(found)

    return list_jobs


def _job_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/jobs/{job:str}", opt=READ)
    async def show_job(job: FromPath[str]) -> Response[JobShown]:
        async with context.moment() as connection:
            return json_response(await jobs.show_job(connection, job))

    return show_job


def _retry_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/jobs/{job:str}/retry", status_code=200, opt=POST, operation_class=request_body(Reason))
    async def retry_job(request: AnyRequest, job: FromPath[str]) -> Response[JobOperationResult]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await jobs.retry_job(
                connection,
                operation_of(request, body.reason),
                job,
                queue_wait_s=context.queue_wait_s,
                jobs_waiting_max=context.jobs_waiting_max,
            )
        if done.code == "queued":
            context.wakeup.wake(done.engine)
        return operation_response(done)

    return retry_job


def _cancel_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/jobs/{job:str}/cancel", status_code=200, opt=POST, operation_class=request_body(Reason))
    async def cancel(request: AnyRequest, job: FromPath[str]) -> Response[JobOperationResult]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await jobs.cancel_job(connection, operation_of(request, body.reason), job)
        context.signals.notify_cancelled(done.job)
        return operation_response(done)

    return cancel


def _audit_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/audit", opt=READ)
    async def audit() -> Response[Audit]:
        async with context.moment() as connection:
            return json_response(await ledger.audit(connection))

    return audit


def _operations_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/acts", opt=READ)
    async def acts(
        account: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[Page[OperationRow]]:
        async with context.moment() as connection:
            return json_response(
                await list_operations(connection, account=account, limit=limit, cursor=cursor)
            )

    return acts
