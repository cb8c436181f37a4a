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
_AWAY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "FETCH_ERROR", "ENETUNREACH")
OpenaiJs = Callable[..., Sequence[dict[str, Any]]]


@pytest.fixture(scope="session")
def openai_js(need: "Need", lack: "Lack", tmp_path_factory: pytest.TempPathFactory) -> OpenaiJs:
    """Makes calls, one after the other: (name, fields, options) each; what each found or raised."""
    node = need("node")
    npm = shutil.which("npm") or lack("npm", may_be_absent=True)
    folder = tmp_path_factory.mktemp("npm")
    asked = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", PACKAGE]
    done = subprocess.run([npm, *asked], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode and any(sign in done.stderr for sign in _AWAY):
        lack("the npm registry", may_be_absent=True)
    assert done.returncode == 0, done.stderr
    shutil.copy(_CLIENT, folder)

    def call(url: str, key: str, *calls: Sequence[Any], retries: int = 0) -> Sequence[dict[str, Any]]:
        options = {"baseURL": f"{url}/v1", "apiKey": key, "maxRetries": retries, "timeout": 60_000}
        told = json.dumps({"options": options, "recording": str(_RECORDING), "calls": calls})
        program = [node, folder / _CLIENT.name]
        ran = subprocess.run(program, input=told, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return call
