"""Three voices, eight texts each, all queued before the worker starts: a real queue, worker and model."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import asyncpg
import pytest
import requests
import torch
from msgspec import Struct

from db.postgres.pool import Pool
from db.types import NewJob, SpeechParams
from ops.stack.embedded import free_port
from tests.records import Submit, Wallet, new_job, submit, wallet
from workers.xtts.weights import Speaker

__all__ = ["submit", "wallet"]

ROWS = 8
VOICES = ("ann-random", "bob-random", "cy-random")
TEXTS = ("Yes!", "One.", "Two.", "Hold on?", "Hello.", "No.", "Go on.", "Wait.")


class Claim(Struct, frozen=True):
    """What one statement of a worker's took: (voice, number) of each job, the fairest first."""

    jobs: tuple[tuple[str, int], ...]

    @property
    def voices(self) -> set[str]:
        return {voice for voice, _ in self.jobs}


@pytest.fixture
def weights(checkpoint: Path, speakers: dict[str, Speaker], tmp_path: Path) -> Path:
    """The tiny checkpoint with a third voice."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("config.json", "model.pth", "vocab.json"):
        (folder / name).symlink_to(checkpoint / name)
    ann, bob = speakers.values()
    cy = Speaker(ann.latents.flip(1), bob.embedding)
    known = {"Ann Random": ann, "Bob Random": bob, "Cy Random": cy}
    torch.save(
        {n: {"gpt_cond_latent": s.latents, "speaker_embedding": s.embedding} for n, s in known.items()},
        folder / "speakers_xtts.pth",
    )
    return folder


@contextmanager
def working(environ: dict[str, str], log: Path) -> Generator[None]:
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "workers"], env=environ, stderr=stderr)
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(30)


def ordered(owner: object) -> list[NewJob]:
    """The voices' texts by turns: the first of each, then the second …"""
    return [
        new_job(
            owner,
            engine="xtts",
            lane=voice,
            params=SpeechParams(text=text, voice=voice, language="en", speed=2.0),
        )
        for text in TEXTS
        for voice in VOICES
    ]


async def claims(pool: Pool) -> list[Claim]:
    """In order of time. A claim stamps its jobs with its one moment."""
    found: list[asyncpg.Record] = await pool.fetch(
        "SELECT lane, started_at, row_number() OVER (PARTITION BY lane ORDER BY fair_at) AS number"
        " FROM cv.job ORDER BY started_at, fair_at"
    )
    return [
        Claim(tuple((row["lane"], row["number"]) for row in rows))
        for _, rows in groupby(found, key=lambda row: row["started_at"])
    ]


async def all_completed(pool: Pool, jobs: int) -> None:
    async with asyncio.timeout(120):
        while await pool.fetchval("SELECT count(*) FROM cv.job WHERE state = 'completed'") < jobs:
            await asyncio.sleep(0.05)


def metrics(port: int) -> dict[str, float]:
    samples = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in samples.splitlines())
        if name.startswith("codevoice_batch_")
    }


@pytest.mark.timeout(300)  # a worker that loads torch, and real sound, on cores that others may use too
async def test_a_voices_jobs_are_claimed_together_and_no_voice_starves(
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    redis_url: str,
    weights: Path,
    tmp_path: Path,
) -> None:
    port = free_port()
    sent = await submit(*ordered(await wallet()))
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database[1],
        "REDIS_URL": redis_url,
        "CODEVOICE_OBJECTS": (tmp_path / "objects").as_uri(),
        "CODEVOICE_ENGINE": "xtts",
        "CODEVOICE_XTTS_WEIGHTS": str(weights),
        "CODEVOICE_XTTS_ROWS": str(ROWS),
        "CODEVOICE_XTTS_LICENCE": "non-commercial",
        "CODEVOICE_METRICS_PORT": str(port),
        "COQUI_TOS_AGREED": "1",
        "OMP_NUM_THREADS": "1",
    }
    with working(environ, tmp_path / "worker.log"):
        await all_completed(pool, len(sent))
        samples = metrics(port)
    taken = await claims(pool)

    # A voice together: the idle worker's first claim is all of one voice, and fills its rows.
    assert taken[0].jobs == tuple((VOICES[0], number) for number in range(1, ROWS + 1))
    assert_only_a_voice_that_is_used_up_lets_others_in(taken)
    assert_the_fairest_job_is_always_next(taken)
    assert await pool.fetchval("SELECT count(*) FROM cv.job WHERE attempt = 1") == 24
    assert await pool.fetch("SELECT * FROM cv.recon") == []

    batches = samples['codevoice_batch_size_count{engine="xtts"}']
    assert samples['codevoice_batch_voices_count{engine="xtts"}'] == batches
    assert samples['codevoice_batch_size_bucket{engine="xtts",le="8.0"}'] == batches
    assert samples['codevoice_batch_size_bucket{engine="xtts",le="4.0"}'] < batches
    assert samples['codevoice_batch_voices_bucket{engine="xtts",le="1.0"}'] >= 1
    assert samples['codevoice_batch_voices_bucket{engine="xtts",le="3.0"}'] == batches


def assert_only_a_voice_that_is_used_up_lets_others_in(taken: list[Claim]) -> None:
    left = Counter({voice: len(TEXTS) for voice in VOICES})
    before: set[str] = set()
    for claim in taken:
        if len(claim.voices) > 1:  # what fills up the rows that a voice left
            assert not any(left[voice] for voice in before)
        left.subtract(voice for voice, _ in claim.jobs)
        before = claim.voices


def assert_the_fairest_job_is_always_next(taken: list[Claim]) -> None:
    """Whichever job waits longest is in the next claim, so that nothing waits for a voice to be used up."""
    queue = [(voice, number) for number in range(1, len(TEXTS) + 1) for voice in VOICES]
    for claim in taken:
        assert claim.jobs[0] == queue[0]
        for job in claim.jobs:
            queue.remove(job)
    assert queue == []
