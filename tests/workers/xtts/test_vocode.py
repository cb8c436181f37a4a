"""Sound made in parts, in batches and at other speeds is the sound of the whole."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from workers.xtts.hifigan import reach
from workers.xtts.vocode import CONTEXT, FRAME, Part, Vocoder
from workers.xtts.weights import Speaker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vocoder(model: Any) -> Vocoder:
    return Vocoder(model, device=CPU, batched=False)


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(23, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def ann(speakers: dict[str, Speaker]) -> torch.Tensor:
    return speakers["Ann Random"].embedding


def test_the_context_covers_all_a_sample_depends_on(vocoder: Vocoder) -> None:
    assert reach(vocoder.net) <= CONTEXT


@pytest.mark.parametrize("speed", [0.7, 1.0, 2.0])
def test_at_any_speed_the_wave_is_upstreams_and_its_parts_join_without_a_seam(
    model: Any, vocoder: Vocoder, latents: torch.Tensor, ann: torch.Tensor, speed: float
) -> None:
    stretched = latents.T[None]
    if speed != 1.0:
        stretched = F.interpolate(stretched, scale_factor=1 / speed, mode="linear")
    with torch.inference_mode():
        wanted = model.hifigan_decoder(stretched.transpose(1, 2), g=ann).flatten()
    frames, parts, sent = vocoder.frames(len(latents), speed), [], 0
    for known in range(1, len(latents) + 1):
        stop = frames if known == len(latents) else vocoder.ready(known, speed)
        if stop - sent >= 25 or stop == frames:
            first = vocoder.needed(sent, speed)
            parts.append(Part(latents[first:known], ann, sent, stop, first, speed))
            sent = stop
    got = torch.cat([wave for part in parts for wave in vocoder.waves([part])])
    assert len(parts) >= (2 if speed < 2 else 1)
    assert len(got) == len(wanted) == frames * FRAME
    assert float((got - wanted).abs().max()) < 1e-6


def test_rows_of_unlike_lengths_sound_together_as_alone(
    model: Any, vocoder: Vocoder, latents: torch.Tensor, ann: torch.Tensor
) -> None:
    parts = [Part(latents[:n], ann, 0, vocoder.frames(n)) for n in (9, 2, 7, 6)]
    together = Vocoder(model, device=CPU, batched=True).waves(parts)
    alone = vocoder.waves(parts)
    assert [len(wave) for wave in together] == [len(wave) for wave in alone]
    assert max(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True)) < 1e-6
