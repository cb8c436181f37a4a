"""An account of a test's own, and what its owner sees of its jobs."""

import random
import time
from typing import Any
from uuid import uuid4

import requests

from tests.stack import Running

FREE = 60  # credits of a new account
FINAL = ("completed", "failed", "cancelled", "expired")
_TIMEOUT_S = 30


class Account:
    """Just registered, with its free credits. `address`: where its requests seem to come from."""

    def __init__(self, stack: Running) -> None:
        self.url = stack.url
        self.address = some_address()
        self.email, self.password = f"{uuid4().hex}@example.org", uuid4().hex
        body = {"email": self.email, "password": self.password}
        headers = {"X-Forwarded-For": self.address}  # sign-ups of an address are limited
        url = f"{self.url}/api/auth/register"
        answer = requests.post(url, json=body, headers=headers, timeout=_TIMEOUT_S)
        assert answer.status_code == 201, answer.text
        self.key: str = answer.json()["api_key"]
        self.headers = {"X-API-Key": self.key}

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        more = {"timeout": _TIMEOUT_S, "headers": self.headers} | more
        return requests.request(method, self.url + path, json=body, **more)

    def queue(self, text: str, voice: str = "ryan", **more: Any) -> str:
        """A job by POST /v1/tts."""
        answer = self.ask("POST", "/v1/tts", {"text": text, "voice": voice, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["job_id"]

    def jobs(self) -> list[dict[str, Any]]:
        """All its jobs, the last first."""
        return self.ask("GET", "/v1/jobs?limit=100").json()["jobs"]

    def ended(self, job: str, within_s: float = 60) -> dict[str, Any]:
        """The job once it has ended, as its owner sees it: `credits` is what it cost."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.ask("GET", f"/v1/jobs/{job}").json()
            if found["status"] in FINAL:
                return found
            assert time.monotonic() < deadline, f"not ended in {within_s} s: {found}"
            time.sleep(0.05)

    def all_ended(self, within_s: float = 60) -> list[dict[str, Any]]:
        """All its jobs, once each has ended and nothing is held."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.jobs()
            if all(job["status"] in FINAL for job in found) and not self.credits()["held"]:
                return found
            assert time.monotonic() < deadline, f"not ended in {within_s} s: {found}"
            time.sleep(0.05)

    def credits(self) -> dict[str, Any]:
        return self.ask("GET", "/api/auth/me").json()["credits"]

    def spent(self) -> float:
        """Credits it has paid, nothing being held."""
        found = self.credits()
        assert not found["held"]
        return FREE - found["total_remaining"]

    def status(self, job: str) -> dict[str, Any]:
        """GET /tts/status, as a poller sees it."""
        return requests.get(f"{self.url}/tts/status/{job}", timeout=_TIMEOUT_S).json()


def some_address() -> str:
    """One of a million private addresses."""
    return f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
