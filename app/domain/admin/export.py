"""Exports all data kept about a person into one ZIP file, for a data access request.

account.json: the account, credits, keys without secrets, open resets, ended log-ins, operations on it;
jobs.jsonl: each job with its text; ledger.jsonl: each transfer; objects/: audio, transcripts, uploads.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, BinaryIO, LiteralString, cast
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.ledger import export as transfers_of
from app.domain.admin.operations import resolve_account
from db.postgres import ledger
from db.postgres.pool import Connection, raw
from db.postgres.queries import query
from db.storage.objects import Objects
from db.storage.personal_data import objects_of

_AT_ONCE = 500
_JSON = ("params", "details")  # columns that hold JSON


class Exported(Struct, frozen=True, kw_only=True):
    """Counts of what was exported."""

    account: UUID
    jobs: int
    transfers: int
    objects: int


async def export(session: AsyncSession, store: Objects, account: str, to: BinaryIO) -> Exported:
    """Write the ZIP file. Needs a transaction with one snapshot. Raises NotFound, StoreError and OSError."""
    owner, connection = await resolve_account(session, account), await raw(session)
    with ZipFile(to, "w", ZIP_DEFLATED) as archive:
        archive.writestr(
            "account.json", msgspec.json.format(msgspec.json.encode(await _account(connection, owner)))
        )
        jobs = await _write_jobs(connection, archive, owner)
        transfers = await _write_ledger(session, archive, owner)
        objects = await asyncio.to_thread(_write_objects, archive, store, jobs)
    return Exported(account=owner, jobs=len(jobs), transfers=transfers, objects=objects)


async def _account(connection: Connection, owner: UUID) -> dict[str, Any]:
    [account] = await _rows(connection, query("export_account"), owner)
    return {
        "account": account,
        "credits_micro": await ledger.balance(connection, owner),
        "api_keys": await _rows(connection, query("export_keys"), owner),
        "password_resets_open": await _rows(connection, query("export_resets"), owner),
        "sessions_ended": await _rows(connection, query("export_sessions"), owner),
        "operators_acts": await _rows(connection, query("export_acts"), owner),
    }


async def _write_jobs(connection: Connection, archive: ZipFile, owner: UUID) -> set[UUID]:
    jobs = set[UUID]()
    with archive.open("jobs.jsonl", "w", force_zip64=True) as file:
        async for row in connection.cursor(query("export_jobs"), owner, prefetch=_AT_ONCE):
            jobs.add(row["id"])
            file.write(msgspec.json.encode(_plain(row)) + b"\n")
    return jobs


async def _write_ledger(session: AsyncSession, archive: ZipFile, owner: UUID) -> int:
    count = 0
    with archive.open("ledger.jsonl", "w", force_zip64=True) as file:
        async for transfer in transfers_of(session, str(owner)):
            file.write(msgspec.json.encode(transfer) + b"\n")
            count += 1
    return count


def _write_objects(archive: ZipFile, store: Objects, jobs: set[UUID]) -> int:
    """Add the objects uncompressed, since audio does not shrink. Objects deleted meanwhile are left out."""
    count = 0
    for key in (key for keys in objects_of(store, jobs) for key in keys):
        entry = ZipInfo(f"objects/{key}")
        entry.compress_type = ZIP_STORED
        try:
            with archive.open(entry, "w", force_zip64=True) as file:
                store.fetch(key, cast("BinaryIO", file))
        except FileNotFoundError:
            continue
        count += 1
    return count


async def _rows(connection: Connection, statement: LiteralString, owner: UUID) -> list[dict[str, Any]]:
    return [_plain(row) for row in await connection.fetch(statement, owner)]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) if name in _JSON else value for name, value in row.items()}
