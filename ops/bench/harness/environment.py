"""The environment of `bench api` and `bench size`: stores, the product, its peers, a thousand accounts."""

import asyncio
import json
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

import asyncpg
import msgspec
import psycopg
from msgspec import Struct

from app.domain.identity.key_crypto import KeyRing, NewKey
from db.postgres import jobs_worker, ledger
from db.postgres.jobs_worker import worker_connection
from db.postgres.migrate import upgrade
from db.types import SpeechParams
from ops.bench import BenchError, Figures
from ops.bench.harness.frozen import frozen_functions
from ops.bench.harness.load import Load, Loaded
from ops.bench.harness.own_stack import UNLIMITED
from ops.bench.harness.paced_engine import VOICE, PacedEngine
from ops.processes.program import die_with_us
from ops.stack import embedded

ACCOUNTS = 1000
TEXT = "The quick brown fox jumps over the lazy dog."
PARAMS = {
    **msgspec.to_builtins(SpeechParams(text=TEXT, voice=VOICE, language="en-US")),
    "request_id": "0" * 32,
}
PROGRAMS = ("app", "bare", "orm", "same")  # the product; it without its middleware; peers
_READY_S_MAX = 60
_LIMITS = UNLIMITED | {
    "CODEVOICE_STATUS_POLLS_PER_S": "1000000",
    "CODEVOICE_JOBS_WAITING_MAX": "1000000000",
}


class Environment(Struct, frozen=True, kw_only=True):
    """The running parts, by name: some of PROGRAMS, and `postgres` among the process ids."""

    folder: Path
    owner_url: str
    app_url: str
    ports: Mapping[str, int]
    pids: Mapping[str, int]
    keys: Sequence[str]
    environ: Mapping[str, str]  # of an API process here


@contextmanager
def environment(programs: Sequence[str] = PROGRAMS) -> Generator[Environment]:
    """Start the servers and these programs, warmed up; they are stopped and removed at the end."""
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
        ports = {name: embedded.free_port() for name in programs}
        for name, port in ports.items():
            argv = {"app": ["app"], "bare": ["ops.bench.harness.bare"]}.get(
                name, ["ops.bench.harness.peers", name, str(port), app_url, pepper]
            )
            variables = environ | {"CODEVOICE_PORT": str(port)}
            pids[name] = stack.enter_context(_process(argv, variables, port, folder / f"{name}.log"))
        yield Environment(
            folder=folder,
            owner_url=owner_url,
            app_url=app_url,
            ports=ports,
            pids=pids,
            keys=keys,
            environ=environ,
        )


def post(key: str) -> str:
    """A speech request, as sent."""
    body = json.dumps({"text": TEXT, "voice": VOICE})
    head = f"POST /v1/tts HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def get(path: str, key: str = "") -> str:
    """Another request, as sent."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n" + (f"X-API-Key: {key}\r\n\r\n" if key else "\r\n")


def ask(port: int, requests: Sequence[str], *, seconds: float, connections: int) -> Loaded:
    """Send them for so long, from a process of its own; raises BenchError if one failed."""
    load = Load(
        host="127.0.0.1", port=port, connections=connections, seconds=seconds, requests=list(requests)
    )
    argv = [sys.executable, "-m", "ops.bench.harness.load"]
    run = subprocess.run(argv, input=msgspec.json.encode(load), capture_output=True, check=False)
    if run.returncode:
        raise BenchError(f"the load generator: {run.stderr.decode()[-300:]}")
    done = msgspec.json.decode(run.stdout, type=Loaded)
    if done.errors or not done.done:
        raise BenchError(f"{done.errors} of {sum(done.answers.values())} failed: {done.first_error}")
    return done


def audited(app_url: str) -> Figures:
    """`defects`, which is 0: raises BenchError if the whole audit finds one."""

    async def find() -> int:
        connection = await asyncpg.connect(app_url)
        try:
            return len(await ledger.audit(connection))
        finally:
            await connection.close()

    if found := asyncio.run(find()):
        raise BenchError(f"the audit found {found} defects after the run")
    return {"defects": 0}


_SECRETS = ("KEY_ENCRYPTION_KEY", "JWT_SECRET", "URL_SECRET")


def owner_of(number: int) -> UUID:
    """The account that `public.owner_of` finds too; from 1 on."""
    return UUID(md5(f"w{number}".encode(), usedforsecurity=False).hexdigest())


def _accounts(owner_url: str, pepper: str) -> Sequence[str]:
    """Create accounts with a key, a wallet and the peer's row each; returns the keys."""
    ring = KeyRing(pepper=bytes.fromhex(pepper), encryption_key=bytes(32))
    made = [(owner_of(n + 1), ring.make(uuid4())) for n in range(ACCOUNTS)]
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(frozen_functions().encode())
        connection.execute((Path(__file__).parents[1] / "api.sql").read_bytes())
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
    """Publish the engine of the requested voice; no worker claims its jobs."""
    connection = worker_connection(app_url, application_name="bench")
    jobs_worker.publish(connection, PacedEngine.capabilities, worker="bench")
    connection.close()


@contextmanager
def _process(argv: Sequence[str], environ: Mapping[str, str], port: int, log: Path) -> Generator[int]:
    """Run `python -m …`, answering on its port; yields its process id."""
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
    sockets = {_target(path) for path in Path(f"/proc/{pid}/fd").glob("*")}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        line[1].endswith(f":{port:04X}") and line[3] == "0A" and f"socket:[{line[9]}]" in sockets
        for line in lines
    )


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed since it was listed
        return ""
