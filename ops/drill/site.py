"""The stack of a drill: its stores can be stopped, its disk is small, its load is continuous."""

import http.client
import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from db.postgres.migrate import upgrade
from ops.bench.harness.own_stack import own_stack
from ops.drill.prometheus import DrillError
from ops.processes.program import Program, spawn
from ops.stack import embedded
from ops.stack.running import Stack
from ops.storm.engine import NAME as ENGINE
from ops.storm.engine import VOICE

_DISK_BYTES = 32 << 20
_LEASE_S = 1
_ANSWER_S_MAX = 30.0
_READY_S = 30.0
_A_SECOND = 10  # requests of the load


class Store:
    """Postgres or Valkey, up or down."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.up()

    def up(self) -> None:
        """Start it, and wait until it serves. Raises DrillError."""
        self._process = spawn(self._program)
        deadline = time.monotonic() + _READY_S
        while not self._program.is_ready(self._process.pid):
            if time.monotonic() > deadline:
                raise DrillError(f"{self._program.name} did not start")
            time.sleep(0.02)

    def down(self) -> None:
        """Stop it; harmless if it is stopped."""
        if self._process.poll() is None:
            self._process.send_signal(self._program.stop_signal)
            self._process.wait(_READY_S)


class Site(Struct, frozen=True):
    """The stack and the operations on it. `has_disk`: its objects have a small disk of their own."""

    stack: Stack
    home: Path
    postgres: Store
    valkey: Store
    objects: Path
    has_disk: bool

    def post(self, text: str, *, key: str | None = None, voice: str = VOICE) -> int:
        """One POST /v1/tts, with the account's key unless another is given; its status, 0: no response."""
        connection = http.client.HTTPConnection(urlsplit(self.stack.url).netloc, timeout=_ANSWER_S_MAX)
        headers = {"X-API-Key": key or self.stack.api_key, "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/tts", json.dumps({"text": text, "voice": voice}), headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


class Load:
    """The same request repeatedly, ten a second; with a key that does not exist if not `known`."""

    def __init__(self, site: Site, text: str, *, known: bool = True) -> None:
        self._site = site
        self._text = text
        self._key = None if known else "cv_live_unknown"
        self._stopping = threading.Event()
        self._callers = [threading.Thread(target=self._ask, daemon=True) for _ in range(2)]

    def start(self) -> None:
        """Start."""
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Stop, once the last request is answered."""
        self._stopping.set()
        for caller in self._callers:
            caller.join(_ANSWER_S_MAX)

    def _ask(self) -> None:
        while not self._stopping.wait(len(self._callers) / _A_SECOND):
            self._site.post(self._text, key=self._key)


@contextmanager
def site() -> Generator[Site]:
    """A stack with a controllable engine and short intervals; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="codevoice-drill-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another account
        with _disk(folder / "disk") as has_disk, _stores(folder) as (postgres, valkey, places):
            objects = folder / "disk" / "objects"
            objects.mkdir()
            with own_stack(
                engines=f"espeak,{ENGINE}",
                **places,
                CODEVOICE_HOME=str(folder / "home"),
                CODEVOICE_OBJECTS=objects.as_uri(),
                CODEVOICE_LOOK_S="0.5",
                CODEVOICE_LOOK_LEDGER_S="1",
                CODEVOICE_LEASE_S=str(_LEASE_S),
                CODEVOICE_DATABASE_WAIT_S="1",
            ) as stack:
                yield Site(stack, folder / "home", postgres, valkey, objects, has_disk)


@contextmanager
def _stores(folder: Path) -> Generator[tuple[Store, Store, dict[str, str]]]:
    password, ports = secrets.token_hex(8), (embedded.free_port(), embedded.free_port())
    account = embedded.prepare_postgres(folder / "pg", password=password)
    postgres = Store(
        embedded.postgres_program(
            folder / "pg", account, port=ports[0], log=folder / "postgres.log", durable=True
        )
    )
    valkey = Store(
        embedded.valkey_program(folder / "kv", password=password, port=ports[1], log=folder / "valkey.log")
    )
    owner = embedded.postgres_url(embedded.OWNER, password, ports[0])
    app = embedded.postgres_url("drill_app", password, ports[0])
    try:
        upgrade(owner, app)
        yield (
            postgres,
            valkey,
            {
                "DATABASE_URL": app,
                "CODEVOICE_DATABASE_OWNER_URL": owner,
                "REDIS_URL": embedded.valkey_url(password, ports[1]),
            },
        )
    finally:
        valkey.down()
        postgres.down()


@contextmanager
def _disk(folder: Path) -> Generator[bool]:
    """A small disk in memory if we may mount one; else a plain folder."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and _succeeds(
        "mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "drill", folder
    )
    try:
        yield mounted
    finally:
        if mounted:
            _succeeds("umount", "--lazy", folder)


def _succeeds(*command: str | Path) -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False
