"""The contract of every object store."""

import io
import time
from pathlib import Path

import pytest

from db.storage.objects import Objects, StoreError, open_store

BIG = bytes(range(256)) * (44 << 10)  # 11 MiB: three parts


@pytest.fixture
def store(store_url: str) -> Objects:
    return open_store(store_url)


async def content(store: Objects, key: str, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in await store.read(key, start, end)])


async def test_the_bucket_or_folder_is_created_for_the_first_object(store: Objects) -> None:
    await store.check()
    store.put("jobs/a/1.wav", io.BytesIO(b"sound"))
    assert await content(store, "jobs/a/1.wav", 0, 5) == b"sound"
    assert await store.size("jobs/a/1.wav") == 5


async def test_the_first_object_may_be_large_and_is_read_in_parts(store: Objects) -> None:
    store.put("jobs/a/1.wav", io.BytesIO(BIG))
    assert await store.size("jobs/a/1.wav") == len(BIG)
    for start, end in ((0, len(BIG)), (1, 2), (6_000_000, 6_000_100), (len(BIG) - 1, len(BIG))):
        assert await content(store, "jobs/a/1.wav", start, end) == BIG[start:end]


async def test_an_object_is_replaced_copied_and_deleted(store: Objects) -> None:
    store.put("jobs/a/1.wav", io.BytesIO(b"old"))
    store.put("jobs/a/1.wav", io.BytesIO(b"new"))
    await store.copy("jobs/a/1.wav", "samples/a.wav")
    store.delete(["jobs/a/1.wav", "jobs/a/1.wav", "jobs/never/1.wav"])
    assert await store.size("jobs/a/1.wav") is None
    assert await content(store, "samples/a.wav", 0, 3) == b"new"
    with pytest.raises(StoreError):
        await store.copy("jobs/a/1.wav", "samples/b.wav")


async def test_a_missing_object_is_distinguished_from_a_failing_store(store: Objects) -> None:
    store.probe()
    with pytest.raises(FileNotFoundError):
        await store.read("jobs/none/1.wav", 0, 1)


def test_old_objects_are_listed_by_age_and_prefix(store: Objects) -> None:
    for key in ("jobs/a/1.wav", "jobs/b/2.mp3", "samples/a.wav"):
        store.put(key, io.BytesIO(b"x"))
    assert [key for page in store.old("jobs", 3600) for key in page] == []
    time.sleep(1.1)  # Swift's clock has seconds
    assert sorted(key for page in store.old("jobs", 0) for key in page) == ["jobs/a/1.wav", "jobs/b/2.mp3"]


def test_an_interrupted_upload_leaves_no_object(store: Objects) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 6_000_000:
                raise OSError("broken off")
            return super().read(size)

    store.probe()
    with pytest.raises(StoreError):
        store.put("jobs/a/1.wav", Broken(BIG))
    assert [key for page in store.old("jobs", -60) for key in page] == []


@pytest.mark.parametrize("body", [b"sound", BIG], ids=["short", "long"])
def test_a_folder_that_disappeared_is_not_created_again(tmp_path: Path, body: bytes) -> None:
    folder = tmp_path / "disk"
    store = open_store(f"file://{folder}")
    store.put("jobs/a/1.wav", io.BytesIO(body))
    folder.rename(tmp_path / "unmounted")
    for act in (store.probe, lambda: store.put("jobs/a/2.wav", io.BytesIO(body))):
        with pytest.raises(StoreError):
            act()
    assert not folder.exists()


async def test_in_a_folder_that_disappeared_a_read_is_a_store_error(tmp_path: Path) -> None:
    store = open_store((tmp_path / "objects").as_uri())
    store.put("speech/one", io.BytesIO(b"audio"))
    with pytest.raises(FileNotFoundError):
        await store.read("speech/two", 0, 5)
    (tmp_path / "objects").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        await store.read("speech/one", 0, 5)
