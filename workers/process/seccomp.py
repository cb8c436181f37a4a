"""Seccomp: the kernel allows this process a list of system calls, and refuses all others with EPERM.

libseccomp compiles the list into a program for the kernel, once; each child only installs that program. A
call by another architecture's numbers (32-bit, x32) kills the process. Standard library only.
"""

import ctypes
import errno
import os
from typing import Any, NamedTuple

_ALLOW, _KILL_PROCESS, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_ON_BAD_ARCHITECTURE, _OPTIMIZATION = 2, 8  # attributes of a filter
_BINARY_TREE = 2
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_MASKED_EQUAL = 7
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
_PROT_EXEC, _AT_EMPTY_PATH = 4, 0x1000
_WHOLE = 0xFFFF_FFFF_FFFF_FFFF

# The calls of Python and C code that only computes, reads its input and writes its answer. None of them sets
# a signal mask (no rt_sigreturn either: no handler runs there): a child's time limit is a signal.
_CHILD = (
    *("brk", "mremap", "munmap", "madvise"),
    *("read", "readv", "pread64", "write", "writev", "lseek", "close", "fstat", "shutdown"),
    *("recvfrom", "recvmsg", "getsockname", "getsockopt", "poll", "select"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo"),
    *("getrandom", "futex", "sched_yield", "sched_getaffinity", "getrusage"),
    *("restart_syscall", "exit", "exit_group"),
)
_CHILD_THAT_READS_FILES = (
    *("newfstatat", "stat", "lstat", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
)
# What a server needs in addition: to fork, to confine its child, and to pass it a socket.
_SERVER = (
    *("clone", "clone3", "fork", "vfork", "wait4", "set_robust_list", "set_tid_address", "rseq"),
    *("rt_sigaction", "rt_sigprocmask", "sigaltstack", "prlimit64", "getrlimit", "setrlimit", "setitimer"),
    *("dup2", "dup3", "prctl", "socketpair", "sendmsg", "sendto", "mmap", "mprotect"),
    *("pselect6", "rt_sigreturn"),
)
_MASK_OF_PPOLL = 3  # the argument that points to a signal mask


class _Where(ctypes.Structure):
    """A condition: argument number `argument`, under `mask`, equals `value`."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )

    @classmethod
    def of(cls, argument: int, mask: int, value: int) -> "_Where":
        return cls(argument, _MASKED_EQUAL, mask, value)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class Filter(NamedTuple):
    """A program for the kernel, and the call that installs it, resolved in advance: a child has no time for
    it.

    `instructions` holds the memory that `program` points to.
    """

    program: _FilterProgram
    instructions: Any
    prctl: Any


def is_available() -> bool:
    """Whether this kernel has filters, and libseccomp is installed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None)  # refused without a filter; the error shows the support
    return ctypes.get_errno() == errno.EFAULT and _library() is not None


def child_filter(*, reads_files: bool) -> Filter:
    """For a process that serves a request: it starts nothing, connects to nothing, signals nobody.

    Memory never becomes executable. Files are opened only if it `reads_files`, and only for reading.
    """
    conditions = [("mmap", _Where.of(2, _PROT_EXEC, 0)), ("mprotect", _Where.of(2, _PROT_EXEC, 0))]
    conditions += [("sendto", _Where.of(4, _WHOLE, 0))]  # to its peer, not to an address
    return _filter(_CHILD, conditions, reads_files=reads_files)


def server_filter(*, reads_files: bool) -> Filter:
    """For a process that forks such children: what they need, forking, and ending its own process group."""
    return _filter((*_CHILD, *_SERVER), [("kill", _Where.of(0, _WHOLE, 0))], reads_files=reads_files)


def install(prepared: Filter) -> None:
    """Confine this process and all its future children, permanently. Needs `no_new_privs`. Raises OSError."""
    if prepared.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(prepared.program)):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def _filter(names: tuple[str, ...], conditions: list[tuple[str, _Where]], *, reads_files: bool) -> Filter:
    library = _library()
    if library is None:
        raise OSError(errno.ENOENT, "libseccomp is not installed")
    context = ctypes.c_void_p(library.seccomp_init(_REFUSE))
    library.seccomp_attr_set(context, _ON_BAD_ARCHITECTURE, _KILL_PROCESS)
    library.seccomp_attr_set(context, _OPTIMIZATION, _BINARY_TREE)  # libseccomp before 2.5 has a plain list
    conditions = [*conditions, ("ppoll", _Where.of(_MASK_OF_PPOLL, _WHOLE, 0))]
    if reads_files:
        names = (*names, *_CHILD_THAT_READS_FILES)
        conditions = [*conditions, ("openat", _Where.of(2, _WRITING, 0))]
    else:
        conditions = [*conditions, ("newfstatat", _Where.of(3, _AT_EMPTY_PATH, _AT_EMPTY_PATH))]
    for name in names:
        _allow(library, context, name)
    for name, where in conditions:
        _allow(library, context, name, where)
    try:
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _allow(library: ctypes.CDLL, context: ctypes.c_void_p, name: str, where: _Where | None = None) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number < 0:  # exists on other architectures only
        return
    count, first = (0, None) if where is None else (1, ctypes.byref(where))
    failed = library.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, count, first)
    if failed:
        raise OSError(-failed, f"seccomp rule for {name}")


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> Filter:
    readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)  # memfd_create may be refused
    try:
        if failed := library.seccomp_export_bpf(context, writable):
            raise OSError(-failed, "seccomp filter")
        code = os.read(readable, 1 << 16)
    finally:
        os.close(readable)
        os.close(writable)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = _FilterProgram(len(code) // 8, ctypes.addressof(instructions))
    return Filter(program, instructions, ctypes.CDLL(None, use_errno=True).prctl)


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    return library
