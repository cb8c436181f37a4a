"""A folder of XTTS v2 weights → upstream's model by its own loading code → the tensors our decoding needs."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workers.xtts import audio

FILES = ("config.json", "model.pth", "vocab.json", "speakers_xtts.pth")


class NoWeights(Exception):
    """The folder lacks a file or has the wrong version; the message names it."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm."""

    weight: Tensor
    bias: Tensor
    eps: float


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight + bias; `weight` is [in, out]."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer block of GPT-2."""

    before_attention: Norm
    qkv: Linear
    attended: Linear
    before_mlp: Norm
    widen: Linear
    narrow: Linear


@dataclass(frozen=True, slots=True)
class Gpt:
    """The autoregressive part. Its blocks have no position encoding: positions are in the embeddings only."""

    blocks: tuple[Block, ...]
    last: Norm  # GPT-2's own
    final: Norm  # XTTS's, after it
    head: Linear
    text_embedding: Tensor
    text_positions: Tensor
    audio_embedding: Tensor
    audio_positions: Tensor
    heads: int
    start_text: int
    stop_text: int
    start_audio: int
    stop_audio: int
    text_tokens_max: int  # without start and stop
    audio_tokens_max: int

    @property
    def width(self) -> int:
        return self.audio_embedding.shape[1]

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.head.weight.dtype

    @property
    def step_bytes(self) -> int:
        """Bytes of weights that each decoding step reads."""
        linears = [part for b in self.blocks for part in (b.qkv, b.attended, b.widen, b.narrow)]
        return sum(part.weight.nbytes + part.bias.nbytes for part in (*linears, self.head))


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice: 32 latents that precede the text, and an embedding for the vocoder."""

    latents: Tensor  # [1, 32, width]
    embedding: Tensor  # [1, 512, 1]


def load(folder: Path) -> Any:
    """Upstream's `Xtts` on the CPU, by its own loading code. Raises NoWeights."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise NoWeights(f"{folder}: no {', '.join(missing)}")
    audio.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the library
        from TTS.tts.configs.xtts_config import XttsConfig
        from TTS.tts.models.xtts import Xtts

        config = XttsConfig()
        config.load_json(str(folder / "config.json"))
        model = Xtts.init_from_config(config)
        model.load_checkpoint(config, checkpoint_dir=folder, use_deepspeed=False, eval=True)
    if not model.args.gpt_use_perceiver_resampler:
        raise NoWeights(f"{folder}: these are weights of XTTS v1")
    return model


def speakers_of(model: Any) -> dict[str, Speaker]:
    """The built-in voices."""
    known: dict[str, dict[str, Tensor]] = model.speaker_manager.speakers
    return {name: Speaker(s["gpt_cond_latent"], s["speaker_embedding"]) for name, s in known.items()}


def gpt_of(model: Any, *, device: torch.device, dtype: torch.dtype) -> Gpt:
    """The model's autoregressive part, on `device` in `dtype`; shares memory where nothing changes."""

    def at(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device=device, dtype=dtype)

    def norm(module: Any) -> Norm:
        return Norm(at(module.weight), at(module.bias), module.eps)

    def linear(module: Any) -> Linear:  # transformers' Conv1D: [in, out]
        return Linear(at(module.weight), at(module.bias))

    gpt = model.gpt
    assert gpt.gpt.config.activation_function == "gelu_new"
    return Gpt(
        blocks=tuple(
            Block(
                norm(block.ln_1),
                linear(block.attn.c_attn),
                linear(block.attn.c_proj),
                norm(block.ln_2),
                linear(block.mlp.c_fc),
                linear(block.mlp.c_proj),
            )
            for block in gpt.gpt.h
        ),
        last=norm(gpt.gpt.ln_f),
        final=norm(gpt.final_norm),
        head=Linear(at(gpt.mel_head.weight.T), at(gpt.mel_head.bias)),
        text_embedding=at(gpt.text_embedding.weight),
        text_positions=at(gpt.text_pos_embedding.emb.weight),
        audio_embedding=at(gpt.mel_embedding.weight),
        audio_positions=at(gpt.mel_pos_embedding.emb.weight),
        heads=gpt.heads,
        start_text=gpt.start_text_token,
        stop_text=gpt.stop_text_token,
        start_audio=gpt.start_audio_token,
        stop_audio=gpt.stop_audio_token,
        text_tokens_max=model.args.gpt_max_text_tokens - 1,
        audio_tokens_max=gpt.max_gen_mel_tokens,
    )
