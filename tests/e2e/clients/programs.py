"""What callers' programs do: submit, poll until it ends, download."""

import time
from typing import Any

import requests

from tests.e2e.conftest import Stack


def poll(stack: Stack, job: str, timeout_s: float = 60) -> dict[str, Any]:
    """Poll as the documents' programs do: until `completed` or `failed`, whatever the HTTP status."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        status = requests.get(f"{stack.url}/tts/status/{job}", timeout=10).json()
        if status["status"] in ("completed", "failed"):
            return status
        time.sleep(0.02)
    raise AssertionError(f"job {job} did not end in {timeout_s} s")


def download(stack: Stack, status: dict[str, Any]) -> bytes:
    answer = requests.get(f"{stack.url}{status['audio_url']}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content
