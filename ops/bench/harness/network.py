"""Hosts for tests and benchmarks: a network namespace each, with a link to this machine that can be cut.

Needs root and `ip` (Debian's iproute2). Nothing is left behind, however we end: a namespace is removed with
its last process, and the link with it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

from msgspec import Struct

from ops.processes.program import die_with_us

_UNSHARED = ("/usr/bin/unshare", "--net")
_START_S_MAX = 10.0
_NETWORKS = 16_384  # of four addresses each, in 198.18.0.0/16: kept for benchmarks (RFC 2544)


class Host(Struct, frozen=True):
    """A namespace, by its first process. It reaches this machine at `gateway`, and nothing else."""

    pid: int
    cable: str
    gateway: str

    def reaching(self, url: str) -> str:
        """A URL of this machine as this host must write it."""
        return url.replace("127.0.0.1", self.gateway, 1)

    def start(
        self, argv: Sequence[str | Path], environ: Mapping[str, str], log: Path
    ) -> "subprocess.Popen[bytes]":
        """Run a program there, its output appended to `log`; it gets SIGTERM if we die."""
        with log.open("ab") as said:
            return subprocess.Popen(
                [*_inside(self.pid), *argv],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                preexec_fn=die_with_us(SIGTERM),
            )

    def cut_off(self) -> None:
        """Cut the link: packets are dropped without an error."""
        _ip("link", "set", self.cable, "down")

    def reconnect(self) -> None:
        """Restore the link."""
        _ip("link", "set", self.cable, "up")


def lacking() -> str:
    """What is missing for hosts of this kind; empty if nothing is."""
    try:
        subprocess.run([*_UNSHARED, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "network namespaces"
    return "" if shutil.which("ip") else "ip"


@contextmanager
def host(number: int) -> Generator[Host]:
    """One host, with a number that is unique in this process; removed at the end, with all its processes."""
    network = (os.getpid() * 8 + number) % _NETWORKS
    prefix, last = f"198.18.{network >> 6}", (network & 63) * 4
    first = subprocess.Popen(
        [*_UNSHARED, "sleep", "infinity"], stdin=subprocess.DEVNULL, preexec_fn=die_with_us(SIGKILL)
    )
    made = Host(first.pid, f"cv{os.getpid()}-{number}", f"{prefix}.{last + 1}")
    try:
        _await_namespace(first.pid)
        _ip("link", "add", made.cable, "type", "veth", "peer", "name", "eth0", "netns", str(first.pid))
        _ip("addr", "add", f"{made.gateway}/30", "dev", made.cable)
        _ip("link", "set", made.cable, "up")
        for command in (
            ("addr", "add", f"{prefix}.{last + 2}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip(*command, inside=first.pid)
        yield made
    finally:
        first.kill()
        first.wait()


def _await_namespace(pid: int) -> None:
    deadline, ours = time.monotonic() + _START_S_MAX, os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{pid}/ns/net") == ours:
        if time.monotonic() > deadline:
            raise TimeoutError("no network namespace was made")
        time.sleep(0.005)


def _inside(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]


def _ip(*command: str, inside: int | None = None) -> None:
    before = [] if inside is None else _inside(inside)
    subprocess.run([*before, "ip", *command], check=True)
