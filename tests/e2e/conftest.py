"""The whole stack, started as a newcomer does: `codevoice up --json` in an empty home."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser

from tests.conftest import Need

from .pages import Watched, chromium

Watch = Callable[..., Watched]
Login = tuple[str, str]
CODEVOICE = Path(sys.executable).with_name("codevoice")


class Stack:
    """A running stack and its command line."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.environ = {**_bare(), "CODEVOICE_HOME": str(home), "CODEVOICE_PORT": "0", **environ}
        self.process = subprocess.Popen(
            [CODEVOICE, "up", "--json"], env=self.environ, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the stack did not start"
        ready = json.loads(line)
        self.url, self.email, self.password = ready["url"], ready["email"], ready["password"]
        self.headers = {"X-API-Key": ready["api_key"]}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CODEVOICE, *arguments], env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )

    def env(self) -> dict[str, Any]:
        return json.loads(self.run("env", "--json").stdout)

    def grant(self, credits: int) -> None:
        done = self.run("credits", "grant", self.email, str(credits), "--reason", "test", "--yes")
        assert done.returncode == 0, done.stderr

    def credits(self) -> dict[str, Any]:
        return requests.get(f"{self.url}/api/auth/me", headers=self.headers, timeout=10).json()["credits"]

    def audit_is_clean(self) -> bool:
        return self.run("ledger", "audit", "--json").returncode == 0

    def speak(self, text: str, voice: str = "ryan", **more: Any) -> str:
        answer = requests.post(
            f"{self.url}/v1/tts",
            json={"text": text, "voice": voice, **more},
            headers=self.headers,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0
        assert self.process.stdout is not None
        assert self.process.stdout.read() == ""  # one line, no more
        self.process.stdout.close()


def _bare() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("CODEVOICE_", "DATABASE_", "REDIS_"))}


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
    """A recording of somebody counting."""
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
    """Opens watched pages; in the end none has done what it should not."""
    opened: list[Watched] = []

    def open_one(**look: Any) -> Watched:
        opened.append(Watched(browser, stack.url, **look))
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
