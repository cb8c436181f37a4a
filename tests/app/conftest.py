"""One front door for all stories, on a database of its own, with an engine made known and no worker."""

import io
import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import Struct

from app.domain.identity.key_crypto import KeyRing
from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.redis import live_audio
from db.storage.objects import Objects, open_store
from db.types import Capabilities, Finished, Outcome, Voice

from .browser import Browser
from .front import PASSWORD as PASSWORD
from .front import SECRETS, Front, running
from .hearing import beside as beside
from .hearing import ear as ear
from .hearing import finish as finish
from .proxy import Wire

AUDIO = bytes(range(256)) * 40
Databases = Callable[[], tuple[str, str]]


class Person(Struct, frozen=True):
    """An account, and what its owner has of it."""

    email: str
    key: str
    token: str
    refresh_token: str
    id: str


def voice(name: str, *languages: str, gender: str = "male", quality: str = "high") -> Voice:
    return Voice(
        id=name.lower(),
        name=name,
        gender=gender,  # type: ignore[arg-type]
        languages=languages,
        language_names=tuple(f"Language {tag}" for tag in languages),
        description=f"Voice: {name}",
        quality=quality,  # type: ignore[arg-type]
    )


ENGINE = Capabilities(
    engine="parrot",
    kind="speech",
    voices=(
        voice("ryan", "en-US"),
        voice("Anna", "de-DE", "de-AT", gender="female", quality="low"),
        voice("Zoë", "fr-FR", gender="female", quality="standard"),
    ),
    sample_rate_hz=22_050,
    formats=("wav", "mp3"),
    characters_max=2000,
    cost_us_per_character=100,
    speed_min=0.5,
    speed_max=2.0,
    audio_s_max=600,
    audio_bytes_max=20_000_000,
)


@pytest.fixture(scope="session")
def app_databases(new_database: Databases) -> tuple[str, str]:
    return new_database()


@pytest.fixture(scope="session")
def owner_url(app_databases: tuple[str, str]) -> str:
    return app_databases[0]


@pytest.fixture(scope="session")
def database_url(app_databases: tuple[str, str]) -> str:
    return app_databases[1]


@pytest.fixture(scope="session")
def objects_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tmp_path_factory.mktemp("objects").as_uri()


@pytest.fixture(scope="session")
def store(objects_url: str) -> Objects:
    return open_store(objects_url)


@pytest.fixture(scope="session")
def environ(database_url: str, redis_url: str, objects_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "CODEVOICE_OBJECTS": objects_url}


@pytest.fixture(scope="session")
def parrot(database_url: str) -> Generator[WorkerConnection]:
    """A worker's connection; its engine is known from the beginning."""
    connection = worker_connection(database_url, application_name="test-parrot")
    jobs_worker.publish(connection, ENGINE, worker="w1")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def owner(owner_url: str) -> Generator[psycopg.Connection[Any]]:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def front(environ: dict[str, str], parrot: WorkerConnection, logs: Path) -> Generator[Front]:
    with running(environ, logs) as front:
        yield front


Run = Callable[..., Front]


@pytest.fixture(scope="module")
def front_with(environ: dict[str, str], parrot: WorkerConnection, logs: Path) -> Generator[Run]:
    """One more front door, with other settings; the same one for the same settings."""
    running_ones: dict[tuple[tuple[str, str], ...], Front] = {}
    with ExitStack() as stack:

        def start(**other: str) -> Front:
            wanted = tuple(sorted(other.items()))
            if wanted not in running_ones:
                running_ones[wanted] = stack.enter_context(running({**environ, **other}, logs))
            return running_ones[wanted]

        yield start
        for front in running_ones.values():  # together, since each takes a second to end
            front.client.close()
            os.kill(front.pid, signal.SIGTERM)


@pytest.fixture
def wire(database_url: str) -> Generator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()


@pytest.fixture
def wired(front_with: Run, wire: Wire) -> Callable[..., Front]:
    """A front door that reaches Postgres by the wire."""
    return lambda **more: front_with(DATABASE_URL=wire.url, **more)


@pytest.fixture
def address() -> str:
    """An address nobody else comes from."""
    return f"192.0.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


SetPrice = Callable[[str, str, float], None]


@pytest.fixture
def set_price(front: Front, owner: psycopg.Connection[Any]) -> Generator[SetPrice]:
    """Sets a kind's price in credits a unit; returns when every front door must know. Undone afterwards."""

    def write(kind: str, unit: str, credits: float) -> None:
        owner.execute(
            "SELECT cv.set_price(gen_random_uuid(), %s, '*', %s, %s, NULL, 'test', 'test')",
            [kind, unit, int(credits * 1_000_000)],
        )
        time.sleep(1.05)  # the promise: a new price holds within a second

    changed = set[str]()

    def set_price(kind: str, unit: str, credits: float) -> None:
        changed.add(kind)
        write(kind, unit, credits)

    yield set_price
    for kind in changed:
        write(kind, "request", 1)


SignUp = Callable[[], Person]


@pytest.fixture(scope="session")
def sign_up(front: Front) -> SignUp:
    """Opens an account, as people do."""

    def sign_up() -> Person:
        email = f"{secrets.token_hex(6)}@example.org"
        answer = front.call("POST", "/api/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        found = answer.json()
        return Person(email, found["api_key"], found["token"], found["refresh_token"], found["user"]["id"])

    return sign_up


@pytest.fixture
def person(sign_up: SignUp) -> Person:
    return sign_up()


AddKey = Callable[..., str]


@pytest.fixture(scope="session")
def add_key(owner: psycopg.Connection[Any]) -> AddKey:
    """Gives an account one more key, with columns of choice."""

    def add(account: str | uuid.UUID, **columns: Any) -> str:
        identifier = uuid.uuid4()
        made = key_ring().make(identifier)
        row = {
            "id": identifier,
            "account": account,
            "name": "test",
            "prefix": made.prefix,
            "digest": made.digest,
        }
        _insert(owner, "cv.api_key", row | columns)
        return made.text

    return add


OpenAccount = Callable[..., str]


@pytest.fixture(scope="session")
def open_account(owner: psycopg.Connection[Any], add_key: AddKey) -> OpenAccount:
    """Opens an account of any kind, as an administrator would; its key."""

    def open_one(kind: str = "api_only", *, monthly: int | None = None, unlimited: bool = False) -> str:
        identifier = uuid.uuid4()
        _insert(owner, "cv.account", {"id": identifier, "kind": kind})
        owner.execute("SELECT cv.open_wallet(%s, %s, 1, %s, %s)", (identifier, kind, monthly, unlimited))
        return add_key(identifier)

    return open_one


def _insert(owner: psycopg.Connection[Any], table: str, row: dict[str, Any]) -> None:
    names, marks = ", ".join(row), ", ".join("%s" for _ in row)
    owner.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})".encode(), list(row.values()))


def key_ring() -> KeyRing:
    return KeyRing(
        pepper=bytes.fromhex(SECRETS["CODEVOICE_KEY_PEPPER"]),
        encryption_key=bytes.fromhex(SECRETS["CODEVOICE_KEY_ENCRYPTION_KEY"]),
    )


NewBrowser = Callable[..., Browser]
LogIn = Callable[[Person], Browser]


@pytest.fixture
def new_browser(front: Front) -> Generator[NewBrowser]:
    opened: list[Browser] = []

    def new(at: Front = front) -> Browser:
        opened.append(Browser(at))
        return opened[-1]

    yield new
    for browser in opened:
        browser.client.close()


@pytest.fixture
def log_in(new_browser: NewBrowser) -> LogIn:
    return lambda person: new_browser().log_in(person.email)


@pytest.fixture
def browser(log_in: LogIn, person: Person) -> Browser:
    return log_in(person)


@pytest.fixture
def admin(log_in: LogIn, sign_up: SignUp, owner: psycopg.Connection[Any]) -> Browser:
    person = sign_up()
    owner.execute("UPDATE cv.account SET admin = true WHERE id = %s", [person.id])
    return log_in(person)


Say = Callable[..., str]


@pytest.fixture(scope="session")
def say(front: Front) -> Say:
    """Queues speech; the job's id."""

    def say(key: str, **fields: object) -> str:
        answer = front.call("POST", "/v1/tts", key, json={"text": "hello", "voice": "ryan", **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    return say


Take = Callable[[str], int]


@pytest.fixture(scope="session")
def take(parrot: WorkerConnection) -> Take:
    """Claims one job, handing back whatever else was queued; its attempt."""

    def take(job_id: str) -> int:
        claimed = jobs_worker.claim(
            parrot, engine="parrot", lane=None, mixed=True, limit=10_000, worker="w1", lease_s=60
        )
        others = [
            Finished(id=job.id, attempt=job.attempt, outcome="hand_back")
            for job in claimed
            if str(job.id) != job_id
        ]
        jobs_worker.finish(parrot, others, worker="w1", tries_max=3, keep_s=3600)
        (attempt,) = [job.attempt for job in claimed if str(job.id) == job_id]
        return attempt

    return take


End = Callable[..., None]


@pytest.fixture(scope="session")
def end(parrot: WorkerConnection, take: Take, store: Objects, redis_url: str) -> End:
    """Does a job as a worker does: with AUDIO by default, or with another outcome."""
    redis = live_audio.connect(redis_url)

    def end(
        job_id: str,
        outcome: Outcome = "done",
        *,
        code: str | None = None,
        audio: bytes = AUDIO,
        content_type: str = "audio/wav",
        attempt: int | None = None,
        keep_s: int = 3600,
    ) -> None:
        attempt = take(job_id) if attempt is None else attempt
        key = f"jobs/{job_id}/{attempt}.wav"
        ended = Finished(id=uuid.UUID(job_id), attempt=attempt, outcome=outcome, code=code)
        if outcome == "done":
            store.put(key, io.BytesIO(audio))
            ended = Finished(
                id=uuid.UUID(job_id),
                attempt=attempt,
                outcome="done",
                object=key,
                content_type=content_type,
                audio_bytes=len(audio),
                duration_ms=1234,
                sha256=sha256(audio).digest(),
            )
        jobs_worker.finish(parrot, [ended], worker="w1", tries_max=3, keep_s=keep_s)
        redis.publish(live_audio.DONE, live_audio.done_message(ended.id, "completed"))

    return end


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_wrong_with_the_ledger(owner_url: str) -> Generator[None]:
    """After all stories, every credit is where it should be."""
    yield
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT what, id FROM cv.recon").fetchall() == []
        assert connection.execute("SELECT owner FROM cv.chain_breaks").fetchall() == []
