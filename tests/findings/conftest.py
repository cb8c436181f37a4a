"""The stack the findings are tried on: of this checkout, of another one, or one that runs already.

- `CODEVOICE_FINDINGS_PROGRAM`: another checkout's `.venv/bin/codevoice`, which starts the stack.
- `CODEVOICE_FINDINGS_URL`: a running stack instead, with the setting CODEVOICE_TRUSTED_PROXIES=127.0.0.1; and
  `CODEVOICE_FINDINGS_HOME`, its data folder, for tests that inspect its processes.
"""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.conftest import Lack
from tests.stack import CODEVOICE, CommandLine, Running, Stack

from .accounts import Account

NewAccount = Callable[[], Account]
PROGRAM = Path(os.environ.get("CODEVOICE_FINDINGS_PROGRAM") or CODEVOICE)
_URL = os.environ.get("CODEVOICE_FINDINGS_URL", "")
_HOME = os.environ.get("CODEVOICE_FINDINGS_HOME", "")


class Given(CommandLine):
    """A stack that was started elsewhere."""

    def __init__(self, url: str, home: Path) -> None:
        super().__init__(home, PROGRAM)
        self.url = url


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """The stack. It believes the X-Forwarded-For of this machine's own programs."""
    if _URL:
        yield Given(_URL, Path(_HOME or "no home"))
        return
    started = Stack(tmp_path_factory.mktemp("home"), PROGRAM, CODEVOICE_TRUSTED_PROXIES="127.0.0.1")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def target_pids(target: Running, lack: Lack) -> dict[str, int]:
    """Its process ids, by program."""
    if _URL and not _HOME:
        lack("CODEVOICE_FINDINGS_HOME", may_be_absent=True)
    return target.env()["pids"]


@pytest.fixture
def new_account(target: Running) -> NewAccount:
    return lambda: Account(target)


@pytest.fixture
def account(target: Running) -> Account:
    """One with all its free credits."""
    return Account(target)
