"""Decoding and vocoding traced on a fake GPU: no mixed devices, and the host waits only where it must."""

from collections.abc import Generator
from typing import Any

import pytest
import torch

from workers.xtts.decode import Decoder, Row
from workers.xtts.graphs import Work
from workers.xtts.prefix import Voice, voice_of
from workers.xtts.sample import Sampling
from workers.xtts.vocode import Part, Vocoder
from workers.xtts.weights import Gpt, Speaker, gpt_of

from .fake_gpu import GPU, FakeGpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeGpu]:
    # The one thing that needs a GPU of its own: its generator of random numbers.
    monkeypatch.setattr("workers.xtts.decode.noise_of", noise)
    with FakeGpu() as fake:
        yield fake


def noise(seed: int, steps: int, tokens: int, device: torch.device) -> torch.Tensor:
    return torch.ones(steps, tokens, device=device)


def bare(work: Work) -> Work:
    return work


@pytest.fixture
def gpt(gpu: FakeGpu, model: Any) -> Gpt:
    return gpt_of(model, device=GPU, dtype=torch.bfloat16)


@pytest.fixture
def voice(gpu: FakeGpu, gpt: Gpt, speakers: dict[str, Speaker]) -> Voice:
    speaker = next(iter(speakers.values()))
    return voice_of(gpt, gpu.known(speaker.latents), gpu.known(speaker.embedding))


@pytest.fixture
def decoder(gpt: Gpt, voice: Voice) -> Decoder:
    made = Decoder(gpt, rows_max=4, how=Sampling(), capture=bare)
    made.join([Row((5, 6, 7), voice, cap=9), Row((5, 6, 7, 8), voice, cap=9), Row((5,), voice, cap=9)])
    return made


def test_mixed_devices_and_host_reads_are_detected(gpu: FakeGpu) -> None:
    there, here = torch.ones(3, device=GPU), torch.ones(3)
    with pytest.raises(RuntimeError, match="device"):
        there + here
    with pytest.raises(RuntimeError, match="device"):
        here[torch.ones(3, dtype=torch.long, device=GPU)] = there
    assert not bool(there[0])
    there.tolist()
    there.cpu()
    assert len(gpu.waits) == 1 + 3 + 1


def test_rows_join_and_leave_without_a_wait(gpu: FakeGpu, decoder: Decoder) -> None:
    decoder.leave(decoder.rows[0])
    decoder.join([Row((5, 6), decoder.rows[0].voice, cap=9)])
    assert len(decoder.rows) == 3
    assert gpu.waits == []


def test_captured_graphs_wait_for_nothing(gpu: FakeGpu, decoder: Decoder) -> None:
    decoder._run(4, 256)
    state = decoder._state
    assert {tensor.device for tensor in (state.token, state.latents, decoder._cache)} == {GPU}
    assert gpu.waits == []


def test_a_step_waits_for_its_tokens_alone(gpu: FakeGpu, decoder: Decoder) -> None:
    decoder.step()
    assert gpu.waits == ["Decoder.step"] * 3  # one list of three rows' tokens
    assert [row.tokens for row in decoder.rows] == [[0], [0], [0]]


def test_latents_stay_on_the_gpu_until_they_are_sound(
    gpu: FakeGpu, model: Any, decoder: Decoder, voice: Voice
) -> None:
    decoder.step()
    gpu.waits.clear()
    vocoder = Vocoder(model, device=GPU, batched=True)
    latents = [decoder.latents(row) for row in decoder.rows[:2]]
    assert {(each.device, each.dtype) for each in latents} == {(GPU, torch.float32)}
    waves = vocoder.waves([Part(each, voice.embedding, 0, vocoder.frames(1)) for each in latents])
    assert [(wave.device.type, len(wave)) for wave in waves] == [("cpu", 256 * vocoder.frames(1))] * 2
    assert set(gpu.waits) == {"Vocoder._together"}
    assert len(gpu.waits) == 2
