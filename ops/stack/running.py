"""The running stack of a home, for the command line, tools and tests."""

import shlex
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from db.settings import DbSettings
from ops.stack.home import Home, home_of, is_held, write_private


class NoStack(Exception):
    """No stack runs there; the message explains how to start one."""


class Stack(Struct, frozen=True, kw_only=True):
    """All addresses. Contains passwords: the file is 0600. `pids` lacks processes that run elsewhere."""

    database_url: str
    database_owner_url: str
    redis_url: str
    objects: str
    url: str
    pids: dict[str, int]  # supervisor, postgres, valkey, api, worker, exporter
    metrics_url: str = ""
    api_key: str = ""  # the demo account's, once everything is ready


def running_stack(environ: Mapping[str, str]) -> Stack:
    """The stack of CODEVOICE_HOME; raises NoStack if none runs, or none is ready yet."""
    home = home_of(environ)
    stack = read_stack(home) if is_held(home) else None
    if stack is None:
        raise NoStack(f"no stack runs in {home.folder}: start one with `codevoice up`, or set CODEVOICE_HOME")
    if not stack.api_key:
        raise NoStack(f"the stack in {home.folder} is still starting")
    return stack


def read_stack(home: Home) -> Stack | None:
    """What the last stack wrote, running or not."""
    try:
        return msgspec.json.decode(home.stack_file.read_bytes(), type=Stack)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_stack(home: Home, stack: Stack) -> None:
    """Write `stack` to the home's file, for other processes."""
    write_private(home.stack_file, msgspec.json.encode(stack).decode())


def public(stack: Stack) -> dict[str, object]:
    """What `codevoice env` prints."""
    fields = msgspec.structs.asdict(stack)
    del fields["api_key"]
    return fields


def exports(stack: Stack) -> str:
    """What `codevoice env --shell` prints: commands for a POSIX shell."""
    variables = {
        "CODEVOICE_URL": stack.url,
        "CODEVOICE_API_KEY": stack.api_key,
        "OPENAI_BASE_URL": f"{stack.url}/v1",
        "OPENAI_API_KEY": stack.api_key,
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def settings_for_cli(environ: Mapping[str, str]) -> DbSettings:
    """The database a command works on: DATABASE_URL if set, else the running stack's; raises NoStack.

    The two are never mixed: with DATABASE_URL, an address not set is empty.
    """
    if environ.get("DATABASE_URL"):
        return DbSettings(
            database_url=environ["DATABASE_URL"],
            database_owner_url=environ.get("CODEVOICE_DATABASE_OWNER_URL", ""),
            redis_url=environ.get("REDIS_URL", ""),
            objects=environ.get("CODEVOICE_OBJECTS", ""),
        )
    stack = running_stack(environ)
    return DbSettings(
        database_url=stack.database_url,
        database_owner_url=stack.database_owner_url,
        redis_url=stack.redis_url,
        objects=stack.objects,
    )
