"""The stack under test in a storm: Postgres, Valkey, two API servers, two workers, each its own process."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ops.bench.harness.own_stack import UNLIMITED
from ops.processes.listener import Listener
from ops.processes.program import Program
from ops.stack import embedded, workers
from ops.stack.home import Home, Secrets, secrets_of
from ops.stack.prepare import migrate
from ops.stack.running import Stack, write_stack
from ops.storm.engine import NAME as ENGINE_NAME
from ops.storm.stack import disks
from ops.storm.stack.processes import Processes

APIS, WORKERS = ("api-1", "api-2"), ("worker-1", "worker-2")
LEASE_S = 2.0
FIRST_AUDIO_WAIT_S = 10.0
_READY_S = 60.0
_JOBS_WAITING_MAX = 300  # per account: keeps the clients from running ahead of the workers
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
# No limit keeps the load away; leases and waits are short, so that many expire.
_SETTINGS = UNLIMITED | {
    "CODEVOICE_STATUS_POLLS_PER_S": "1000000",
    "CODEVOICE_JOBS_WAITING_MAX": str(_JOBS_WAITING_MAX),
    "CODEVOICE_QUEUE_WAIT_S": "30",
    "CODEVOICE_LEASE_S": f"{LEASE_S:g}",
    "CODEVOICE_SWEEP_S": "0.5",
    "CODEVOICE_DATABASE_WAIT_S": "2",
    "CODEVOICE_FIRST_AUDIO_WAIT_S": f"{FIRST_AUDIO_WAIT_S:g}",
    "CODEVOICE_DRAIN_S": "1",
    "CODEVOICE_LOG_LEVEL": "info",
    "PYTHONSAFEPATH": "1",
}


class StormStack:
    """Its addresses and its programs; started in order, by `start`."""

    def __init__(self, home: Home, listener: Listener, processes: Processes) -> None:
        self._home = home
        self._listener = listener
        self._processes = processes
        self._secrets: Secrets = secrets_of(home)
        self._ports = embedded.free_port(), embedded.free_port()
        secrets, (postgres, valkey) = self._secrets, self._ports
        self.addresses = Stack(
            database_url=embedded.postgres_url("codevoice_app", secrets.database_app_password, postgres),
            database_owner_url=embedded.postgres_url(
                embedded.OWNER, secrets.database_owner_password, postgres
            ),
            redis_url=embedded.valkey_url(secrets.redis_password, valkey),
            objects=home.objects.as_uri(),
            url=listener.url,
            pids={},
            api_key="none",
        )

    def start(self, check: Callable[[], None]) -> None:
        """Start everything and return when it is ready. Raises TimeoutError, EmbeddedError, UpError."""
        processes = self._processes
        processes.start(self._postgres())
        processes.start(self._valkey())
        processes.wait_up("postgres", "valkey", seconds=embedded.READY_S, check=check)
        migrate(self.addresses)
        for name in APIS:
            processes.start(self._api(name))
        for name in WORKERS:
            processes.start(self._worker(name))
        processes.wait_up(*APIS, *WORKERS, seconds=_READY_S, check=check)
        write_stack(self._home, self.addresses)  # for running `codevoice …` with CODEVOICE_HOME

    def take_store_away(self) -> bool:
        """Make puts and reads fail: a file replaces the folder."""
        self._home.objects.rename(_away(self._home))
        self._home.objects.touch()
        return True

    def fill_store(self) -> bool:
        """Make puts and reads fail, as on a full disk; False if that is impossible."""
        return disks.fill(self._home.objects)

    def protect_store(self) -> bool:
        """Make puts fail, as on a disk remounted read-only; False as above."""
        return disks.protect(self._home.objects)

    def bring_store_back(self) -> None:
        """Restore the folder."""
        bring_store_back(self._home)

    def forget_redis(self) -> None:
        """Remove Valkey's file, while it is dead."""
        shutil.rmtree(self._home.valkey / "appendonlydir", ignore_errors=True)

    def _postgres(self) -> Program:
        account = embedded.prepare_postgres(
            self._home.postgres, password=self._secrets.database_owner_password
        )
        return embedded.postgres_program(
            self._home.postgres, account, port=self._ports[0], log=self._home.log("postgres"), durable=True
        )

    def _valkey(self) -> Program:
        return embedded.valkey_program(
            self._home.valkey,
            password=self._secrets.redis_password,
            port=self._ports[1],
            log=self._home.log("valkey"),
        )

    def _api(self, name: str) -> Program:
        log, secrets = self._home.log(name), self._secrets
        return Program(
            name=name,
            argv=(sys.executable, "-m", "app"),
            env={
                **self._environ(),
                "CODEVOICE_KEY_PEPPER": secrets.key_pepper,
                "CODEVOICE_KEY_ENCRYPTION_KEY": secrets.key_encryption_key,
                "CODEVOICE_JWT_SECRET": secrets.jwt_secret,
                "CODEVOICE_URL_SECRET": secrets.url_secret,
                "CODEVOICE_LISTEN_FD": str(self._listener.fd),
            },
            log=log,
            is_ready=lambda _: b'"listening"' in _text(log),
            fds=(self._listener.fd,),  # both: whichever is alive answers
            grace_s=5.0,
        )

    def _worker(self, name: str) -> Program:
        log = self._home.log(name)
        post = workers.WorkerSlot(engine=ENGINE_NAME, device="cpu", visible="")
        program = workers.program(post, self._environ(), log=log)
        return Program(
            name=name,
            argv=program.argv,
            env=program.env,
            log=log,
            is_ready=lambda _: b'"worker_ready"' in _text(log),
            grace_s=5.0,
        )

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            **_SETTINGS,
            "DATABASE_URL": self.addresses.database_url,
            "REDIS_URL": self.addresses.redis_url,
            "CODEVOICE_OBJECTS": self.addresses.objects,
        }


def _text(log: Path) -> bytes:
    try:
        return log.read_bytes()[:65_536]
    except FileNotFoundError:
        return b""


def bring_store_back(home: Home) -> None:
    """Restore the folder, also after a run of the storm that ended without it."""
    disks.mend(home.objects)
    if _away(home).exists():
        if home.objects.is_file():
            home.objects.unlink()
        shutil.rmtree(home.objects, ignore_errors=True)  # the objects put meanwhile: none
        _away(home).rename(home.objects)


def _away(home: Home) -> Path:
    return home.folder / "objects.away"
