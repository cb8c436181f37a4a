"""`codevoice keys …`: API keys of any account."""

import rich_click as click

from app.domain.admin import keys
from app.domain.admin.keys import KeyOperationResult
from app.domain.identity.scopes import SCOPES
from ops.admin import output
from ops.admin.api_settings import key_settings
from ops.admin.execution import ask, do, query
from ops.admin.options import CommandContext, Paging, acts, pages


@click.command()
@click.argument("account")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Only this; repeatable.")
@acts()
def create(context: CommandContext, account: str, name: str, scopes: tuple[str, ...]) -> None:
    """Create a key for ACCOUNT (e-mail or id), called NAME; without scopes it has its account's rights."""
    ask(context, f"Make a key for {account}?")
    made = key_settings()
    do(
        context,
        lambda session, act: keys.create_key(
            session,
            act,
            made.ring,
            account,
            name=name,
            wanted=scopes,
            keep_sealed=made.keep_sealed,
            keys_max=made.keys_max,
        ),
        _in_words,
    )


@click.command()
@click.argument("account")
@pages
def list_(paging: Paging, account: str) -> None:
    """List the keys of ACCOUNT (e-mail or id), the newest first."""
    found = query(lambda session: keys.list_keys(session, account, limit=paging.limit, cursor=paging.cursor))
    columns = ("id", "name", "prefix", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")
    output.page(found, *columns, in_json=paging.as_json)


@click.command()
@click.argument("key")
@click.option("--grace", "grace_s", default=0, show_default=True, help="Seconds the old key stays valid.")
@acts()
def rotate(context: CommandContext, key: str, grace_s: int) -> None:
    """Replace KEY (its id) by a new key."""
    ask(context, f"Replace key {key}?")
    made = key_settings()
    do(
        context,
        lambda session, act: keys.rotate_key(
            session,
            act,
            made.ring,
            key,
            grace_s=grace_s,
            keep_sealed=made.keep_sealed,
            keys_max=made.keys_max,
        ),
        _in_words,
    )


@click.command()
@click.argument("key")
@acts()
def revoke(context: CommandContext, key: str) -> None:
    """Revoke KEY (its id) now."""
    ask(context, f"Revoke key {key}?")
    do(context, lambda session, act: keys.revoke_key(session, act, key), _in_words)


def _in_words(acted: KeyOperationResult) -> str:
    line = f"{acted.code}: key {acted.id} of account {acted.account}"
    return f"{line}\nkey {acted.key}" if isinstance(acted.key, str) else line
