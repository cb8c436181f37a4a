"""Many rows in one decoding loop: they join while others run, step together, and leave when they stop.

Living rows always have the first places of every tensor; a row that leaves is replaced by the last. A step
changes tensors at fixed addresses and reads nothing else, so it can be a CUDA graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.xtts.graphs import Capture, CudaCapture, Graphs
from workers.xtts.prefix import Voice, add_texts
from workers.xtts.sample import Sampling, noise_of, pick
from workers.xtts.transformer import forward, logits, new_cache
from workers.xtts.weights import Gpt

_QUIRK = 1  # upstream's prefix ids are all 1, so that audio token 1 is penalised from the start


@dataclass(eq=False, slots=True)
class Row:
    """One piece of text being decoded. `ended`: by a stop token; else it may reach its cap."""

    text: Sequence[int]
    voice: Voice
    cap: int  # tokens
    seed: int = 0
    tokens: list[int] = field(default_factory=list[int])
    ended: bool = False
    place: int = -1
    slots: int = 0  # used in the cache

    @property
    def over(self) -> bool:
        return self.ended or len(self.tokens) >= self.cap


class _State:
    """The tensors that a step reads and changes. [rows, …]"""

    def __init__(self, gpt: Gpt, rows: int) -> None:
        steps, tokens, device = gpt.audio_tokens_max, len(gpt.audio_embedding), gpt.device
        self.alive = torch.zeros(rows, dtype=torch.long, device=device)  # 1; or 0: the place is free
        self.token = torch.zeros_like(self.alive)
        self.step = torch.zeros_like(self.alive)
        self.slots = torch.zeros_like(self.alive)
        self.seen = torch.zeros(rows, tokens, dtype=torch.bool, device=device)
        self.noise = torch.ones(rows, steps, tokens, device=device)
        self.latents = torch.zeros(rows, steps, gpt.width, device=device, dtype=gpt.dtype)


class Decoder:
    """For one thread; at most `rows_max` rows at once. `capture`: for its steps; on a GPU, CUDA's."""

    @torch.inference_mode()
    def __init__(self, gpt: Gpt, *, rows_max: int, how: Sampling, capture: Capture | None = None) -> None:
        self.gpt = gpt
        self.rows_max = rows_max
        self.rows: list[Row] = []
        self._how = how
        self._slots = 32 + gpt.text_tokens_max + 2 + gpt.audio_tokens_max
        self._slots += -self._slots % 16  # kernels prefer it aligned
        self._cache = new_cache(gpt, rows_max, self._slots)
        self._state = _State(gpt, rows_max)
        self._places = torch.arange(rows_max, device=gpt.device)
        if capture is None and gpt.device.type == "cuda":
            capture = CudaCapture()
        self._graphs = Graphs(self._run, rows_max, self._slots, capture) if capture else None

    @property
    def room(self) -> int:
        """The number of rows that may join."""
        return self.rows_max - len(self.rows)

    @torch.inference_mode()
    def join(self, rows: Sequence[Row]) -> None:
        """Include the rows from the next step on."""
        first = len(self.rows)
        places = slice(first, first + len(rows))
        assert places.stop <= self.rows_max
        taken = add_texts(
            self.gpt, self._cache[:, :, places], [row.text for row in rows], [row.voice for row in rows]
        )
        state, tokens = self._state, len(self.gpt.audio_embedding)
        for row, place, slots in zip(rows, range(first, places.stop), taken, strict=True):
            row.place, row.slots = place, slots
            state.slots[place] = slots
            if self._how.temperature:
                state.noise[place, : row.cap] = noise_of(row.seed, row.cap, tokens, self.gpt.device)
        state.alive[places], state.step[places], state.token[places] = 1, 0, self.gpt.start_audio
        state.seen[places] = False
        state.seen[places, self.gpt.start_audio] = state.seen[places, _QUIRK] = True
        self.rows += rows

    @torch.inference_mode()
    def step(self) -> None:
        """Decode one more token for every row. Rows that are `over` must leave before the next."""
        count, span = len(self.rows), 1 + max(row.slots for row in self.rows)
        if self._graphs:
            self._graphs.run(count, span)
        else:
            self._run(count, span)
        for row, token in zip(self.rows, self._state.token[:count].tolist(), strict=True):
            row.tokens.append(token)
            row.slots += 1
            row.ended = token == self.gpt.stop_audio

    @torch.inference_mode()
    def latents(self, row: Row, first: int = 0) -> Tensor:
        """The row's latents from number `first` on, in fp32; a copy."""
        return self._state.latents[row.place, first : len(row.tokens)].to(torch.float32, copy=True)

    @torch.inference_mode()
    def leave(self, row: Row) -> None:
        """Free the row's place, at its end or before."""
        last = self.rows.pop()
        self._state.alive[last.place] = 0
        for tensor in (self._state.token, self._state.step, self._state.slots):
            tensor[last.place] = 0
        if last is not row:
            self._move(last, row.place)
            self.rows[row.place] = last

    def _move(self, row: Row, place: int) -> None:
        """Move the row to a place whose row has left."""
        state, old = self._state, row.place
        self._cache[:, :, place, :, : row.slots] = self._cache[:, :, old, :, : row.slots]
        state.latents[place, : len(row.tokens)] = state.latents[old, : len(row.tokens)]
        state.noise[place] = state.noise[old]
        state.seen[place] = state.seen[old]
        state.token[place] = row.tokens[-1] if row.tokens else self.gpt.start_audio
        state.step[place], state.slots[place] = len(row.tokens), row.slots
        row.place = place

    def _run(self, count: int, span: int) -> None:
        """The step itself, on tensors only. Free places among the first `count` stay unchanged."""
        gpt, state, places = self.gpt, self._state, self._places[:count]
        token, step, slots = state.token[:count], state.step[:count], state.slots[:count]

        def put(kept: Tensor, new: Tensor) -> None:
            kept[places, :, slots] = new[:, :, 0]

        hidden = torch.arange(span, device=gpt.device) > slots[:, None]
        mask = torch.zeros(count, span, device=gpt.device, dtype=gpt.dtype).masked_fill(hidden, -torch.inf)
        x = gpt.audio_embedding[token] + gpt.audio_positions[step]
        latents = forward(gpt, x[:, None], self._cache[:, :, :count], put, mask[:, None, None])[:, 0]
        state.latents[places, step] = latents
        seen, alive = state.seen[:count], state.alive[:count]
        token.copy_(pick(logits(gpt, latents), seen, state.noise[places, step], self._how))
        seen.scatter_(1, token[:, None], True)
        token.mul_(alive)
        step.add_(alive)
        slots.add_(alive)
