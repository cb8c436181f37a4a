"""Where `codevoice bench api` is run: a Postgres, Valkey, the product, its peers, a thousand accounts."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import md5
from pathlib import Path
from signal import SIGKILL
from uuid import UUID, uuid4

import psycopg
from msgspec import Struct

from app.domain.keys import KeyRing, NewKey
from db import work
from db.migrate import upgrade
from db.work import worker_connection
from ops import embedded
from ops.bench import BenchError
from ops.bench.paced import PacedEngine
from ops.supervisor import die_with_us

ACCOUNTS = 1000
_READY_S_MAX = 60
_LIMITS = {  # all of them on, none in the way
    "CODEVOICE_POSTS_PER_MINUTE": "60000000",
    "CODEVOICE_POSTS_BURST": "1000000",
    "CODEVOICE_STATUS_POLLS_PER_S": "1000000",
    "CODEVOICE_JOBS_WAITING_MAX": "1000000000",
}


class Field(Struct, frozen=True, kw_only=True):
    """What runs, by name: `app`, `bare`, `orm`, `same`, and `postgres` among the process ids."""

    folder: Path
    owner_url: str
    app_url: str
    ports: Mapping[str, int]
    pids: Mapping[str, int]
    keys: Sequence[str]


@contextmanager
def field() -> Generator[Field]:
    """All of it, started and warm enough to answer; stopped and removed at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="codevoice-bench-")))
        folder.chmod(0o755)  # Postgres may run as another account
        password = secrets.token_hex(8)
        postgres = embedded.postgres(folder / "pg", password=password, connections_max=200)
        owner_url = stack.enter_context(postgres)
        app_url = owner_url.replace("//codevoice:", "//bench_app:", 1)
        upgrade(owner_url, app_url)
        pepper = secrets.token_hex(32)
        keys = _accounts(owner_url, pepper)
        environ = {
            "PATH": os.defpath,
            "DATABASE_URL": app_url,
            "REDIS_URL": stack.enter_context(embedded.valkey(folder / "valkey", password=password)),
            "CODEVOICE_OBJECTS": (folder / "objects").as_uri(),
            "CODEVOICE_KEY_PEPPER": pepper,
            **{f"CODEVOICE_{name}": secrets.token_hex(32) for name in _SECRETS},
            **_LIMITS,
        }
        _publish(app_url)
        pids = {"postgres": int((folder / "pg" / "postmaster.pid").read_text().split()[0])}
        ports = {name: embedded.free_port() for name in ("app", "bare", "orm", "same")}
        for name, port in ports.items():
            argv = {"app": ["app"], "bare": ["ops.bench.bare"]}.get(
                name, ["ops.bench.peer", name, str(port), app_url, pepper]
            )
            variables = environ | {"CODEVOICE_PORT": str(port)}
            pids[name] = stack.enter_context(_process(argv, variables, port, folder / f"{name}.log"))
        yield Field(folder=folder, owner_url=owner_url, app_url=app_url, ports=ports, pids=pids, keys=keys)


_SECRETS = ("KEY_ENCRYPTION_KEY", "JWT_SECRET", "URL_SECRET")


def owner_of(number: int) -> UUID:
    """The account that `public.owner_of` finds too; from 1 on."""
    return UUID(md5(f"w{number}".encode(), usedforsecurity=False).hexdigest())


def _accounts(owner_url: str, pepper: str) -> Sequence[str]:
    """Accounts with a key, a wallet and the peer's row each; the keys."""
    ring = KeyRing(pepper=bytes.fromhex(pepper), encryption_key=bytes(32))
    made = [(owner_of(n + 1), ring.make(uuid4())) for n in range(ACCOUNTS)]
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(Path(__file__).with_name("api.sql").read_bytes())
        with connection.transaction(), connection.cursor() as cursor:
            for statement, rows in _rows(made).items():
                cursor.executemany(statement.encode(), rows)
        connection.execute("VACUUM ANALYZE")
    return [key.text for _, key in made]


def _rows(made: Sequence[tuple[UUID, NewKey]]) -> dict[str, Sequence[tuple[object, ...]]]:
    return {
        "INSERT INTO cv.account (id, kind, tier) VALUES (%s, 'registered', 2)": [(a,) for a, _ in made],
        "SELECT cv.open_wallet(%s, 'registered', 2, 1000000000000000, false)": [(a,) for a, _ in made],
        "INSERT INTO cv.api_key (account, name, prefix, digest) VALUES (%s, 'bench', %s, %s)": [
            (a, key.prefix, key.digest) for a, key in made
        ],
        'INSERT INTO peer."user" VALUES (%s, %s, 1000000000000000, 0)': [(a, key.digest) for a, key in made],
    }


def _publish(app_url: str) -> None:
    """The engine whose voice is asked for; nobody claims its jobs."""
    connection = worker_connection(app_url, application_name="bench")
    work.publish(connection, PacedEngine.capabilities, worker="bench")
    connection.close()


@contextmanager
def _process(argv: Sequence[str], environ: Mapping[str, str], port: int, log: Path) -> Generator[int]:
    """`python -m …`, answering on its port; its process id."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            preexec_fn=die_with_us(SIGKILL),
        )
        try:
            _wait(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_S_MAX
    while not _listens(process.pid, port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{log.stem} did not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.05)


def _listens(pid: int, port: int) -> bool:
    """Whether that process itself listens there: on a shared port half the load would go elsewhere."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").glob("*") if path.is_symlink()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        line[1].endswith(f":{port:04X}") and line[3] == "0A" and f"socket:[{line[9]}]" in sockets
        for line in lines
    )
