"""Runs a program that refuses to run as root under another account. No files are copied or made readable."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

# The kernel drops the parent-death signal at a change of account, so it is requested again after that. sh, in
# the same process, checks whether we died in between.
_IF_PARENT_LIVES = ("/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


class NoAccount(Exception):
    """Root cannot switch to another account here."""


class Account(Struct, frozen=True, kw_only=True):
    """How to start a program under an account, and who owns its files."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    changes: bool = False  # the prefix changes the account

    def argv(self, program: tuple[str, ...], *, dies_with_us: signal.Signals) -> tuple[str, ...]:
        """The command that runs `program` under this account; it gets that signal when we die."""
        if not self.changes:
            return program
        name = dies_with_us.name.removeprefix("SIG")
        bound = ("setpriv", "--pdeathsig", name, "--", *_IF_PARENT_LIVES, str(os.getpid()))
        return (*self.prefix, *bound, *program)

    def own(self, folder: Path) -> None:
        """Make `folder` and its content this account's, if it is not; a no-op unless we are root."""
        if self.changes and folder.stat().st_uid != self.uid:
            for path in (*folder.rglob("*"), folder):  # itself last: its owner marks completion
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account_for(program: Path, folder: Path) -> Account:
    """Our own account; for root, one that may run `program` and reach `folder`. Raises NoAccount."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    for account in _candidates():
        if _works(account, program, folder):
            return account
    raise NoAccount("as root it needs setpriv or unshare (Debian: util-linux) and the right to use them")


def _candidates() -> Iterator[Account]:
    """The candidates, with the fewest rights first."""
    uid, gid = _nobody()
    nobody = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    yield Account(uid=uid, gid=gid, prefix=(*nobody, "--"), changes=True)
    # A closed folder above the program or its files (a home is 0700) requires one capability: to search, or,
    # in containers that withhold it, to override. no_setuid_fixup lets access() count it too.
    for capability in ("+dac_read_search", "+dac_override"):
        with_it = ("--securebits", "+no_setuid_fixup", "--inh-caps", capability, "--ambient-caps", capability)
        yield Account(uid=uid, gid=gid, prefix=(*nobody, *with_it, "--"), changes=True)
    # Last, root itself under another number, in a user namespace.
    yield Account(
        uid=0, gid=0, prefix=("unshare", "--user", "--map-user=1000", "--map-group=1000", "--"), changes=True
    )


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid


def _works(account: Account, program: Path, folder: Path) -> bool:
    if not shutil.which(account.prefix[0]):
        return False
    reach = ("/bin/sh", "-c", '[ -x "$1" ] && exec "$0" --show -D "$1"', str(program), str(folder))
    argv = account.argv(reach, dies_with_us=signal.SIGKILL)
    done = subprocess.run(argv, cwd="/", env={"PATH": os.defpath}, capture_output=True, check=False)
    return done.returncode == 0
