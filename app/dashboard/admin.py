"""Pages of administrators: accounts and what they may use, jobs, workers and queues, what was done."""

import secrets
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.api.admin.desk import Desk
from app.api.bodies import AnyRequest
from app.dashboard.forms import read_form
from app.dashboard.pages import ADMIN, Pages, Told, to
from app.domain.admin import credits, jobs, room, terms, users
from app.domain.admin.acts import Act, act, list_acts
from app.domain.errors import DomainError
from app.domain.history import STATES

_POST = ADMIN | {"limit": "post"}
_TYPES = ("registered", "api_only", "system")
_DONE = {
    "replayed": "That was done already.",
    "next_month": "Done: it holds from next month.",
}


class ActForm(Struct, frozen=True, kw_only=True):
    """What every form of an act has; `key` makes a form sent twice one act."""

    reason: str = ""
    key: str | None = None
    undo: bool = False
    amount: str = ""
    monthly: str | None = None
    plan: str = ""


class AdminPages(Struct, frozen=True):
    """What the pages need."""

    pages: Pages
    desk: Desk

    async def user(
        self, request: AnyRequest, account: str, told: Told | DomainError | None = None
    ) -> Response[str]:
        """One account, with the forms of what may be done to it."""
        async with self.desk.moment() as connection:
            found = await users.show_user(connection, account)
            plans = await terms.list_plans(connection)
            moved = await credits.history(connection, str(found.account), limit=15)
        facts = {"found": found, "plans": plans, "moved": moved.items, "key": secrets.token_hex(16)}
        return await self.pages.show(request, "admin_user.html", told=told, **facts)

    async def form(self, request: AnyRequest) -> tuple[ActForm, Act]:
        """What the administrator asked for, and the act it is. Raises Invalid."""
        form = await read_form(request, ActForm, self.pages.sessions)
        actor = str(request.scope["user"].account)
        return form, act(actor=actor, reason=form.reason, scope=actor, key=form.key)


def admin_page_routes(admin: AdminPages) -> list[HTTPRouteHandler]:
    """GET /admin and what is below it."""
    return [
        _users_route(admin),
        _user_route(admin),
        *[_act_route(admin, name) for name in ("grant", "expire", "limit", "unlimited", "plan", "suspend")],
        _jobs_route(admin),
        *[_job_act_route(admin, name) for name in ("cancel", "retry")],
        _room_route(admin),
        _acts_route(admin),
    ]


def _users_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin", opt=ADMIN, include_in_schema=False)
    async def users_page(request: AnyRequest) -> Response[str] | Response[None]:
        asked = request.query_params
        kind, cursor, account = (asked.get(name) or None for name in ("type", "cursor", "account"))
        async with admin.desk.moment() as connection:
            if account:
                return to(f"/admin/users/{(await users.show_user(connection, account)).account}")
            found = await users.list_users(connection, user_type=kind, limit=25, cursor=cursor)
        facts: dict[str, Any] = {"found": found, "kind": kind, "types": _TYPES, "cursor": cursor}
        return await admin.pages.show(request, "admin_users.html", **facts)

    return users_page


def _user_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/users/{account:str}", opt=ADMIN, include_in_schema=False)
    async def user_page(request: AnyRequest, account: FromPath[str]) -> Response[str]:
        return await admin.user(request, account)

    return user_page


def _act_route(admin: AdminPages, name: str) -> HTTPRouteHandler:
    path = f"/admin/users/{{account:str}}/{name}"

    @post(path, status_code=200, opt=_POST, include_in_schema=False, name=f"page:{name}")
    async def act_on_user(request: AnyRequest, account: FromPath[str]) -> Response[str]:
        try:
            form, wanted = await admin.form(request)
            code = await _act(admin.desk, name, wanted, account, form)
        except DomainError as refused:
            if refused.status in (403, 404):
                raise
            return await admin.user(request, account, refused)
        return await admin.user(request, account, Told(text=_DONE.get(code, "Done.")))

    return act_on_user


async def _act(desk: Desk, name: str, wanted: Act, account: str, form: ActForm) -> str:
    """Do it; the act's code."""
    if name == "suspend":
        async with desk.session() as session:
            return (await users.suspend(session, wanted, account, undo=form.undo)).code
    async with desk.connection() as connection:
        match name:
            case "grant":
                return (await credits.grant(connection, wanted, account, credits.micro(form.amount))).code
            case "expire":
                return (await credits.expire(connection, wanted, account, credits.micro(form.amount))).code
            case "limit":
                monthly = form.monthly and credits.micro(form.monthly, field="monthly", zero=True)
                return (await terms.set_limit(connection, wanted, account, monthly or None)).code
            case "unlimited":
                return (await terms.set_unlimited(connection, wanted, account, undo=form.undo)).code
            case _:
                return (await terms.set_plan(connection, wanted, account, form.plan)).code


def _jobs_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/jobs", opt=ADMIN, include_in_schema=False)
    async def jobs_page(request: AnyRequest) -> Response[str]:
        return await _show_jobs(admin, request)

    return jobs_page


async def _show_jobs(
    admin: AdminPages, request: AnyRequest, told: Told | DomainError | None = None
) -> Response[str]:
    asked = request.query_params
    state, account, cursor = (asked.get(name) or None for name in ("state", "account", "cursor"))
    async with admin.desk.moment() as connection:
        found = await jobs.list_jobs(connection, account=account, state=state, limit=25, cursor=cursor)
    facts: dict[str, Any] = {"found": found, "state": state, "states": STATES, "account": account}
    key = secrets.token_hex(16)
    return await admin.pages.show(request, "admin_jobs.html", told=told, cursor=cursor, key=key, **facts)


def _job_act_route(admin: AdminPages, name: str) -> HTTPRouteHandler:
    path = f"/admin/jobs/{{job:str}}/{name}"

    @post(path, status_code=200, opt=_POST, include_in_schema=False, name=f"page:job:{name}")
    async def act_on_job(request: AnyRequest, job: FromPath[str]) -> Response[str]:
        try:
            _, wanted = await admin.form(request)
            await _act_on_job(admin.desk, name, wanted, job)
        except DomainError as refused:
            if refused.status in (403, 404):
                raise
            return await _show_jobs(admin, request, refused)
        return await _show_jobs(admin, request, Told(text="Done."))

    return act_on_job


async def _act_on_job(desk: Desk, name: str, wanted: Act, job: str) -> None:
    async with desk.connection() as connection:
        if name == "cancel":
            await jobs.cancel_job(connection, wanted, job)
            return
        done = await jobs.retry_job(
            connection, wanted, job, queue_wait_s=desk.queue_wait_s, jobs_waiting_max=desk.jobs_waiting_max
        )
    if done.code == "queued":
        desk.nudger.nudge(done.engine)


def _room_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/workers", opt=ADMIN, include_in_schema=False)
    async def workers_page(request: AnyRequest) -> Response[str]:
        async with admin.desk.moment() as connection:
            workers, queues = await room.list_workers(connection), await room.list_queues(connection)
        return await admin.pages.show(request, "admin_workers.html", workers=workers, queues=queues)

    return workers_page


def _acts_route(admin: AdminPages) -> HTTPRouteHandler:
    @get("/admin/acts", opt=ADMIN, include_in_schema=False)
    async def acts_page(request: AnyRequest) -> Response[str]:
        cursor = request.query_params.get("cursor") or None
        async with admin.desk.moment() as connection:
            found = await list_acts(connection, limit=50, cursor=cursor)
        return await admin.pages.show(request, "admin_acts.html", found=found, cursor=cursor)

    return acts_page
