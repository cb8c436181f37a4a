"""Every route of the dashboard."""

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from app.dashboard.form_token import session_token
from app.dashboard.pages import (
    admin,
    admin_invites,
    documentation,
    history,
    keys_and_credits,
    log_in,
    overview,
    passwords,
    playground,
    transcription,
    usage,
    voices,
)
from app.dashboard.rendering import page_request, redirects_to_pages
from app.dashboard.static_files import static
from app.http.authentication import Guard


def pages_router(guards: list[Guard]) -> Router:
    """Every route of the dashboard, and the GET redirects of its forms. `guards`: who may call a route."""
    router = Router(
        "/",
        route_handlers=_PAGES,
        guards=guards,
        dependencies={"page": Provide(page_request)},
        include_in_schema=False,
    )
    for redirect in redirects_to_pages(router.routes):
        router.register(redirect)
    return router


_PAGES: list[ControllerRouterHandler] = [
    *(static, session_token, overview.overview, documentation.guide_page, documentation.reference_page),
    *(log_in.sign_up_page, log_in.sign_up, log_in.log_in_page, log_in.log_in),
    *(log_in.log_out, log_in.log_out_everywhere),
    *(passwords.verify_page, passwords.verify, passwords.resend_verification),
    *(passwords.reset_page, passwords.reset, passwords.confirm_page, passwords.confirm),
    *(passwords.password_page, passwords.change_password),
    *(playground.playground_page, playground.speak, voices.voices_page, transcription.transcribe_page),
    *(history.HistoryPages, usage.usage_page, usage.usage_sheet),
    *(keys_and_credits.credits_page, keys_and_credits.ledger_sheet, keys_and_credits.create_key),
    *(keys_and_credits.ask_about_key, keys_and_credits.rotate_key, keys_and_credits.revoke_key),
    *(admin.users_page, admin.user_page, admin.ask_about_user, admin.act_on_user, admin.make_link),
    *(admin.jobs_page, admin.act_on_job, admin.workers_page, admin.acts_page),
    *(admin_invites.invites_page, admin_invites.create_invite, admin_invites.revoke_invite),
]
