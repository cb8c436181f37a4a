"""What precedes the audio: a voice's latents, computed once, then each row's text."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.xtts.transformer import forward, new_cache
from workers.xtts.weights import Gpt


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as the decoder and the vocoder need it."""

    cache: Tensor  # [layers, 2, 1, heads, latents, 64]: its keys and values
    embedding: Tensor  # [1, 512, 1], fp32

    @property
    def slots(self) -> int:
        return self.cache.shape[4]


@torch.inference_mode()
def voice_of(gpt: Gpt, latents: Tensor, embedding: Tensor) -> Voice:
    """Run the voice's latents through the blocks; every row of the voice starts from a copy."""
    slots = latents.shape[1]
    cache = new_cache(gpt, 1, slots)
    x = latents.to(device=gpt.device, dtype=gpt.dtype)

    def put(kept: Tensor, new: Tensor) -> None:
        kept.copy_(new)

    forward(gpt, x, cache, put, causal(gpt, slots, slots))
    return Voice(cache, embedding.to(device=gpt.device, dtype=torch.float32))


@torch.inference_mode()
def add_texts(gpt: Gpt, cache: Tensor, texts: Sequence[Sequence[int]], voices: Sequence[Voice]) -> list[int]:
    """Fill `cache` [layers, 2, rows, heads, slots, 64] with each row's voice and text; returns the slots each
    took.

    Shorter texts are padded on the right: nothing before it sees the padding, and decoding overwrites it.
    """
    before = voices[0].slots
    for row, voice in enumerate(voices):
        cache[:, :, row, :, :before] = voice.cache[:, :, 0]
    framed = [[gpt.start_text, *text, gpt.stop_text] for text in texts]
    longest = max(map(len, framed))
    ids = [text + [gpt.stop_text] * (longest - len(text)) for text in framed]
    x = gpt.text_embedding[torch.tensor(ids, device=gpt.device)] + gpt.text_positions[:longest]

    def put(kept: Tensor, new: Tensor) -> None:
        kept[:, :, before : before + longest] = new

    forward(gpt, x, cache, put, causal(gpt, longest, before + longest))
    return [before + len(text) for text in framed]


def causal(gpt: Gpt, tokens: int, slots: int) -> Tensor:
    """[1, 1, tokens, slots]: the last token sees all slots, the one before it one less, and so on."""
    hidden = torch.ones(tokens, slots, dtype=torch.bool, device=gpt.device).triu(slots - tokens + 1)
    mask = torch.zeros(tokens, slots, dtype=gpt.dtype, device=gpt.device)
    return mask.masked_fill(hidden, -torch.inf)[None, None]
