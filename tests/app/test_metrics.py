"""Each request is counted once, whichever process answered it, and under few labels."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from db.metrics import empty
from db.postgres.jobs_worker import WorkerConnection
from ops.stack.embedded import free_port
from tests.app.api_process import SECRETS, ApiProcess, running

from .conftest import Person

COUNT = "codevoice_http_request_duration_seconds_count"


def scraped(port: int, name: str) -> dict[tuple[str, ...], float]:
    """Label values → value, of the samples of that name."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {tuple(s.labels[label] for label in sorted(s.labels)): s.value for s in samples if s.name == name}


def counted(port: int, name: str, at_least: float) -> dict[tuple[str, ...], float]:
    """The same, once so much was counted: a request is, after its answer."""
    deadline = time.monotonic() + 30
    while sum((found := scraped(port, name)).values()) < at_least:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    empty(tmp_path / "metrics")
    return tmp_path / "metrics"


def test_several_processes_answer_a_scrape_as_one(
    environ: dict[str, str], parrot: WorkerConnection, logs: Path, folder: Path
) -> None:
    port = free_port()
    shared = {**environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with running(shared, logs) as one:
        with running({**shared, "CODEVOICE_METRICS_PORT": str(port)}, logs) as other:
            for api in (one, one, other):
                assert api.call("GET", f"/tts/status/{uuid.uuid4()}").status_code == 404
                assert api.call("GET", f"/nowhere/{uuid.uuid4()}").status_code == 404
                assert api.call("PROPFIND", "/nowhere").status_code == 404
            everything = counted(port, COUNT, 11)
            files = [path.stat() for path in folder.glob("*.db")]
            assert len(files) >= 4
            assert all(
                file.st_blocks * 512 >= file.st_size for file in files
            )  # a hole on a full disk: SIGBUS
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
            assert scraped(port, COUNT) == everything
            assert scraped(port, COUNT) == everything  # once more, without the space it had
            assert sum(path.stat().st_size for path in folder.glob(f"*_{one.pid}.db")) < 100_000
    assert everything == {
        ("GET", "/health/live", "2xx"): 2,
        ("GET", "/tts/status/{job_id}", "4xx"): 3,
        ("GET", "unmatched", "4xx"): 3,
        ("other", "unmatched", "4xx"): 3,
    }


def test_broken_requests_and_reasons_are_counted(
    environ: dict[str, str], parrot: WorkerConnection, logs: Path
) -> None:
    port = free_port()
    with running({**environ, "CODEVOICE_METRICS_PORT": str(port)}, logs) as api:
        assert b"400" in api.raw(b"HELO\r\n\r\n").splitlines()[0]
        assert api.call("POST", "/v1/tts", "cv_live_wrong", json={}).status_code == 401
        assert api.call("POST", "/v1/tts", json={}).status_code == 401
        counted(port, COUNT, 4)
        reasons = scraped(port, "codevoice_http_refusals_total")
        assert scraped(port, "codevoice_store_failures_total") == {("read",): 0}
        assert scraped(port, "process_resident_memory_bytes")[()] > 1e7
    assert reasons == {("bad_request",): 1, ("invalid_api_key",): 1, ("missing_api_key",): 1}


def test_metrics_are_not_on_the_callers_port(api: ApiProcess, person: Person) -> None:
    assert api.call("GET", "/metrics", person.key).status_code == 404


def test_a_taken_port_is_named(environ: dict[str, str], api: ApiProcess) -> None:
    taken = str(api.address[1])
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        env={"PATH": os.defpath, **SECRETS, **environ, "CODEVOICE_METRICS_PORT": taken},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"cannot show metrics on 127.0.0.1:{taken}" in done.stderr
