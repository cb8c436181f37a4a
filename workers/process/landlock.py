"""Landlock: the kernel lets this process and its children read some folders, and reach nothing else.

Standard library only, like everything that runs in a confined child. Reference: the kernel's
`Documentation/userspace-api/landlock.rst`.
"""

import ctypes
import os
from collections.abc import Sequence

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1  # the flag that requests only the version
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# The version that introduced each right: all file rights in version 1, then REFER, TRUNCATE, IOCTL_DEV.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
NETWORK_VERSION, SCOPE_VERSION = 4, 6


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """The version of Landlock's interface that this kernel has; 0: none, or switched off."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _VERSION))


def is_usable() -> bool:
    """Whether rules can be made: a container's filter may allow the version query and nothing else."""
    if version() == 0:
        return False
    try:
        ruleset = _ruleset(1)
    except OSError:
        return False
    try:
        _allow_reading(ruleset, "/")
    except OSError:
        return False
    finally:
        os.close(ruleset)
    return True


def restrict(folders: Sequence[str]) -> None:
    """From now on: read below `folders` only; no TCP; no signals to others, and no abstract sockets of
    theirs.

    As much of this as the kernel's version supports. Needs `no_new_privs`. Raises OSError.
    """
    ruleset = _ruleset(version())
    try:
        for folder in folders:
            _allow_reading(ruleset, folder)
        _checked(_syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _ruleset(known: int) -> int:
    """The descriptor of an empty ruleset, for everything that version `known` supports."""
    handled = _Attributes(
        sum(rights for since, rights in _FILE_RIGHTS.items() if since <= known),
        _BIND_AND_CONNECT_TCP if known >= NETWORK_VERSION else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if known >= SCOPE_VERSION else 0,
    )
    size = 24 if known >= SCOPE_VERSION else 16 if known >= NETWORK_VERSION else 8
    return _checked(_syscall(_CREATE_RULESET, ctypes.byref(handled), size, 0))


def _allow_reading(ruleset: int, folder: str) -> None:
    parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(_READ_FILE | _READ_DIR, parent)
        _checked(_syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _syscall(number: int, first: object, second: object, *more: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in (first, second, *more)]
    return libc.syscall(ctypes.c_long(number), *words)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
