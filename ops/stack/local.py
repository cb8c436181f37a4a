"""`codevoice up`: the whole stack on one machine, from an empty folder to ready, until a signal.

SIGUSR1 renews everything except the stores, without a failed request.
Order: home and port, Postgres and Valkey, migrations, API and worker together, the demo account, ready.
"""

import json
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from signal import SIGKILL

import msgspec

from db import metrics
from db.settings import SettingsError
from ops.processes.listener import Listener, get, lacks, listening
from ops.processes.program import Program
from ops.processes.signals import Signals, Stop
from ops.processes.supervisor import Supervisor
from ops.progress import say, say_took, step
from ops.stack import api_processes, bring_models, embedded, engine_plan, workers
from ops.stack.home import Home, HomeTaken, Secrets, held, home_of, secrets_of
from ops.stack.prepare import APP_ROLE, DEMO_EMAIL, UpError, demo_account, migrate
from ops.stack.running import Stack, read_stack, write_stack
from ops.stack.valkey_memory import memory_max_mb
from ops.stack.welcome import welcome
from workers.engines.registry import TRANSCRIBERS
from workers.models.catalogue import ModelError
from workers.models.store import models_folder

_API_READY_S = 60.0
_WORKER_READY_S = 120.0
_WORKER_DRAIN_S = "3"  # with 5 s for API and worker, and 2 s for each store, everything stops within 10 s
_EXPORTER_READY_S = 30.0
_FRONT = 2  # stopped together, before the stores
# Only the API may see these; an operator's own value overrides the home's.
_API_SECRETS = {
    "CODEVOICE_KEY_PEPPER": "key_pepper",
    "CODEVOICE_KEY_ENCRYPTION_KEY": "key_encryption_key",
    "CODEVOICE_JWT_SECRET": "jwt_secret",
    "CODEVOICE_URL_SECRET": "url_secret",
}
_NOT_SHARED = {*workers.NOT_FOR_WORKERS, "CODEVOICE_METRICS_HOST", "CODEVOICE_METRICS_PORT"}


def up(
    environ: Mapping[str, str],
    *,
    engines: str,
    devices: str,
    as_json: bool,
    small: bool = False,
    processes: int = 1,
) -> None:
    """Run everything until SIGINT or SIGTERM, then stop it within 10 s; the data stays for the next start.

    `engines`: empty for the default ones. `small`: without models that are fetched in the background.
    `processes`: of the API.
    Prints on stdout how to use it, or one JSON object: url, api_key, email, password.
    Raises UpError, HomeError, ListenError, EmbeddedError or Crashed, with nothing left running.
    """
    began = time.monotonic()
    os.umask(0o077)
    home = home_of(environ)
    try:
        posts = workers.worker_slots(engines or engine_plan.default_engines(), devices, environ)
        memory_max_mb(environ)  # report a wrong value now rather than later
        seats = engine_plan.seats(posts, environ, models_folder(environ), small=small)
    except SettingsError as error:
        raise UpError(str(error)) from None
    with Signals() as signals:
        try:
            with _held_alone(home), listening(environ) as listener:
                run = _Run(environ, home, listener, signals, seats, processes)
                say_took("home and port", began)
                with run.stopped_at_the_end():
                    stack = run.start()
                    say_took("ready, in all", began)
                    say_ready(stack, home, password=run.demo_password, as_json=as_json)
                    run.start_the_rest()
                    run.supervisor.watch()
        except Stop:
            return


@contextmanager
def _held_alone(home: Home) -> Generator[None]:
    try:
        with held(home):
            yield
    except HomeTaken as error:
        stack = read_stack(home)
        where = f", at {stack.url}" if stack else ""
        raise UpError(f"{error}{where}; another CODEVOICE_HOME makes another one") from None


class _Run:
    """One run of the stack: the decisions made at its start, and its processes."""

    def __init__(
        self,
        environ: Mapping[str, str],
        home: Home,
        listener: Listener,
        signals: Signals,
        seats: Sequence[engine_plan.PlannedWorker],
        processes: int,
    ) -> None:
        self.supervisor = Supervisor(signals, changed=self._write_stack, report=say)
        self._environ = environ
        self._home = home
        self._listener = listener
        self._signals = signals
        self._seats = seats
        self._processes = processes
        self._models = models_folder(environ)
        self._secrets = _secrets(home, environ)
        self._postgres_port = embedded.free_port()
        self._valkey_port = embedded.free_port()
        self._metrics_port = int(environ.get("CODEVOICE_METRICS_PORT") or 0) or embedded.free_port()
        self._stack = self._plan()
        self.demo_password = self._secrets.demo_password

    def start(self) -> Stack:
        """Start everything in order; returns the ready stack."""
        self._write_stack({})
        self._home.models_state.unlink(missing_ok=True)
        metrics.empty(self._home.metrics)
        with step("voice"), self._signals.raising():
            try:
                self._seats = engine_plan.with_models(self._seats, self._models, say)
            except ModelError as error:
                raise UpError(str(error)) from None
        self._start_stores()
        with step("migrations"), self._signals.raising():
            migrate(self._stack)
        with step("api"):
            for program in (*self._apis(), *self._workers(awaited=True)):
                self.supervisor.start(program)
            self.supervisor.start(self._exporter())
            # Imports and a password's hash: done while the two start.
            with step("demo account"), self._signals.raising():
                key = demo_account(self._stack.database_url, self._secrets)
            for name in self._api_names():
                self.supervisor.wait_ready(name, seconds=_API_READY_S)
        with step("worker"):
            for name, seat in zip(self._worker_names(), self._seats, strict=True):
                if seat.awaited:
                    self.supervisor.wait_ready(name, seconds=_WORKER_READY_S)
        with step("metrics"):
            self.supervisor.wait_ready("exporter", seconds=_EXPORTER_READY_S)
        if lacks(self._listener.url) == ["disk"]:
            say("no speech is taken until the disk has room: CODEVOICE_STORE_FREE_PERCENT_MIN says how much")
        self._stack = msgspec.structs.replace(self._stack, api_key=key)
        self._write_stack(self.supervisor.pids())
        return self._stack

    def start_the_rest(self) -> None:
        """Start the workers that are not awaited, so as not to delay the start, and fetch their models."""
        for program in self._workers(awaited=False):
            self.supervisor.start(program)
        names = engine_plan.for_later(self._seats)
        if names:
            self.supervisor.start(bring_models.program(names, self._shared_environ(), wave=_FRONT))

    @contextmanager
    def stopped_at_the_end(self) -> Generator[None]:
        """However the block ends, everything is stopped after it."""
        try:
            yield
        finally:
            with step("stopped"):
                self.supervisor.stop()
                self._home.stack_file.unlink(missing_ok=True)

    def _plan(self) -> Stack:
        """The addresses: from the environment if given, else of our own stores."""
        owner, app = self._secrets.database_owner_password, self._secrets.database_app_password
        url, port = self._environ.get, self._postgres_port
        if bool(url("DATABASE_URL")) != bool(url("CODEVOICE_DATABASE_OWNER_URL")):
            raise UpError("DATABASE_URL and CODEVOICE_DATABASE_OWNER_URL: set both or neither")
        return Stack(
            database_url=url("DATABASE_URL") or embedded.postgres_url(APP_ROLE, app, port),
            database_owner_url=url("CODEVOICE_DATABASE_OWNER_URL")
            or embedded.postgres_url(embedded.OWNER, owner, port),
            redis_url=url("REDIS_URL")
            or embedded.valkey_url(self._secrets.redis_password, self._valkey_port),
            objects=url("CODEVOICE_OBJECTS") or self._home.objects.as_uri(),
            url=self._listener.url,
            metrics_url=f"http://{self._metrics_host()}:{self._metrics_port}/metrics",
            pids={},
        )

    def _write_stack(self, pids: dict[str, int]) -> None:
        self._stack = msgspec.structs.replace(self._stack, pids={"supervisor": os.getpid(), **pids})
        try:
            write_stack(self._home, self._stack)
        except OSError as error:  # a full disk: what runs continues
            say(f"{self._home.stack_file} cannot be written: {error.strerror}")

    def _start_stores(self) -> None:
        environ, supervisor = self._environ, self.supervisor
        with step("postgres"):
            if not environ.get("DATABASE_URL"):
                with self._signals.raising():
                    program = self._postgres()
                supervisor.start(program)
            if not environ.get("REDIS_URL"):
                supervisor.start(self._valkey())
            import_module("db.postgres.migrate")  # while they start
            if not environ.get("DATABASE_URL"):
                supervisor.wait_ready("postgres", seconds=embedded.READY_S)
        if not environ.get("REDIS_URL"):
            with step("valkey"):
                supervisor.wait_ready("valkey", seconds=embedded.READY_S)

    def _postgres(self) -> Program:
        folder = self._home.postgres
        account = embedded.prepare_postgres(folder, password=self._secrets.database_owner_password)
        of_api = api_processes.connections(self._processes, self._shared_environ())
        return embedded.postgres_program(
            folder,
            account,
            port=self._postgres_port,
            log=self._home.log("postgres"),
            durable=True,
            connections_max=embedded.CONNECTIONS_MAX + of_api,
        )

    def _valkey(self) -> Program:
        return embedded.valkey_program(
            self._home.valkey,
            password=self._secrets.redis_password,
            port=self._valkey_port,
            log=self._home.log("valkey"),
            memory_max_mb=memory_max_mb(self._environ),
        )

    def _apis(self) -> list[Program]:
        secrets = {name: getattr(self._secrets, field) for name, field in _API_SECRETS.items()}
        public_url = self._environ.get("CODEVOICE_PUBLIC_URL") or self._listener.url
        environ = {**self._shared_environ(), **secrets, "CODEVOICE_PUBLIC_URL": public_url}
        logs = {name: self._home.log(name) for name in self._api_names()}
        return api_processes.programs(self._processes, environ, self._listener, logs, wave=_FRONT)

    def _api_names(self) -> list[str]:
        return api_processes.names(self._processes)

    def _workers(self, *, awaited: bool) -> list[Program]:
        """Ready as soon as any speaks, and as soon as any transcribes if one should."""
        drain_s = self._environ.get("CODEVOICE_DRAIN_S") or _WORKER_DRAIN_S
        environ = {**self._shared_environ(), "CODEVOICE_DRAIN_S": drain_s}
        return [
            msgspec.structs.replace(
                workers.program(seat.post, environ, log=self._home.log(name)),
                name=name,
                is_ready=self._can_transcribe if seat.post.engine in TRANSCRIBERS else self._has_worker,
                death_signal=SIGKILL,
                gives_up=True,
                optional=seat.optional,
                grace_s=5.0,
                wave=_FRONT,
            )
            for name, seat in zip(self._worker_names(), self._seats, strict=True)
            if seat.awaited is awaited
        ]

    def _worker_names(self) -> list[str]:
        """The first is `worker`."""
        return ["worker", *(seat.post.name for seat in self._seats[1:])]

    def _has_worker(self, _pid: int) -> bool:
        return lacks(self._listener.url) in ([], ["disk"])  # a full disk is no reason not to start

    def _exporter(self) -> Program:
        """Serves the metrics of all processes: they write to a folder that it reads."""
        at = {
            "CODEVOICE_METRICS_HOST": self._metrics_host(),
            "CODEVOICE_METRICS_PORT": str(self._metrics_port),
        }
        return Program(
            name="exporter",
            argv=(sys.executable, "-m", "ops.exporter"),
            env={**self._shared_environ(), **at},
            log=self._home.log("exporter"),
            is_ready=lambda _: get(self._stack.metrics_url, "/metrics") is not None,
            gives_up=False,
            wave=_FRONT,
            planned=frozenset({0}),
            renewed="after",
            leave_s=2.0,
        )

    def _metrics_host(self) -> str:
        return self._environ.get("CODEVOICE_METRICS_HOST") or "127.0.0.1"

    def _can_transcribe(self, _pid: int) -> bool:
        return get(self._listener.url, "/api/stt/languages") is not None

    def _shared_environ(self) -> dict[str, str]:
        kept = {k: v for k, v in self._environ.items() if k not in _NOT_SHARED}
        return {
            **kept,
            "DATABASE_URL": self._stack.database_url,
            "REDIS_URL": self._stack.redis_url,
            "CODEVOICE_OBJECTS": self._stack.objects,
            "CODEVOICE_MODELS": str(self._models),
            "CODEVOICE_MODELS_STATE": str(self._home.models_state),
            metrics.FOLDER: str(self._home.metrics),
            "PYTHONSAFEPATH": "1",  # no folder named app or workers in the current directory
        }


def _secrets(home: Home, environ: Mapping[str, str]) -> Secrets:
    given = {field: environ[name] for name, field in _API_SECRETS.items() if environ.get(name)}
    return msgspec.structs.replace(secrets_of(home), **given)


def say_ready(stack: Stack, home: Home, *, password: str, as_json: bool) -> None:
    """Print one JSON object, or a text, on stdout."""
    access = {"url": stack.url, "api_key": stack.api_key, "email": DEMO_EMAIL, "password": password}
    if as_json:
        print(json.dumps(access), flush=True)
    else:
        print(welcome(**access, folder=str(home.folder)), flush=True)
