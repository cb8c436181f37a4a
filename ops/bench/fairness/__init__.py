"""Whether other accounts' long jobs delay a short one, and what sharing costs, in a stack of its own.

For each embedded speech engine, in seconds:
idle_first_sound_s_ENGINE   a short text's first sound while nothing else is spoken, the median
short_job_p95_s_ENGINE      the same beside others' long jobs, the 95th percentile: the worst of four parts.
                            These are 2 x slots jobs of 19,200 characters, of prose, then of digits at half
                            speed, by as many accounts, then by one
short_file_p95_s_ENGINE     in the same parts, a short job by POST /v1/tts, until it is completed
throughput_ratio_ENGINE     how long jobs of one account alone took ÷ how long the same jobs took, each of an
                            account of its own, so that they take turns; the median of rounds
"""

import statistics
import time
from collections.abc import Iterator, Sequence

import psycopg
import rich_click as click
from msgspec import Struct

from ops.bench import BenchError, Figures, fund, percentile
from ops.bench.fairness.crowd import Crowd
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import Poster, engines_ready
from ops.bench.listeners.texts import long_text
from ops.bench.speech import finished_at
from ops.bench.voices.speaking import speak
from ops.stack.running import Stack
from workers.engines.espeak import engine as espeak
from workers.engines.hibari import engine as hibari
from workers.engines.kokoro import engine as kokoro

CHARACTERS = 19_200
_DIGITS = "99999999999 " * (CHARACTERS // 12)
_SHORT = "Hello there."
_FILE_S_MAX = 120
_AT_WORK = 0.75  # of the slots: some engines reserve a quarter for jobs with a listener


class Case(Struct, frozen=True, kw_only=True):
    """One engine: its voice, its load beside the short jobs, and the work that measures its speed."""

    engine: str
    called: str  # a voice of it, by the callers' name
    voice: str  # the same, by the engine's id
    slots: int
    cost_us: int  # per character, as expected
    shorts: int = 20
    works: int  # jobs of `work_characters`
    work_characters: int
    rounds: int = 3


def _cases() -> dict[str, Case]:
    return {
        case.engine: case
        for case in (
            Case(
                engine="espeak",
                called="espeak-ryan",
                voice="ryan",
                slots=espeak.slots_here(),
                cost_us=espeak.COST_US_PER_CHARACTER,
                works=2 * espeak.slots_here(),
                work_characters=CHARACTERS,
            ),
            Case(
                engine="hibari",
                called="heart",
                voice="heart",
                slots=hibari.SLOTS,
                cost_us=hibari.COST_US_PER_CHARACTER,
                works=16,
                work_characters=2_000,
            ),
            Case(
                engine="kokoro",
                called="af_heart",
                voice="af_heart",
                slots=kokoro.Kokoro.slots,
                cost_us=kokoro.COST_US_PER_CHARACTER,
                shorts=10,
                works=4,
                work_characters=400,
                rounds=1,
            ),
        )
    }


def fairness(*, engines: str = "espeak,hibari,kokoro") -> Figures:
    """Run all. Raises BenchError if a job fails or an engine is missing."""
    figures: Figures = {}
    cases = [_cases()[engine] for engine in engines.split(",")]
    with own_stack(engines=engines) as stack:
        engines_ready(stack, engines.split(","))
        fund(stack, credits=100_000)
        for case in cases:
            part = _of_one(stack, case)
            click.echo("\n".join(f"{name} {value:g}" for name, value in part.items()), err=True)
            figures |= part
    return figures


def _of_one(stack: Stack, case: Case) -> Figures:
    crowd = Crowd(stack=stack, engine=case.engine, voice=case.voice, cost_us=case.cost_us)
    speak(stack, "This one is not counted.", case.called)
    idle_s = statistics.median(_first_sound_s(stack, case) for _ in range(case.shorts))
    parts = list(_beside_long_jobs(stack, case, crowd))
    crowd.took_s(_prose(1, characters=400), accounts=1)  # cancelled work has left the engine
    ratio = statistics.median(_ratio(case, crowd, number) for number in range(case.rounds))
    return {
        f"idle_first_sound_s_{case.engine}": idle_s,
        f"short_job_p95_s_{case.engine}": max(sound_s for sound_s, _ in parts),
        f"short_file_p95_s_{case.engine}": max(file_s for _, file_s in parts),
        f"throughput_ratio_{case.engine}": ratio,
    }


def _beside_long_jobs(stack: Stack, case: Case, crowd: Crowd) -> Iterator[tuple[float, float]]:
    """For each part the 95th percentiles of first sounds and of whole short jobs."""
    for accounts in (2 * case.slots, 1):
        for speed, texts in ((1.0, _prose(2 * case.slots)), (0.5, [_DIGITS] * (2 * case.slots))):
            with crowd.queued(texts, accounts=accounts, speed=speed, at_work=_AT_WORK * case.slots):
                sounds_s = [_first_sound_s(stack, case) for _ in range(case.shorts)]
                files_s = [_file_s(stack, case) for _ in range(case.shorts)]
            figures = percentile(sounds_s, 95), percentile(files_s, 95)
            click.echo(f"{case.engine}, {accounts} accounts, speed {speed}: %.3f %.3f" % figures, err=True)
            yield figures


def _ratio(case: Case, crowd: Crowd, number: int) -> float:
    texts = _prose(case.works, characters=case.work_characters)
    orders = (1, case.works) if number % 2 else (case.works, 1)
    took_s = {accounts: crowd.took_s(texts, accounts=accounts) for accounts in orders}
    return took_s[1] / took_s[case.works]


def _prose(jobs: int, *, characters: int = CHARACTERS) -> Sequence[str]:
    return [long_text(number, characters=characters) for number in range(jobs)]


def _first_sound_s(stack: Stack, case: Case) -> float:
    spoken = speak(stack, _SHORT, case.called)
    if spoken.engine not in ("", case.engine):
        raise BenchError(f"{case.called} was spoken by {spoken.engine}, not by {case.engine}")
    return spoken.first_sound_s


def _file_s(stack: Stack, case: Case) -> float:
    with Poster(stack) as poster, psycopg.connect(stack.database_url, autocommit=True) as connection:
        sent_at = time.time()
        return finished_at(connection, poster.post(_SHORT, case.called), within_s=_FILE_S_MAX) - sent_at
