"""`codevoice up`: the whole stack on one machine, from an empty folder to ready, until a signal.

USR1 renews all but the stores, without a failed request.

Order: home and port, Postgres and Valkey, migrations, API and worker together, the demo account, ready.
"""

import json
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from signal import SIGKILL, SIGUSR1

import msgspec

from db import metrics
from db.settings import SettingsError
from ops import embedded, workers
from ops.home import Home, HomeTaken, Secrets, held, home_of, secrets_of
from ops.listener import Listener, get, listening
from ops.signals import Signals, Stop
from ops.stack import Stack, read_stack, write_stack
from ops.supervisor import Program, Supervisor
from ops.welcome import voice_to_show, welcome
from workers.engines.transcriber import TRANSCRIBERS

DEMO_EMAIL = "demo@codevoice.local"
_APP_ROLE = "codevoice_app"
_API_READY_S = 60.0
_WORKER_READY_S = 120.0
_WORKER_DRAIN_S = "3"  # with 5 s for API and worker, and 2 s for each store, all stops within 10 s
_EXPORTER_READY_S = 30.0
_FRONT = 2  # stopped together, before the stores
# The API alone may see these; an operator's own value wins over the home's.
_API_SECRETS = {
    "CODEVOICE_KEY_PEPPER": "key_pepper",
    "CODEVOICE_KEY_ENCRYPTION_KEY": "key_encryption_key",
    "CODEVOICE_JWT_SECRET": "jwt_secret",
    "CODEVOICE_URL_SECRET": "url_secret",
}
_NOT_SHARED = {*workers.NOT_FOR_WORKERS, "CODEVOICE_METRICS_HOST", "CODEVOICE_METRICS_PORT"}


class UpError(Exception):
    """The stack cannot start; the message names the cause and the remedy."""


def up(environ: Mapping[str, str], *, engines: str, devices: str, as_json: bool) -> None:
    """Run everything until INT or TERM, then stop it within 10 s; the data stays for the next time.

    Says on stdout how to use it, or as one JSON object: url, api_key, email, password.
    Raises UpError, HomeError, ListenError, EmbeddedError or Crashed, with nothing left running.
    """
    began = time.monotonic()
    os.umask(0o077)
    home = home_of(environ)
    try:
        posts = workers.posts(engines, devices, environ)
    except SettingsError as error:
        raise UpError(str(error)) from None
    with Signals() as signals:
        try:
            with _held_alone(home), listening(environ) as listener:
                run = _Run(environ, home, listener, signals, posts)
                _say_took("home and port", began)
                with run.stopped_at_the_end():
                    stack = run.start()
                    _say_took("ready, in all", began)
                    say_ready(stack, home, password=run.demo_password, as_json=as_json)
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
    """One life of the stack: what is decided at its start, and what runs."""

    def __init__(
        self,
        environ: Mapping[str, str],
        home: Home,
        listener: Listener,
        signals: Signals,
        posts: Sequence[workers.Post],
    ) -> None:
        self.supervisor = Supervisor(signals, changed=self._tell, report=say)
        self._environ = environ
        self._home = home
        self._listener = listener
        self._signals = signals
        self._posts = posts
        self._secrets = _secrets(home, environ)
        self._postgres_port = embedded.free_port()
        self._valkey_port = embedded.free_port()
        self._metrics_port = int(environ.get("CODEVOICE_METRICS_PORT") or 0) or embedded.free_port()
        self._stack = self._plan()
        self.demo_password = self._secrets.demo_password

    def start(self) -> Stack:
        """Start everything in order; the stack, ready."""
        self._tell({})
        metrics.empty(self._home.metrics)
        self._start_stores()
        with step("migrations"), self._signals.raising():
            migrate(self._stack)
        with step("api"):
            self.supervisor.start(self._api())
            for program in self._workers():
                self.supervisor.start(program)
            self.supervisor.start(self._exporter())
            # Imports and a password's hash: done while the two start.
            with step("demo account"), self._signals.raising():
                key = demo_account(self._stack.database_url, self._secrets)
            self.supervisor.wait_ready("api", seconds=_API_READY_S)
        with step("worker"):
            for name in self._worker_names():
                self.supervisor.wait_ready(name, seconds=_WORKER_READY_S)
        with step("metrics"):
            self.supervisor.wait_ready("exporter", seconds=_EXPORTER_READY_S)
        self._stack = msgspec.structs.replace(self._stack, api_key=key)
        self._tell(self.supervisor.pids())
        return self._stack

    @contextmanager
    def stopped_at_the_end(self) -> Generator[None]:
        """Whatever ends the block, everything is stopped after it."""
        try:
            yield
        finally:
            with step("stopped"):
                self.supervisor.stop()
                self._home.stack_file.unlink(missing_ok=True)

    def _plan(self) -> Stack:
        """The addresses: from the environment where given, else of what we start."""
        owner, app = self._secrets.database_owner_password, self._secrets.database_app_password
        url, port = self._environ.get, self._postgres_port
        if bool(url("DATABASE_URL")) != bool(url("CODEVOICE_DATABASE_OWNER_URL")):
            raise UpError("DATABASE_URL and CODEVOICE_DATABASE_OWNER_URL: set both or neither")
        return Stack(
            database_url=url("DATABASE_URL") or embedded.postgres_url(_APP_ROLE, app, port),
            database_owner_url=url("CODEVOICE_DATABASE_OWNER_URL")
            or embedded.postgres_url(embedded.OWNER, owner, port),
            redis_url=url("REDIS_URL")
            or embedded.valkey_url(self._secrets.redis_password, self._valkey_port),
            objects=url("CODEVOICE_OBJECTS") or self._home.objects.as_uri(),
            url=self._listener.url,
            metrics_url=f"http://{self._metrics_host()}:{self._metrics_port}/metrics",
            pids={},
        )

    def _tell(self, pids: dict[str, int]) -> None:
        self._stack = msgspec.structs.replace(self._stack, pids={"supervisor": os.getpid(), **pids})
        write_stack(self._home, self._stack)

    def _start_stores(self) -> None:
        environ, supervisor = self._environ, self.supervisor
        with step("postgres"):
            if not environ.get("DATABASE_URL"):
                with self._signals.raising():
                    program = self._postgres()
                supervisor.start(program)
            if not environ.get("REDIS_URL"):
                supervisor.start(self._valkey())
            import_module("db.migrate")  # while they start
            if not environ.get("DATABASE_URL"):
                supervisor.wait_ready("postgres", seconds=embedded.READY_S)
        if not environ.get("REDIS_URL"):
            with step("valkey"):
                supervisor.wait_ready("valkey", seconds=embedded.READY_S)

    def _postgres(self) -> Program:
        folder = self._home.postgres
        account = embedded.prepare_postgres(folder, password=self._secrets.database_owner_password)
        return embedded.postgres_program(
            folder, account, port=self._postgres_port, log=self._home.log("postgres"), durable=True
        )

    def _valkey(self) -> Program:
        return embedded.valkey_program(
            self._home.valkey,
            password=self._secrets.redis_password,
            port=self._valkey_port,
            log=self._home.log("valkey"),
        )

    def _api(self) -> Program:
        secrets = {name: getattr(self._secrets, field) for name, field in _API_SECRETS.items()}
        public_url = self._environ.get("CODEVOICE_PUBLIC_URL") or self._listener.url
        return Program(
            name="api",
            argv=(sys.executable, "-m", "app"),
            env={
                **self._shared_environ(),
                **secrets,
                "CODEVOICE_LISTEN_FD": str(self._listener.fd),
                "CODEVOICE_PUBLIC_URL": public_url,
            },
            log=self._home.log("api"),
            is_ready=lambda _: get(self._listener.url, "/health/live") is not None,
            fds=(self._listener.fd,),
            grace_s=5.0,
            wave=_FRONT,
            planned=frozenset({0}),  # by TERM
            tells_ready=True,
            renewed="beside",
            leave_signal=SIGUSR1,
            leave_s=workers.LEAVE_S,
        )

    def _workers(self) -> list[Program]:
        """Ready as soon as any speaks, and as soon as any transcribes where one is to."""
        drain_s = self._environ.get("CODEVOICE_DRAIN_S") or _WORKER_DRAIN_S
        environ = {**self._shared_environ(), "CODEVOICE_DRAIN_S": drain_s}
        return [
            msgspec.structs.replace(
                workers.program(post, environ, log=self._home.log(name)),
                name=name,
                is_ready=self._hears if post.engine in TRANSCRIBERS else self._has_worker,
                death_signal=SIGKILL,
                gives_up=True,
                grace_s=5.0,
                wave=_FRONT,
            )
            for name, post in zip(self._worker_names(), self._posts, strict=True)
        ]

    def _worker_names(self) -> list[str]:
        """The first is `worker`."""
        return ["worker", *(post.name for post in self._posts[1:])]

    def _has_worker(self, _pid: int) -> bool:
        return get(self._listener.url, "/health/ready") is not None

    def _exporter(self) -> Program:
        """Shows the metrics of all: they write into a folder it reads."""
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

    def _hears(self, _pid: int) -> bool:
        return get(self._listener.url, "/api/stt/languages") is not None

    def _shared_environ(self) -> dict[str, str]:
        kept = {k: v for k, v in self._environ.items() if k not in _NOT_SHARED}
        return {
            **kept,
            "DATABASE_URL": self._stack.database_url,
            "REDIS_URL": self._stack.redis_url,
            "CODEVOICE_OBJECTS": self._stack.objects,
            metrics.FOLDER: str(self._home.metrics),
            "PYTHONSAFEPATH": "1",  # no folder named app or workers where we happen to be started
        }


def _secrets(home: Home, environ: Mapping[str, str]) -> Secrets:
    given = {field: environ[name] for name, field in _API_SECRETS.items() if environ.get(name)}
    return msgspec.structs.replace(secrets_of(home), **given)


def migrate(stack: Stack) -> None:
    """Bring the stack's database to this version; raises UpError where it does not answer."""
    import psycopg

    from db.migrate import upgrade

    try:
        upgrade(stack.database_owner_url, stack.database_url)
    except psycopg.OperationalError as error:
        raise UpError(f"the database cannot be migrated: {error}") from error


def demo_account(database_url: str, secrets: Secrets) -> str:
    """The demo account's API key; made where it is missing."""
    from app.domain import accounts

    return accounts.demo_account(
        database_url=database_url,
        secrets={"key_pepper": secrets.key_pepper, "key_encryption_key": secrets.key_encryption_key},
        email=DEMO_EMAIL,
        password=secrets.demo_password,
    )


def say_ready(stack: Stack, home: Home, *, password: str, as_json: bool) -> None:
    """One JSON object, or a text for people, on stdout."""
    told = {"url": stack.url, "api_key": stack.api_key, "email": DEMO_EMAIL, "password": password}
    if as_json:
        print(json.dumps(told), flush=True)
    else:
        print(welcome(**told, voice=voice_to_show(stack.url), folder=str(home.folder)), flush=True)


@contextmanager
def step(name: str) -> Generator[None]:
    """Tells on stderr that a step is done, and how long it took."""
    began = time.monotonic()
    yield
    _say_took(name, began)


def _say_took(name: str, began: float) -> None:
    say(f"{name:<14}{time.monotonic() - began:5.2f} s")


def say(line: str) -> None:
    """A line for people: stdout is for data."""
    print(f"codevoice: {line}", file=sys.stderr, flush=True)
