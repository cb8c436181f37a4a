"""The ledger for auditors: audit, checkpoints, chain heads, comparison with kept heads, and export."""

from collections.abc import AsyncGenerator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.operations import resolve_account
from app.domain.admin.users import Amount
from app.domain.billing.credits import credits
from db.postgres import ledger
from db.postgres.pool import Connection, raw
from db.postgres.queries import query
from db.types import Finding

_AT_ONCE = 1000  # rows fetched of an export


class Audit(Struct, frozen=True, kw_only=True):
    """An audit's findings and totals; `credits` by bucket."""

    clean: bool
    wallets: int
    transfers: int
    credits: dict[str, Amount]
    findings: list[Finding]


class Head(Struct, frozen=True, kw_only=True):
    """A wallet's last transfer; `hash` in hexadecimal. Heads kept elsewhere reveal later tampering."""

    owner: UUID
    seq: int
    hash: str


class Exported(Struct, frozen=True, kw_only=True):
    """A transfer as stored, in micro-credits; `hash` in hexadecimal."""

    account: UUID
    seq: int
    at: datetime
    ref: UUID
    slot: int
    src: str
    dst: str
    amount_micro: int
    bucket: str
    period: date
    actor: str
    reason: str
    hash: str


class Checkpoint(Struct, frozen=True, kw_only=True):
    """How many wallets were checkpointed: those that had changed and have no defect."""

    wallets: int


async def audit(session: AsyncSession, kept: Sequence[Head] = (), *, since_checkpoint: bool = False) -> Audit:
    """Audit the whole ledger, or only what follows its checkpoints; and check that it has the `kept` heads.

    Call it in a repeatable-read transaction, which gives one snapshot of all tables.
    """
    connection = await raw(session)
    defects = await (_since_checkpoint(connection) if since_checkpoint else ledger.audit(connection))
    findings = defects + await _lost(connection, kept)
    counts = await ledger.totals(connection)
    return Audit(
        clean=not findings,
        wallets=counts["wallets"],
        transfers=counts["transfers"],
        credits={bucket: credits(counts[bucket]) for bucket in ("free", "paid", "held", "spent")},
        findings=findings,
    )


async def checkpoint(session: AsyncSession) -> Checkpoint:
    """Checkpoint every wallet, in batches, each in a transaction of its own."""
    written, after, more = 0, None, True
    while more:
        async with session.begin():
            count, after = await ledger.checkpoint(await raw(session), after)
        written, more = written + count, after is not None
    return Checkpoint(wallets=written)


async def heads(session: AsyncSession) -> list[Head]:
    """The head of every wallet."""
    found = await ledger.heads(await raw(session))
    return [Head(owner=owner, seq=seq, hash=head.hex()) for owner, seq, head in found]


async def export(session: AsyncSession, account: str | None) -> AsyncGenerator[Exported]:
    """Every transfer, of one account or all, by owner and sequence; in a transaction, through a cursor."""
    owner = await resolve_account(session, account) if account else None
    async for row in (await raw(session)).cursor(query("export"), owner, prefetch=_AT_ONCE):
        yield Exported(**dict(row))


async def _since_checkpoint(connection: Connection) -> list[Finding]:
    findings, after = await ledger.defects_since_checkpoint(connection)
    while after is not None:
        more, after = await ledger.defects_since_checkpoint(connection, after)
        findings += more
    return findings


async def _lost(connection: Connection, kept: Sequence[Head]) -> list[Finding]:
    columns: list[list[Any]] = [
        [head.owner for head in kept],
        [head.seq for head in kept],
        [bytes.fromhex(head.hash) for head in kept],
    ]
    rows = await connection.fetch(query("lost_heads"), *columns)
    return [Finding(what=row["what"], id=str(row["owner"]), detail={"seq": row["seq"]}) for row in rows]
