"""A test program that tries what a child taken over by a customer's text or file must not be able to do.

Started and confined like every other (`bootstrap.py`), with the profile of the kind that it stands for; it
makes its attempts in the forked child, at the point where the others read the request. `trial.py` reads its
results.

Arguments: the number of the control socket, the worker's process id, the port of a TCP listener, folders that
may be read. Stream socket: out, a JSON line about the process; in, a byte that lets it continue; out, a line
with the outcome of each attempt, and another one if it could not become another program.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn

from workers.process.confinement import Confinement

_DENIED = {errno.EPERM, errno.EACCES, errno.EMFILE, errno.EAGAIN}
_SEIZE = 0x4206  # unlike ptrace's ATTACH it does not stop the target if it succeeds
_FILES_MAX = 1024
# Numbers of system calls without a function in the C library, where architectures differ: x86_64, others.
_NUMBERS = {
    "bpf": (321, 280), "keyctl": (250, 219), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ppoll": (271, 73),
    "tgkill": (234, 131), "tkill": (200, 130), "add_key": (248, 217), "io_uring_setup": (425, 425),
    "clone3": (435, 435), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "fsopen": (430, 430), "open_tree": (428, 428),
}  # fmt: skip


def main(confinement: Confinement, arguments: list[str]) -> None:
    """Serve until the control socket ends."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with open("/proc/self/environ", "rb") as environ:
        environ_bytes = len(environ.read())
    unconnected = socket.socket(socket.AF_INET, socket.SOCK_STREAM)  # as if a library had one open
    attempts = _attempts(unconnected, worker=int(arguments[1]), port=int(arguments[2]))
    confinement.of_server(arguments[3:])
    control.send(b"ready")
    while fds := socket.recv_fds(control, 16, 1)[1]:
        if os.fork() == 0:
            control.close()
            _try(confinement, attempts, socket.socket(fileno=fds[0]), environ_bytes)
        os.close(fds[0])


def _try(
    confinement: Confinement,
    attempts: Mapping[str, Callable[[], object]],
    stream: socket.socket,
    environ_bytes: int,
) -> NoReturn:
    try:
        confinement.of_child()
        found = {
            "pid": os.getpid(),
            "environ_bytes": environ_bytes,
            "descriptors": sum(map(_is_open, range(_FILES_MAX))),
        }
        stream.sendall(json.dumps(found).encode() + b"\n")
        stream.recv(1)  # /proc is read before a successful attempt changes its content
        came_to = {name: _outcome(attempt) for name, attempt in attempts.items()}
        stream.sendall(json.dumps(came_to).encode() + b"\n")
        outcome = _outcome(lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))  # noqa: S606
        stream.sendall(json.dumps({"exec": outcome}).encode() + b"\n")
    finally:
        os._exit(0)


def _outcome(attempt: Callable[[], object]) -> str:
    """`denied` or `allowed`, and the error if any. Only a refusal is due to the confinement."""
    try:
        attempt()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error))
        return f"denied {name}" if error.errno in _DENIED else f"allowed {name}"
    except (RuntimeError, ValueError):  # a thread not started; a limit not raised
        return "denied"
    return "allowed"


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _attempts(tcp: socket.socket, *, worker: int, port: int) -> Mapping[str, Callable[[], object]]:
    server = os.getpid()  # the parent of the child that makes the attempts
    return {
        **_at_files(server, worker),
        **_at_the_network(tcp, port),
        **_at_processes(server, worker),
        **_at_the_kernel(),
    }


def _at_files(server: int, worker: int) -> dict[str, Callable[[], object]]:
    return {
        "open_passwd": partial(os.open, "/etc/passwd", os.O_RDONLY),
        "read_own_environ": partial(os.open, "/proc/self/environ", os.O_RDONLY),
        "read_parents_environ": partial(os.open, f"/proc/{server}/environ", os.O_RDONLY),
        "read_workers_environ": partial(os.open, f"/proc/{worker}/environ", os.O_RDONLY),
        "write_file": partial(os.open, "/tmp/planted", os.O_WRONLY | os.O_CREAT),  # noqa: S108  # nosec B108
        "list_folder": partial(os.listdir, "/"),
    }


def _at_the_network(tcp: socket.socket, port: int) -> dict[str, Callable[[], object]]:
    return {
        "tcp_socket": partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM),
        "udp_socket": partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM),
        "unix_socket": socket.socketpair,
        "tcp_connect": partial(tcp.connect, ("127.0.0.1", port)),
        "tcp_bind": partial(tcp.bind, ("127.0.0.1", 0)),
        "tcp_listen": tcp.listen,
    }


def _at_processes(server: int, worker: int) -> dict[str, Callable[[], object]]:
    return {
        "fork": _fork,
        "clone3": partial(_syscall, "clone3", 0, 0),
        "start_thread": lambda: threading.Thread(target=int).start(),
        "ptrace_parent": partial(_libc, "ptrace", _SEIZE, server, 0, 0),
        "read_parents_memory": partial(_syscall, "process_vm_readv", server, 0, 0, 0, 0, 0),
        "write_parents_memory": partial(_syscall, "process_vm_writev", server, 0, 0, 0, 0, 0),
        "signal_zero_parent": partial(os.kill, server, 0),
        "signal_parent": partial(os.kill, server, signal.SIGWINCH),
        "signal_parents_thread": partial(_syscall, "tgkill", server, server, signal.SIGWINCH),
        "signal_parents_task": partial(_syscall, "tkill", server, signal.SIGWINCH),
        "signal_worker": partial(os.kill, worker, signal.SIGWINCH),
        "signal_group": partial(os.kill, 0, 0),
        "signal_all": partial(os.kill, -1, 0),
        "pidfd_open_parent": partial(os.pidfd_open, server),
        "pidfd_signal": partial(_syscall, "pidfd_send_signal", 0, 0, 0, 0),
        "pidfd_descriptor": partial(_syscall, "pidfd_getfd", 0, 0, 0),
        "advise_process": partial(_syscall, "process_madvise", 0, 0, 0, 0, 0),
        "limit_parent": partial(resource.prlimit, server, resource.RLIMIT_CORE),
        "raise_own_limit": partial(resource.setrlimit, resource.RLIMIT_CORE, (0, 0)),
        "slow_parent_down": partial(os.setpriority, os.PRIO_PROCESS, server, 19),
        "become_root": partial(os.setresuid, 0, 0, 0),
        "stop_own_clock": partial(signal.setitimer, signal.ITIMER_REAL, 0),
        "block_own_clock": _poll_with_all_signals_blocked,
    }


def _at_the_kernel() -> dict[str, Callable[[], object]]:
    return {
        "executable_memory": partial(mmap.mmap, -1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
        "io_uring": partial(_syscall, "io_uring_setup", 0, 0),
        "bpf": partial(_syscall, "bpf", 0, 0, 0),
        "keyctl": partial(_syscall, "keyctl", 0, 0, 0, 0, 0),
        "add_key": partial(_syscall, "add_key", 0, 0, 0, 0, 0),
        "userfaultfd": partial(_syscall, "userfaultfd", 0),
        "perf_event_open": partial(_syscall, "perf_event_open", 0, 0, 0, 0, 0),
        "mount": partial(_libc, "mount", 0, 0, 0, 0, 0),
        "fsopen": partial(_syscall, "fsopen", 0, 0),
        "open_tree": partial(_syscall, "open_tree", 0, 0, 0),
        "unshare": partial(_libc, "unshare", 0x10000000),  # a user namespace
        "setns": partial(_libc, "setns", 0, 0),
        "chroot": partial(_libc, "chroot", 0),
        "open_by_handle": partial(_libc, "open_by_handle_at", 0, 0, 0),
        "personality": partial(_libc, "personality", 0x0400000),
        "memfd": partial(os.memfd_create, "planted"),
    }


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _poll_with_all_signals_blocked() -> None:
    at_once, mask = (ctypes.c_long * 2)(0, 0), ctypes.c_uint64(2**64 - 1)
    _syscall("ppoll", 0, 0, ctypes.addressof(at_once), ctypes.addressof(mask), ctypes.sizeof(mask))


def _syscall(name: str, *arguments: int) -> int:
    number = _NUMBERS[name][os.uname().machine != "x86_64"]
    return _libc("syscall", number, *arguments)


def _libc(name: str, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, name)
    function.restype = ctypes.c_long if name in ("syscall", "ptrace") else ctypes.c_int
    result: int = function(*(ctypes.c_long(argument) for argument in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
