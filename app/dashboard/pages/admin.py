"""Admin pages: accounts and what they may use, jobs, workers and queues, the log of operations."""

import secrets
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.admin.context import AdminContext
from app.dashboard.pages.admin_messages import OperationForm, done_in_words, question
from app.dashboard.rendering import ADMIN, Page, PageRequest, redirect
from app.domain.admin import credits, jobs, users, worker_overview
from app.domain.admin import plans as terms
from app.domain.admin.credits import Moved
from app.domain.admin.operations import AdminOperation, list_operations, operation_by
from app.domain.admin.reset_links import ResetLink, make_reset_link
from app.domain.admin.users import Changed
from app.domain.errors import DomainError, Invalid
from app.domain.jobs.history import STATES
from app.http.api_request import invalid

Context = NamedDependency[AdminContext]
_POST = ADMIN | {"limit": "post"}
_POST_USER = _POST | {"back": "/admin/users/{account}"}
_TYPES = ("registered", "api_only", "system")
_CONFIRMED = ("expire", "limit", "unlimited", "plan", "suspend")  # these ask for confirmation first
_OPERATIONS = ("grant", "expire", "limit", "unlimited", "plan", "suspend")


@get("/admin", opt=ADMIN)
async def users_page(
    page: NamedDependency[PageRequest],
    context: Context,
    type: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
    account: FromQuery[str] = "",
) -> Page:
    """All accounts, or a redirect to the one with this e-mail or id."""
    async with context.moment() as session:
        if account:
            return redirect(f"/admin/users/{(await users.show_user(session, account)).account}")
        found = await users.list_users(session, user_type=type or None, limit=25, cursor=cursor or None)
    facts: dict[str, Any] = {"found": found, "kind": type, "types": _TYPES, "cursor": cursor}
    return await page.show("admin_users.html", **facts)


@get("/admin/users/{account:str}", opt=ADMIN)
async def user_page(account: FromPath[str], page: NamedDependency[PageRequest], context: Context) -> Page:
    """One account, with a form for each operation on it."""
    return await _show_user(page, context, account)


@get([f"/admin/users/{{account:str}}/{name}" for name in _CONFIRMED], opt=ADMIN)
async def ask_about_user(
    account: FromPath[str], page: NamedDependency[PageRequest], context: Context
) -> Page:
    """The question before an operation."""
    async with context.moment() as session:
        found = await users.show_user(session, account)
    if not page.request.query_params:  # from the address bar, after the operation
        return redirect(f"/admin/users/{found.account}")
    try:
        form = msgspec.convert(dict(page.request.query_params), OperationForm, strict=False)
        return await page.ask(question(page.action, form, found))
    except msgspec.ValidationError as error:
        return await _show_user(page, context, account, invalid(str(error)))
    except Invalid as refused:
        return await _show_user(page, context, account, refused)


@post([f"/admin/users/{{account:str}}/{name}" for name in _OPERATIONS], opt=_POST_USER)
async def act_on_user(account: FromPath[str], page: NamedDependency[PageRequest], context: Context) -> Page:
    """Carry out an operation on an account."""
    name = page.action
    try:
        form, wanted = await _form(page)
        async with context.session() as session:
            done = await _operate(session, name, wanted, account, form)
        async with context.moment() as session:
            now = await users.show_user(session, account)
    except DomainError as refused:
        if refused.status in (403, 404):
            raise
        return await _show_user(page, context, account, refused)
    return page.go(f"/admin/users/{now.account}", done_in_words(name, form, done.code, now))


@post("/admin/users/{account:str}/reset-link", opt=_POST_USER)
async def make_link(account: FromPath[str], page: NamedDependency[PageRequest], context: Context) -> Page:
    """Make a link that resets the account's password."""
    try:
        _, wanted = await _form(page)
        async with context.session() as session:
            url = context.public_url
            made = await make_reset_link(session, wanted, context.keys, account, public_url=url)
    except DomainError as refused:
        if refused.status in (403, 404):
            raise
        return await _show_user(page, context, account, refused)
    return page.go(f"/admin/users/{made.account}", _link_in_words(made))


@get("/admin/jobs", opt=ADMIN)
async def jobs_page(
    page: NamedDependency[PageRequest],
    context: Context,
    in_state: Annotated[str, QueryParameter(name="state")] = "",
    account: FromQuery[str] = "",
    cursor: FromQuery[str] = "",
) -> Page:
    """The jobs of all accounts, or of one."""
    return await _show_jobs(page, context, state=in_state, account=account, cursor=cursor)


@post(
    [f"/admin/jobs/{{job:str}}/{name}" for name in ("cancel", "retry")], opt=_POST | {"back": "/admin/jobs"}
)
async def act_on_job(job: FromPath[str], page: NamedDependency[PageRequest], context: Context) -> Page:
    """Cancel a job, or queue it again."""
    operate = _cancel if page.action == "cancel" else _retry
    try:
        _, wanted = await _form(page)
        done = await operate(context, wanted, job)
    except DomainError as refused:
        if refused.status in (403, 404):
            raise
        return await _show_jobs(page, context, refused)
    return page.go("/admin/jobs", done)


@get("/admin/workers", opt=ADMIN)
async def workers_page(page: NamedDependency[PageRequest], context: Context) -> Page:
    """Workers and queues."""
    async with context.moment() as session:
        workers = await worker_overview.list_workers(session)
        queues = await worker_overview.list_queues(session)
    return await page.show("admin_workers.html", workers=workers, queues=queues)


@get("/admin/acts", opt=ADMIN)
async def acts_page(
    page: NamedDependency[PageRequest], context: Context, cursor: FromQuery[str] = ""
) -> Page:
    """The log of operations."""
    async with context.moment() as session:
        found = await list_operations(session, limit=50, cursor=cursor or None)
    return await page.show("admin_acts.html", found=found, cursor=cursor)


async def _form(page: PageRequest) -> tuple[OperationForm, AdminOperation]:
    """The form that the administrator sent, and its operation. Raises Invalid."""
    form = await page.form(OperationForm)
    return form, operation_by(page.request.user, reason=form.reason, key=form.key)


async def _show_user(
    page: PageRequest, context: AdminContext, account: str, notice: DomainError | None = None
) -> Page:
    async with context.moment() as session:
        found = await users.show_user(session, account)
        plans = await terms.list_plans(session)
        moved = await credits.history(session, str(found.account), limit=15)
    facts = {"found": found, "plans": plans, "moved": moved.items, "key": secrets.token_hex(16)}
    return await page.show("admin_user.html", notice=notice, **facts)


async def _show_jobs(
    page: PageRequest, context: AdminContext, notice: DomainError | None = None, **filters: str
) -> Page:
    wanted = {name: filters.get(name) or None for name in ("state", "account", "cursor")}
    async with context.moment() as session:
        found = await jobs.list_jobs(session, limit=25, **wanted)
    key = secrets.token_hex(16)
    return await page.show("admin_jobs.html", notice=notice, found=found, states=STATES, key=key, **wanted)


def _link_in_words(made: ResetLink) -> str:
    if made.token is None:
        return "That was done already; the link was shown then."
    where = made.url or f"page /reset/confirm, token {made.token}"
    return f"Reset link, good once and for a day, shown this once: {where}"


async def _operate(
    session: AsyncSession, name: str, wanted: AdminOperation, account: str, form: OperationForm
) -> Moved | Changed:
    """Carry out the operation; returns the resulting state of the account."""
    match name:
        case "suspend":
            return await users.suspend(session, wanted, account, undo=form.undo)
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


async def _cancel(context: AdminContext, wanted: AdminOperation, job: str) -> str:
    async with context.session() as session:
        done = await jobs.cancel_job(session, wanted, job)
    context.signals.notify_cancelled(done.job)
    return f"The job is cancelled. {done.settlement}"


async def _retry(context: AdminContext, wanted: AdminOperation, job: str) -> str:
    async with context.session() as session:
        done = await jobs.retry_job(
            session, wanted, job, queue_wait_s=context.queue_wait_s, jobs_waiting_max=context.jobs_waiting_max
        )
    if done.code == "queued":
        context.wakeup.wake(done.engine)
    return "The job is queued again."
