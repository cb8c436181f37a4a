"""Makes a folder of random XTTS v2 weights: the real shapes and files, for tests and benchmarks."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workers.xtts import audio

SPEAKERS = ("Ann Random", "Bob Random")
_LANGUAGES = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi",
)  # fmt: skip
_LETTERS = (
    "the quick brown fox jumps over a lazy dog while seven wizards mix jars of quartz.",
    "please hold the line; your audio file will be ready in a minute, won't it?",
    "numbers, dates and names: one two three four five six seven eight nine ten!",
    "abcdefghijklmnopqrstuvwxyz ' - , . ; : ! ? áéíóúàèùâêîôûäöüñçøåßłżźćńśęąčďěňřšťůýžőűığ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя ابتثجحخدذرزسشصضطظعغفقكلمنهوي कखगघचछजझटठडढतथदधनपफबभमयरलवशसह",
)


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of the autoregressive part. The vocoder's is always the real one, except for its input."""

    layers: int
    width: int
    heads: int


TINY = Size(layers=2, width=64, heads=4)
FULL = Size(layers=30, width=1024, heads=16)


def make(folder: Path, size: Size, *, stops: bool, seed: int = 0) -> None:
    """Write the four files. `stops`: rows end by themselves, after ten tokens or so; else never."""
    audio.install()
    folder.mkdir(parents=True, exist_ok=True)
    _vocabulary(folder / "vocab.json")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the library
        torch.manual_seed(seed)
        model = _model(folder, size)
        _enliven(model.gpt, stops=stops)
        torch.save({"model": model.state_dict()}, folder / "model.pth")
        torch.save({name: _speaker(size) for name in SPEAKERS}, folder / "speakers_xtts.pth")


def _vocabulary(file: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{language}]" for language in _LANGUAGES)]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)  # pyright: ignore[reportCallIssue]
    tokenizer.train_from_iterator(_LETTERS, trainer)
    tokenizer.save(str(file))


def _model(folder: Path, size: Size) -> Any:
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    shape = XttsArgs(  # the defaults are version 1's
        gpt_layers=size.layers,
        gpt_n_model_channels=size.width,
        gpt_n_heads=size.heads,
        decoder_input_dim=size.width,
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=1025,
        gpt_use_perceiver_resampler=True,
    )
    XttsConfig(model_args=shape).save_json(str(folder / "config.json"))
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(vocab_file=folder / "vocab.json")
    model.init_models()
    return model


def _enliven(gpt: Any, *, stops: bool) -> None:
    """Spread wider than untrained layers: those would give the same output for every text."""
    for table in (gpt.mel_embedding, gpt.text_embedding, gpt.mel_pos_embedding.emb):
        table.weight.normal_(0, 0.5)
    for block in gpt.gpt.h:
        for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
            gain = 2 if layer is block.attn.c_attn else 1  # attention that discriminates
            layer.weight.normal_(0, gain / layer.weight.shape[0] ** 0.5)
    gpt.mel_head.weight.normal_(0, 1.6 / gpt.model_dim**0.5)
    if stops:
        gpt.mel_head.weight[gpt.stop_audio_token] *= 2.0
        gpt.mel_head.bias[gpt.stop_audio_token] = 3.0
    else:
        gpt.mel_head.bias[gpt.stop_audio_token] = -1e4


def _speaker(size: Size) -> dict[str, torch.Tensor]:
    return {
        "gpt_cond_latent": torch.randn(1, 32, size.width) * 0.5,
        "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
    }
