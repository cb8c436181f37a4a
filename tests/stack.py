"""A whole stack, started as a newcomer does: `codevoice up --json` in an empty home."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import requests

CODEVOICE = Path(sys.executable).with_name("codevoice")


class Running(Protocol):
    """A running stack: its address and the command line to inspect it."""

    url: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]: ...

    def env(self) -> dict[str, Any]: ...


class CommandLine:
    """`codevoice` for the stack of one home; `program` may be another checkout's."""

    def __init__(self, home: Path, program: Path = CODEVOICE, **environ: str) -> None:
        self.program = program
        self.environ = {**_bare(), "CODEVOICE_HOME": str(home), "CODEVOICE_PORT": "0", **environ}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def env(self) -> dict[str, Any]:
        return json.loads(self.run("env", "--json").stdout)


class Stack(CommandLine):
    """A running stack and its command line."""

    def __init__(self, home: Path, program: Path = CODEVOICE, **environ: str) -> None:
        super().__init__(home, program, **environ)
        self.process = subprocess.Popen(
            [program, "up", "--json"], env=self.environ, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the stack did not start"
        ready = json.loads(line)
        self.url, self.email, self.password = ready["url"], ready["email"], ready["password"]
        self.headers = {"X-API-Key": ready["api_key"]}

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


NO_INDEX = {"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1"}  # not even what uv's cache has is found


def small() -> dict[str, str]:
    """Variables that have `codevoice up` fetch nothing, and run the two engines that need no model.

    A test of others names them: each is a process more, on cores that all tests share.
    """
    models = os.environ.get("CODEVOICE_MODELS") or Path(__file__).parents[1] / ".tools" / "models"
    return {
        "CODEVOICE_MODELS": str(models),
        "CODEVOICE_SMALL": "1",
        "CODEVOICE_ENGINES": "espeak,pocketsphinx",
        "CODEVOICE_API_PROCESSES": "1",  # on a machine of many cores too
        "CODEVOICE_FREE_STORED_BYTES_MAX": "1000000000000",  # long texts are queued by the dozen
        "CODEVOICE_STORE_FREE_BYTES_MIN": "0",  # this machine's disk may be nearly full
        "CODEVOICE_STORE_FREE_PERCENT_MIN": "0",
        **NO_INDEX,
    }


def _bare() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CODEVOICE_", "DATABASE_", "REDIS_"))}
    return {**kept, **small()}
