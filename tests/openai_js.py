"""OpenAI's SDK for JavaScript, from the npm registry, by node; left out by name where they are not."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Lack, Need

PACKAGE = "openai@6.49.0"
_CLIENT = Path(__file__).with_name("openai_client.mjs")
_RECORDING = Path(__file__).parent / "data" / "speech" / "lights.wav"
OpenaiJs = Callable[..., Sequence[dict[str, Any]]]


@pytest.fixture(scope="session")
def openai_package(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """A folder with the package and our program; or what is lacking."""
    folder, npm = tmp_path_factory.mktemp("npm"), shutil.which("npm")
    if npm is None:
        return "npm"
    try:
        _install(npm, folder)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        if b"ETARGET" in (error.stderr or b""):  # there is no such version: our own fault
            raise
        return "the npm registry"
    shutil.copy(_CLIENT, folder)
    return folder


@pytest.fixture
def openai_js(need: "Need", lack: "Lack", openai_package: Path | str) -> OpenaiJs:
    """Makes calls, one after the other: (name, fields, options) each; what each found or raised."""
    node = need("node")
    folder = openai_package
    if isinstance(folder, str):
        lack(folder, may_be_absent=True)

    def call(url: str, key: str, *calls: Sequence[Any], retries: int = 0) -> Sequence[dict[str, Any]]:
        options = {"baseURL": f"{url}/v1", "apiKey": key, "maxRetries": retries, "timeout": 60_000}
        request = json.dumps({"options": options, "recording": str(_RECORDING), "calls": calls})
        program = [node, folder / _CLIENT.name]
        ran = subprocess.run(program, input=request, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return call


def _install(npm: str, folder: Path) -> None:
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--cache", folder / "cache"]
    patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"]
    command = [npm, "install", *quiet, *patience, PACKAGE]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=90)
