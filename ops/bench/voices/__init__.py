"""How the voices sound to machines, and what they cost; in a stack of the benchmark's own, over HTTP.

Each voice speaks 24 English texts, one after the other. A figure's name begins with the voice's:

…_wer_percent         words that Whisper base gets wrong, of the texts as written or as spoken, the better
…_distillmos, _dnsmos, _dnsmos_p808      quality from 1 to 5, by three models, the mean of all texts
…_lufs                loudness by ITU-R BS.1770, the median text's
…_silence_before_ms, _silence_after_ms   the median text's
…_clicks              texts' ends, of 48, where the sound begins or stops within a sample
…_pitch_hz            the median of all voiced frames, by YIN
…_realtime_factor     seconds from request to last byte ÷ seconds of audio, of all texts
…_cpu_factor          the engine's CPU seconds ÷ seconds of audio: hardly changed by what else runs
…_first_sound_ms      from request to first byte of audio, the median of texts
…_engine_pss_mib      memory of the engine's processes just after it spoke

Scores are those of models, none of them made for synthetic speech. Nobody listened.
"""

import re
import statistics
from collections.abc import Sequence

import rich_click as click
from msgspec import Struct

from ops.bench import Figures, fund
from ops.bench.harness.cpu import family_s, worker_of
from ops.bench.harness.memory import family_pss_mib
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import engines_ready, ready
from ops.bench.voices.judging import Judges, Verdict
from ops.bench.voices.sound import edges, loudness_lufs, pitch_hz
from ops.bench.voices.speaking import RATE_HZ, Speech, speak
from ops.bench.voices.texts import TEXTS
from ops.bench.voices.words import word_error_rate
from ops.stack.running import Stack

_VOICES = ("Emma", "ryan", "Peter", "James", "alloy", "nova", "onyx", "echo")
_ENGINES = "hibari,espeak,kokoro"
_WARM_UP = "This sentence is not counted."


class _Spoken(Struct, frozen=True):
    """A voice's recordings, one per text."""

    speeches: list[Speech]
    cpu_s: float
    pss_mib: float


def voices(*, chosen: Sequence[str] = (), engines: str = _ENGINES) -> Figures:
    """Measure the voices, by default the names most clients use. Raises BenchError if one cannot speak, or if
    the judges are not installed.
    """
    judges = Judges()
    with own_stack(engines=engines) as stack:
        engines_ready(stack, engines.split(","))
        fund(stack, credits=100_000)
        spoken = {voice: _spoken(stack, voice) for voice in chosen or _VOICES}
    verdicts = _judged(judges, spoken)
    figures: Figures = {}
    for voice, each in spoken.items():
        prefix = re.sub(r"\W+", "_", voice.lower())
        measured = _sound(each.speeches) | _cost(each) | _scores(verdicts[voice])
        figures |= {f"{prefix}_{name}": value for name, value in measured.items()}
    return figures


def _spoken(stack: Stack, voice: str) -> _Spoken:
    """Everything, spoken by a voice that has spoken before, so that its model is loaded."""
    ready(stack, voice)
    engine = speak(stack, _WARM_UP, voice).engine
    click.echo(f"{voice} is spoken by {engine or 'an engine that is not named'}", err=True)
    worker = worker_of(stack.pids["supervisor"], engine)
    before_s = family_s(worker)
    speeches = [speak(stack, text.written, voice) for text in TEXTS]
    return _Spoken(speeches, family_s(worker) - before_s, family_pss_mib(worker))


def _judged(judges: Judges, spoken: dict[str, _Spoken]) -> dict[str, list[Verdict]]:
    """Two names of one voice give the same bytes, which are judged once."""
    pairs = [pair for each in spoken.values() for pair in zip(TEXTS, each.speeches, strict=True)]
    wanted = {speech.pcm: text for text, speech in pairs}
    click.echo(f"judging {len(wanted)} speeches", err=True)
    verdicts = dict(zip(wanted, judges.judge([(text, pcm) for pcm, text in wanted.items()]), strict=True))
    return {voice: [verdicts[speech.pcm] for speech in each.speeches] for voice, each in spoken.items()}


def _sound(speeches: Sequence[Speech]) -> Figures:
    found = [edges(speech.samples, RATE_HZ) for speech in speeches]
    return {
        "lufs": statistics.median(loudness_lufs(speech.samples, RATE_HZ) for speech in speeches),
        "silence_before_ms": statistics.median(each.before_ms for each in found),
        "silence_after_ms": statistics.median(each.after_ms for each in found),
        "clicks": sum(each.clicks for each in found),
        "pitch_hz": pitch_hz([speech.samples for speech in speeches], RATE_HZ),
    }


def _cost(spoken: _Spoken) -> Figures:
    speeches, audio_s = spoken.speeches, sum(each.audio_s for each in spoken.speeches)
    return {
        "realtime_factor": sum(each.seconds for each in speeches) / audio_s,
        "cpu_factor": spoken.cpu_s / audio_s,
        "first_sound_ms": 1000 * statistics.median(each.first_sound_s for each in speeches),
        "engine_pss_mib": spoken.pss_mib,
    }


def _scores(verdicts: Sequence[Verdict]) -> Figures:
    return {
        "wer_percent": 100 * word_error_rate([each.word_errors for each in verdicts]),
        "distillmos": statistics.mean(each.distillmos for each in verdicts),
        "dnsmos": statistics.mean(each.dnsmos for each in verdicts),
        "dnsmos_p808": statistics.mean(each.dnsmos_p808 for each in verdicts),
    }
