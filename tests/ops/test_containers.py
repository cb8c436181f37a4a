"""Images and compose.yaml, judged as far as possible without an engine; their commands, run without one."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from ops.stack.embedded import free_port
from tests.app.api_process import SECRETS
from workers.models.catalogue import catalogue
from workers.models.needed import NEEDED, WHISPER

HOME = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCKERFILES = sorted((HOME / "ops" / "containers").glob("*.Dockerfile"))
PINNED = re.compile(r"[\w./-]+:(v?\d+\.\d+[\w.-]*|RELEASE\.[\w.-]+)")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((HOME / "compose.yaml").read_text())


def test_compose_follows_its_schema() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_compose_refers_to_existing_files(compose: dict[str, Any]) -> None:
    services, volumes = compose["services"], set[str]()
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            assert other in services, name
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services[other], name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (HOME / source).is_dir(), volume
            elif not source.startswith("${"):
                volumes.add(source)
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), name  # a proxy with TLS stands before it
    assert volumes == set(compose["volumes"])
    assert {"postgres", "redis", "minio", "api", "worker", "worker-gpu", "prometheus", "grafana"} <= set(
        services
    )
    assert services["worker-gpu"]["profiles"] == ["gpu"]


def test_every_variable_is_in_the_example_and_none_is_unused() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (HOME / "compose.yaml").read_text()))
    example = (HOME / "ops/containers/example.env").read_text()
    assert used == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_every_setting_compose_gives_is_one(compose: dict[str, Any]) -> None:
    given = {name for service in compose["services"].values() for name in service.get("environment", {})}
    documented = (HOME / "docs/settings.md").read_text()
    ours = {name for name in given if name.startswith(("CODEVOICE_", "DATABASE_", "REDIS_URL", "COQUI_"))}
    assert {name for name in ours if f"`{name}`" not in documented} == set()
    assert len(ours) > 8


def test_images_are_pinned_and_ours_are_built_here(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert PINNED.fullmatch(service["image"]), name
        if "build" in service:
            assert (HOME / service["build"]["dockerfile"]) in DOCKERFILES
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert "healthcheck" in service or service["restart"] == "no"
    assert len(DOCKERFILES) == 3


def test_natural_voices_and_whisper_are_served_by_default(compose: dict[str, Any]) -> None:
    models, worker = compose["services"]["models"], compose["services"]["worker-models"]
    assert models["command"] == ["codevoice", "models", "add", "hibari", "whisper-base", "kokoro"]
    wanted = {*NEEDED["hibari"], *NEEDED["kokoro"], WHISPER}
    assert set(models["command"][3:]) == wanted <= catalogue().keys()
    assert worker["command"][2:4] == ["--engines", "hibari,whisper,kokoro"]
    assert "profiles" not in models.keys() | worker.keys()
    for service, mount in ((models, "models:/models"), (worker, "models:/models:ro")):
        assert (service["environment"]["CODEVOICE_MODELS"], service["volumes"]) == ("/models", [mount])
    # `up --wait` takes the end of a service for a failure, unless another waits for that.
    assert worker["depends_on"]["models"] == {"condition": "service_completed_successfully"}


def test_a_worker_that_needs_no_model_waits_for_none(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert worker["command"][2:4] == ["--engines", "espeak,pocketsphinx"]
    assert not {"models", "worker-models"} & worker["depends_on"].keys()


@pytest.mark.parametrize(
    ("image", "packages"),
    [("worker", "'.[voice,whisper]' espeakng-loader pocketsphinx"), ("worker-cuda", "'.[xtts,whisper]'")],
)
def test_a_workers_image_holds_what_its_engines_need_and_a_folder_of_its_own_for_models(
    image: str, packages: str
) -> None:
    found = instructions(HOME / "ops" / "containers" / f"{image}.Dockerfile")
    ran = [rest for name, rest in found if name == "RUN"]
    assert ran[0].endswith(packages)
    assert ran[1].endswith("install -d -o 10001 -g 10001 /models")


def instructions(file: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", file.read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_an_image_is_slim_pinned_and_not_run_by_root(file: Path) -> None:
    found = instructions(file)
    known = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in found} == known
    stages = [rest for name, rest in found if name == "FROM"]
    assert len(stages) == 2
    assert all(PINNED.fullmatch(stage.split()[0]) and "slim" in stage for stage in stages)
    last = [n for n, (name, _) in enumerate(found) if name == "FROM"][-1]
    final = found[last:]
    assert ("USER", "10001:10001") in final
    assert not [rest for name, rest in final if name == "RUN" and "pip" in rest]
    assert all(rest.startswith("[") for name, rest in final if name == "CMD")
    for rest in (rest for name, rest in found[:last] if name == "COPY"):
        assert [source for source in rest.split()[:-1] if not (HOME / source).exists()] == []


def test_files_that_images_copy_are_not_ignored() -> None:
    kept = {line[1:] for line in (HOME / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for file in DOCKERFILES
        for name, rest in instructions(file)
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == kept


class Places:
    """A substitute for the containers' network."""

    def __init__(self, databases: tuple[str, str], redis_url: str, folder: Path) -> None:
        self.api, self.metrics = free_port(), {name: free_port() for name in ("api", "worker", "exporter")}
        self._given = {
            "CODEVOICE_DATABASE_OWNER_URL": databases[0],
            "DATABASE_URL": databases[1],
            "REDIS_URL": redis_url,
            "CODEVOICE_OBJECTS": folder.as_uri(),
            "CODEVOICE_PORT": str(self.api),
            **SECRETS,
        }

    def environ(self, name: str, service: dict[str, Any]) -> dict[str, str]:
        """The service's variables, with the values of this place; nothing it is not given."""
        environment = {key: value for key, value in self._given.items() if key in service["environment"]}
        if name in self.metrics:
            environment["CODEVOICE_METRICS_PORT"] = str(self.metrics[name])
        port = {"CODEVOICE_PORT": str(self.api)} if name == "api" else {}
        return {"PATH": f"{BIN}:{os.defpath}", "PYTHONSAFEPATH": "1", **environment, **port}

    def here(self, command: list[str], name: str) -> list[str]:
        """The command as it is run here: by path, on this place's ports."""
        ports = {":8000/": f":{self.api}/", ":9464/": f":{self.metrics.get(name, 0)}/"}
        words = [str(BIN / command[0]), *command[1:]]
        for there, port in ports.items():
            words = [word.replace(there, port) for word in words]
        return words


@contextmanager
def started(places: Places, name: str, service: dict[str, Any]) -> Generator[None]:
    """The service's own command, until its own health check is content; ended by its own signal."""
    environ = places.environ(name, service)
    process = subprocess.Popen(
        places.here(service["command"], name), env=environ, cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        check = places.here(service["healthcheck"]["test"][1:], name)
        deadline = time.monotonic() + 60
        while subprocess.run(check, env=environ, cwd="/", check=False, timeout=20).returncode != 0:
            assert process.poll() is None, name
            assert time.monotonic() < deadline, name
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_the_same_commands_serve_without_containers(
    compose: dict[str, Any], database: tuple[str, str], redis_url: str, tmp_path: Path
) -> None:
    places, services = Places(database, redis_url, tmp_path / "objects"), compose["services"]
    migrate = services["migrate"]
    command = places.here(migrate["command"], "migrate")
    subprocess.run(command, env=places.environ("migrate", migrate), cwd="/", check=True, timeout=60)
    with ExitStack() as stack:
        for name in ("api", "worker", "exporter"):
            stack.enter_context(started(places, name, services[name]))
        url = f"http://127.0.0.1:{places.api}"
        body = {"email": "compose@example.org", "password": "correct horse"}
        key = requests.post(f"{url}/api/auth/register", json=body, timeout=30).json()["api_key"]
        assert "completed" in list(ends(url, key))
        for name, metric in {
            "api": "codevoice_http_request_duration_seconds_count",
            "worker": "codevoice_audio_seconds_total",
            "exporter": "codevoice_queue_depth_jobs",
        }.items():
            shown = requests.get(f"http://127.0.0.1:{places.metrics[name]}/metrics", timeout=10).text
            assert metric in shown, name


def ends(url: str, key: str) -> Iterator[str]:
    """The states of one job, polled until it ends."""
    headers, deadline = {"X-API-Key": key}, time.monotonic() + 60
    while True:
        body = {"text": "From one container to another.", "voice": "ryan"}
        answer = requests.post(f"{url}/v1/tts", json=body, headers=headers, timeout=30)
        if answer.status_code == 200:
            break
        assert answer.status_code == 503, answer.text  # the worker is not known yet
        assert time.monotonic() < deadline
        time.sleep(0.2)
    while True:
        state = requests.get(f"{url}/tts/status/{answer.json()['job_id']}", timeout=10).json()["status"]
        yield state
        if state in ("completed", "failed"):
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
