"""Finds and deletes an account's data in the object store and in Redis, by the ids of its jobs and keys."""

import re
from collections.abc import Collection, Iterable, Iterator
from uuid import UUID

import redis

from db.redis import live_audio
from db.storage.objects import Objects

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_OF_ANY_AGE_S = -86_400.0  # in the future, for a store whose clock is ahead
_SCAN_AT_ONCE = 1000
_TIMEOUT_S = 10
_KEPT = ("cv:*", "codevoice:*")  # live audio by job; counters by account and key


def objects_of(store: Objects, jobs: Collection[UUID]) -> Iterator[list[str]]:
    """Keys of all objects that carry the id of one of the jobs, a page of the store at a time.

    These are audio, transcripts, uploads, and leftovers of interrupted writes. Lists the whole store.
    Blocking. Raises StoreError.
    """
    for page in store.old("", _OF_ANY_AGE_S):
        if found := [key for key in page if _job_of(key) in jobs]:
            yield found


def delete_objects(store: Objects, jobs: Collection[UUID]) -> int:
    """Delete all of `objects_of`; return how many. Blocking. Raises StoreError."""
    deleted = 0
    for keys in objects_of(store, jobs):
        store.delete(keys)
        deleted += len(keys)
    return deleted


class RedisTraces:
    """Erases an account's data in Redis. Blocking; each method raises redis.RedisError."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def publish_cancelled(self, jobs: Iterable[UUID]) -> None:
        """Notify the workers, and the requests waiting for these jobs, that they were cancelled."""
        for job in jobs:
            self._redis.publish(live_audio.CANCEL, job.hex)
            self._redis.publish(live_audio.DONE, live_audio.done_message(job, "cancelled"))

    def delete(self, ids: Collection[UUID]) -> int:
        """Delete live audio and counters with one of these ids, of jobs, keys or accounts; return how many.

        An append-only file of the server's keeps them until `rewrite`.
        """
        wanted = {spelled for one in ids for spelled in (one.hex.encode(), str(one).encode())}
        gone = 0
        for pattern in _KEPT:
            for name in self._redis.scan_iter(pattern, count=_SCAN_AT_ONCE):
                if not wanted.isdisjoint(name.split(b":")):
                    gone += int(self._redis.delete(name))  # type: ignore[arg-type] # of a blocking client
        return gone

    def rewrite(self) -> bool:
        """Have the server rewrite its append-only file without the deleted data; whether it does."""
        try:
            self._redis.bgrewriteaof()
        except redis.ResponseError:  # not allowed on a managed server, or under way already
            return False
        return True


def _job_of(key: str) -> UUID | None:
    found = _ID.search(key)
    return UUID(found[0]) if found else None
