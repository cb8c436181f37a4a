"""The XTTS engine: natural voices in many languages, decoded side by side on a GPU (or, slowly, on a CPU).

This module implements the engine protocol only: it maps utterances and errors to the model and back. The
model, its loop and its threads are in `workers/xtts`; see docs/xtts.md.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog
import torch
from msgspec import Struct

from db.settings import SettingsError, read
from db.types import Capabilities
from workers.engines.protocol import DeviceLost, Interrupted, Refused, Synthesis, Utterance
from workers.engines.xtts.xtts_voices import voices
from workers.xtts.decode import Decoder
from workers.xtts.loop import SAMPLE_RATE_HZ, Loop
from workers.xtts.sample import Sampling
from workers.xtts.script import Broken, Lost, Script
from workers.xtts.text import Texts, Unreadable
from workers.xtts.vocode import Vocoder
from workers.xtts.weights import NoWeights, gpt_of, load, speakers_of

log = structlog.get_logger()
CHARACTERS_MAX = 100_000
_ROWS_GPU, _ROWS_CPU = 32, 8
_COST_US_PER_CHARACTER = {"cuda": 500, "cpu": 50_000}  # assumed: about 15 characters a second of audio


class XttsSettings(Struct, frozen=True, kw_only=True):
    """The engine's settings, from the environment."""

    xtts_weights: str  # the folder
    xtts_rows: int = 0  # pieces of text decoded at once; 0: 32 on a GPU, 8 on a CPU
    device: str = "cpu"


def from_environment(environ: Mapping[str, str] = os.environ) -> "XttsEngine":
    """The engine with this process's settings and device. Raises SettingsError, DeviceLost."""
    settings = read(XttsSettings, environ)
    device = "cpu" if settings.device == "cpu" else "cuda:0"  # of the devices this process sees, the only one
    try:
        return XttsEngine(Path(settings.xtts_weights), device=device, rows=settings.xtts_rows)
    except NoWeights as error:
        raise SettingsError(f"CODEVOICE_XTTS_WEIGHTS: {error}") from None
    except (torch.AcceleratorError, torch.OutOfMemoryError) as error:
        raise DeviceLost(type(error).__name__) from error


class XttsEngine:
    """Speaks many utterances, of any voices, in one batch."""

    mixed_lanes = True  # each row has its own voice
    batched = True  # rows of one step share its cost

    def __init__(
        self, weights: Path, *, device: str = "cpu", rows: int = 0, sampling: Sampling | None = None
    ) -> None:
        self._device = torch.device(device)
        is_gpu = self._device.type == "cuda"
        model = load(weights)
        gpt = gpt_of(model, device=self._device, dtype=torch.bfloat16 if is_gpu else torch.float32)
        vocoder = Vocoder(model, device=self._device, batched=is_gpu)
        speakers = speakers_of(model)
        self._texts = Texts(
            model.tokenizer, text_tokens_max=gpt.text_tokens_max, audio_tokens_max=gpt.audio_tokens_max
        )
        del model  # the GPU has copies
        self.slots = rows or (_ROWS_GPU if is_gpu else _ROWS_CPU)
        known = voices(speakers, self._texts.languages())
        self._speakers = {voice.id: speaker for speaker, voice in known.items()}
        self.capabilities = Capabilities(
            engine="xtts",
            kind="speech",
            voices=tuple(known.values()),
            sample_rate_hz=SAMPLE_RATE_HZ,
            formats=("wav",),
            characters_max=CHARACTERS_MAX,
            cost_us_per_character=_COST_US_PER_CHARACTER[self._device.type],
            speed_min=0.5,
            speed_max=2.0,
        )
        decoder = Decoder(gpt, rows_max=self.slots, how=sampling or Sampling())
        self._loop = Loop(decoder, vocoder, speakers, report=_log)

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """See `Engine.begin`."""
        return [_XttsSpeech(self._loop, self._texts, u, self._speakers[u.voice]) for u in batch]

    def close(self) -> None:
        """See `Engine.close`."""
        self._loop.close()

    def device_bytes(self) -> int:
        """The device memory that this process holds."""
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0


class _XttsSpeech:
    """One utterance. The thread that iterates it tokenizes its text: `begin` must not wait for that."""

    def __init__(self, loop: Loop, texts: Texts, utterance: Utterance, speaker: str) -> None:
        self._loop = loop
        self._texts = texts
        self._utterance = utterance
        self._speaker = speaker
        self._lock = threading.Lock()  # guards `_script` and `_closed`
        self._script: Script | None = None
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        script = self._written()
        with self._lock:
            if self._closed:
                raise Interrupted("closed")
            self._script = script
        self._loop.speak(script)
        try:
            yield from script
        except Lost as error:
            raise DeviceLost(str(error)) from error
        except Broken as error:
            raise Interrupted(str(error)) from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._script:
                self._script.close()

    def _written(self) -> Script:
        utterance = self._utterance
        try:
            pieces = self._texts.pieces(utterance.text, utterance.language, self._speaker)
        except Unreadable as error:
            raise Refused("text_not_readable") from error
        if not pieces:
            raise Refused("nothing_to_say")
        return Script(
            pieces, self._speaker, speed=utterance.speed, live=utterance.live, owner=utterance.owner
        )


def _log(event: str, fields: dict[str, object]) -> None:
    log.warning(event, **fields)
