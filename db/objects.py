"""Finished audio: one small store over obstore, a local folder or any S3, chosen by URL.

Content types, sizes and digests are in Postgres: folders keep none. Writers block; readers are async.
"""

import atexit
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

_CHUNK_BYTES = 5 << 20  # S3's least part
_READ_BYTES = 256 << 10
_PROBE = "probe/none"
_PROBE_BYTES = 1 << 20


class StoreError(Exception):
    """The store is out of reach, full, or refuses us."""


def open_store(url: str) -> "Objects":
    """The store at `file:///folder` or `s3://bucket[/prefix]?endpoint=…&region=…`.

    S3 credentials come from `access_key_id` and `secret_access_key` in the query, or AWS_* variables.
    Not to be used across a fork. Raises StoreError for a URL it does not know or a folder it cannot make.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Objects(_folder(Path(unquote(parts.path))), root=Path(unquote(parts.path)))
    if parts.scheme == "s3":
        return Objects(_bucket(parts.netloc, parts.path.strip("/"), dict(parse_qsl(parts.query))), root=None)
    raise StoreError(f"CODEVOICE_OBJECTS: {url!r} is neither file:///… nor s3://…")


def _folder(path: Path) -> LocalStore:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path}: {error.strerror}") from error
    return LocalStore(str(path))


def _bucket(name: str, prefix: str, options: dict[str, str]) -> S3Store:
    endpoint = options.pop("endpoint", None)
    config: dict[str, Any] = {"region": "us-east-1", **options}
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        name,
        prefix=prefix or None,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": (endpoint or "").startswith("http:"),
            "connect_timeout": "2s",
            "timeout": "30s",
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
        **config,
    )


class Objects:
    """Puts, reads and deletes objects by key. An object is visible only when it is whole."""

    def __init__(self, store: LocalStore | S3Store, root: Path | None) -> None:
        self._store = store
        self._root = root
        _drain_at_exit()

    def put(self, key: str, source: BinaryIO) -> None:
        """Write everything `source` has, in a stream. Blocking. Raises StoreError."""
        try:
            obstore.put(self._store, key, source, chunk_size=_CHUNK_BYTES, max_concurrency=2)
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those already gone are fine. Blocking. Raises StoreError."""
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                pass
            except (BaseError, OSError) as error:
                raise StoreError(str(error)) from error
            if self._root is not None:
                with suppress(OSError):  # not empty, or gone already
                    (self._root / key).parent.rmdir()

    def probe(self) -> None:
        """Return when the store takes an object of a sentence's size; blocking. Raises StoreError."""
        if self._root is not None and not self._root.is_dir():
            raise StoreError(f"the folder {self._root} is gone")
        key = f"probe/{secrets.token_hex(8)}"
        self.put(key, BytesIO(bytes(_PROBE_BYTES)))
        self.delete([key])

    def fetch(self, key: str, to: BinaryIO) -> None:
        """Copy an object into a file. Blocking. Raises FileNotFoundError and StoreError."""
        try:
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=_READ_BYTES):
                to.write(chunk)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error

    def found(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Key and time of every object below `prefix`. Blocking. Raises StoreError."""
        try:
            for page in obstore.list(self._store, prefix):
                yield from ((meta["path"], meta["last_modified"]) for meta in page)
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive), in chunks. Raises FileNotFoundError and StoreError up front."""
        try:
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error
        return _chunks(found)

    async def size(self, key: str) -> int | None:
        """How many bytes the object has; None where there is none. Raises StoreError."""
        try:
            return int((await obstore.head_async(self._store, key))["size"])
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error

    async def copy(self, source: str, target: str) -> None:
        """Copy an object within the store. Raises StoreError, also where there is no such source."""
        try:
            await obstore.copy_async(self._store, source, target)
        except (BaseError, OSError) as error:  # FileNotFoundError is one
            raise StoreError(str(error)) from error

    async def check(self) -> None:
        """Return when the store answers. Raises StoreError."""
        if self._root is not None:
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise StoreError(f"the folder {self._root} is gone or cannot be written")
            return
        try:
            await obstore.head_async(self._store, _PROBE)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(str(error)) from error


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    try:
        async for chunk in found.stream(min_chunk_size=_READ_BYTES):
            yield bytes(chunk)
    except (BaseError, OSError) as error:
        raise StoreError(str(error)) from error


_draining = False


def _drain_at_exit() -> None:
    """obstore's runtime may abort the interpreter if it ends in the middle of a call's clean-up."""
    global _draining
    if not _draining:
        _draining = True
        atexit.register(time.sleep, 0.05)
