"""Runs operators' commands on the database: confirmation, transaction, output, exit status."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar
from uuid import UUID

import asyncpg
import rich_click as click
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin import operations
from app.domain.admin.credits import Leg, legs_so_far
from app.domain.errors import DomainError, Invalid, Unavailable
from db.postgres import pool
from db.settings import DbSettings, SettingsError
from ops.admin import output
from ops.admin.options import CommandContext
from ops.cli import NOT_FOUND, REFUSED
from ops.command_errors import failing_on
from ops.stack.running import settings_for_cli

T = TypeVar("T")


class RecordAway(Exception):
    """The database does not answer."""


class Answer(Protocol):
    """What every operation returns."""

    @property
    def code(self) -> str: ...
    @property
    def account(self) -> UUID | None: ...


A = TypeVar("A", bound=Answer)


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
    work: Callable[[AsyncSession, operations.AdminOperation], Awaitable[A]],
    say: Callable[[A], str],
) -> A | None:
    """Run an operation in a transaction and print its result; returns None after a dry run."""

    async def run() -> A:
        key, actor = context.idempotency_key, f"cli:{os.getuid()}"
        act = operations.new_operation(actor=actor, reason=context.reason, scope="cli", key=key)
        async with _session() as session, session.begin():
            answer = await work(session, act)
            if context.dry_run:
                entries = await legs_so_far(session, answer.account) if answer.account else []
                raise _Undone(answer, entries)
            return answer

    try:
        with failing():
            answer = asyncio.run(run())
    except _Undone as undone:
        output.dry_run(undone.answer.code, undone.answer.account, undone.entries, in_json=context.as_json)
        return None
    if context.as_json:
        output.as_json(answer)
    else:
        click.echo(say(answer))
    return answer


def query(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """The result of `work`, which reads all tables in one snapshot."""

    async def run() -> T:
        async with _session(snapshot=True) as session, session.begin():
            return await work(session)

    with failing():
        return asyncio.run(run())


def write(work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """The result of `work`, which begins and commits its own transactions."""

    async def run() -> T:
        async with _session() as session:
            return await work(session)

    with failing():
        return asyncio.run(run())


def settings() -> DbSettings:
    """The addresses of the database and the queue. Ends the program if there are none."""
    with failing_on():
        return settings_for_cli(os.environ)


@asynccontextmanager
async def _session(*, snapshot: bool = False) -> AsyncGenerator[AsyncSession]:
    """A session that has not begun."""
    engine = pool.open_engine(settings_for_cli(os.environ).database_url)
    try:
        async with engine.connect():
            pass
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise RecordAway(f"the database does not answer: {error}") from error
    try:
        async with pool.open_session(engine, snapshot=snapshot) as session:
            yield session
    finally:
        await engine.dispose()


@contextmanager
def failing() -> Generator[None]:
    """Refusals become a message and an exit status: 2 wrong input, 4 not found, 5 refused, else 1."""
    with failing_on(
        RecordAway, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, SettingsError
    ):
        try:
            yield
        except Invalid as error:
            raise click.UsageError(error.message) from None
        except DBAPIError as error:  # its own text has the statement too
            raise RecordAway(str(error.orig).partition(">: ")[2] or str(error.orig)) from error
        except DomainError as error:
            click.echo(f"codevoice: {error.message}", err=True)
            raise SystemExit(_status(error)) from None


def _status(error: DomainError) -> Any:
    if isinstance(error, Unavailable):
        return 1
    return NOT_FOUND if error.status == 404 else REFUSED
