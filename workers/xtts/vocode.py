"""From latents to sound, many rows at once and in parts, sample for sample equal to each row alone and whole.

A sample depends on frames no farther away than `CONTEXT` (256 samples each). A part is therefore made with
that many more frames at either side, which are cut off again; and if rows of a batch differ in length,
everything past a row's end is zeroed after every layer, as the padding of a convolution would be.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.xtts.hifigan import forward, generator_of

CONTEXT = 16  # frames; `hifigan.reach` computes how many are needed
FRAME = 256  # samples of sound


@dataclass(frozen=True, slots=True)
class Part:
    """Frames `start` to `stop` of a row's sound are wanted. `latents` [n, width]: the row's from `first` on,
    all there are so far; if `stop` is the row's end, all there will be.
    """

    latents: Tensor
    embedding: Tensor  # [1, 512, 1]
    start: int
    stop: int
    first: int = 0
    speed: float = 1.0


class Vocoder:
    """XTTS's vocoder. `batched`: whether rows together are faster than one by one."""

    def __init__(self, model: Any, *, device: torch.device, batched: bool) -> None:
        decoder = model.hifigan_decoder
        self._device = device
        self.batched = batched
        self._stretch = (
            decoder.ar_mel_length_compression / decoder.output_hop_length,
            decoder.output_sample_rate / decoder.input_sample_rate,
        )
        assert decoder.output_hop_length == FRAME
        self.net = generator_of(decoder.waveform_decoder, device=device)

    def frames(self, latents: int, speed: float = 1.0) -> int:
        """The number of frames of a whole row with that many latents."""
        for scale in self._scales(speed):
            latents = math.floor(latents * scale)
        return latents

    def ready(self, latents: int, speed: float = 1.0) -> int:
        """The number of frames that the first latents of an unfinished row determine."""
        if speed != 1.0:
            latents = math.floor((latents - 1) / speed) - 1
        return max(0, math.floor((latents - 1) * math.prod(self._stretch)) - CONTEXT)

    def needed(self, start: int, speed: float = 1.0) -> int:
        """The first latent that frames from `start` on depend on."""
        earlier = (start - CONTEXT) / math.prod(self._scales(speed))
        return max(0, math.floor(earlier) - 3)

    @torch.inference_mode()
    def waves(self, parts: Sequence[Part]) -> list[Tensor]:
        """The samples [(stop - start) * 256] of each part, fp32, on the CPU."""
        if not self.batched:
            return [self._alone(part) for part in parts]
        made: dict[int, Tensor] = {}
        for group in _alike([part.stop - part.start for part in parts]):
            made |= zip(group, self._together([parts[n] for n in group]), strict=True)
        return [made[n] for n in range(len(parts))]

    def _alone(self, part: Part) -> Tensor:
        wave = forward(self.net, self._input(part)[None], part.embedding)
        return _cut(wave[0], part).cpu()

    def _together(self, parts: Sequence[Part]) -> list[Tensor]:
        inputs = [self._input(part).T for part in parts]
        frames = torch.tensor([len(each) for each in inputs], device=self._device)
        x = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True).transpose(1, 2)
        waves = forward(self.net, x, torch.cat([part.embedding for part in parts]), frames)
        return [_cut(wave, part).cpu() for wave, part in zip(waves, parts, strict=True)]

    def _input(self, part: Part) -> Tensor:
        """[width, frames]: the part's frames with their context, interpolated between the latents."""
        start = max(0, part.start - CONTEXT)
        total = self.frames(part.first + len(part.latents), part.speed)
        frames = torch.arange(start, min(total, part.stop + CONTEXT), device=part.latents.device)
        return _between(part.latents, part.first, frames, self._scales(part.speed)).T

    def _scales(self, speed: float) -> tuple[float, ...]:
        return self._stretch if speed == 1.0 else (1.0 / speed, *self._stretch)


def _alike(frames: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of rows in groups, so that padding never doubles the work."""
    group: list[int] = []
    for n in sorted(range(len(frames)), key=lambda n: frames[n]):
        if group and frames[n] + 2 * CONTEXT > 2 * (frames[group[0]] + 2 * CONTEXT):
            yield group
            group = []
        group.append(n)
    yield group


def _cut(wave: Tensor, part: Part) -> Tensor:
    start = min(part.start, CONTEXT) * FRAME
    return wave[start : start + (part.stop - part.start) * FRAME]


def _between(latents: Tensor, first: int, at: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Values [len(at), width] at places `at` after linear interpolations by `scales`, one after the other.

    The arithmetic of `F.interpolate`, also in fp32, without computing other places.
    """
    if not scales:
        return latents[at - first]
    *before, scale = scales
    count = first + len(latents)
    for earlier in before:
        count = math.floor(count * earlier)
    place = ((at + 0.5) * (1.0 / scale) - 0.5).clamp(min=0)
    left = place.long()
    share = (place - left)[:, None]
    right = (left + 1).clamp(max=count - 1)
    known = _between(latents, first, torch.cat([left, right]), tuple(before))
    return known[: len(at)] * (1 - share) + known[len(at) :] * share
