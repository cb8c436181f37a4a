"""Admin API: plans, jobs, the ledger audit and the log of admin operations."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from app.api.admin.context import AdminContext, Operator, Reason, changes, operation_response
from app.domain.admin import jobs, ledger
from app.domain.admin import plans as terms
from app.domain.admin.jobs import JobOperationResult, JobRow, JobShown
from app.domain.admin.ledger import Audit
from app.domain.admin.operations import OperationRow, list_operations
from app.domain.admin.plans import PlanRow
from app.domain.errors import NotFailed, NotFound, TooLate
from app.domain.pagination import Page
from app.http.json_response import JsonResponse
from app.openapi.errors import SPENDING


class Plans(Struct, frozen=True, kw_only=True):
    """GET /api/admin/plans."""

    items: list[PlanRow]


class OperationsController(Controller):
    """Plans, jobs, the audit of the ledger and the log of operations."""

    @get("/plans")
    async def plans(self, context: NamedDependency[AdminContext]) -> Plans:
        """List the plans."""
        async with context.moment() as session:
            return Plans(items=await terms.list_plans(session))

    @get("/jobs", opt={"errors": (NotFound,)})
    async def list_jobs(
        self,
        context: NamedDependency[AdminContext],
        account: FromQuery[str | None] = None,
        in_state: Annotated[str | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[JobRow]:
        """List jobs of all accounts, or of one, the newest first."""
        async with context.moment() as session:
            return await jobs.list_jobs(session, account=account, state=in_state, limit=limit, cursor=cursor)

    @get("/jobs/{job:str}")
    async def show_job(self, job: FromPath[str], context: NamedDependency[AdminContext]) -> JobShown:
        """Show a job with its attempts and its transfers."""
        async with context.moment() as session:
            return await jobs.show_job(session, job)

    @post("/jobs/{job:str}/retry", status_code=200, opt=changes(NotFailed, *SPENDING))
    async def retry_job(
        self,
        data: JSONBody[Reason],
        job: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[JobOperationResult]:
        """Queue a failed job again; its price is held anew."""
        async with context.session() as session:
            done = await jobs.retry_job(
                session,
                operator.operation(data.reason),
                job,
                queue_wait_s=context.queue_wait_s,
                jobs_waiting_max=context.jobs_waiting_max,
            )
        if done.code == "queued":
            context.wakeup.wake(done.engine)
        return operation_response(done)

    @post("/jobs/{job:str}/cancel", status_code=200, opt=changes(TooLate))
    async def cancel(
        self,
        data: JSONBody[Reason],
        job: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[JobOperationResult]:
        """Cancel a job."""
        async with context.session() as session:
            done = await jobs.cancel_job(session, operator.operation(data.reason), job)
        context.signals.notify_cancelled(done.job)
        return operation_response(done)

    @get("/audit")
    async def audit(self, context: NamedDependency[AdminContext]) -> Audit:
        """Check the ledger: every account, every job, the chain of hashes."""
        async with context.moment() as session:
            return await ledger.audit(session)

    @get("/acts", opt={"errors": (NotFound,)})
    async def acts(
        self,
        context: NamedDependency[AdminContext],
        account: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[OperationRow]:
        """List the operations of administrators, the newest first."""
        async with context.moment() as session:
            return await list_operations(session, account=account, limit=limit, cursor=cursor)
