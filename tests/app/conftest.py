"""One API server for all tests, on its own database, with a published engine and no worker."""

import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import Struct

from app.domain.identity.key_crypto import KeyRing
from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection, worker_connection
from db.storage.objects import Objects, open_store
from tests.app.api_process import PASSWORD as PASSWORD
from tests.app.api_process import SECRETS, ApiProcess, running
from tests.app.job_fixtures import AUDIO as AUDIO
from tests.app.job_fixtures import End as End
from tests.app.job_fixtures import Say as Say
from tests.app.job_fixtures import Take as Take
from tests.app.job_fixtures import end as end
from tests.app.job_fixtures import say as say
from tests.app.job_fixtures import take as take
from tests.app.published_engine import ENGINE as ENGINE
from tests.app.published_engine import voice as voice
from tests.app.transcription_worker import beside as beside
from tests.app.transcription_worker import finish as finish
from tests.app.transcription_worker import transcription_engine as transcription_engine

from .browser import Browser
from .proxy import Wire

Databases = Callable[[], tuple[str, str]]


class Person(Struct, frozen=True):
    """An account and its owner's credentials."""

    email: str
    key: str
    token: str
    refresh_token: str
    id: str


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
    """A worker's connection; its engine is published before the API server starts."""
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
def api(environ: dict[str, str], parrot: WorkerConnection, logs: Path) -> Generator[ApiProcess]:
    with running(environ, logs) as api:
        yield api


Run = Callable[..., ApiProcess]


@pytest.fixture(scope="module")
def api_with(environ: dict[str, str], parrot: WorkerConnection, logs: Path) -> Generator[Run]:
    """One more API server with other settings; the same one for the same settings."""
    running_ones: dict[tuple[tuple[str, str], ...], ApiProcess] = {}
    with ExitStack() as stack:

        def start(**other: str) -> ApiProcess:
            wanted = tuple(sorted(other.items()))
            if wanted not in running_ones:
                running_ones[wanted] = stack.enter_context(running({**environ, **other}, logs))
            return running_ones[wanted]

        yield start
        for api in running_ones.values():  # together, since each takes a second to end
            api.client.close()
            os.kill(api.pid, signal.SIGTERM)


@pytest.fixture
def wire(database_url: str) -> Generator[Wire]:
    wire = Wire(database_url)
    yield wire
    wire.close()


@pytest.fixture
def wired(api_with: Run, wire: Wire) -> Callable[..., ApiProcess]:
    """An API server that reaches Postgres through the proxy."""
    return lambda **more: api_with(DATABASE_URL=wire.url, **more)


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return f"192.0.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


SetPrice = Callable[[str, str, float], None]


@pytest.fixture
def set_price(api: ApiProcess, owner: psycopg.Connection[Any]) -> Generator[SetPrice]:
    """Sets a kind's price in credits per unit; returns when all servers must know it. Undone afterwards."""

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
def sign_up(api: ApiProcess) -> SignUp:
    """Registers an account over HTTP."""

    def sign_up() -> Person:
        email = f"{secrets.token_hex(6)}@example.org"
        answer = api.call("POST", "/api/auth/register", json={"email": email, "password": PASSWORD})
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
def new_browser(api: ApiProcess) -> Generator[NewBrowser]:
    opened: list[Browser] = []

    def new(at: ApiProcess = api) -> Browser:
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


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_wrong_with_the_ledger(owner_url: str) -> Generator[None]:
    """After all tests, the ledger is consistent."""
    yield
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT what, id FROM cv.recon").fetchall() == []
        assert connection.execute("SELECT owner FROM cv.chain_breaks").fetchall() == []
