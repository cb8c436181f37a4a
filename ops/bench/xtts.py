"""How fast and how exact our XTTS is beside upstream's, on random weights of the real size.

`python ops/bench/xtts.py --json` needs nothing but torch, coqui-tts and what they import; `codevoice bench
xtts` is the same. Everything is measured in turns in one run; of several turns the fastest counts, which the
machine's other work disturbed least. Figures:

rows, rows_equal_upstream      texts decoded in one batch, greedy, fp32; how many had upstream's very tokens
wave_max_diff                  the largest difference of their samples, full scale being 1
rows_equal_alone               sampled rows whose result in a batch equals the one alone
rows_equal_without_graphs      … equals that of steps padded for CUDA graphs but run without (CPU: unpadded)
rows_equal_upstream_bf16       on a GPU: of the rows, in the precision used there in production
decode_tokens_s_N              tokens a second of the decoding step at N rows; decode_ratio_N: to one row
decode_floor_share_N           on a GPU: of the speed its memory allows: weights and cache read once a step
bandwidth_gb_s                 on a GPU: the memory's, by copying, in this run
upstream_audio_s_s             seconds of audio a second, Xtts.inference, text after text
audio_s_s_N, audio_ratio_N     the same of ours with N texts at once; to upstream's
first_audio_ms_idle, _busy     until the first sound of a text of 100 characters; busy: half the rows taken
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # this checkout, installed or not

import torch

from workers.xtts.checkpoint import FULL, TINY, Size, make
from workers.xtts.decode import Decoder, Row
from workers.xtts.graphs import Capture
from workers.xtts.loop import SAMPLE_RATE_HZ, Loop
from workers.xtts.prefix import Voice, voice_of
from workers.xtts.sample import GREEDY, Sampling
from workers.xtts.script import Piece, Script
from workers.xtts.vocode import Part, Vocoder
from workers.xtts.weights import Gpt, gpt_of, load, speakers_of

Figures = dict[str, float]
SECONDS = 900.0  # after which no new turn begins
TEXTS = (
    "Hello world.",
    "The quick brown fox jumps over a lazy dog while seven wizards mix jars of quartz.",
    "Please hold the line; your audio file will be ready in a minute.",
    "One two three.",
    "Numbers, dates and names: one two three four five six.",
    "Yes!",
    "A plain test of the voice queue, nothing more than that, and then some words to make it long enough.",
    "Hold on?",
)
_CAPS = (12, 16, 14, 9, 13, 7, 16, 5)  # tokens: lengths are forced, as random weights never stop
_HUNDRED = TEXTS[6]
_STEP_ROWS = (1, 2, 4, 8, 16, 32)
_TEXT_ROWS = (1, 8, 16, 32)


def xtts(*, size: Size = FULL, seconds: float = SECONDS) -> Figures:
    """All figures. Two cores need some ten minutes and 7 GB of memory."""
    began = time.monotonic()
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    _say(f"random weights are made, {size.layers} layers of {size.width}")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), size, stops=False)
        model = load(Path(folder)).to(device)
    return {**measured(model, device, seconds=seconds), "took_s": time.monotonic() - began}


def measured(model: Any, device: torch.device, *, seconds: float) -> Figures:
    """All figures of a model that is loaded on `device`."""
    bench = _Bench(model, device, began=time.monotonic(), seconds=seconds)
    gpt = model.args
    shape = {"layers": float(gpt.gpt_layers), "width": float(gpt.gpt_n_model_channels)}
    figures: Figures = {"gpu": float(device.type == "cuda"), **shape}
    for measure in (bench.parity, bench.steps, bench.texts):
        figures |= measure()
    return figures


class _Bench:
    """A model, as upstream runs it and as we run it."""

    def __init__(self, model: Any, device: torch.device, *, began: float, seconds: float) -> None:
        self._model = model
        self._device = device
        self._began = began
        self._seconds = seconds
        self._is_gpu = device.type == "cuda"
        self._exact = gpt_of(model, device=device, dtype=torch.float32)
        self._gpt = gpt_of(model, device=device, dtype=torch.bfloat16) if self._is_gpu else self._exact
        self._is_full = len(self._gpt.blocks) > TINY.layers
        self._vocoder = Vocoder(model, device=device, batched=self._is_gpu)
        self._speaker = next(iter(speakers_of(model).values()))
        self._ids = [self._read(text) for text in TEXTS]

    def parity(self) -> Figures:
        """Our decoding against upstream's, and against our own without a batch."""
        _say("eight texts, by upstream and by us")
        torch.backends.cudnn.allow_tf32 = False  # else neither vocoder would compute in fp32
        upstream = [self._upstream(n) for n in range(len(TEXTS))]
        rows, waves = self._batch(self._exact)
        figures: Figures = {
            "rows": len(rows),
            "rows_equal_upstream": _equal(rows, [tokens for tokens, _ in upstream]),
            "wave_max_diff": max(_apart(a, b) for a, (_, b) in zip(waves, upstream, strict=True)),
            **self._sampled(),
        }
        torch.backends.cudnn.allow_tf32 = True  # torch's default
        if self._is_gpu:
            rows, _ = self._batch(self._gpt)
            figures["rows_equal_upstream_bf16"] = _equal(rows, [tokens for tokens, _ in upstream])
        return figures

    def steps(self) -> Figures:
        """The decoding step alone, in turns over all numbers of rows."""
        _say("the decoding step")
        decoders = {count: self._busy(count) for count in _STEP_ROWS}
        turns, a_turn = (40, 10) if self._is_gpu else (12, 1)
        took: dict[int, list[float]] = {count: [] for count in decoders}
        for turn in range(turns):
            if turn > 5 and self._late(0.5):
                break
            for count, decoder in decoders.items():
                with self._timed(took[count]):
                    for _ in range(a_turn):
                        decoder.step()
        speeds = {count: count * a_turn / min(times[1:]) for count, times in took.items()}
        figures: Figures = {f"decode_tokens_s_{count}": speed for count, speed in speeds.items()}
        figures |= {f"decode_ratio_{count}": speed / speeds[1] for count, speed in speeds.items()}
        figures |= {
            f"decode_ratio_median_{n}": n * median(took[1][1:]) / median(took[n][1:]) for n in (8, 16)
        }
        if self._is_gpu:
            figures |= self._floors(decoders, speeds)
        return figures

    def texts(self) -> Figures:
        """Whole texts: upstream's one by one, ours many at once; and the time to the first sound."""
        tokens = 4 if not self._is_full else 200 if self._is_gpu else 24
        upstream: list[float] = []
        ours: dict[int, list[float]] = {count: [] for count in _TEXT_ROWS}
        idle: list[float] = []
        busy: list[float] = []
        loop = self._loop()
        for turn in range(5 if self._is_gpu else 3):
            if turn and self._late(1.0):
                break
            _say(f"whole texts, turn {turn + 1}")
            upstream.append(self._upstream_speed(tokens, texts=2))
            for count in _TEXT_ROWS:
                ours[count].append(self._speed(loop, count, tokens))
            idle.append(self._first_audio_ms(loop, beside=0))
            busy.append(self._first_audio_ms(loop, beside=16 if self._is_gpu else 4))
        loop.close()
        figures: Figures = {"upstream_audio_s_s": max(upstream), "turns": len(upstream)}
        figures |= {f"audio_s_s_{count}": max(speeds) for count, speeds in ours.items()}
        figures |= {f"audio_ratio_{n}": max(speeds) / max(upstream) for n, speeds in ours.items()}
        return {**figures, "first_audio_ms_idle": min(idle), "first_audio_ms_busy": min(busy)}

    # Upstream

    def _upstream(self, number: int, cap: int = 0) -> tuple[list[int], torch.Tensor]:
        """(tokens, wave) of one text, by `Xtts.inference`."""
        kept: list[torch.Tensor] = []
        generate = self._model.gpt.generate

        def keeping(**given: Any) -> torch.Tensor:
            kept.append(generate(**given))
            return kept[0]

        self._model.gpt.max_gen_mel_tokens = cap or _CAPS[number]
        self._model.gpt.generate = keeping
        try:
            wave = self._model.inference(
                TEXTS[number], "en", self._speaker.latents, self._speaker.embedding, do_sample=False
            )["wav"]
        finally:
            del self._model.gpt.generate
        return kept[0][0].tolist(), torch.from_numpy(wave)

    def _upstream_speed(self, tokens: int, *, texts: int) -> float:
        took: list[float] = []
        samples = 0
        with self._timed(took):
            for number in range(texts):
                samples += len(self._upstream(number + 1, tokens)[1])
        return samples / SAMPLE_RATE_HZ / took[0]

    # Ours

    def _read(self, text: str) -> list[int]:
        return self._model.tokenizer.encode(text.strip().lower(), lang="en")

    def _voice(self, gpt: Gpt) -> Voice:
        return voice_of(gpt, self._speaker.latents, self._speaker.embedding)

    def _batch(self, gpt: Gpt) -> tuple[list[Row], list[torch.Tensor]]:
        voice = self._voice(gpt)
        rows = [Row(ids, voice, cap) for ids, cap in zip(self._ids, _CAPS, strict=True)]
        latents = _decoded(gpt, rows, GREEDY)
        parts = [Part(each, voice.embedding, 0, self._vocoder.frames(len(each))) for each in latents]
        vocoder = Vocoder(self._model, device=self._device, batched=True)
        return rows, vocoder.waves(parts)

    def _sampled(self) -> Figures:
        """Rows decoded together, against the same alone, and in steps that are padded and not captured."""
        voice = self._voice(self._exact)
        rows = [Row(ids, voice, 6 + n, seed=n) for n, ids in enumerate(self._ids)]
        alone, bare = ([Row(row.text, voice, row.cap, row.seed) for row in rows] for _ in range(2))
        _decoded(self._exact, rows, Sampling())
        for row in alone:
            _decoded(self._exact, [row], Sampling())
        _decoded(self._exact, bare, Sampling(), capture=lambda work: work)
        return {
            "rows_equal_alone": _equal(rows, [row.tokens for row in alone]),
            "rows_equal_without_graphs": _equal(rows, [row.tokens for row in bare]),
        }

    def _busy(self, count: int) -> Decoder:
        decoder = Decoder(self._gpt, rows_max=count, how=Sampling())
        voice = self._voice(self._gpt)
        decoder.join([Row(self._ids[1], voice, self._gpt.audio_tokens_max, seed) for seed in range(count)])
        return decoder

    def _floors(self, decoders: dict[int, Decoder], speeds: dict[int, float]) -> Figures:
        bandwidth = _bandwidth()
        shares: Figures = {"bandwidth_gb_s": bandwidth / 1e9}
        for count, decoder in decoders.items():
            slots = sum(row.slots for row in decoder.rows)
            cache = slots * len(self._gpt.blocks) * 2 * self._gpt.width * self._gpt.head.weight.itemsize
            floor_s = (self._gpt.step_bytes + cache) / bandwidth
            shares[f"decode_floor_share_{count}"] = floor_s * speeds[count] / count
        return shares

    def _loop(self) -> Loop:
        decoder = Decoder(self._gpt, rows_max=32, how=Sampling())
        return Loop(decoder, self._vocoder, {"bench": self._speaker}, tries=1)

    def _script(self, number: int, tokens: int, *, live: bool = False) -> Script:
        ids = self._ids[number % len(TEXTS)]
        return Script([Piece(tuple(ids), tokens, seed=number)], "bench", live=live)

    def _speed(self, loop: Loop, count: int, tokens: int) -> float:
        scripts = [self._script(n + 1, tokens) for n in range(count)]
        took: list[float] = []
        with self._timed(took):
            for script in scripts:
                loop.speak(script)
            audio_bytes = sum(len(pcm) for script in scripts for pcm in script)
        return audio_bytes / 2 / SAMPLE_RATE_HZ / took[0]

    def _first_audio_ms(self, loop: Loop, *, beside: int) -> float:
        # Tiny weights decode so quickly that whole rows' vocoding would dominate the wait.
        tokens = self._gpt.audio_tokens_max if self._is_full else 40
        others = [self._script(n, tokens) for n in range(beside)]
        for other in others:
            loop.speak(other)
        if others:
            time.sleep(3.0 if self._is_full and not self._is_gpu else 0.2)  # their texts are prefilled
        script = Script([Piece(tuple(self._read(_HUNDRED)), 60, seed=7)], "bench", live=True)
        began = time.perf_counter()
        loop.speak(script)
        next(iter(script))
        took = time.perf_counter() - began
        for each in (script, *others):
            each.close()
        return 1000 * took

    # Time

    def _late(self, share: float) -> bool:
        """Whether this share of the time is over."""
        return time.monotonic() - self._began > share * self._seconds

    @contextmanager
    def _timed(self, into: list[float]) -> Generator[None]:
        if self._is_gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        yield
        if self._is_gpu:
            torch.cuda.synchronize()
        into.append(time.perf_counter() - began)


def _decoded(
    gpt: Gpt, rows: Sequence[Row], how: Sampling, capture: Capture | None = None
) -> list[torch.Tensor]:
    """Decode rows together; returns the latents of each."""
    decoder = Decoder(gpt, rows_max=len(rows), how=how, capture=capture)
    decoder.join(rows)
    made: dict[int, torch.Tensor] = {}
    while decoder.rows:
        decoder.step()
        for row in [row for row in decoder.rows if row.over]:
            made[id(row)] = decoder.latents(row)
            decoder.leave(row)
    return [made[id(row)] for row in rows]


def _say(line: str) -> None:
    print(f"bench xtts: {line}", file=sys.stderr, flush=True)


def _equal(rows: Sequence[Row], wanted: Sequence[list[int]]) -> float:
    return sum(row.tokens == tokens for row, tokens in zip(rows, wanted, strict=True))


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max()) if a.shape == b.shape else float("inf")


def _bandwidth() -> float:
    """Bytes per second that the GPU's memory moves."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        best = max(best, 2 * source.nbytes / (time.perf_counter() - began))
    return best


def main() -> None:
    """Run without the rest of CodeVoice."""
    options = argparse.ArgumentParser(description="XTTS on random weights: ours against upstream's.")
    options.add_argument("--json", action="store_true", help="one JSON object")
    options.add_argument("--size", choices=["full", "tiny"], default="full", help="of the random weights")
    options.add_argument("--seconds", type=float, default=SECONDS, help="after which no more turns begin")
    given = options.parse_args()
    figures = xtts(size=TINY if given.size == "tiny" else FULL, seconds=given.seconds)
    if given.json:
        print(json.dumps({"bench": "xtts", "weights": "random weights", "figures": figures}))
    else:
        print("random weights", *(f"{name} {value:g}" for name, value in figures.items()), sep="\n")


if __name__ == "__main__":
    main()
