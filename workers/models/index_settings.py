"""Translates pip's configuration, which uv does not read, to uv's: as ops/setup.sh does in bash."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# pip's name -> uv's variable.
_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}
_FIXED = {
    # pip takes the best version of all indexes; uv by default stops at the first index that has the package.
    "UV_INDEX_STRATEGY": "unsafe-best-match",
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_HTTP_CONNECT_TIMEOUT": "3",
    "UV_HTTP_RETRIES": "1",
}
_SECTIONS = ("global", "install", ":env:")  # later ones override


def uv_environment(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The environment for uv: uv's own settings are kept; a cache in `scratch` if no other is writable."""
    settings = pip_settings(_pip_config(environ))
    translated = {uv: settings[pip] for pip, uv in _NAMES.items() if pip in settings}
    if "UV_FIND_LINKS" in translated:
        translated["UV_FIND_LINKS"] = translated["UV_FIND_LINKS"].replace(" ", ",")
    wanted = {name: environ.get(name) or value for name, value in {**_FIXED, **translated}.items()}
    cache = _cache(environ)
    return {**environ, **wanted, "UV_CACHE_DIR": str(cache if _is_writable(cache) else scratch / "cache")}


def pip_settings(config: str) -> dict[str, str]:
    """pip's settings from the output of `pip config list`: several values separated by spaces."""
    found: dict[str, str] = {}
    for section in _SECTIONS:
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(['\"].*['\"])$", config, re.MULTILINE):
            found[name] = " ".join(str(ast.literal_eval(value)).split())
    return found


def _pip_config(environ: Mapping[str, str]) -> str:
    """The output of the first Python that has pip; a virtual environment often has none."""
    for python in (sys.executable, shutil.which("python3", path=_outside(environ)), "/usr/bin/python3"):
        if python and Path(python).exists():
            command = [python, "-m", "pip", "config", "list"]
            done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout
    return ""


def _outside(environ: Mapping[str, str]) -> str:
    """PATH without our own virtual environment."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(at for at in environ.get("PATH", os.defpath).split(os.pathsep) if at != own)


def _cache(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("UV_CACHE_DIR"):
        return Path(chosen)
    home = environ.get("HOME") or "/nonexistent"
    return Path(environ.get("XDG_CACHE_HOME") or Path(home, ".cache"), "uv")


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
