"""Admin pages: accounts and what they may use, jobs, workers and queues, the log of operations."""

import secrets
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.api.admin.context import AdminContext
from app.dashboard.forms import read_form
from app.dashboard.pages.admin_messages import OperationForm, done_in_words, question
from app.dashboard.pages.log_in import Page
from app.dashboard.rendering import ADMIN, Pages, redirect
from app.domain.admin import credits, jobs, users, worker_overview
from app.domain.admin import plans as terms
from app.domain.admin.credits import Moved
from app.domain.admin.operations import AdminOperation, list_operations, operation_by
from app.domain.admin.reset_links import ResetLink, make_reset_link
from app.domain.admin.users import Changed
from app.domain.errors import DomainError, Invalid
from app.domain.jobs.history import STATES
from app.http.api_request import ApiRequest, invalid

_POST = ADMIN | {"limit": "post"}
_TYPES = ("registered", "api_only", "system")
_CONFIRMED = ("expire", "limit", "unlimited", "plan", "suspend")  # these ask for confirmation first
_OPERATIONS = ("grant", "expire", "limit", "unlimited", "plan", "suspend")


class AdminPages(Struct, frozen=True):
    """The components that the admin pages need."""

    pages: Pages
    context: AdminContext

    async def user(
        self, request: ApiRequest, account: str, notice: DomainError | None = None
    ) -> Response[str]:
        """The page of one account, with a form for each operation on it."""
        async with self.context.moment() as session:
            found = await users.show_user(session, account)
            plans = await terms.list_plans(session)
            moved = await credits.history(session, str(found.account), limit=15)
        facts = {"found": found, "plans": plans, "moved": moved.items, "key": secrets.token_hex(16)}
        return await self.pages.show(request, "admin_user.html", notice=notice, **facts)

    async def form(self, request: ApiRequest) -> tuple[OperationForm, AdminOperation]:
        """The form that the administrator sent, and its operation. Raises Invalid."""
        form = await read_form(request, OperationForm, self.pages.sessions)
        return form, operation_by(request.scope["user"], reason=form.reason, key=form.key)


def admin_page_routes(admin: AdminPages) -> list[HTTPRouteHandler]:
    """The routes of /admin and below."""
    return [
        _users_route(admin),
        _user_route(admin),
        *[_operation_route(admin, name) for name in _OPERATIONS],
        _reset_link_route(admin),
        *[_question_route(admin, name) for name in _CONFIRMED],
        _jobs_route(admin),
        *[_job_operation_route(admin, name) for name in ("cancel", "retry")],
        _workers_route(admin),
        _operations_route(admin),
    ]


def _users_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin", opt=ADMIN, include_in_schema=False)
    async def users_page(request: ApiRequest) -> Response[str] | Response[None]:
        query = request.query_params
        kind, cursor, account = (query.get(name) or None for name in ("type", "cursor", "account"))
        async with admin.context.moment() as session:
            if account:
                return redirect(f"/admin/users/{(await users.show_user(session, account)).account}")
            found = await users.list_users(session, user_type=kind, limit=25, cursor=cursor)
        facts: dict[str, Any] = {"found": found, "kind": kind, "types": _TYPES, "cursor": cursor}
        return await admin.pages.show(request, "admin_users.html", **facts)

    return users_page


def _user_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/users/{account:str}", opt=ADMIN, include_in_schema=False)
    async def user_page(request: ApiRequest, account: FromPath[str]) -> Response[str]:
        return await admin.user(request, account)

    return user_page


def _question_route(admin: AdminPages, name: str) -> HTTPRouteHandler:
    path = f"/admin/users/{{account:str}}/{name}"

    @get(path, opt=ADMIN, include_in_schema=False, name=f"page:ask:{name}")
    async def ask(request: ApiRequest, account: FromPath[str]) -> Page:
        async with admin.context.moment() as session:
            found = await users.show_user(session, account)
        if not request.query_params:  # from the address bar, after the operation
            return redirect(f"/admin/users/{found.account}")
        try:
            form = msgspec.convert(dict(request.query_params), OperationForm, strict=False)
            return await admin.pages.ask(request, question(name, form, found))
        except msgspec.ValidationError as error:
            return await admin.user(request, account, invalid(str(error)))
        except Invalid as refused:
            return await admin.user(request, account, refused)

    return ask


def _operation_route(admin: AdminPages, name: str) -> HTTPRouteHandler:
    path = f"/admin/users/{{account:str}}/{name}"
    opt = _POST | {"back": "/admin/users/{account}"}

    @post(path, opt=opt, include_in_schema=False, name=f"page:{name}")
    async def act_on_user(request: ApiRequest, account: FromPath[str]) -> Page:
        try:
            form, wanted = await admin.form(request)
            done = await _operate(admin.context, name, wanted, account, form)
            async with admin.context.moment() as session:
                now = await users.show_user(session, account)
        except DomainError as refused:
            if refused.status in (403, 404):
                raise
            return await admin.user(request, account, refused)
        text = done_in_words(name, form, done.code, now)
        return admin.pages.go(request, f"/admin/users/{now.account}", text)

    return act_on_user


def _reset_link_route(admin: AdminPages) -> HTTPRouteHandler:
    path = "/admin/users/{account:str}/reset-link"
    opt = _POST | {"back": "/admin/users/{account}"}

    @post(path, opt=opt, include_in_schema=False, name="page:reset-link")
    async def make_link(request: ApiRequest, account: FromPath[str]) -> Page:
        try:
            _, wanted = await admin.form(request)
            async with admin.context.session() as session:
                url = admin.context.public_url
                made = await make_reset_link(session, wanted, admin.context.keys, account, public_url=url)
        except DomainError as refused:
            if refused.status in (403, 404):
                raise
            return await admin.user(request, account, refused)
        return admin.pages.go(request, f"/admin/users/{made.account}", _link_in_words(made))

    return make_link


def _link_in_words(made: ResetLink) -> str:
    if made.token is None:
        return "That was done already; the link was shown then."
    where = made.url or f"page /reset/confirm, token {made.token}"
    return f"Reset link, good once and for a day, shown this once: {where}"


async def _operate(
    context: AdminContext, name: str, wanted: AdminOperation, account: str, form: OperationForm
) -> Moved | Changed:
    """Carry out the operation; returns the resulting state of the account."""
    if name == "suspend":
        async with context.session() as session:
            return await users.suspend(session, wanted, account, undo=form.undo)
    async with context.session() as session:
        match name:
            case "grant":
                return await credits.grant(session, wanted, account, credits.micro(form.amount))
            case "expire":
                return await credits.expire(session, wanted, account, credits.micro(form.amount))
            case "limit":
                monthly = credits.micro(form.monthly, field="monthly", zero=True) if form.monthly else None
                return await terms.set_limit(session, wanted, account, monthly)
            case "unlimited":
                return await terms.set_unlimited(session, wanted, account, undo=form.undo)
            case _:
                return await terms.set_plan(session, wanted, account, form.plan)


def _jobs_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/jobs", opt=ADMIN, include_in_schema=False)
    async def jobs_page(request: ApiRequest) -> Response[str]:
        return await _show_jobs(admin, request)

    return jobs_page


async def _show_jobs(
    admin: AdminPages, request: ApiRequest, notice: DomainError | None = None
) -> Response[str]:
    query = request.query_params
    state, account, cursor = (query.get(name) or None for name in ("state", "account", "cursor"))
    async with admin.context.moment() as session:
        found = await jobs.list_jobs(session, account=account, state=state, limit=25, cursor=cursor)
    facts: dict[str, Any] = {"found": found, "state": state, "states": STATES, "account": account}
    key = secrets.token_hex(16)
    return await admin.pages.show(request, "admin_jobs.html", notice=notice, cursor=cursor, key=key, **facts)


def _job_operation_route(admin: AdminPages, name: str) -> HTTPRouteHandler:
    path = f"/admin/jobs/{{job:str}}/{name}"
    opt = _POST | {"back": "/admin/jobs"}

    @post(path, opt=opt, include_in_schema=False, name=f"page:job:{name}")
    async def act_on_job(request: ApiRequest, job: FromPath[str]) -> Page:
        try:
            _, wanted = await admin.form(request)
            done = await _operate_on_job(admin.context, name, wanted, job)
        except DomainError as refused:
            if refused.status in (403, 404):
                raise
            return await _show_jobs(admin, request, refused)
        return admin.pages.go(request, "/admin/jobs", done)

    return act_on_job


async def _operate_on_job(context: AdminContext, name: str, wanted: AdminOperation, job: str) -> str:
    """Carry out the operation; returns a sentence that says what was done."""
    return await (_cancel if name == "cancel" else _retry)(context, wanted, job)


async def _cancel(context: AdminContext, wanted: AdminOperation, job: str) -> str:
    async with context.session() as session:
        done = await jobs.cancel_job(session, wanted, job)
    context.signals.notify_cancelled(done.job)
    return f"The job is cancelled. {done.settlement}"


async def _retry(context: AdminContext, wanted: AdminOperation, job: str) -> str:
    async with context.session() as session:
        done = await jobs.retry_job(
            session,
            wanted,
            job,
            queue_wait_s=context.queue_wait_s,
            jobs_waiting_max=context.jobs_waiting_max,
        )
    if done.code == "queued":
        context.wakeup.wake(done.engine)
    return "The job is queued again."


def _workers_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/workers", opt=ADMIN, include_in_schema=False)
    async def workers_page(request: ApiRequest) -> Response[str]:
        async with admin.context.moment() as session:
            workers, queues = (
                await worker_overview.list_workers(session),
                await worker_overview.list_queues(session),
            )
        return await admin.pages.show(request, "admin_workers.html", workers=workers, queues=queues)

    return workers_page


def _operations_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/acts", opt=ADMIN, include_in_schema=False)
    async def acts_page(request: ApiRequest) -> Response[str]:
        cursor = request.query_params.get("cursor") or None
        async with admin.context.moment() as session:
            found = await list_operations(session, limit=50, cursor=cursor)
        return await admin.pages.show(request, "admin_acts.html", found=found, cursor=cursor)

    return acts_page
