"""How a process gives up its rights: a server, and each child it forks for an untrusted request.

`Confinement.of_server` is called when everything is loaded; `Confinement.of_child` after each fork, before
the first byte of the request is read. Standard library only: it runs in programs started by bare Python.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Sequence

from workers.process import landlock, seccomp
from workers.process.profiles import Profile

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 4, 38, 47, 4
_CAPABILITY_VERSION = 0x20080522
_KILL, _SETGID, _SETUID = 5, 6, 7  # capabilities
# The kernel, or a container's filter, does not have this call: its protection is missing.
_REFUSALS = {errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
Bounds = list[tuple[int, tuple[int, int]]]  # resource limits: which, and its soft and hard maximum


def missing() -> list[str]:
    """The parts of a full confinement that this kernel, machine or user lacks, by name; usually none."""
    version = landlock.version() if landlock.is_usable() else 0
    lacks = {
        "landlock": version == 0,
        "landlock_network": version < landlock.NETWORK_VERSION,
        "landlock_scope": version < landlock.SCOPE_VERSION,
        "seccomp": not seccomp.is_available(),
        "own_uid": not _may_change_uid(),
    }
    return [name for name, is_missing in lacks.items() if is_missing]


class Confinement:
    """Confines one server and its children. `missing` parts are skipped; other failures raise OSError."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.missing = missing()
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._child_filter: seccomp.Filter | None = None
        self._memory_bytes = 0  # of the server's address space
        self._bounds: Bounds = []  # of a child, from its profile

    def of_server(self, folders: Sequence[str] = ()) -> None:
        """Keep only the rights needed to fork confined children. They may read `folders`, no other file."""
        self._memory_bytes = _address_space_bytes()
        server_filter = self._filters()
        self._bounds = self._bounds_of(self.profile)
        for kind, most in self._inherited():
            resource.setrlimit(kind, most)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # for a child's time limit, whatever was inherited
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if "landlock" not in self.missing:
            self._restrict(folders)
        if "own_uid" not in self.missing:
            os.setgroups([])
            os.setresgid(*[self.profile.uid] * 3)
            os.setresuid(*[self.profile.uid] * 3)
        _drop_capabilities()
        _prctl(_PR_SET_DUMPABLE, 0)  # processes of the same uid cannot read our memory
        if server_filter is not None:
            seccomp.install(server_filter)

    def of_child(self, profile: Profile | None = None) -> None:
        """Give up every right except computing and answering. `profile`: other limits, for this request.

        Short, since an utterance waits for it: each page of memory that is first touched here is copied.
        """
        os.dup2(self._null, 2)  # untrusted code must not write to a terminal or a log
        for kind, most in self._bounds if profile is None else self._bounds_of(profile):
            resource.setrlimit(kind, most)
        signal.setitimer(signal.ITIMER_REAL, (profile or self.profile).wall_s)  # kills us at the end
        if self._child_filter is not None:
            seccomp.install(self._child_filter)

    def _restrict(self, folders: Sequence[str]) -> None:
        try:
            landlock.restrict(folders)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self.missing.append("landlock")  # a probe cannot restrict itself to find out whether it may
            print(f"confinement: missing landlock: {error}", file=sys.stderr)

    def _filters(self) -> seccomp.Filter | None:
        """Prepare the children's filter; returns the server's own."""
        if "seccomp" in self.missing or not self.profile.seccomp:
            return None
        self._child_filter = seccomp.child_filter(reads_files=self.profile.reads_files)
        return seccomp.server_filter(reads_files=self.profile.reads_files)

    def _inherited(self) -> Bounds:
        """Limits that do not hinder the server, and that its children inherit from it."""
        open_files = self.profile.open_files
        bounds = [(resource.RLIMIT_CORE, (0, 0))]
        return [*bounds, (resource.RLIMIT_NOFILE, (open_files, open_files))] if open_files else bounds

    def _bounds_of(self, profile: Profile) -> Bounds:
        most = {resource.RLIMIT_CPU: profile.cpu_s, resource.RLIMIT_FSIZE: profile.file_bytes}
        if profile.memory_bytes is not None:
            most[resource.RLIMIT_AS] = self._memory_bytes + profile.memory_bytes
        if not profile.open_files:
            most[resource.RLIMIT_NOFILE] = 0
        if self._child_filter is None:  # the filter, if there is one, allows no call that starts a process
            most[resource.RLIMIT_NPROC] = profile.processes
        return [(kind, (limit, limit)) for kind, limit in most.items()]


def _address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _may_change_uid() -> bool:
    """Whether we are root, may switch to any other uid, and may still kill a process that has."""
    if os.geteuid() != 0:
        return False
    needed = 1 << _KILL | 1 << _SETGID | 1 << _SETUID
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        [held] = [int(line.split()[1], 16) for line in status if line.startswith("CapEff:")]
    if held & needed != needed or not (_is_mapped("uid") and _is_mapped("gid") and _may_set_groups()):
        return False
    return _is_let_change_ids()


def _is_let_change_ids() -> bool:
    """Whether a container's filter allows the calls: made so that they change nothing."""
    try:
        os.setgroups(os.getgroups())
        os.setresgid(-1, -1, -1)
        os.setresuid(-1, -1, -1)
    except OSError:
        return False
    return True


def _is_mapped(kind: str) -> bool:
    """Whether our user namespace maps the ids from 64001 to 64019."""
    with open(f"/proc/self/{kind}_map", encoding="ascii") as ranges:
        for first, _, count in (map(int, line.split()) for line in ranges):
            if first <= 64001 and first + count > 64019:
                return True
    return False


def _may_set_groups() -> bool:
    with open("/proc/self/setgroups", encoding="ascii") as allowed:
        return allowed.read().strip() == "allow"


def _prctl(option: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *words):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _drop_capabilities() -> None:
    """A user other than root may hold some, and root keeps them if it keeps its uid."""
    try:
        _prctl(_PR_CAP_AMBIENT, _CLEAR_ALL)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel without it (before 4.3, or gVisor)
            raise
    libc = ctypes.CDLL(None, use_errno=True)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), none):
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")
