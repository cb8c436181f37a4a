"""The whole stack, started as a newcomer does: `codevoice up --json` in an empty home."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.conftest import Need
from tests.e2e.browser.pages import Watched, chromium
from tests.stack import CODEVOICE as CODEVOICE
from tests.stack import Stack as Stack

Watch = Callable[..., Watched]
Login = tuple[str, str]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """One stack for tests that leave it as they found it."""
    started = Stack(tmp_path_factory.mktemp("home"))
    yield started
    started.stop()


@pytest.fixture
def new_stack(tmp_path: Path) -> Generator[Callable[..., Stack]]:
    """Starts stacks of a test's own, in the same home each time."""
    running: list[Stack] = []

    def start(**environ: str) -> Stack:
        running.append(Stack(tmp_path / "home", **environ))
        return running[-1]

    yield start
    for started in running:
        if started.process.poll() is None:
            started.stop()
        elif started.process.stdout:
            started.process.stdout.close()


@pytest.fixture(scope="module")
def talk(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a person counting."""
    file = tmp_path_factory.mktemp("talk") / "talk.wav"
    done = stack.run("say", "one two three four five", "-o", str(file))
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture(scope="module")
def browser(need: Need, talk: Path) -> Generator[Browser]:
    with chromium(need("chromium"), voice=talk) as opened:
        yield opened


@pytest.fixture
def watch(browser: Browser, stack: Stack) -> Generator[Watch]:
    """Opens watched pages; at the end none has a violation."""
    opened: list[Watched] = []

    def open_one(**appearance: Any) -> Watched:
        opened.append(Watched(browser, stack.url, **appearance))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()
    assert [sin for one in opened for sin in one.sins] == []


@pytest.fixture(scope="session")
def admin(stack: Stack) -> Login:
    """An administrator's e-mail and password."""
    email = "admin@example.org"
    made = stack.run("users", "create", email, "--admin", "--yes", "--json")
    assert made.returncode == 0, made.stderr
    return email, json.loads(made.stdout)["password"]
