"""The stand-ins for torchaudio do what the real one does, as far as XTTS asks."""

import sys

import numpy
import pytest
import soundfile
import torch

from workers.xtts import audio


@pytest.mark.parametrize(("scale", "norm", "power"), [("htk", None, 2.0), ("slaney", "slaney", 1.0)])
def test_the_mel_is_that_of_another_implementation(scale: str, norm: str | None, power: float) -> None:
    from transformers.audio_utils import mel_filter_bank, spectrogram  # heavy

    wave = torch.randn(8000, generator=torch.Generator().manual_seed(2))
    mel = audio.MelSpectrogram(
        16_000, 512, 400, 160, 50.0, 7_000.0, 64, power=power, norm=norm, mel_scale=scale
    )
    bank = mel_filter_bank(257, 64, 50.0, 7_000.0, 16_000, norm=norm, mel_scale=scale)
    window = numpy.pad(torch.hann_window(400).numpy(), 56)
    wanted = spectrogram(
        wave.numpy(), window, 512, 160, fft_length=512, power=power, pad_mode="reflect", mel_filters=bank
    )
    assert mel(wave).shape == wanted.shape == (64, 51)
    assert numpy.abs(mel(wave).numpy() - wanted).max() < 1e-6 * wanted.max()


def test_the_mels_buffers_have_torchaudios_names() -> None:
    names = set(audio.MelSpectrogram(n_mels=40).state_dict())
    assert names == {"spectrogram.window", "mel_scale.fb"}


def test_a_tone_keeps_its_pitch_at_another_rate() -> None:
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(22_050) / 22_050)[None]
    spectrum = torch.fft.rfft(audio.resample(tone, 22_050, 16_000)).abs()
    assert int(spectrum.argmax()) == 440


def test_a_file_is_read_as_it_was_written(tmp_path: object) -> None:
    wave = numpy.linspace(-0.5, 0.5, 100, dtype="float32")
    soundfile.write(f"{tmp_path}/a.wav", wave, 24_000, subtype="FLOAT")
    read, rate = audio.load(f"{tmp_path}/a.wav")
    assert rate == 24_000
    assert numpy.array_equal(read.numpy(), wave[None])


def test_installing_twice_keeps_the_first() -> None:
    audio.install()
    first = sys.modules["torchaudio"]
    audio.install()
    assert sys.modules["torchaudio"] is first
