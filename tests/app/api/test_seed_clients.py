"""The documentation's programs, rewritten: the same calls in the same way."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import requests

from tests.app.api_process import ApiProcess
from tests.app.conftest import AUDIO, End, Person


def poll(api: ApiProcess, job_id: str) -> dict[str, Any]:
    while True:
        status = requests.get(f"{api.url}/tts/status/{job_id}", timeout=10).json()
        if status["status"] in ("completed", "failed"):
            return status


def test_a_python_program_gets_its_audio(api: ApiProcess, person: Person, end: End, tmp_path: Path) -> None:
    headers = {"X-API-Key": person.key, "Content-Type": "application/json"}
    body = {"text": "Hello from Python", "voice": "ryan"}

    job = requests.post(f"{api.url}/v1/tts", headers=headers, json=body, timeout=10).json()
    worker = Thread(target=end, args=[job["job_id"]])
    worker.start()
    status = poll(api, job["job_id"])
    audio = requests.get(f"{api.url}{status['audio_url']}", timeout=10)
    worker.join()

    assert job == {
        "job_id": job["job_id"],
        "status": "queued",
        "user_type": "registered",
        "tier": 1,
        "message": "Free credit used. 59 remaining.",
    }
    assert audio.content == AUDIO


def test_curl_queues_and_downloads_by_the_bare_path(
    api: ApiProcess, person: Person, end: End, need: Callable[[str], str], tmp_path: Path
) -> None:
    curl = need("curl")
    body = json.dumps({"text": "Hello world from CodeVoice", "voice": "ryan"})
    kind, key = "Content-Type: application/json", f"X-API-Key: {person.key}"

    queued = subprocess.run(
        [curl, "-sS", "-X", "POST", f"{api.url}/v1/tts", "-H", kind, "-H", key, "-d", body],
        capture_output=True,
        check=True,
    )
    job_id = json.loads(queued.stdout)["job_id"]
    end(job_id)
    target = tmp_path / "voice.wav"
    subprocess.run([curl, "-sSL", f"{api.url}/tts/audio/{job_id}", "--output", target], check=True)

    assert target.read_bytes() == AUDIO


def test_a_poller_stops_on_an_unknown_job(api: ApiProcess) -> None:
    status = poll(api, "undefined")

    assert (status["status"], status["error"]) == ("failed", "There is no such job.")
