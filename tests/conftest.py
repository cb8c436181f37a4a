"""Real servers for all tests: given by URL, else embedded, else in containers. And what this machine lacks.

`CODEVOICE_TEST_DATABASE_OWNER_URL` and `CODEVOICE_TEST_REDIS_URL` give servers; each test run makes and drops
databases of its own there.
"""

import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, Protocol

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.postgres.migrate import upgrade
from db.postgres.pool import Pool, open_pool
from ops.stack import embedded
from tests.openai_js import openai_js as openai_js
from tests.openai_js import openai_package as openai_package
from workers.models.store import ModelError, verified

if mutated := os.environ.get("CODEVOICE_TEST_SQL"):  # see tests/db/postgres/test_mutants.py
    from db.postgres.migrations import scripts

    scripts.SQL = Path(mutated)

Need = Callable[[str], str]
LEFT_OUT = Path(".pytest_cache/left-out.txt")
HOME = Path(__file__).parent
_MODELS = {"xtts": "TTS", "whisper": "faster_whisper"}
_lacks: dict[str, int] = {}  # of selected tests
_uncollected: dict[str, int] = {}  # of files: every process finds the same
_excused: set[str] = set()
XTTS = "workers/xtts"
_LONGEST_FIRST = (XTTS, "e2e", "ops", "s3", "workers")


class RealModel(Protocol):
    def __call__(self, *names: str) -> Path: ...


class Lack(Protocol):
    def __call__(self, what: str, *, may_be_absent: bool = False) -> NoReturn: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-models", action="store_true", help="leave out engines that need PyTorch and the like"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of an engine with a model (xtts, whisper: a word of the path) need its extra."""
    at = collection_path.relative_to(HOME) if collection_path.is_relative_to(HOME) else Path()
    named = _MODELS.keys() & set(re.split(r"[/_.]", at.as_posix()))
    if config.getoption("--without-models"):
        lack = "models (--without-models)"
    else:
        lack = ", ".join(f"the extra {name}" for name in sorted(named) if not find_spec(_MODELS[name]))
        if not lack and "xtts" in named and not _has_sndfile():
            lack = "the Debian package libsndfile1"
    if not named or not lack:
        return None
    files = [collection_path] if collection_path.is_file() else collection_path.rglob("test_*.py")
    left = sum(len(re.findall(r"^(?:async )?def test_", file.read_text(), re.MULTILINE)) for file in files)
    _uncollected[lack] = _uncollected.get(lack, 0) + left
    return True


def _has_sndfile() -> bool:
    """Whether soundfile, which coqui-tts imports, finds its library: in its own wheel, or on the machine."""
    return find_spec("_soundfile_data") is not None or find_library("sndfile") is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With several processes (pytest-xdist), each file runs in one, as does all of xtts; long files first."""
    from xdist.scheduler import LoadFileScheduling

    class OneFileOneProcess(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return XTTS if file.startswith(f"tests/{XTTS}/") else file

    config.option.loadscopereorder = False  # in our order, not by the number of tests
    return OneFileOneProcess(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = f"{item.path.relative_to(HOME).parent.as_posix()}/"
    ranks = [n for n, first in enumerate(_LONGEST_FIRST) if folder.startswith(f"{first}/")]
    return min(ranks, default=len(_LONGEST_FIRST))


@pytest.fixture(scope="session")
def lack() -> Lack:
    """Leaves a test out, by name of what this machine lacks; in CI a failure, unless it may be absent."""

    def leave_out(what: str, *, may_be_absent: bool = False) -> NoReturn:
        left_out(what)
        if may_be_absent:
            _excused.add(what)
        pytest.skip(f"{what} is not on this machine")

    return leave_out


@pytest.fixture(scope="session")
def need(lack: Lack) -> Need:
    """The path of a program a test cannot do without; where it is missing the test is left out, by name."""
    return lambda program: shutil.which(program) or lack(program)


def left_out(lack: str, tests: int = 1) -> None:
    """Note for the last line that tests were left out, and what they need."""
    _lacks[lack] = _lacks.get(lack, 0) + tests


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Collect what one of several processes left out."""
    lacks, uncollected, excused = getattr(node, "workeroutput", {}).get("left_out", ({}, {}, []))
    for lack, tests in lacks.items():
        left_out(lack, tests)
    _uncollected.update(uncollected)
    _excused.update(excused)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a lack is a failure; elsewhere the last line reports it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = (_lacks, _uncollected, sorted(_excused))
    elif (_lacks.keys() | _uncollected.keys()) - _excused and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    LEFT_OUT.unlink(missing_ok=True)
    left = {
        lack: _lacks.get(lack, 0) + _uncollected.get(lack, 0) for lack in _lacks.keys() | _uncollected.keys()
    }
    if left:
        line = "left out: " + ", ".join(f"{n} tests that need {what}" for what, n in sorted(left.items()))
        LEFT_OUT.parent.mkdir(exist_ok=True)
        LEFT_OUT.write_text(line + "\n")
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Where real models lie, those that ops/test.sh could get: CODEVOICE_MODELS, else the checkout's."""
    return Path(os.environ.get("CODEVOICE_MODELS") or HOME.parent / ".tools" / "models").absolute()


@pytest.fixture(scope="session")
def real_model(lack: Lack, models_folder: Path) -> RealModel:
    """The models folder, where it has these models, whole; otherwise the test is left out, by their name."""

    def needed(*names: str) -> Path:
        for name in names:
            try:
                verified(name, models_folder)
            except ModelError:
                lack(f"the model {name}")
        return models_folder

    return needed


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Generator[None]:
    """No test reaches another machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]) if isinstance(address, tuple) else ""
            assert host in ("127.0.0.1", "::1", "localhost"), f"a test tried to reach {host}"
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """(URL of a Postgres superuser, URL of a Redis), for the whole run."""
    given = os.environ.get("CODEVOICE_TEST_DATABASE_OWNER_URL"), os.environ.get("CODEVOICE_TEST_REDIS_URL")
    with ExitStack() as stack:
        if given[0] and given[1]:
            yield given[0], given[1]
            return
        folder = tmp_path_factory.mktemp("servers")
        password = secrets.token_hex(8)
        try:
            owner = stack.enter_context(embedded.postgres(folder / "pg", password=password, durable=False))
            redis = stack.enter_context(embedded.valkey(folder / "kv", password=password))
        except embedded.EmbeddedError:
            owner, redis = _in_containers(stack)
        yield owner, redis


def _in_containers(stack: ExitStack) -> tuple[str, str]:
    from testcontainers.postgres import PostgresContainer
    from testcontainers.redis import RedisContainer

    owner = stack.enter_context(PostgresContainer("postgres:18", driver=None))
    redis = stack.enter_context(RedisContainer("valkey/valkey:9"))
    url = f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0"
    return owner.get_connection_url(), url


Databases = Callable[[], tuple[str, str]]


@pytest.fixture(scope="session")
def new_database(servers: tuple[str, str]) -> Generator[Databases]:
    """Makes migrated databases: (owner's URL, application's URL) of each."""
    server, login, made = servers[0], f"cv_test_{secrets.token_hex(4)}", list[str]()

    def execute(statement: str) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(statement.encode())

    def make(template: str = "") -> tuple[str, str]:
        name = f"cv_test_{secrets.token_hex(6)}"
        execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        made.append(name)
        place = conninfo_to_dict(server)
        at = f"{place['host']}:{place.get('port', 5432)}/{name}"
        return f"postgresql://{place['user']}:{place['password']}@{at}", f"postgresql://{login}:app@{at}"

    owner_url, app_url = make()
    upgrade(owner_url, app_url)
    template = owner_url.rpartition("/")[2]
    yield lambda: make(template)
    if os.environ.get("CODEVOICE_TEST_DATABASE_OWNER_URL"):  # else the whole server goes, at once
        for name in reversed(made):
            execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        execute(f'DROP ROLE "{login}"')


@pytest.fixture
def database(new_database: Databases) -> tuple[str, str]:
    """A database of the test's own: (owner's URL, application's URL)."""
    return new_database()


@pytest.fixture
async def pool(database: tuple[str, str]) -> AsyncGenerator[Pool]:
    """The API server's connection pool on the test's own database."""
    opened = await open_pool(database[1], connections_max=16, statement_timeout_ms=30_000)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_url(servers: tuple[str, str]) -> str:
    return servers[1]


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds; fails the test after half a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "did not come true within 30 s"
            time.sleep(0.02)

    return wait
