"""Confinement where the kernel or the machine lacks a part of it."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from tests.conftest import Lack
from tests.workers.process.test_confinement import HOUSE, MISSING, needs_landlock, needs_seccomp
from workers.process import confinement, landlock, seccomp


@pytest.fixture
def has_seccomp(lack: Lack) -> None:
    if "seccomp" in MISSING:
        lack("seccomp with libseccomp")


@pytest.fixture
def has_landlock(lack: Lack) -> None:
    if "landlock" in MISSING:
        lack("Landlock")


def test_missing_kernel_features_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 3)
    monkeypatch.setattr(landlock, "is_usable", lambda: True)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert confinement.missing() == ["landlock_network", "landlock_scope", "seccomp", "own_uid"]
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert "landlock" in confinement.missing()


REFUSING = """
import ctypes, os, sys
from workers.process import confinement, seccomp

# As a container's filter: all is allowed but these calls.
library = seccomp._library()
context = ctypes.c_void_p(library.seccomp_init(seccomp._ALLOW))
for name in sys.argv[2:]:
    number = library.seccomp_syscall_resolve_name(name.encode())
    refuse = ctypes.c_uint32(0x00050000 | int(sys.argv[1]))
    assert library.seccomp_rule_add_array(context, refuse, number, 0, None) == 0
confinement._prctl(38, 1)
assert library.seccomp_load(context) == 0
print(*confinement.missing())
confined = confinement.Confinement(confinement.Profile(uid=64001, cpu_s=9, wall_s=9, memory_bytes=1 << 28))
confined.of_server(["/usr"])
confined.of_child()
os._exit(0 if not sys.stdout.flush() else 1)
"""


@needs_seccomp
@needs_landlock
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EINVAL], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("refused", "missing"),
    [
        ("landlock_add_rule", {"landlock", "landlock_network", "landlock_scope"}),
        ("landlock_create_ruleset", {"landlock", "landlock_network", "landlock_scope"}),
        ("landlock_restrict_self", set[str]()),
        ("setgroups", {"own_uid"}),
        ("setresuid", {"own_uid"}),
        ("memfd_create", set[str]()),
    ],
)
def test_a_feature_the_kernel_refuses_is_missing_and_does_not_fail_the_start(
    refused: str, missing: set[str], number: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, str(number), refused],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == MISSING | missing
    assert ("missing landlock" in done.stderr) == (refused == "landlock_restrict_self")


@pytest.mark.parametrize(("number", "is_borne"), [(errno.EINVAL, True), (errno.EPERM, False)])
def test_a_kernel_without_ambient_capabilities_is_tolerated(
    monkeypatch: pytest.MonkeyPatch, number: int, is_borne: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "prctl")

    class Libc:
        capset = staticmethod(lambda *_: 0)

    monkeypatch.setattr(confinement, "_prctl", refuse)
    monkeypatch.setattr(confinement.ctypes, "CDLL", lambda *_, **__: Libc)
    with nullcontext() if is_borne else pytest.raises(OSError, match="prctl"):
        confinement._drop_capabilities()
