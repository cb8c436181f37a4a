"""`codevoice users …`: list, show, create and suspend accounts, make reset links."""

import secrets
import sys

import msgspec
import rich_click as click
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.registration import check_password
from app.domain.admin import users
from app.domain.admin.operations import AdminOperation
from app.domain.admin.reset_links import ResetLink, make_reset_link
from ops.admin import output
from ops.admin.api_settings import key_settings, public_url
from ops.admin.execution import ask, do, failing, query
from ops.admin.options import CommandContext, Paging, acts, json_option, pages

_PASSWORD_BYTES = 12


@click.command()
@click.option(
    "--type", "user_type", type=click.Choice(["registered", "api_only", "system"]), help="Only these."
)
@pages
def list_(paging: Paging, user_type: str | None) -> None:
    """List accounts, the newest first."""
    found = query(
        lambda session: users.list_users(
            session, user_type=user_type, limit=paging.limit, cursor=paging.cursor
        )
    )
    columns = (
        "account", "email", "name", "user_type", "plan", "total_remaining", "admin", "suspended", "closed",
    )  # fmt: skip
    output.page(found, *columns, in_json=paging.as_json)


@click.command()
@click.argument("account")
@json_option
def show(account: str, as_json: bool) -> None:
    """Show ACCOUNT (e-mail or id): its rights and credits."""
    found = query(lambda session: users.show_user(session, account))
    output.one(found, in_json=as_json)


@click.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Give it the operators' rights, under /api/admin.")
@click.option("--name", help="The person's name.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from stdin; else one is generated and shown."
)
@acts(reason="opened by an operator")
def create(context: CommandContext, email: str, admin: bool, name: str | None, password_stdin: bool) -> None:
    """Create an account for a person, with a log-in and a key."""
    password = (
        sys.stdin.readline().rstrip("\r\n") if password_stdin else secrets.token_urlsafe(_PASSWORD_BYTES)
    )
    with failing():
        check_password(password)
    ask(context, f"Open an account for {email}{', who may do everything' if admin else ''}?")
    keys = key_settings()
    from app.domain.accounts.password_hashing import argon2id

    hashed = argon2id().hash(password)

    async def work(session: AsyncSession, act: AdminOperation) -> users.Opened:
        opened = await users.create_user(
            session,
            act,
            keys.ring,
            email=email,
            password_hash=hashed,
            name=name,
            admin=admin,
            keep_sealed=keys.keep_sealed,
        )
        is_to_show = opened.code == "created" and not password_stdin
        return msgspec.structs.replace(opened, password=password) if is_to_show else opened

    do(context, work, opened_in_words)


@click.command()
@click.argument("account")
@click.option("--undo", is_flag=True, help="Restore the account.")
@acts()
def suspend(context: CommandContext, account: str, undo: bool) -> None:
    """Reject every request of ACCOUNT; its credits and jobs stay."""
    ask(context, f"{'Restore' if undo else 'Suspend'} {account}?")
    do(
        context,
        lambda session, act: users.suspend(session, act, account, undo=undo),
        lambda answer: f"{answer.code}: {account}",
    )


@click.command("reset-link")
@click.argument("account")
@acts(reason="asked by the person")
def reset_link(context: CommandContext, account: str) -> None:
    """Create a link that lets the person of ACCOUNT (e-mail or id) set a new password: once, within a day."""
    ask(context, f"Make a link that sets a new password for {account}?")
    keys, url = key_settings(), public_url()
    do(
        context,
        lambda session, act: make_reset_link(session, act, keys.ring, account, public_url=url),
        _link_in_words,
    )


def _link_in_words(made: ResetLink) -> str:
    if made.token is None:
        return f"{made.code}: account {made.account}"
    until = f"until {made.expires_at:%Y-%m-%d %H:%M} UTC, once"
    return f"{made.url or f'on the page /reset/confirm, token {made.token}'}\n{until}"


def opened_in_words(opened: users.Opened) -> str:
    """A new account, and what its owner needs; shown only once."""
    lines = [f"{opened.code}: account {opened.account}"]
    if opened.api_key:
        lines.append(f"api_key {opened.api_key}")
    if isinstance(opened.password, str):
        lines.append(f"password {opened.password}")
    return "\n".join(lines)
