"""The peers of `codevoice bench api`: conventional implementations, served by uvicorn, on the same Postgres.

`python -m ops.bench.harness.peers orm|same PORT DATABASE_URL SECRET`. Both hold one credit and queue one job,
durably.
`orm`: FastAPI, Pydantic, SQLAlchemy's ORM; the key is looked up by a query, as in the system this
project replaces. `same`: FastAPI and Pydantic, calling the product's own function over asyncpg; the key is
cached.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, ForeignKey, LargeBinary, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.postgres import jobs_api
from db.postgres.pool import open_pool
from db.types import NewJob, SpeechParams

POOL = 16
_CREDIT = 1_000_000
_KEY = "SELECT account FROM cv.api_key WHERE digest = $1"


class Ask(BaseModel):
    text: str = Field(min_length=1, max_length=5000)
    voice: str = Field(max_length=100)


class Answer(BaseModel):
    job_id: UUID
    status: str = "queued"
    message: str


class Base(DeclarativeBase):
    """Tables of their own, in schema `peer` (`api.sql`)."""


class User(Base):
    __tablename__ = "user"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012
    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    credits: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)


class Entry(Base):
    __tablename__ = "entry"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    user: Mapped[UUID] = mapped_column(ForeignKey("peer.user.id"))
    job: Mapped[UUID] = mapped_column(ForeignKey("peer.job.id"))
    amount: Mapped[int] = mapped_column(BigInteger)


class Job(Base):
    __tablename__ = "job"
    __table_args__ = {"schema": "peer"}  # noqa: RUF012
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user: Mapped[UUID] = mapped_column(ForeignKey("peer.user.id"))
    text: Mapped[str]
    voice: Mapped[str]
    state: Mapped[str]


def orm_app(database_url: str, digest_key: bytes) -> FastAPI:
    """One session per request, through the ORM's objects."""
    url = database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    app = FastAPI()

    @app.post("/v1/tts")
    async def queue(ask: Ask, x_api_key: Annotated[str, Header()]) -> Answer:
        async with sessions() as session, session.begin():
            user = await _user(session, _digest(x_api_key, digest_key))
            user.credits -= _CREDIT
            user.held += _CREDIT
            job = Job(id=uuid4(), user=user.id, text=ask.text, voice=ask.voice, state="queued")
            session.add(job)
            await session.flush()
            session.add_all(Entry(user=user.id, job=job.id, amount=amount) for amount in (-_CREDIT, _CREDIT))
            left = user.credits
        return Answer(job_id=job.id, message=f"{left / _CREDIT:g} remaining.")

    return app


async def _user(session: AsyncSession, digest: bytes) -> User:
    found = await session.scalar(select(User).where(User.digest == digest).with_for_update())
    if found is None:
        raise HTTPException(401, "invalid key")
    if found.credits < _CREDIT:
        raise HTTPException(402, "no credits")
    return found


def same_app(database_url: str, digest_key: bytes) -> FastAPI:
    """The product's function, one call and one commit per request."""
    owners: dict[bytes, UUID] = {}

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncGenerator[None]:
        app.state.pool = await open_pool(database_url, connections_max=POOL, statement_timeout_ms=30_000)
        yield
        app.state.pool.terminate()

    app = FastAPI(lifespan=running)

    @app.post("/v1/tts")
    async def queue(ask: Ask, x_api_key: Annotated[str, Header()]) -> Answer:
        pool: asyncpg.Pool = app.state.pool
        digest = _digest(x_api_key, digest_key)
        async with pool.acquire() as connection:
            owner = owners.get(digest) or await connection.fetchval(_KEY, digest)
            if owner is None:
                raise HTTPException(401, "invalid key")
            owners[digest] = owner
            (answer,) = await jobs_api.submit(connection, [_job(owner, ask)], wait_s_max=3600, open_max=10**9)
        if answer.code != "queued" or answer.id is None:
            raise HTTPException(402, answer.code)
        return Answer(job_id=answer.id, message=f"{answer.remaining / _CREDIT:g} remaining.")

    return app


def _job(owner: UUID, ask: Ask) -> NewJob:
    return NewJob(
        id=uuid4(),
        owner=owner,
        kind="speech",
        engine="paced",
        lane=ask.voice,
        params=SpeechParams(text=ask.text, voice=ask.voice, language="en-US"),
        hold=_CREDIT,
        tariff=1,
        characters=len(ask.text),
        cost_us=1000,
    )


def _digest(key: str, digest_key: bytes) -> bytes:
    return blake2b(key.encode(), key=digest_key, digest_size=32).digest()


def main() -> None:
    """Serve until terminated."""
    kind, port, database_url, secret = sys.argv[1:]
    app = {"orm": orm_app, "same": same_app}[kind](database_url, bytes.fromhex(secret))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
    )


if __name__ == "__main__":
    main()
