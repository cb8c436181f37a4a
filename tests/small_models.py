"""A catalogue of small models, and real servers and archives that have them."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from workers.models import catalogue

WEIGHTS = bytes(range(256)) * 400
CODE = b"raise SystemExit('never imported')\n"
FILES = {"weights.bin": WEIGHTS, "code/__init__.py": CODE}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, **sources: list[dict[str, Any]]) -> None:
    """The catalogue holds nothing but models of these names, each of FILES, with these sources."""
    models = [
        {
            "name": name,
            "purpose": "a test",
            "languages": ["en"],
            "licence": "MIT",
            "attribution": "us",
            "provenance": "here",
            "residual_risk": "none",
            "files": [
                {"path": path, "bytes": len(data), "sha256": sha256(data)} for path, data in FILES.items()
            ],
            "sources": places,
        }
        for name, places in sources.items()
    ]
    file = folder / "catalogue.toml"
    file.write_text("".join(_toml(model) for model in models))
    monkeypatch.setattr(catalogue, "_FILE", file)
    catalogue.catalogue.cache_clear()


def _toml(model: dict[str, Any]) -> str:
    return "[[models]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in model.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_value(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)


def put(folder: Path, name: str, files: Mapping[str, bytes] = FILES) -> Path:
    """The model lies in the models folder."""
    for path, data in files.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder / name


def wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> dict[str, str]:
    """A wheel in the folder; it as a package of the catalogue."""
    info = f"{name}-1.0.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    everything = {**members, f"{info}/METADATA": head.encode(), f"{info}/WHEEL": kind.encode()}
    record = "".join(f"{path},,\n" for path in (*everything, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**everything, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(member, data)
    return {"requirement": f"{name}==1.0", "sha256": sha256(path.read_bytes())}


def tarball(members: Mapping[str, bytes]) -> bytes:
    """A tarball as npm's registry has them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


class Server(ThreadingHTTPServer):
    """Has files by path. It may break off, or know nothing of ranges."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.breaks_after: int | None = None  # bytes of an answer
        self.breaks_left = 0  # answers
        self.knows_ranges = True
        self.requests: list[tuple[str, str]] = []  # path, range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that disconnects is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version: ClassVar[str] = "HTTP/1.0"
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.requests.append((self.path, wanted))
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0) if self.server.knows_ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.server.breaks_left:
            self.server.breaks_left -= 1
            self.wfile.write(data[start : start + (self.server.breaks_after or 0)])
            return
        self.wfile.write(data[start:])

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextmanager
def served(files: Mapping[str, bytes] = FILES) -> Generator[Server]:
    """A home of models on loopback."""
    with Server({f"/{path}": data for path, data in files.items()}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
