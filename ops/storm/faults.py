"""Chooses and causes the faults; every fault affects only processes that the storm itself has started."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import psycopg
import redis

from db.redis import worker_wakeup
from ops.storm.engine import ENGINE
from ops.storm.history import History
from ops.storm.stack import disks
from ops.storm.stack.processes import Processes
from ops.storm.stack.stack import APIS, LEASE_S, WORKERS, StormStack

WEIGHTS = {  # how often each, among all
    "kill_api": 18, "kill_worker": 22, "kill_redis": 16, "kill_postgres": 5, "kill_backend": 2,
    "flush_redis": 2, "flush_redis_file": 1, "freeze_worker": 5, "freeze_api": 2, "freeze_postgres": 2,
    "freeze_redis": 2, "store_away": 2, "store_full": 2, "store_read_only": 2, "ledger_clock_step": 2,
    "duplicate_nudges": 4, "month_end": 1,
}  # fmt: skip
_PAUSE_S = (0.05, 0.5)
_ACKS_BETWEEN = 70  # maximum number of acknowledgements between faults: permanent outage proves little …
_LULL_S_MAX = 4.0  # … and a stack that does not recover must be hit again
_STORE_AWAY_S = (0.5, 2.5)
_SILENCE_S = (1.0, 6.0)  # how long Postgres or Redis is frozen
_LEDGER_STEP_S = 60  # of its clock, at most, either way
_NUDGES = 30
_BRIEF = "-c statement_timeout=2s"
PROCESS_KILLS = ("kill_api", "kill_worker", "kill_redis", "flush_redis_file")
FLUSHES = ("flush_redis", "flush_redis_file")


class Faults:
    """Causes a fault when `tend` is called, if one is due; `counts` has those that succeeded, in all runs."""

    def __init__(
        self,
        stack: StormStack,
        processes: Processes,
        history: History,
        counts: Mapping[str, int],
        only: Sequence[str] = (),
    ) -> None:
        self.counts = Counter(counts)
        self._stack = stack
        self._processes = processes
        self._history = history
        self._next_at = self._lull_until = 0.0
        self._next_acks = 0
        self._store_back_at = 0.0
        self.left_out = left_out()
        self._names = [name for name in only or WEIGHTS if name not in self.left_out]
        self._tried: Counter[str] = Counter()
        self._acts: dict[str, Callable[[], bool]] = {
            "kill_api": lambda: self._kill(*APIS),
            "kill_worker": lambda: self._kill(*WORKERS),
            "kill_redis": lambda: self._kill("valkey"),
            "kill_postgres": lambda: self._kill("postgres"),
            "kill_backend": self._kill_backend,
            "flush_redis": self._flush_redis,
            "flush_redis_file": self._flush_redis_file,
            # Past its lease: it resumes as a zombie, with attempts that others hold by then.
            "freeze_worker": lambda: self._freeze(WORKERS, (1.2 * LEASE_S, 2.2 * LEASE_S)),
            "freeze_api": lambda: self._freeze(APIS, (0.5, 2.0)),
            "freeze_postgres": lambda: self._freeze(("postgres",), _SILENCE_S),
            "freeze_redis": lambda: self._freeze(("valkey",), _SILENCE_S),
            "store_away": lambda: self._break_store(stack.take_store_away),
            "store_full": lambda: self._break_store(stack.fill_store),
            "store_read_only": lambda: self._break_store(stack.protect_store),
            "ledger_clock_step": self._ledger_clock_step,
            "duplicate_nudges": self._duplicate_nudges,
            "month_end": self._month_end,
        }

    def tend(self, acks: int) -> None:
        """Repair what is due, and cause a fault if one is due, by time and by acknowledgements since the
        last.
        """
        now = time.monotonic()
        if self._store_back_at and now >= self._store_back_at:
            self._mend_store()
        if now >= self._lull_until or (now >= self._next_at and acks >= self._next_acks):
            self._next_at = now + random.uniform(*_PAUSE_S)
            self._next_acks = acks + random.randrange(_ACKS_BETWEEN)
            self._lull_until = now + _LULL_S_MAX
            self._strike(self._next())

    def end(self) -> None:
        """Undo all faults; the stack must recover from the rest by itself."""
        self._mend_store()
        self._processes.thaw()

    def _next(self) -> str:
        """Random, yet no fault falls far behind its weight: a short storm has some of all."""
        name = min(self._names, key=lambda name: (self._tried[name] + random.random()) / WEIGHTS[name])
        self._tried[name] += 1
        return name

    def _strike(self, name: str) -> None:
        if self._acts[name]():
            self.counts[name] += 1
            self._history.add("fault", name)

    def _kill(self, *names: str) -> bool:
        """Kill one that is up: a death during its start would prove little."""
        up = [name for name in names if self._processes.is_up(name)]
        if up:
            self._processes.kill(random.choice(up))
        return bool(up)

    def _kill_backend(self) -> bool:
        """Kill one connection's process: Postgres itself then ends all others and recovers."""
        statement = (
            "SELECT pid FROM pg_stat_activity WHERE usename = 'codevoice_app' ORDER BY random() LIMIT 1"
        )
        return self._as_owner(statement, lambda row: self._processes.kill_child("postgres", row[0]))

    def _flush_redis(self) -> bool:
        with suppress(redis.RedisError):
            with worker_wakeup.connect(self._stack.addresses.redis_url) as client:
                return bool(client.flushall())
        return False

    def _flush_redis_file(self) -> bool:
        if not self._processes.is_up("valkey"):
            return False
        self._processes.kill("valkey", clean=self._stack.forget_redis)
        return True

    def _freeze(self, names: tuple[str, ...], seconds: tuple[float, float]) -> bool:
        up = [name for name in names if self._processes.is_up(name)]
        if up:
            self._processes.freeze(random.choice(up), random.uniform(*seconds))
        return bool(up)

    def _break_store(self, act: Callable[[], bool]) -> bool:
        if self._store_back_at or not act():
            return False
        self._store_back_at = time.monotonic() + random.uniform(*_STORE_AWAY_S)
        return True

    def _ledger_clock_step(self) -> bool:
        """Step the ledger's clock, within a minute of where its last month's end left it."""
        return self._as_owner(
            "SELECT 1 FROM cv.shift_clock(round(extract(epoch FROM cv.now() - clock_timestamp()) / 86400)"
            " * interval '1 day' + %s * interval '1 second')",
            lambda _: True,
            random.randint(-_LEDGER_STEP_S, _LEDGER_STEP_S),
        )

    def _mend_store(self) -> None:
        self._store_back_at = 0.0
        self._stack.bring_store_back()

    def _duplicate_nudges(self) -> bool:
        with suppress(redis.RedisError):
            broker = worker_wakeup.producer(self._stack.addresses.redis_url)
            for _ in range(_NUDGES):
                worker_wakeup.send_wakeup(broker, ENGINE)
            broker.client.close()
            return True
        return False

    def _month_end(self) -> bool:
        """Advance the ledger's clock by 31 days: always another month."""
        return self._as_owner(
            "SELECT 1 FROM cv.shift_clock(round(extract(epoch FROM cv.now() - clock_timestamp()) / 86400)"
            " * interval '1 day' + interval '31 days')",
            lambda _: True,
        )

    def _as_owner(self, statement: str, then: Callable[[tuple[int, ...]], bool], *values: int) -> bool:
        with suppress(psycopg.Error):
            url = self._stack.addresses.database_owner_url
            with psycopg.connect(url, autocommit=True, connect_timeout=2, options=_BRIEF) as connection:
                row = connection.execute(statement.encode(), values or None).fetchone()
                return row is not None and then(row)
        return False


def left_out() -> dict[str, str]:
    """Faults that are impossible on this machine, and what they need."""
    if disks.may_mount():
        return {}
    return dict.fromkeys(("store_full", "store_read_only"), "the right to mount a tmpfs")
