"""`codevoice users erase` and `users export`: the rights that data protection law gives people."""

import os
from pathlib import Path

import redis
import rich_click as click

from app.domain.admin import erasure, export
from app.domain.admin.erasure import Places
from app.domain.admin.operations import new_operation
from app.domain.admin.users import show_user
from db.settings import DbSettings
from db.storage.objects import StoreError, open_store
from db.storage.personal_data import RedisTraces
from ops.admin import output
from ops.admin.execution import ask, query, settings, write
from ops.admin.options import CommandContext, acts, json_option
from ops.command_errors import failing_on


@click.command()
@click.argument("account")
@acts(reason="asked by the person")
def erase(context: CommandContext, account: str) -> None:
    """Erase the person of ACCOUNT (e-mail or id) permanently: name, address, texts, audio, transcripts, keys.

    The ledger keeps what was paid, under an id alone. After an interruption, run the same command again.
    """
    place = _whole(settings())
    found = query(lambda session: show_user(session, account))
    if context.dry_run:
        click.echo(f"would erase account {found.account}; nothing was done", err=True)
        return
    ask(context, f"Erase {account} for good? Credits, texts, audio and keys go, and cannot be brought back.")
    wanted = new_operation(
        actor=f"cli:{os.getuid()}", reason=context.reason, scope="cli", key=context.idempotency_key
    )
    with failing_on(StoreError, redis.RedisError, OSError):
        places = _places(place)
        done = write(lambda session: erasure.erase(session, places, wanted, str(found.account), _report))
        places.volatile.close()
    output.one(done, in_json=context.as_json)


def _report(line: str) -> None:
    click.echo(line, err=True)


@click.command("export")
@click.argument("account")
@click.option(
    *("-o", "--output", "file"),
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A ZIP file.",
)
@json_option
def export_(account: str, file: Path, as_json: bool) -> None:
    """Write all data kept about ACCOUNT (e-mail or id) to a ZIP file that only you can read."""
    place = _whole(settings())
    with failing_on(StoreError, OSError):
        store = open_store(place.objects)
        part = file.with_name(f"{file.name}.part")
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as opened:
            found = query(lambda session: export.export(session, store, account, opened))
        part.replace(file)
    output.one(found, in_json=as_json)


def _whole(found: DbSettings) -> DbSettings:
    """All three stores, since personal data is in each. Ends the program if one is not configured."""
    if not found.redis_url or not found.objects:
        raise click.UsageError(
            "set REDIS_URL and CODEVOICE_OBJECTS beside DATABASE_URL: personal data is there too"
        )
    return found


def _places(found: DbSettings) -> Places:
    folder = os.environ.get("CODEVOICE_MAIL_FOLDER", "")
    return Places(
        store=open_store(found.objects),
        volatile=RedisTraces(found.redis_url),
        mail_folder=Path(folder) if folder else None,
    )
