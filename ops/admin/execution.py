"""Runs operators' commands on the database: confirmation, transaction, output, exit status."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

import asyncpg
import rich_click as click

from app.domain.admin import operations
from app.domain.admin.credits import Leg, legs_so_far
from app.domain.errors import DomainError, Invalid, Unavailable
from db.postgres import pool
from db.postgres.pool import Connection
from db.settings import DbSettings, SettingsError
from ops.admin import output
from ops.admin.options import CommandContext
from ops.cli import NOT_FOUND, REFUSED
from ops.command_errors import failing_on
from ops.stack.running import settings_for_cli

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")
_CONNECT_S = 10


class RecordAway(Exception):
    """The database does not answer."""


class Answer(Protocol):
    """What every operation returns."""

    @property
    def code(self) -> str: ...
    @property
    def account(self) -> UUID | None: ...


A = TypeVar("A", bound=Answer)
Check = Callable[[Connection, Answer], Awaitable[None]]


class _Undone(Exception):
    """Raised to roll back a dry run."""

    def __init__(self, answer: Answer, entries: list[Leg]) -> None:
        super().__init__()
        self.answer = answer
        self.entries = entries


def ask(context: CommandContext, question: str) -> None:
    """Continue only if the operator confirms; without a terminal, `--yes` must be given."""
    if context.yes or context.dry_run:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("this asks before it acts, and here is no terminal: add --yes")
    click.confirm(question, abort=True, err=True)


def do(
    context: CommandContext,
    work: Callable[[Connection, operations.AdminOperation], Awaitable[A]],
    say: Callable[[A], str],
) -> A | None:
    """Run an operation in a transaction and print its result; returns None after a dry run."""

    async def run(act: operations.AdminOperation, check: Check) -> A:
        async with _connection() as connection, connection.transaction():
            answer = await work(connection, act)
            await check(connection, answer)
            return answer

    return _do(context, run, say)


def do_in_session(
    context: CommandContext,
    work: Callable[["AsyncSession", operations.AdminOperation], Awaitable[A]],
    say: Callable[[A], str],
) -> A | None:
    """As `do`, for operations that need a session."""

    async def run(act: operations.AdminOperation, check: Check) -> A:
        async with _session() as session:
            answer = await work(session, act)
            await check(await pool.raw(session), answer)
            return answer

    return _do(context, run, say)


def query(work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work`, which reads all tables in one snapshot."""

    async def run() -> T:
        async with _connection() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await work(connection)

    with failing():
        return asyncio.run(run())


def write(work: Callable[[Connection], Awaitable[T]]) -> T:
    """The result of `work`, which begins and commits its own transactions."""

    async def run() -> T:
        async with _connection() as connection:
            return await work(connection)

    with failing():
        return asyncio.run(run())


def settings() -> DbSettings:
    """The addresses of the database and the queue. Ends the program if there are none."""
    with failing_on():
        return settings_for_cli(os.environ)


def _do(
    context: CommandContext,
    run: Callable[[operations.AdminOperation, Check], Awaitable[A]],
    say: Callable[[A], str],
) -> A | None:
    async def check(connection: Connection, answer: Answer) -> None:
        if context.dry_run:
            entries = await legs_so_far(connection, answer.account) if answer.account else []
            raise _Undone(answer, entries)

    async def act() -> A:
        key = context.idempotency_key
        made = operations.new_operation(
            actor=f"cli:{os.getuid()}", reason=context.reason, scope="cli", key=key
        )
        return await run(made, check)

    try:
        with failing():
            answer = asyncio.run(act())
    except _Undone as undone:
        output.dry_run(undone.answer.code, undone.answer.account, undone.entries, in_json=context.as_json)
        return None
    if context.as_json:
        output.as_json(answer)
    else:
        click.echo(say(answer))
    return answer


@asynccontextmanager
async def _connection() -> AsyncGenerator[Connection]:
    url = settings_for_cli(os.environ).database_url
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise RecordAway(f"the database does not answer: {error}") from error
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _session() -> AsyncGenerator["AsyncSession"]:
    from sqlalchemy.exc import SQLAlchemyError

    opened = pool.open_engine(settings_for_cli(os.environ).database_url)
    try:
        async with pool.session(opened) as session:
            yield session
    except (OSError, SQLAlchemyError) as error:
        raise RecordAway(f"the database does not answer: {error}") from error
    finally:
        await opened.dispose()


@contextmanager
def failing() -> Generator[None]:
    """Refusals become a message and an exit status: 2 wrong input, 4 not found, 5 refused, else 1."""
    with failing_on(RecordAway, asyncpg.PostgresError, asyncpg.InterfaceError, SettingsError):
        try:
            yield
        except Invalid as error:
            raise click.UsageError(error.message) from None
        except DomainError as error:
            click.echo(f"codevoice: {error.message}", err=True)
            raise SystemExit(_status(error)) from None


def _status(error: DomainError) -> Any:
    if isinstance(error, Unavailable):
        return 1
    return NOT_FOUND if error.status == 404 else REFUSED
