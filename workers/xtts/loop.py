"""The XTTS loop: one thread decodes, one makes sound; texts arrive, run side by side and leave.

decode: closed texts' rows leave → waiting pieces join → one step → latents ready for the vocoder go on
sound: takes all that waits, at most `SOUND_TOGETHER` parts → waves → PCM → each to its text
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from workers.xtts.decode import Decoder, Row
from workers.xtts.prefix import Voice, voice_of
from workers.xtts.script import Broken, Lost, Script
from workers.xtts.vocode import Part, Vocoder
from workers.xtts.weights import Speaker

SAMPLE_RATE_HZ = 24_000
SOUND_TOGETHER = 16  # parts per batch of the vocoder
JOIN_TOGETHER = 8  # rows whose texts are prefilled at once, while the others wait
AHEAD_BYTES_MAX = 16 << 20  # a text whose reader is this far behind gets no new rows
_FIRST_LATENTS, _MOST_LATENTS = 8, 64  # of a live row, per vocoder call: early at first, then rarely
_FADE = 120  # samples, 5 ms: a cut end must not click
_LOST = (torch.AcceleratorError, torch.OutOfMemoryError)

Report = Callable[[str, dict[str, object]], None]


@dataclass(eq=False, slots=True)
class _Line:
    """A row and what it speaks."""

    row: Row
    script: Script
    piece: int
    tries: int
    sounded: int = 0  # frames
    chunk: int = _FIRST_LATENTS


@dataclass(frozen=True, slots=True)
class _Sound:
    """Work for the vocoder."""

    script: Script
    piece: int
    part: Part
    last: bool
    made: Any  # torch.cuda.Event: the latents are there


class Loop:
    """Speaks scripts. `tries`: how often a piece may reach its cap before the result is accepted anyway."""

    def __init__(
        self,
        decoder: Decoder,
        vocoder: Vocoder,
        speakers: Mapping[str, Speaker],
        *,
        tries: int = 2,
        report: Report = lambda _event, _fields: None,
    ) -> None:
        self._decoder = decoder
        self._vocoder = vocoder
        self._speakers = speakers
        self._tries = tries
        self._report = report
        self._voices: dict[str, Voice] = {}
        self._lines: list[_Line] = []
        self._scripts: list[Script] = []
        self._come: queue.SimpleQueue[Script | None] = queue.SimpleQueue()
        self._sounds: queue.SimpleQueue[_Sound | None] = queue.SimpleQueue()
        self._closing = False
        self._lost: Lost | None = None
        self._lock = threading.Lock()  # guards only arrival and closing
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("decode", self._decode), ("sound", self._sound))
        ]
        for thread in self._threads:
            thread.start()

    def speak(self, script: Script) -> None:
        """Start speaking `script` beside those that run; its iteration yields the audio."""
        with self._lock:
            if self._closing or self._lost:
                script.fail(self._lost or Broken("closed"))
            else:
                self._come.put(script)

    def close(self) -> None:
        """Stop everything; idempotent. Waits for the step and the sound under way: ending the process while a
        thread is inside torch would crash it.
        """
        with self._lock:
            self._closing = True
            self._come.put(None)
        for thread in self._threads:
            thread.join()

    # The decoding thread

    def _decode(self) -> None:
        with _own_stream(self._decoder.gpt.device, priority=-1):
            while not self._closing and not self._lost:
                try:
                    self._beat()
                except _LOST as error:
                    self._lose(error)
                except Exception as error:
                    self._report("xtts_failed", {"error": type(error).__name__})
                    self._break_off(Broken(type(error).__name__))
        self._break_off(self._lost or Broken("closed"))
        self._sounds.put(None)

    def _beat(self) -> None:
        self._welcome()
        for line in [line for line in self._lines if line.script.dead]:
            self._end(line)
        self._scripts = [s for s in self._scripts if not s.dead and (s.waiting or s.running)]
        self._join()
        if self._lines:
            self._decoder.step()
            for line in list(self._lines):
                self._advance(line)

    def _welcome(self) -> None:
        """Take the scripts that arrived; wait if there is nothing else to do."""
        idle = not self._lines and not self._able()
        while True:
            try:  # a text that is there but not able has a reader far behind
                script = self._come.get(block=idle, timeout=0.02 if self._scripts else None)
            except queue.Empty:
                return
            if script is None:
                return
            self._scripts.append(script)
            idle = False

    def _join(self) -> None:
        lines = [self._line(*chosen) for chosen in self._chosen(min(self._decoder.room, JOIN_TOGETHER))]
        if lines:
            self._decoder.join([line.row for line in lines])
            self._lines += lines

    def _chosen(self, most: int) -> Generator[tuple[Script, int, int]]:
        """(text, piece, try) to join: of the account with the fewest rows, its text with the fewest; of
        those, the oldest.
        """
        rows = Counter(line.script.owner for line in self._lines)
        for _ in range(most):
            able = self._able()
            if not able:
                return
            script = min(able, key=lambda s: (rows[s.owner], s.running))
            script.running += 1
            rows[script.owner] += 1
            yield script, *script.waiting.popleft()

    def _able(self) -> list[Script]:
        return [s for s in self._scripts if s.waiting and not s.dead and s.ahead_bytes < AHEAD_BYTES_MAX]

    def _line(self, script: Script, number: int, tries: int) -> _Line:
        piece = script.pieces[number]
        cap = min(piece.cap, self._decoder.gpt.audio_tokens_max)
        row = Row(piece.text, self._voice(script.voice), cap, piece.seed + tries - 1)
        return _Line(row, script, number, tries)

    def _voice(self, name: str) -> Voice:
        if name not in self._voices:
            speaker = self._speakers[name]
            self._voices[name] = voice_of(self._decoder.gpt, speaker.latents, speaker.embedding)
        return self._voices[name]

    def _advance(self, line: _Line) -> None:
        """After a step: pass sound on if there is enough; end the row if it is over."""
        row, script = line.row, line.script
        if not row.over:
            if script.live:
                self._pass_on_early(line)
            return
        if not row.ended and self._may_try_again(line):
            script.waiting.appendleft((line.piece, line.tries + 1))
        else:
            frames = self._vocoder.frames(len(row.tokens), script.speed)
            self._pass_on(line, frames, last=True)
        self._end(line)

    def _may_try_again(self, line: _Line) -> bool:
        """A row at its cap has most likely lost track of the text."""
        again = line.tries < self._tries and not line.sounded
        if self._tries > 1:
            self._report("xtts_runaway", {"tokens": len(line.row.tokens), "again": again})
        return again

    def _pass_on_early(self, line: _Line) -> None:
        speed = line.script.speed
        ready = self._vocoder.ready(len(line.row.tokens), speed)
        if ready - line.sounded >= self._vocoder.frames(line.chunk, speed):
            line.chunk = min(2 * line.chunk, _MOST_LATENTS)
            self._pass_on(line, ready, last=False)

    def _pass_on(self, line: _Line, stop: int, *, last: bool) -> None:
        speed = line.script.speed
        first = self._vocoder.needed(line.sounded, speed)
        latents = self._decoder.latents(line.row, first)
        part = Part(latents, line.row.voice.embedding, line.sounded, stop, first, speed)
        made = torch.cuda.current_stream().record_event() if latents.is_cuda else None
        self._sounds.put(_Sound(line.script, line.piece, part, last, made))
        line.sounded = stop

    def _end(self, line: _Line) -> None:
        self._decoder.leave(line.row)
        self._lines.remove(line)
        line.script.running -= 1

    def _break_off(self, error: Broken) -> None:
        """Fail everything that runs or waits."""
        with self._lock:
            while not self._come.empty():
                if script := self._come.get():
                    self._scripts.append(script)
        for script in [*self._scripts, *(line.script for line in self._lines)]:
            script.fail(error)
        self._scripts, self._lines = [], []
        for row in list(self._decoder.rows) if not self._lost else ():
            self._decoder.leave(row)

    def _lose(self, error: Exception) -> None:
        with self._lock:
            self._lost = self._lost or Lost(type(error).__name__)
        self._report("xtts_device_lost", {"error": type(error).__name__})
        self._come.put(None)  # wakes the decoding thread, if the call came from the other one

    # The sounding thread

    def _sound(self) -> None:
        with _own_stream(self._decoder.gpt.device, priority=0):
            while sounds := self._taken():
                try:
                    self._give(sounds)
                except Exception as error:
                    if isinstance(error, _LOST):
                        self._lose(error)
                    self._report("xtts_failed", {"error": type(error).__name__})
                    for sound in sounds:
                        sound.script.fail(self._lost or Broken(type(error).__name__))

    def _taken(self) -> list[_Sound]:
        """The waiting parts, at least one; empty: the end."""
        sounds: list[_Sound] = []
        most = SOUND_TOGETHER if self._vocoder.batched else 1
        while len(sounds) < most and not (sounds and self._sounds.empty()):
            sound = self._sounds.get()
            if sound is None:
                self._sounds.put(None)
                return sounds
            if self._closing:
                sound.script.fail(Broken("closed"))
            if not sound.script.dead:
                sounds.append(sound)
        return sounds

    def _give(self, sounds: list[_Sound]) -> None:
        for sound in sounds:
            if sound.made:
                torch.cuda.current_stream().wait_event(sound.made)
        waves = self._vocoder.waves([sound.part for sound in sounds])
        for sound, wave in zip(sounds, waves, strict=True):
            sound.script.give(sound.piece, pcm(wave, last=sound.last), last=sound.last)


def pcm(wave: torch.Tensor, *, last: bool = False) -> bytes:
    """Signed 16-bit little-endian samples; the last ones of a row fade out."""
    if last:
        fade = min(_FADE, len(wave))
        wave = torch.cat([wave[: len(wave) - fade], wave[len(wave) - fade :] * torch.linspace(1, 0, fade)])
    return (wave.clamp(-1, 1) * 32767).round().to(torch.int16).numpy().tobytes()


@contextmanager
def _own_stream(device: torch.device, *, priority: int) -> Generator[None]:
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize(device)  # the loading thread's work is complete
    with torch.cuda.stream(torch.cuda.Stream(device, priority=priority)):
        yield
