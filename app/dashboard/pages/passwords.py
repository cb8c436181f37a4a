"""The pages to reset a forgotten password, change a password, and verify an e-mail address."""

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from app.dashboard.rendering import ANYBODY, PERSON, Page, PageRequest
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.password_reset import PasswordReset
from app.domain.errors import DomainError
from app.http.rate_limit import RateLimitGuard

_LOGIN = ANYBODY | {"limit": "login"}
_RESET = "Your new password is set. You are logged out everywhere else."
_KEYS_REVOKED = "Your older API keys are revoked; your new one is under API & Credits."
_CHANGED = "Your password is changed. You are logged out everywhere else; API keys keep working."
_MAIL_SENT = "If this e-mail has an account, a mail with a link is on its way. It is good for an hour."
_VERIFIED = "Your e-mail address is verified. Your free credits are there."
_VERIFICATION_SENT = "The mail is on its way. Its link is good for a week."


class ResetForm(Struct, frozen=True, kw_only=True):
    email: str = ""


class ConfirmForm(Struct, frozen=True, kw_only=True):
    token: str = ""
    password: str = ""
    keep_keys: bool = False


class PasswordForm(Struct, frozen=True, kw_only=True):
    current_password: str = ""
    new_password: str = ""


class VerifyForm(Struct, frozen=True, kw_only=True):
    token: str = ""


@get("/verify", opt=ANYBODY)
async def verify_page(page: NamedDependency[PageRequest], token: FromQuery[str] = "") -> Page:
    """A button that verifies the e-mail address. The link alone does not: mail programs follow links."""
    return await page.show("verify.html", form=VerifyForm(token=token))


@post("/verify", opt=_LOGIN)
async def verify(
    page: NamedDependency[PageRequest],
    verification: NamedDependency[EmailVerification],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Verify the e-mail address."""
    form = await page.form(VerifyForm)
    try:
        async with rate_limit.count_wrong_attempt(page.request.scope):
            await verification.confirm(form.token)
    except DomainError as refused:
        return await page.show("verify.html", notice=refused, form=form)
    return page.go("/" if page.request.scope["user"] else "/login", _VERIFIED)


@post("/verify/resend", opt=PERSON | {"limit": "reset", "back": "/"})
async def resend_verification(
    page: NamedDependency[PageRequest],
    verification: NamedDependency[EmailVerification],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Send the mail with the link again."""
    await rate_limit.mail(page.request.scope, str(page.request.user.account))
    await verification.send_again(page.request.user)
    return page.go("/", _VERIFICATION_SENT)


@get("/reset", opt=ANYBODY)
async def reset_page(page: NamedDependency[PageRequest], resets: NamedDependency[PasswordReset]) -> Page:
    """The form to request a new password."""
    return await page.show("reset.html", form=ResetForm(), can_send=resets.can_send)


@post("/reset", opt=ANYBODY | {"limit": "reset"})
async def reset(
    page: NamedDependency[PageRequest],
    resets: NamedDependency[PasswordReset],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Mail a link that sets a new password."""
    form = await page.form(ResetForm)
    try:
        await rate_limit.mail(page.request.scope, form.email)
        await resets.ask(form.email)
    except DomainError as refused:
        return await page.show("reset.html", notice=refused, form=form, can_send=resets.can_send)
    return page.go("/reset/confirm", _MAIL_SENT)


@get("/reset/confirm", opt=ANYBODY)
async def confirm_page(page: NamedDependency[PageRequest], token: FromQuery[str] = "") -> Page:
    """The form for the new password; the mailed link has the token."""
    return await page.show("confirm.html", form=ConfirmForm(token=token))


@post("/reset/confirm", opt=_LOGIN)
async def confirm(
    page: NamedDependency[PageRequest],
    resets: NamedDependency[PasswordReset],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Set the new password, and log in."""
    form = await page.form(ConfirmForm)
    try:
        async with rate_limit.count_wrong_attempt(page.request.scope):
            found = await resets.confirm(form.token, form.password, keep_keys=form.keep_keys)
    except DomainError as refused:
        return await page.show("confirm.html", notice=refused, form=form)
    cookie = page.sessions.begin(found)
    text = _RESET if found.api_key is None else f"{_RESET} {_KEYS_REVOKED}"
    return page.go("/", text, account=found.user.id, cookie=cookie)


@get("/password", opt=PERSON)
async def password_page(page: NamedDependency[PageRequest]) -> Page:
    """The form to change the password."""
    return await page.show("password.html")


@post("/password", opt=PERSON | {"limit": "login"})
async def change_password(
    page: NamedDependency[PageRequest],
    resets: NamedDependency[PasswordReset],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Change the password; every other log-in ends."""
    form = await page.form(PasswordForm)
    try:
        async with rate_limit.count_wrong_attempt(page.request.scope, str(page.request.user.account)):
            found = await resets.change(page.request.user, form.current_password, form.new_password)
    except DomainError as refused:
        return await page.show("password.html", notice=refused)
    return page.go("/password", _CHANGED, cookie=page.sessions.begin(found))
