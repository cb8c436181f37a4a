"""The object store: a local folder or any S3 server, chosen by URL; a thin layer over obstore.

Content types, sizes and digests are in Postgres, since folders store none. Writers block; readers are async.
"""

import asyncio
import atexit
import math
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from db.metrics import STORE_FAILURES
from db.storage.disk_floor import Floor
from db.storage.s3_bucket import make_bucket, open_bucket

_CHUNK_BYTES = 5 << 20  # S3's minimum part size
_READ_BYTES = 256 << 10
_PAGE = 1000
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
PROBES = "probe"
_PROBE = f"{PROBES}/none"
_NO_FLOOR = Floor()
_PROBE_BYTES = 1 << 20
_ANSWER_S = 4.0  # for the first part of a read, a size, a copy: a caller waits
_CHUNK_S = 10.0  # for each further part of a read
_CHECK_S = 2.0


class StoreError(Exception):
    """The store is out of reach, full, or refuses access."""


def open_store(url: str, *, floor: Floor = _NO_FLOOR) -> "Objects":
    """The store at `file:///folder` or `s3://bucket[/prefix]?endpoint=…&region=…`.

    S3 credentials come from `access_key_id` and `secret_access_key` in the query, or AWS_* variables.
    `floor`: the space on a folder's disk that puts leave free.
    Do not use the store across a fork. Raises StoreError for an unknown URL or a folder it cannot create.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Objects(_folder(Path(unquote(parts.path))), root=Path(unquote(parts.path)), floor=floor)
    if parts.scheme == "s3":
        name, options = parts.netloc, dict(parse_qsl(parts.query))
        store = open_bucket(name, parts.path.strip("/"), options)
        return Objects(store, root=None, make=partial(make_bucket, name, options))
    raise StoreError(f"CODEVOICE_OBJECTS: {url!r} is neither file:///… nor s3://…")


def _folder(path: Path) -> LocalStore:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path}: {error.strerror}") from error
    return LocalStore(str(path))


class Objects:
    """Puts, reads and deletes objects by key. An object becomes visible only when it is complete."""

    def __init__(
        self,
        store: LocalStore | S3Store,
        root: Path | None,
        make: Callable[[], None] = lambda: None,
        floor: Floor = _NO_FLOOR,
    ) -> None:
        self._store = store
        self._root = root
        self._floor = floor
        self._make = make  # creates the bucket if it is missing
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="store-check")  # a disk may hang
        _drain_at_exit()

    def put(self, key: str, source: BinaryIO) -> None:
        """Write all of `source` as a stream. Blocking. Raises StoreError."""
        with _failing("put"):
            try:
                self._put(key, source)
            except FileNotFoundError:  # no bucket
                self._make()
                source.seek(0)
                self._put(key, source)

    def _put(self, key: str, source: BinaryIO) -> None:
        if self._root is not None:
            self._check_room(self._root, _rest(source))
            _write(self._root, key, source)
            return
        whole = source.read(_CHUNK_BYTES)
        if len(whole) < _CHUNK_BYTES:  # in one call: no thread of obstore's has to read on
            obstore.put(self._store, key, whole, use_multipart=False)
            return
        source.seek(0)
        obstore.put(self._store, key, source, chunk_size=_CHUNK_BYTES, max_concurrency=2)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored. Blocking. Raises StoreError."""
        for key in keys:
            with _failing("delete"), suppress(FileNotFoundError):
                self._delete(key)

    def _delete(self, key: str) -> None:
        if self._root is None:
            obstore.delete(self._store, key)
            return
        path = self._root / key
        path.unlink()  # obstore ignores the leftovers of interrupted writes
        with suppress(OSError):  # not empty, or gone already
            path.parent.rmdir()

    def probe(self, size_bytes: int = 0) -> None:
        """Return if the store accepts an object of a sentence's size, and a folder's disk has room for
        `size_bytes`.

        Blocking. Raises StoreError.
        """
        if self._root is not None:
            if not self._root.is_dir():
                raise StoreError(f"the folder {self._root} is gone")
            with _failing("put"):
                self._check_room(self._root, size_bytes)
        key = f"{PROBES}/{secrets.token_hex(8)}"
        self.put(key, BytesIO(bytes(_PROBE_BYTES)))
        self.delete([key])

    def _check_room(self, root: Path, size_bytes: int) -> None:
        """Raise OSError if writing `size_bytes` would leave less than the floor."""
        if self._floor.measure(root).room_bytes < size_bytes:
            raise OSError(f"the disk of {root} has no room for {size_bytes} bytes more")

    def fetch(self, key: str, to: BinaryIO) -> None:
        """Copy an object into a file. Blocking. Raises FileNotFoundError and StoreError."""
        with _failing("read", but=FileNotFoundError):
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=_READ_BYTES):
                to.write(chunk)

    def found(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Key and time of every object below `prefix`. Blocking. Raises StoreError."""
        with _failing("read"):
            for page in obstore.list(self._store, prefix):
                yield from ((meta["path"], meta["last_modified"]) for meta in page)

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive), in chunks. Raises FileNotFoundError and StoreError.

        If the store's folder itself is missing or not writable, that is a StoreError.
        """
        try:
            with _failing("read", but=FileNotFoundError):
                async with asyncio.timeout(_ANSWER_S):
                    found = await obstore.get_async(self._store, key, options={"range": (start, end)})
                return _chunks(found)
        except FileNotFoundError:
            if self._root is not None:
                await self.check()
            raise

    async def size(self, key: str) -> int | None:
        """The object's size in bytes; None if there is none. Raises StoreError."""
        with _failing("read"), suppress(FileNotFoundError):
            async with asyncio.timeout(_ANSWER_S):
                return int((await obstore.head_async(self._store, key))["size"])
        return None

    async def copy(self, source: str, target: str) -> None:
        """Copy an object within the store. Raises StoreError, also if the source does not exist."""
        with _failing("put"):
            async with asyncio.timeout(_ANSWER_S):
                await obstore.copy_async(self._store, source, target)

    async def check(self) -> None:
        """Return if the store responds within two seconds; a folder must be writable, and its disk not full.

        Raises StoreError.
        """
        with _failing("check"), suppress(FileNotFoundError):
            async with asyncio.timeout(_CHECK_S):
                if self._root is None:
                    await obstore.head_async(self._store, _PROBE)
                else:
                    loop = asyncio.get_running_loop()
                    await loop.run_in_executor(self._checker, _check_folder, self._root)

    def old(self, prefix: str, older_s: float) -> Iterator[list[str]]:
        """Keys below `prefix` not written to in the last `older_s`, a page at a time; in a folder including
        leftovers of interrupted writes. Blocking. Raises StoreError.
        """
        until = datetime.now(UTC) - timedelta(seconds=older_s)
        with _failing("read"):
            if self._root is not None:
                yield from _old_files(self._root, prefix, until.timestamp())
                return
            for page in obstore.list(self._store, prefix, chunk_size=_PAGE):
                yield [str(found["path"]) for found in page if found["last_modified"] < until]


def _write(root: Path, key: str, source: BinaryIO) -> None:
    """Write a file that becomes visible when complete, as obstore does, but without another thread: in a
    quarter of its time.

    Only folders below the root are created: a missing root may be a disk that is not mounted.
    """
    path = root / key
    beside = f"{path}#{secrets.token_hex(4)}"
    try:
        file = os.open(beside, _NEW, 0o666)
    except FileNotFoundError:
        _make_below(root, path.parent)
        file = os.open(beside, _NEW, 0o666)
    try:
        try:
            while chunk := source.read(_CHUNK_BYTES):
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _rest(source: BinaryIO) -> int:
    """The bytes from the current position to the end."""
    at = source.tell()
    source.seek(0, os.SEEK_END)
    end = source.tell()
    source.seek(at)
    return end - at


def _check_folder(root: Path) -> None:
    """Raise OSError unless a sentence's audio could be stored. A disk may hang: call it in a thread."""
    if not os.access(root, os.W_OK | os.X_OK):
        raise OSError(f"the folder {root} is gone or cannot be written")
    disk = os.statvfs(root)
    if disk.f_bavail * disk.f_frsize < _PROBE_BYTES or (disk.f_files and not disk.f_favail):
        raise OSError(f"the disk of {root} is full")


def _make_below(root: Path, folder: Path) -> None:
    if folder != root:
        _make_below(root, folder.parent)
        folder.mkdir(exist_ok=True)


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    """The chunks; the first has a shorter timeout, since a caller waits for the response."""
    chunks, wait_s = aiter(found.stream(min_chunk_size=_READ_BYTES)), _ANSWER_S
    while True:
        with _failing("read"):
            try:
                async with asyncio.timeout(wait_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield bytes(chunk)
        wait_s = _CHUNK_S


def _old_files(root: Path, prefix: str, until: float) -> Iterator[list[str]]:
    """A page of keys at a time. obstore would not list the leftovers of interrupted writes (`name#1`)."""
    files = (path for path in (root / prefix).rglob("*") if path.is_file())
    while page := list(islice(files, _PAGE)):
        yield [str(path.relative_to(root)) for path in page if _written_at(path) < until]


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted in the meantime
        return math.inf


@contextmanager
def _failing(operation: str, *, but: type[Exception] | None = None) -> Generator[None]:
    """Count errors and raise them as StoreError; those of type `but` are raised unchanged."""
    try:
        yield
    except (BaseError, OSError, HTTPException) as error:
        if but is not None and isinstance(error, but):
            raise
        STORE_FAILURES.labels(operation).inc()
        # The first line, without the server's response, which may quote a signature.
        message = str(error).partition("\n")[0].partition("<")[0]
        raise StoreError(message or "no answer in time") from error


_draining = False


def _drain_at_exit() -> None:
    """Sleep briefly at exit: obstore's runtime may abort if the interpreter ends during a call's clean-up."""
    global _draining
    if not _draining:
        _draining = True
        atexit.register(time.sleep, 0.05)
