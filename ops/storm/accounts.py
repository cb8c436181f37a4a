"""The accounts of the storm's clients: a few of each kind, opened once through the HTTP API."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ops.stack.home import write_private
from ops.storm.client import Client

_PEOPLE, _PROGRAMS = 9, 2
_OPEN_S = 60.0


class Account(Struct, frozen=True):
    """A caller's account, by id and key."""

    id: str
    key: str
    unlimited: bool = False


class Accounts(Struct, frozen=True):
    """All callers, and the operator who grants them credits."""

    admin: str
    callers: list[Account]  # the first gets a third of the load


class NoAccounts(Exception):
    """The accounts could not be opened."""


def accounts(folder: Path, home: Path, url: str) -> Accounts:
    """The accounts of an earlier run, else new ones."""
    file = folder / "accounts.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Accounts)
    made = asyncio.run(_opened(url, _admin(home)))
    write_private(file, msgspec.json.encode(made).decode())
    return made


def _admin(home: Path) -> str:
    name = f"admin-{secrets.token_hex(4)}@storm.invalid"
    command = ("users", "create", name, "--admin", "--yes", "--json")
    done = subprocess.run(
        [Path(sys.executable).with_name("codevoice"), *command],
        env={"PATH": os.environ.get("PATH", os.defpath), "CODEVOICE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_OPEN_S,
    )
    if done.returncode:
        raise NoAccounts(f"no operator could be made: {done.stderr.strip()[-500:]}")
    return msgspec.json.decode(done.stdout)["api_key"]


async def _opened(url: str, admin: str) -> Accounts:
    client = Client(url)
    mark = secrets.token_hex(4)
    try:
        people = [
            await _open(client, admin, "/api/admin/users", {"email": f"{mark}-{n}@storm.invalid"})
            for n in range(_PEOPLE)
        ]
        programs = [
            await _open(client, admin, "/api/admin/accounts", {"name": f"{mark}-{n}", "monthly": 500})
            for n in range(_PROGRAMS)
        ]
        free = {"name": f"{mark}-free", "unlimited": True}
        programs.append(await _open(client, admin, "/api/admin/accounts", free, unlimited=True))
    finally:
        client.close()
    return Accounts(admin, [*people, *programs])


async def _open(
    client: Client, admin: str, path: str, body: Mapping[str, object], *, unlimited: bool = False
) -> Account:
    answer = await client.ask("POST", path, key=admin, body={**body, "reason": "storm"})
    if answer.http != 201:
        raise NoAccounts(f"POST {path}: {answer.http} {answer.body}")
    return Account(answer.body["account"], answer.body["api_key"], unlimited=unlimited)
