"""`python -m tests.fuzz.random_bytes TARGET SECONDS`: guided by coverage where atheris is installed."""

import random
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import av.logging

_LENGTH_MAX = 4000


def main(name: str, seconds: int) -> None:
    """Until the time is over, or a promise is broken."""
    av.logging.set_level(None)
    if find_spec("atheris") is not None:
        _guided(name, seconds)
    print("without atheris (pip install 'codevoice[fuzz]'): random changes, not guided by coverage")
    from .targets import TARGETS, seeds

    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        tried += 1
        TARGETS[name](_changed(random.choice(seeds(name))))
    print(f"{name}: {tried} tried, every promise kept")


def _guided(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["workers", "db.storage.uploads"]):  # before anybody imports them
        from .targets import TARGETS, seeds

    with TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-max_len={_LENGTH_MAX}", "-print_final_stats=1", corpus]
        atheris.Setup([sys.argv[0], *options], TARGETS[name])
        atheris.Fuzz()  # ends the process


def _changed(seed: bytes) -> bytes:
    """A few of its bytes others, some doubled, some left out."""
    found = bytearray(seed[:_LENGTH_MAX])
    for _ in range(random.randrange(1, 12)):
        at = random.randrange(len(found) + 1)
        found[at : at + random.randrange(5)] = random.randbytes(random.randrange(5))
    return bytes(found)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
