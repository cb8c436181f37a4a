"""`codevoice check xtts`: tests your own weights on this machine: exactness, speed, intelligibility."""

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from ops.command_errors import failing_on

if TYPE_CHECKING:
    from workers.engines.transcriber import Transcriber
    from workers.engines.xtts.engine import XttsEngine

_SENTENCES = (
    "The quick brown fox jumps over a lazy dog.",
    "Please hold the line; your audio file will be ready in a minute.",
    "The train to the north leaves from the second platform this evening.",
    "We had fresh bread and butter by the open window.",
)


@click.command()
@click.option("--weights", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--recogniser", type=click.Choice(["none", "pocketsphinx", "whisper"]), default="none")
@click.option("--voice", help="The voice to use; by default the first one.")
@click.option("--seconds", default=600.0, help="Time limit, after which no new turn is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def xtts(weights: Path, recogniser: str, voice: str | None, seconds: float, as_json: bool) -> None:
    """Compare our decoding of XTTS with upstream's on your WEIGHTS: whether the tokens are equal, and the
    speed.

    With a recogniser, also the share of words that it recognises wrongly in our engine's speech. The exit
    status is 1 if tokens differ that must be equal, or if the weights' licence was not agreed to.
    """
    import os

    from db.settings import SettingsError
    from workers.process import licence
    from workers.xtts.weights import NoWeights

    with failing_on(NoWeights, SettingsError):
        declared = os.environ.get("CODEVOICE_XTTS_LICENCE", "")
        licence.require("xtts", declared=declared, environ=os.environ)
        figures = _measured(weights, seconds)
        if recogniser != "none":
            figures["word_error_rate"] = _word_error_rate(weights, recogniser, voice)
    if as_json:
        click.echo(json.dumps({"check": "xtts", "weights": str(weights), "figures": figures}))
    else:
        click.echo("\n".join(f"{name} {value:g}" for name, value in figures.items()))
    if figures["rows_equal_upstream"] < figures["rows"]:
        raise SystemExit(1)


def _measured(weights: Path, seconds: float) -> dict[str, float]:
    import torch

    from ops.bench.xtts import measured
    from workers.xtts.weights import load

    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    return measured(load(weights).to(device), device, seconds=seconds)


def _word_error_rate(weights: Path, recogniser: str, voice: str | None) -> float:
    import os

    import torch

    from db.settings import read
    from ops.bench.voices.words import word_error_rate, word_errors
    from workers.engines.registry import TRANSCRIBERS
    from workers.engines.xtts.engine import XttsEngine
    from workers.settings import WorkerSettings

    settings = read(WorkerSettings, {**os.environ, "CODEVOICE_ENGINE": recogniser})
    engine = XttsEngine(weights, device="cuda:0" if torch.cuda.is_available() else "cpu")
    transcriber = TRANSCRIBERS[recogniser](settings)
    try:
        pairs = [(said, _transcribed(transcriber, _spoken(engine, said, voice))) for said in _SENTENCES]
    finally:
        transcriber.close()
        engine.close()
    return word_error_rate([word_errors([_words(said)], _words(written)) for said, written in pairs])


def _spoken(engine: "XttsEngine", text: str, voice: str | None) -> bytes:
    from uuid import uuid4

    from workers.engines.protocol import Utterance

    chosen = voice or engine.capabilities.voices[0].id
    [speech] = engine.begin([Utterance(job_id=uuid4(), text=text, voice=chosen, language="en")])
    return b"".join(speech)


def _transcribed(transcriber: "Transcriber", pcm: bytes) -> str:
    import numpy
    import soxr

    from workers.engines.transcriber import TranscriptionOptions
    from workers.xtts.loop import SAMPLE_RATE_HZ

    at_16_khz = soxr.resample(numpy.frombuffer(pcm, "<i2"), SAMPLE_RATE_HZ, 16_000)
    language = next(tag for tag in transcriber.capabilities.languages if tag.startswith("en"))
    recognition = transcriber.transcribe(
        memoryview(at_16_khz.tobytes()), TranscriptionOptions(language=language), threading.Event()
    )
    return " ".join(segment.text for segment in recognition.segments)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
