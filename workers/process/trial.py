"""Tests the confinement of a kind of child: runs a test program in one, and reads what it was able to do."""

import os
import re
import socket
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec import Struct

from workers.process.confinement import missing
from workers.process.launcher import ForkServer, limit_waits
from workers.process.profiles import PROFILES

# Kinds of which every attempt must be denied. A child with CUDA is not confined by seccomp.
KINDS = tuple(kind for kind, profile in PROFILES.items() if profile.seccomp)
_WAIT_S = 20.0
# What only Landlock denies in children that read files; seccomp must deny everything else.
_READING = {"open_passwd", "read_own_environ", "read_parents_environ", "read_workers_environ", "list_folder"}


class Proc(Struct, frozen=True, kw_only=True):
    """What `/proc` shows of a child."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    no_new_privs: int
    seccomp: int  # 2: filters
    capabilities: int
    environ_bytes: int
    descriptors: int


class Trial(Struct, frozen=True, kw_only=True):
    """What a child of one kind could do. `faults`: what it should not have been able to, on this machine."""

    attempts: dict[str, str]
    proc: Proc
    faults: tuple[str, ...]


class _Tried(Struct, frozen=True):
    pid: int
    environ_bytes: int
    descriptors: int


def run_probe(kind: str) -> Trial:
    """Run the test program in a child with the profile of `kind`. Raises OSError if none can be started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = Path(__file__).with_name("planted.py")
        server = ForkServer(
            kind,
            program,
            str(os.getpid()),
            str(listener.getsockname()[1]),
            *_folders(kind),
            start_s=_WAIT_S,
            send_s=_WAIT_S,
        )
        try:
            return _tried(kind, server)
        finally:
            server.stop()


def _folders(kind: str) -> list[str]:
    """The folders that the kind's own children may read, if it is installed."""
    found = find_spec("espeakng_loader") if kind == "espeak" else None
    return list(found.submodule_search_locations or ())[:1] if found else []


def _tried(kind: str, server: ForkServer) -> Trial:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            server.send(b"try", [theirs.fileno()])
        limit_waits(ours, _WAIT_S)
        with ours.makefile("rb") as answers:
            found = msgspec.json.decode(answers.readline(), type=_Tried)
            proc = _proc(found)
            ours.sendall(b".")
            attempts = msgspec.json.decode(answers.readline(), type=dict[str, str])
            last = answers.readline()  # empty if the child has become another program
    attempts |= msgspec.json.decode(last) if last else {"exec": "allowed"}
    return Trial(attempts=attempts, proc=proc, faults=tuple(_faults(kind, attempts, proc)))


def _proc(found: _Tried) -> Proc:
    status = Path(f"/proc/{found.pid}/status").read_text()
    fields = dict(re.findall(r"^(\w+):\t *(.*)$", status, re.MULTILINE))
    try:
        environ_bytes = len(Path(f"/proc/{found.pid}/environ").read_bytes())
    except PermissionError:  # if we are not root: as the server saw it before it was confined
        environ_bytes = found.environ_bytes
    return Proc(
        uid=int(fields["Uid"].split()[0]),
        gid=int(fields["Gid"].split()[0]),
        groups=tuple(map(int, fields["Groups"].split())),
        no_new_privs=int(fields["NoNewPrivs"]),
        seccomp=int(fields["Seccomp"]),
        capabilities=int(fields["CapPrm"], 16),
        environ_bytes=environ_bytes,
        descriptors=found.descriptors,
    )


def _faults(kind: str, attempts: dict[str, str], proc: Proc) -> list[str]:
    """The attempts that were not denied, except those this machine cannot deny."""
    lacks = set(missing())
    faults = [
        name
        for name, outcome in attempts.items()
        if not outcome.startswith("denied") and not _excused(name, lacks, PROFILES[kind].reads_files)
    ]
    uid = PROFILES[kind].uid
    expected = {
        "uid": "own_uid" in lacks or (proc.uid, proc.gid, proc.groups) == (uid, uid, ()),
        "no_new_privs": proc.no_new_privs == 1,
        "seccomp": "seccomp" in lacks or proc.seccomp == 2,
        "capabilities": proc.capabilities == 0,
        "environ": proc.environ_bytes == 0,
    }
    return faults + [name for name, is_right in expected.items() if not is_right]


def _excused(name: str, lacks: set[str], reads_files: bool) -> bool:
    if name in _READING and reads_files:
        return "landlock" in lacks
    return "seccomp" in lacks
