"""The fair queue of pieces: which job's piece is spoken next, and its audio until the reader takes it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from uuid import UUID

import structlog

from workers.engines.neural.model import Piece
from workers.engines.protocol import NOBODY, Interrupted, Refused
from workers.engines.shares import Shares

log = structlog.get_logger()
UNREAD_BYTES_MAX = 4 << 20  # of one job; beyond it, the queue waits for the job's reader
URGENT_S = 0.5  # a live job with less audio buffered comes even before those without any sound yet
AHEAD_S = 10.0  # a job with more is in no hurry
LEAD_S = 0.5  # of a child's time: an account ahead of another by this much waits for it
SHORT_CHARACTERS_MAX = 300  # of a job that takes a piece or two
_PACE = 0.2  # weight of a new measurement in the expected time per character
_CHARACTER_S = 0.065  # of audio, about: the estimate for a piece under way
_SAMPLE_BYTES = 2
_NO_HURRY = 3  # in a job's order: smaller values are live jobs


class Work:
    """One piece of a job, from when a child gets it until its audio is read. The queue owns its fields."""

    def __init__(self, queue: "Queue", job: "Job", piece: Piece) -> None:
        self.piece = piece
        self.job = job
        self.given_bytes = 0  # to the job, whichever child they came from
        self._queue = queue
        self.frames: deque[bytes] = deque()
        self.is_done = False
        self.began_at = 0.0
        self.expected_s = 0.0  # of a child's time, charged in advance
        self.end_child: Callable[[], None] | None = None  # called once the piece is no longer wanted

    def give(self, pcm: bytes) -> bool:
        """Pass audio to the reader; False if the piece is no longer wanted."""
        return self._queue.give(self, pcm)

    def finish(self) -> None:
        """Report the piece complete."""
        self._queue.finish(self)

    def fail(self, error: Refused | Interrupted) -> None:
        """End the job with this error, after the audio it was given."""
        self._queue.fail(self.job, error)


class Job:
    """One utterance. Iterating yields its audio in order. The queue owns its fields."""

    def __init__(
        self, queue: "Queue", pieces: Iterator[Piece], *, live: bool, owner: UUID, is_short: bool, number: int
    ) -> None:
        self.pieces = pieces
        self.live = live
        self.owner = owner
        self.is_short = is_short
        self.engine_s = 0.0  # what its pieces took
        self.number = number  # in order of arrival
        self.works: deque[Work] = deque()  # in the text's order, the unread ones
        self.busy = 0  # works that a child has, or that are being fetched
        self.is_fetching = False
        self.ahead: Piece | None = None  # fetched before its turn
        self.is_exhausted = False  # no piece is left to fetch
        self.is_over = False  # closed, or failed
        self.error: Refused | Interrupted | None = None
        self.made_bytes = 0
        self.unread_bytes = 0
        self.first_at: float | None = None  # when the first audio was made
        self.ready = threading.Condition(queue.lock)
        self._queue = queue

    def __iter__(self) -> Iterator[bytes]:
        return self._queue.audio(self)

    def close(self) -> None:
        """Cancel it; from any thread."""
        self._queue.close_job(self, Interrupted("closed"))


class Queue:
    """Pieces of many jobs for a few children. Thread-safe.

    First come live jobs whose listener's buffer is about to run empty: a job without any sound may wait, but
    audio that plays must not stop. Then comes the first piece of each live job, in order of arrival; then
    live jobs, by whose buffer runs empty soonest; then all others, short ones first, then those given least.
    Among live jobs, and among the others, an account that has had more of the children's time than another
    one comes after it, with a tolerance of `LEAD_S`, within which the order is as above. `files_at_once`:
    children that jobs that are not live may use.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        files_at_once: int,
        unread_bytes_max: int = UNREAD_BYTES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Lock()
        self._second_bytes = sample_rate_hz * _SAMPLE_BYTES
        self._files_at_once = files_at_once
        self._unread_bytes_max = unread_bytes_max
        self._now = now
        self._shares = Shares()
        self._character_s = 0.0  # of a child's time, as measured
        self._work_there = threading.Condition(self.lock)
        self._jobs: list[Job] = []
        self._number = 0
        self.is_closed = False

    def add(
        self, pieces: Iterator[Piece], *, live: bool, owner: UUID = NOBODY, is_short: bool = False
    ) -> Job:
        """Add a job. `pieces` is advanced by one thread at a time, as its turn comes."""
        with self.lock:
            self._number += 1
            job = Job(self, pieces, live=live, owner=owner, is_short=is_short, number=self._number)
            if self.is_closed:
                self._end(job, Interrupted("closed"))
            else:
                self._jobs.append(job)
                self._shares.join(owner)
                self._work_there.notify()
            return job

    def take(self, wait_s: float | None = None) -> Work | None:
        """The next piece for a child; None when the queue is closed, or nothing has come for `wait_s`."""
        while (job := self._next_job(wait_s)) is not None:
            piece = job.ahead or self._fetched(job)
            job.ahead = None
            if (work := self._begun(job, piece)) is not None:
                return work
        return None

    def close(self) -> None:
        """End all jobs, including later ones."""
        with self.lock:
            self.is_closed = True
            for job in list(self._jobs):
                self._end(job, Interrupted("closed"))
            self._work_there.notify_all()

    def give(self, work: Work, pcm: bytes) -> bool:
        """See `Work.give`."""
        with self.lock:
            job = work.job
            if job.is_over:
                return False
            if job.first_at is None:
                job.first_at = self._now()
            work.frames.append(pcm)
            work.given_bytes += len(pcm)
            job.made_bytes += len(pcm)
            job.unread_bytes += len(pcm)
            job.ready.notify()
            return True

    def finish(self, work: Work) -> None:
        """See `Work.finish`. Fetches the job's next piece: its reader must learn whether there is one."""
        job = work.job
        with self.lock:
            work.is_done = True
            job.busy -= 1
            self._charge(work)
            job.ready.notify()
            self._work_there.notify()
            if job.is_exhausted or job.is_fetching or job.ahead is not None:
                return
            job.is_fetching = True
        piece = self._fetched(job)
        with self.lock:
            self._note(job, piece)
            job.ahead = piece

    def fail(self, job: Job, error: Refused | Interrupted) -> None:
        """See `Work.fail`."""
        with self.lock:
            self._end(job, error)

    def close_job(self, job: Job, error: Interrupted) -> None:
        """See `Job.close`."""
        with self.lock:
            self._end(job, error)
            job.works.clear()

    def audio(self, job: Job) -> Iterator[bytes]:
        """A job's audio to its end. Raises the error it ended with."""
        while (pcm := self._next_audio(job)) is not None:
            yield pcm

    def _next_audio(self, job: Job) -> bytes | None:
        with self.lock:
            while True:
                while job.works and job.works[0].is_done and not job.works[0].frames:
                    job.works.popleft()
                if job.works and job.works[0].frames:
                    return self._read(job, job.works[0].frames.popleft())
                if job.error is not None:
                    raise job.error
                if job.is_exhausted and not job.works and job.ahead is None:
                    self._forget(job)
                    return None
                job.ready.wait()

    def _read(self, job: Job, pcm: bytes) -> bytes:
        was_full = job.unread_bytes > self._unread_bytes_max
        job.unread_bytes -= len(pcm)
        if was_full and job.unread_bytes <= self._unread_bytes_max:
            self._work_there.notify()
        return pcm

    def _next_job(self, wait_s: float | None) -> Job | None:
        """The job whose turn it is, marked so that no other thread advances its pieces."""
        with self.lock:
            while not self.is_closed:
                now = self._now()
                files_busy = sum(job.busy for job in self._jobs if not job.live)
                open_to_files = files_busy < self._files_at_once
                waiting = [job for job in self._jobs if (job.live or open_to_files) and self._is_open(job)]
                if waiting:
                    at_work = {job.owner for job in self._jobs if job.busy}
                    least_s = self._shares.least_s({job.owner for job in waiting}, at_work)
                    job = min(waiting, key=lambda job: self._rank(job, now, least_s))
                    job.is_fetching = True
                    job.busy += 1
                    return job
                if not self._work_there.wait(wait_s) and wait_s is not None:
                    return None
            return None

    def _is_open(self, job: Job) -> bool:
        is_full = job.unread_bytes > self._unread_bytes_max
        has_more = job.ahead is not None or not job.is_exhausted
        return has_more and not job.is_fetching and not is_full

    def _rank(self, job: Job, now: float, least_s: float) -> tuple[bool, float, int, float, int]:
        """The smallest is next."""
        order = self._order(job, now)
        ahead_s = self._shares.had_s(job.owner) - least_s
        return order[0] >= _NO_HURRY, ahead_s if ahead_s > LEAD_S else 0.0, *order

    def _order(self, job: Job, now: float) -> tuple[int, float, int]:
        """As `_rank`, among the jobs of one account."""
        made_s = (job.made_bytes + self._expected_bytes(job)) / self._second_bytes
        if job.live:
            if not job.made_bytes and not job.busy:
                return 1, 0.0, job.number
            runs_dry_at = (now if job.first_at is None else job.first_at) + made_s
            if runs_dry_at - now < AHEAD_S:
                return 0 if runs_dry_at - now < URGENT_S else 2, runs_dry_at, job.number
        return _NO_HURRY if job.is_short and not job.live else _NO_HURRY + 1, made_s, job.number

    def _expected_bytes(self, job: Job) -> float:
        """The bytes expected from works under way."""
        expected_s = sum(
            len(work.piece.text) * _CHARACTER_S / work.piece.speed for work in job.works if not work.is_done
        )
        given = sum(work.given_bytes for work in job.works if not work.is_done)
        return max(0.0, expected_s * self._second_bytes - given)

    def _fetched(self, job: Job) -> Piece | None:
        """The job's next piece; may be slow (phonemes). The caller has marked the job as fetching."""
        try:
            return next(job.pieces, None)
        except (Refused, Interrupted) as error:
            self.fail(job, error)
        except Exception:  # a bug of ours that one text triggers
            log.exception("pieces_failed")
            self.fail(job, Interrupted("pieces"))
        return None

    def _begun(self, job: Job, piece: Piece | None) -> Work | None:
        with self.lock:
            self._note(job, piece)
            if piece is None or job.is_over:
                job.busy -= 1
                return None
            work = Work(self, job, piece)
            work.began_at = self._now()
            work.expected_s = self._character_s * len(piece.text)
            self._shares.charge(job.owner, work.expected_s)
            job.works.append(work)
            return work

    def _charge(self, work: Work) -> None:
        took_s = self._now() - work.began_at
        work.job.engine_s += took_s
        self._shares.charge(work.job.owner, took_s - work.expected_s)
        measured_s = took_s / max(1, len(work.piece.text))
        self._character_s += _PACE * (measured_s - self._character_s)

    def _note(self, job: Job, piece: Piece | None) -> None:
        """Store the piece fetched for a job; other threads may use the job again."""
        job.is_fetching = False
        job.is_exhausted = job.is_exhausted or piece is None
        job.ready.notify()
        self._work_there.notify()

    def _end(self, job: Job, error: Refused | Interrupted) -> None:
        if job.is_over:
            return
        job.is_over = job.is_exhausted = True
        job.error = error
        for work in job.works:
            if work.end_child is not None and not work.is_done:
                work.end_child()
        self._forget(job)
        job.ready.notify_all()

    def _forget(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            self._shares.leave(job.owner)
        self._work_there.notify()
