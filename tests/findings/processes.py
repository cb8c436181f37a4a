"""The descendants of a process, as `/proc` describes them."""

from contextlib import suppress
from pathlib import Path

from msgspec import Struct

_PROC = Path("/proc")
ENGINES = ("espeak_server", "pocketsphinx_server", "decode_server")  # words of their command lines


class Process(Struct, frozen=True):
    """One process. `uid` is the effective one; `seccomp` 2: filtered."""

    pid: int
    parent: int
    command: str
    environment: bytes
    uid: int
    no_new_privs: bool
    seccomp: int


def descendants(pid: int) -> set[int]:
    """All processes below `pid`."""
    found = children(pid)
    for child in tuple(found):
        found |= descendants(child)
    return found


def process_of(pid: int) -> Process | None:
    """None where it has just ended."""
    folder = _PROC / str(pid)
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        environment = (folder / "environ").read_bytes()
        lines = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    except OSError:  # it has ended, or is ending
        return None
    status = {name: value.split() for name, _, value in lines}
    if status["State"][0] == "Z":
        return None
    return Process(
        pid=pid,
        parent=int(status["PPid"][0]),
        command=command,
        environment=environment,
        uid=int(status["Uid"][1]),
        no_new_privs=status["NoNewPrivs"] == ["1"],
        seccomp=int(status["Seccomp"][0]),
    )


def engine_processes(worker: int) -> list[Process]:
    """Those below a worker that open what customers send."""
    found = (process_of(pid) for pid in descendants(worker))
    return [each for each in found if each and any(word in each.command for word in ENGINES)]


def children(pid: int) -> set[int]:
    """The processes that `pid` has started and that are not collected yet."""
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found |= {int(child) for child in (thread / "children").read_text().split()}
    return found
