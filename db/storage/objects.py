"""Finished audio: one small store over obstore, a local folder or any S3, chosen by URL.

Content types, sizes and digests are in Postgres: folders keep none. Writers block; readers are async.
"""

import asyncio
import atexit
import fcntl
import math
import os
import secrets
import struct
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

_CHUNK_BYTES = 5 << 20  # S3's least part
_READ_BYTES = 256 << 10
_PAGE = 1000
_GET_FLAGS, _SET_FLAGS, _TOP_OF_TREE = 0x80086601, 0x40086602, 0x00020000  # linux/fs.h
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
PROBES = "probe"
_PROBE = f"{PROBES}/none"
_NO_FLOOR = Floor()
_PROBE_BYTES = 1 << 20
_ANSWER_S = 4.0  # for the first of a read, a size, a copy: a caller waits
_CHUNK_S = 10.0  # for each further part of a read
_CHECK_S = 2.0


class StoreError(Exception):
    """The store is out of reach, full, or refuses us."""


def open_store(url: str, *, floor: Floor = _NO_FLOOR) -> "Objects":
    """The store at `file:///folder` or `s3://bucket[/prefix]?endpoint=…&region=…`.

    S3 credentials come from `access_key_id` and `secret_access_key` in the query, or AWS_* variables.
    `floor`: of a folder's disk, what puts leave alone.
    Not to be used across a fork. Raises StoreError for a URL it does not know or a folder it cannot make.
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
    _set_apart(path)
    return LocalStore(str(path))


def _set_apart(folder: Path) -> None:
    """Have ext4 put the folders below into regions of their own, as `chattr +T` does. In a region where
    thousands of files were deleted shortly before, by whomever, a new one took 0.3 ms more.
    """
    with suppress(OSError):  # another file system, or somebody else's folder
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = struct.unpack("l", fcntl.ioctl(opened, _GET_FLAGS, bytes(8)))[0]
            fcntl.ioctl(opened, _SET_FLAGS, struct.pack("l", flags | _TOP_OF_TREE))
        finally:
            os.close(opened)


class Objects:
    """Puts, reads and deletes objects by key. An object is visible only when it is whole."""

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
        self._make = make  # what holds the objects, where it is missing
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="store-check")  # a disk may hang
        _drain_at_exit()

    def put(self, key: str, source: BinaryIO) -> None:
        """Write everything `source` has, in a stream. Blocking. Raises StoreError."""
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
        if len(whole) < _CHUNK_BYTES:  # at once: none of obstore's threads needs to come back for more
            obstore.put(self._store, key, whole, use_multipart=False)
            return
        source.seek(0)
        obstore.put(self._store, key, source, chunk_size=_CHUNK_BYTES, max_concurrency=2)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those already gone are fine. Blocking. Raises StoreError."""
        for key in keys:
            with _failing("delete"), suppress(FileNotFoundError):
                self._delete(key)

    def _delete(self, key: str) -> None:
        if self._root is None:
            obstore.delete(self._store, key)
            return
        path = self._root / key
        path.unlink()  # obstore does not touch what a broken-off write left
        with suppress(OSError):  # not empty, or gone already
            path.parent.rmdir()

    def probe(self, size_bytes: int = 0) -> None:
        """Return when the store takes an object of a sentence's size; a folder's disk is to have room for
        `size_bytes` as well. Blocking. Raises StoreError.
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
        """Raise OSError where so much would take what is left alone of the disk."""
        if self._floor.look(root).room_bytes < size_bytes:
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
        """Bytes `start` to `end` (exclusive), in chunks. Raises FileNotFoundError and StoreError up front.

        In a folder that is away or out of order an object is not missing: that is a StoreError.
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
        """How many bytes the object has; None where there is none. Raises StoreError."""
        with _failing("read"), suppress(FileNotFoundError):
            async with asyncio.timeout(_ANSWER_S):
                return int((await obstore.head_async(self._store, key))["size"])
        return None

    async def copy(self, source: str, target: str) -> None:
        """Copy an object within the store. Raises StoreError, also where there is no such source."""
        with _failing("put"):
            async with asyncio.timeout(_ANSWER_S):
                await obstore.copy_async(self._store, source, target)

    async def check(self) -> None:
        """Return when the store answers, within two seconds; a folder's must be writable, and not full.
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
        """Keys below `prefix` that were not written to lately, a page at a time; what a write that was broken
        off has left in a folder, too. Blocking. Raises StoreError.
        """
        until = datetime.now(UTC) - timedelta(seconds=older_s)
        with _failing("read"):
            if self._root is not None:
                yield from _old_files(self._root, prefix, until.timestamp())
                return
            for page in obstore.list(self._store, prefix, chunk_size=_PAGE):
                yield [str(found["path"]) for found in page if found["last_modified"] < until]


def _write(root: Path, key: str, source: BinaryIO) -> None:
    """Seen when whole, as obstore's files are, in a quarter of its time: no other thread is asked.

    Below the root folder alone: where that is gone (a disk that is not mounted), none is made in its place.
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
    """Bytes from here to the end."""
    at = source.tell()
    source.seek(0, os.SEEK_END)
    end = source.tell()
    source.seek(at)
    return end - at


def _check_folder(root: Path) -> None:
    """Raise OSError unless a sentence could be put there. A disk may hang: not to be called in a loop."""
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
    """The first in time for a caller who waits for an answer."""
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
    """obstore would not list what a broken-off write left (`name#1`)."""
    files = (path for path in (root / prefix).rglob("*") if path.is_file())
    while page := list(islice(files, _PAGE)):
        yield [str(path.relative_to(root)) for path in page if _written_at(path) < until]


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted while we looked
        return math.inf


@contextmanager
def _failing(operation: str, *, but: type[Exception] | None = None) -> Generator[None]:
    """Errors become a StoreError and are counted; those of the kind `but` go on as they are."""
    try:
        yield
    except (BaseError, OSError, HTTPException) as error:
        if but is not None and isinstance(error, but):
            raise
        STORE_FAILURES.labels(operation).inc()
        # The first line, without the server's answer: it may quote a signature.
        said = str(error).partition("\n")[0].partition("<")[0]
        raise StoreError(said or "no answer in time") from error


_draining = False


def _drain_at_exit() -> None:
    """obstore's runtime may abort the interpreter if it ends in the middle of a call's clean-up."""
    global _draining
    if not _draining:
        _draining = True
        atexit.register(time.sleep, 0.05)
