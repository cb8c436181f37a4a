"""`codevoice users erase` and `users export`: what the law gives people a right to."""

import os
from pathlib import Path

import redis
import rich_click as click

from app.domain.admin import erasure, export
from app.domain.admin.erasure import Places
from app.domain.admin.operations import record_operation
from app.domain.admin.users import show_user
from db.settings import DbSettings
from db.storage.objects import StoreError, open_store
from db.storage.personal_data import RedisTraces
from ops.admin import output
from ops.admin.execution import ask, look, settings, write
from ops.admin.options import CommandContext, acts, json_option
from ops.cli import failing_on


@click.command()
@click.argument("account")
@acts(reason="asked by the person")
def erase(doing: CommandContext, account: str) -> None:
    """Erase the person of ACCOUNT (e-mail or id) for good: name, address, texts, audio, transcripts, keys.

    The ledger keeps what was paid, under an id alone. Stopped in the middle, the same command goes on.
    """
    place = _whole(settings())
    found = look(lambda connection: show_user(connection, account))
    if doing.dry_run:
        click.echo(f"would erase account {found.account}; nothing was done", err=True)
        return
    ask(doing, f"Erase {account} for good? Credits, texts, audio and keys go, and cannot be brought back.")
    wanted = record_operation(
        actor=f"cli:{os.getuid()}", reason=doing.reason, scope="cli", key=doing.idempotency_key
    )
    with failing_on(StoreError, redis.RedisError, OSError):
        places = _places(place)
        done = write(
            lambda connection: erasure.erase(connection, places, wanted, str(found.account), _report)
        )
        places.volatile.close()
    if doing.as_json:
        output.as_json(done)
    else:
        output.facts(done)


def _report(line: str) -> None:
    click.echo(line, err=True)


@click.command("export")
@click.argument("account")
@click.option(
    "-o",
    "--output",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A ZIP file.",
)
@json_option
def export_(account: str, file: Path, as_json: bool) -> None:
    """Write all that is kept about ACCOUNT (e-mail or id) into a ZIP file, readable by you alone."""
    place = _whole(settings())
    with failing_on(StoreError, OSError):
        store = open_store(place.objects)
        part = file.with_name(f"{file.name}.part")
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as opened:
            found = look(lambda connection: export.export(connection, store, account, opened))
        part.replace(file)
    if as_json:
        output.as_json(found)
    else:
        output.facts(found)


def _whole(found: DbSettings) -> DbSettings:
    """All three places, since personal data is in each. Ends the program where one is not named."""
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
