"""Makes a Whisper with random weights, small enough for a test, and converts it as an operator would.

`python tiny_whisper.py FOLDER` leaves the model for CTranslate2 in FOLDER/ct2.
"""

import json
import sys
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

END, BEGIN = "<|endoftext|>", "<|startoftranscript|>"
TASKS = ("translate", "transcribe")
AFTER = ("startoflm", "startofprev", "nospeech", "notimestamps")
TIMES = 1501  # each 20 ms of a window of 30 s


def tokenizer() -> Tokenizer:
    """One token per byte; CTranslate2 recognises a multilingual model by the empty one."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, ""])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = [END, BEGIN, *(f"<|{name}|>" for name in (*LANGUAGES, *TASKS, *AFTER))]
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    times = [f"<|{number * 0.02:.2f}|>" for number in range(TIMES)]
    made.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])
    return made


def weights(tokens: Tokenizer) -> WhisperForConditionalGeneration:
    torch.manual_seed(0)
    end, begin = tokens.token_to_id(END), tokens.token_to_id(BEGIN)
    marks = {"eos_token_id": end, "bos_token_id": end, "pad_token_id": end, "decoder_start_token_id": begin}
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "num_mel_bins": 80}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    wide = {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
    config = WhisperConfig(vocab_size=tokens.get_vocab_size(), **sizes, **heads, **wide, **marks)
    made = WhisperForConditionalGeneration(config)
    made.generation_config = GenerationConfig(
        **marks,
        is_multilingual=True,
        no_timestamps_token_id=tokens.token_to_id("<|notimestamps|>"),
        lang_to_id={f"<|{name}|>": tokens.token_to_id(f"<|{name}|>") for name in LANGUAGES},
        task_to_id={name: tokens.token_to_id(f"<|{name}|>") for name in TASKS},
        alignment_heads=[[0, 0], [1, 1]],
        suppress_tokens=[],
        begin_suppress_tokens=[end],
        max_length=448,
    )
    return made


def main(folder: Path) -> None:
    source, tokens = folder / "source", tokenizer()
    weights(tokens).save_pretrained(source)
    tokens.save(str(source / "tokenizer.json"))
    WhisperFeatureExtractor(feature_size=80).save_pretrained(source)
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    names["tokenizer_class"] = "PreTrainedTokenizerFast"
    (source / "tokenizer_config.json").write_text(json.dumps(names))
    # What `ct2-transformers-converter` does, without importing PyTorch once more.
    converter = TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(folder / "ct2"), quantization="int8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
